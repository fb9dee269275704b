"""An object as one training sequence of KptLLM: its crop, and conversations of several tasks packed behind it.

The sequence is [prefix ; conversation 1 ; conversation 2 ; ...] as in `sequences`. A conversation about a given place
starts with the prompt token of that place. Places in an example are all of one other object of the category.

Where a question gives the name, the name in the answer is a target with `learn_names: all` alone (Sec. 3.5): in
prediction it is written for the model, so by default nothing is spent on copying it.

Letters: K keypoints, S side of a crop in pixels, B sequences of a batch, E examples' crops and R prompt tokens in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ...crops.augment import CropPlacement, place
from ...data.synthetic import SyntheticObject
from ...forms.dataset import LabelledObject
from ...geometry import visible_in
from ...instructions import Text
from ...instructions.tasks import MISNAMED, TASKS
from ...models.generative.kptllm import KptLLM
from ...models.generative.kptllm_network import PROMPT
from .kptllm_config import KptLLMTrainConfig
from .object_sampler import SyntheticSeeds, TrainingObject, resolve
from .sequence_batch import SequenceBatch, collate
from .sequences import PackedSequence, crop_object
from .writer import SequenceWriter
from .wrong_names import draw_given_name, has_wrong_name

EXAMPLE_TASKS = ("example", "both", "misnamed_example")  # tasks that give a place in an example
Members = Mapping[int, Sequence[LabelledObject]]  # the objects of each category, by its id


@dataclass(frozen=True)
class PromptPoint:
    """A place that a prompt token stands for.

    of_example: whether it lies in the example's crop, or in the object's own.
    point: x y in normalised coordinates of that crop.
    """

    of_example: bool
    point: tuple[float, float]


@dataclass(frozen=True)
class TaskSequence(PackedSequence):
    """One training sequence of KptLLM. In its tokens the prompt token of `prompts[r]` is PROMPT - r.

    prompts: the places of the prompt tokens.
    example_pixels: S S 3 uint8, the example's crop, or None where no conversation has one.
    tasks: the tasks of the conversations, in their order.
    """

    prompts: list[PromptPoint] = field(default_factory=list)
    example_pixels: np.ndarray | None = None
    tasks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CroppedObject:
    """An object and its training crop.

    item: the object.
    placement: where the crop lies in the picture.
    points: K 2, normalised coordinates in the crop.
    visible: K bool, whether a keypoint is labelled and lies in the crop.
    """

    item: LabelledObject | SyntheticObject
    placement: CropPlacement
    points: np.ndarray
    visible: np.ndarray


class TaskWriter(SequenceWriter):
    """Writes KptLLM's conversations: one for each task and keypoint, in the model's own task form."""

    def __init__(self, model: KptLLM, config: KptLLMTrainConfig, rng: np.random.Generator) -> None:
        super().__init__(model, config, rng, model.form.text.ending)
        self.prompts: list[PromptPoint] = []

    def converse(self, task: str, query: CroppedObject, example: CroppedObject | None, keypoint: int) -> None:
        """Append the question and the answer of a task.

        task: one of the form's tasks.
        query: the object that is trained on.
        example: another object of its category, for the tasks that need one.
        keypoint: index of the keypoint.
        """
        item, form = query.item, self.model.form
        (describe,), (wording,), options = self.draw_options(form.of(task), item, [keypoint], query.points)
        has_text = task in ("text", "both")
        named = self.model.config.identify_first
        options = {**options, "wordings": [wording], "named": named}
        if task in MISNAMED:
            options["given"] = draw_given_name(item.category, keypoint, self.config.wrong, self.rng)
        segments = form.conversation(task, item.category, keypoint, describe if has_text else "detailed", **options)
        if (
            named and has_text and self.config.learn_names == "unknown"
        ):  # the name and the text behind it stand in front of the point; they are no targets
            at = next(i for i, segment in enumerate(segments) if segment.answer)
            segments[at : at + 2] = [Text(segment.text) for segment in segments[at : at + 2]]
        number, start = self.next_conversation(), 0
        if task != "text":
            of_example = task in EXAMPLE_TASKS
            points = example.points if of_example else query.points
            self.prompts.append(PromptPoint(of_example, tuple(points[keypoint].tolist())))
            start = self.append([PROMPT - len(self.prompts) + 1], number, 0)
        self.write(segments, query.points, number, start)


def build_task_sequences(
    model: KptLLM,
    item: TrainingObject,
    config: KptLLMTrainConfig,
    rng: np.random.Generator,
    members: Members,
    group: list[int] | None = None,
) -> list[TaskSequence]:
    """Crop an object, draw its tasks and write their conversations.

    Returns one sequence, several behind the same crop where one would hold more than `pack` conversations, or none
    where no task of the recipe is possible.

    model: the model that is trained.
    item: the object.
    config: the options of the run.
    rng: generator of the crops, the tasks and the conversations.
    members: all objects of the data, from which the example is drawn.
    group: indices of the object's labels that have one conversation each; None gives all of them `asks` conversations.
    """
    query = _cropped(item, model, config, rng)
    example = _example(item, model, config, rng, members)
    if group is not None:
        group = query.placement.keypoints_of(group, query.item.category)
    tasks = _draw_tasks(query, example, group, config, rng)
    packed = [tasks[i : i + config.pack] for i in range(0, len(tasks), config.pack)]
    if config.sampling == "balanced":  # every draw is one sequence, so that large categories do not weigh more
        packed = packed[:1]
    if not packed:
        return []
    pixels = crop_object(query.item, query.placement, model, config, rng)
    example_pixels = None
    if any(task in EXAMPLE_TASKS for part in packed for task, _ in part):
        example_pixels = crop_object(example.item, example.placement, model, config, rng)
    sequences = []
    for part in packed:
        writer = TaskWriter(model, config, rng)
        for task, keypoint in part:
            writer.converse(task, query, example, keypoint)
        sequences.append(_sequence(writer, [task for task, _ in part], pixels, example_pixels))
    return sequences


def _sequence(
    writer: TaskWriter, tasks: list[str], pixels: np.ndarray, example_pixels: np.ndarray | None
) -> TaskSequence:
    """What a writer has written, with the example's crop where some conversation needs it."""
    with_example = any(prompt.of_example for prompt in writer.prompts)
    return TaskSequence(
        pixels=pixels,
        tokens=writer.tokens,
        conversation=writer.conversation,
        positions=writer.positions,
        answers=writer.answers,
        questions=len(tasks),
        word_targets=writer.word_targets,
        prompts=writer.prompts,
        example_pixels=example_pixels if with_example else None,
        tasks=tasks,
    )


