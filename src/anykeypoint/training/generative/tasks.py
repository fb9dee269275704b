"""One object as KptLLM's training sequence: its crop, and conversations of several tasks packed behind it.

The sequence is [prefix ; conversation 1 ; conversation 2 ; ...] as in `sequences`; a conversation about a shown place
starts with that place's prompt token. The places that examples show are of one other object of the category.

Where a question tells the name, the answer's name is given, not learnt: when such a question is asked it is written for
the model, and copying teaches nothing.

Letters: K keypoints, S crop side, B images of a batch, E examples' crops in it, R prompt tokens, T text tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ...crops.augment import Placed, place
from ...data.synthetic import SyntheticObject
from ...forms.dataset import LabelledObject
from ...geometry import visible_in
from ...instructions import Text
from ...instructions.tasks import TASKS
from ...models.generative.kptllm import KptLLM
from ...models.generative.kptllm_network import PROMPT
from .kptllm_config import KptTrainConfig, chances
from .sequences import Batch, MadeUp, PackedSequence, Writer, collate, cut, drawn

OF_EXAMPLES = ("example", "both")
Members = Mapping[int, Sequence[LabelledObject]]  # the objects of each category


@dataclass(frozen=True)
class Prompt:
    """A place that is shown, x and y as fractions of a crop: the example's, or the object's own."""

    of_example: bool
    point: tuple[float, float]


@dataclass(frozen=True)
class TaskSequence(PackedSequence):
    """tokens: the prompt token of `prompts[r]` is PROMPT - r. shown: the example's crop, S S 3 uint8, where one is."""

    prompts: list[Prompt] = field(default_factory=list)
    shown: np.ndarray | None = None
    tasks: list[str] = field(default_factory=list)  # of the conversations, in order


@dataclass(frozen=True)
class Seen:
    """An object in its training crop. points: K 2, fractions of the crop. visible: K bool, those in it."""

    item: LabelledObject | SyntheticObject
    placed: Placed
    points: np.ndarray
    visible: np.ndarray


def build_task_sequences(
    model: KptLLM, item: LabelledObject | MadeUp, config: KptTrainConfig, rng: np.random.Generator, members: Members
) -> list[TaskSequence]:
    """Crop an object, draw its tasks and write their conversations; none where nothing that is trained is possible.

    They are one sequence, or several behind the same crop where one would hold more than `pack` conversations.
    """
    query = _seen(item, model, config, rng)
    example = _example(item, model, config, rng, members)
    drawn_tasks = _tasks(query, example, config, rng)
    packed = [drawn_tasks[i : i + config.pack] for i in range(0, len(drawn_tasks), config.pack)]
    if config.sampling == "balanced":  # a visit is a sample there, not the object's turn in an epoch
        packed = packed[:1]
    if not packed:
        return []
    pixels = cut(query.item, query.placed, model, config, rng)
    shown = None
    if any(task in OF_EXAMPLES for part in packed for task, _ in part):
        shown = cut(example.item, example.placed, model, config, rng)
    return [_written(model, config, rng, query, example, part, pixels, shown) for part in packed]


def _seen(item: LabelledObject | MadeUp, model: KptLLM, config: KptTrainConfig, rng: np.random.Generator) -> Seen:
    item = drawn(item)
    placed = place(item.box, model.config.crop_scale, config.augment, rng)
    points = placed.labels(item.points, item.category)
    return Seen(item, placed, points, visible_in(points))


def _example(
    item: LabelledObject | MadeUp, model: KptLLM, config: KptTrainConfig, rng: np.random.Generator, members: Members
) -> Seen | None:
    """Another object of the category, another pose of a made-up one; None where no task needs it or there is none."""
    if not (config.tasks.example or config.tasks.both):
        return None
    if isinstance(item, MadeUp):
        return _seen(MadeUp(item.kind, int(rng.integers(2**62))), model, config, rng)
    of_kind = members[item.category_id]
    if len(of_kind) < 2:
        return None
    other = item
    while other is item:
        other = of_kind[int(rng.integers(len(of_kind)))]
    return _seen(other, model, config, rng)