def _cropped(item: TrainingObject, model: KptLLM, config: KptLLMTrainConfig, rng: np.random.Generator) -> CroppedObject:
    """The object in a random crop."""
    item = resolve(item)
    placement = place(item.box, model.config.crop_scale, config.augment, rng, item.category.flips)
    points = placement.labels(item.points, item.category)
    return CroppedObject(item, placement, points, visible_in(points))


def _example(
    item: TrainingObject, model: KptLLM, config: KptLLMTrainConfig, rng: np.random.Generator, members: Members
) -> CroppedObject | None:
    """Another object of the category, or another pose of a synthetic object.

    None where no task of the recipe needs an example, and where the category has no other object.
    """
    if not any(getattr(config.tasks, task) for task in EXAMPLE_TASKS):
        return None
    if isinstance(item, SyntheticSeeds):
        return _cropped(SyntheticSeeds(item.kind, int(rng.integers(2**62))), model, config, rng)
    of_category = members[item.category_id]
    if len(of_category) < 2:
        return None
    other = item
    while other is item:
        other = of_category[int(rng.integers(len(of_category)))]
    return _cropped(other, model, config, rng)


def _draw_tasks(
    query: CroppedObject,
    example: CroppedObject | None,
    group: list[int] | None,
    config: KptLLMTrainConfig,
    rng: np.random.Generator,
) -> list[tuple[str, int]]:
    """Draw (task, keypoint) for the conversations: one for each visible keypoint of a group that has a possible task.

    Without a group there are `asks` for every such keypoint of the object, shuffled.
    """
    drawn = []
    for _ in range(config.asks if group is None else 1):
        keypoints = rng.permutation(np.flatnonzero(query.visible)).tolist() if group is None else group
        for i in keypoints:
            if not query.visible[i]:
                continue
            probabilities = config.tasks.probabilities(_possible(query, example, i))
            if probabilities:
                choice = int(rng.choice(len(probabilities), p=list(probabilities.values())))
                drawn.append((list(probabilities)[choice], i))
    return drawn


def _possible(query: CroppedObject, example: CroppedObject | None, keypoint: int) -> list[str]:
    """The tasks that can ask for a keypoint."""
    in_example = example is not None and bool(example.visible[keypoint])
    misnamed = MISNAMED if has_wrong_name(query.item.category, keypoint) else ()
    return [task for task in (*TASKS, *misnamed) if in_example or task not in EXAMPLE_TASKS]


# --- batches --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TaskBatch(SequenceBatch):
    """Sequences of KptLLM as one batch. In its tokens the prompt token of row r of `prompts` is PROMPT - r.

    examples: E S S 3 uint8, the examples' crops, or None where there is none.
    prompt_crops: R, the crop of each prompt token: b below B for query b, B + e for example e; None without prompts.
    prompts: R 2, the places of the prompt tokens in normalised coordinates of these crops; None without prompts.
    """

    examples: Tensor | None = None
    prompt_crops: Tensor | None = None
    prompts: Tensor | None = None


def collate_tasks(sequences: Sequence[TaskSequence], base: int) -> TaskBatch:
    """Pad sequences into one batch, and number the prompt tokens and the examples over the whole batch.

    base: number of ids of a digit slot.
    """
    renumbered, examples, prompt_crops, points = [], [], [], []
    for b, sequence in enumerate(sequences):
        tokens = [token - len(prompt_crops) if token <= PROMPT else token for token in sequence.tokens]
        renumbered.append(replace(sequence, tokens=tokens))
        example = len(sequences) + len(examples)
        prompt_crops += [example if prompt.of_example else b for prompt in sequence.prompts]
        points += [prompt.point for prompt in sequence.prompts]
        if sequence.example_pixels is not None:
            examples.append(sequence.example_pixels)
    more = {}
    if prompt_crops:
        more = {"prompt_crops": torch.tensor(prompt_crops), "prompts": torch.tensor(points, dtype=torch.float32)}
    if examples:
        more["examples"] = torch.from_numpy(np.stack(examples))
    return TaskBatch(**vars(collate(renumbered, base)), **more)