def _tasks(
    query: Seen, example: Seen | None, config: KptTrainConfig, rng: np.random.Generator
) -> list[tuple[str, int]]:
    """What is asked: tasks and keypoints, shuffled, `asks` of them for every keypoint that has a possible task."""
    found = []
    for _ in range(config.asks):
        for i in rng.permutation(np.flatnonzero(query.visible)).tolist():
            shows = example is not None and bool(example.visible[i])
            chance = chances(config.tasks, [task for task in TASKS if shows or task not in OF_EXAMPLES])
            if chance:
                found.append((list(chance)[int(rng.choice(len(chance), p=list(chance.values())))], i))
    return found


def _written(
    model: KptLLM,
    config: KptTrainConfig,
    rng: np.random.Generator,
    query: Seen,
    example: Seen | None,
    asked: list[tuple[str, int]],
    pixels: np.ndarray,
    shown: np.ndarray | None,
) -> TaskSequence:
    writer = TaskWriter(model, config, rng)
    for task, keypoint in asked:
        writer.converse(task, query, example, keypoint)
    if not any(prompt.of_example for prompt in writer.prompts):
        shown = None
    lists = (writer.tokens, writer.conversation, writer.places, writer.answers)
    tasks = [task for task, _ in asked]
    return TaskSequence(pixels, *lists, len(asked), writer.words, writer.prompts, shown, tasks)


class TaskWriter(Writer):
    """KptLLM's: one conversation for each task that is asked about a keypoint, in the model's own task form."""

    def __init__(self, model: KptLLM, config: KptTrainConfig, rng: np.random.Generator) -> None:
        super().__init__(model, config, rng, model.form.text.ending)
        self.prompts: list[Prompt] = []

    def converse(self, task: str, query: Seen, example: Seen | None, keypoint: int) -> None:
        """One of TASKS about a keypoint, with its answer; example: of those tasks that need one."""
        item, form = query.item, self.model.form
        (describe,), (wording,), options = self._choices(form.of(task), item, [keypoint], query.points)
        told = task in ("text", "both")
        named = self.model.config.identify_first
        options = {**options, "wordings": [wording], "named": named}
        segments = form.conversation(task, item.category, keypoint, describe if told else "detailed", **options)
        if named and told:  # the name and what is behind it stand before the point
            at = next(i for i, segment in enumerate(segments) if segment.answer)
            segments[at : at + 2] = [Text(segment.text) for segment in segments[at : at + 2]]
        number, start = self._next(), 0
        if task != "text":
            of_example = task in OF_EXAMPLES
            points = example.points if of_example else query.points
            self.prompts.append(Prompt(of_example, tuple(points[keypoint].tolist())))
            start = self._append([PROMPT - len(self.prompts) + 1], number, 0)
        self._write(segments, query.points, number, start)


@dataclass(frozen=True)
class TaskBatch(Batch):
    """tokens: the prompt token of the batch's row r is PROMPT - r."""

    shown: Tensor | None = None  # E S S 3 uint8
    owners: Tensor | None = None  # R: the crop that a prompt token is of; below B a query's, from B on an example's
    prompts: Tensor | None = None  # R 2, fractions of that crop


def collate_tasks(sequences: Sequence[TaskSequence], base: int) -> TaskBatch:
    """As `sequences.collate`, with the examples' crops and all prompt tokens of the batch in one list."""
    renamed, shown, owners, places = [], [], [], []
    for b, sequence in enumerate(sequences):
        tokens = [token - len(owners) if token <= PROMPT else token for token in sequence.tokens]
        renamed.append(replace(sequence, tokens=tokens))
        own = len(sequences) + len(shown)
        owners += [own if prompt.of_example else b for prompt in sequence.prompts]
        places += [prompt.point for prompt in sequence.prompts]
        if sequence.shown is not None:
            shown.append(sequence.shown)
    more = {}
    if owners:
        more = {"owners": torch.tensor(owners), "prompts": torch.tensor(places, dtype=torch.float32)}
    if shown:
        more["shown"] = torch.from_numpy(np.stack(shown))
    return TaskBatch(**vars(collate(renamed, base)), **more)
