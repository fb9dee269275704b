"""An object as one training sequence of CapeLLM: its crop, and one conversation or all of its own packed behind it.

The sequence is [prefix ; conversation 1 ; conversation 2 ; ...]. Every conversation starts at the position behind the
prefix and attends to the prefix and to its own past alone (a block mask), which is what it would attend to by itself.

Letters: K keypoints, S side of a crop in pixels.
"""

from dataclasses import dataclass, field

import numpy as np

from ...crops.augment import CropPlacement, crop_placed, jitter, place
from ...data.synthetic import SyntheticObject
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...geometry import visible_in
from ...images import read_picture
from ...instructions import Instruction, instruction
from ...models.generative.base import GenerativeModel
from ...models.generative.capellm import CapeLLM
from .capellm_config import CapeLLMTrainConfig
from .generative_config import GenerativeTrainConfig
from .object_sampler import TrainingObject, resolve
from .rounds import grouped, pack
from .targets import AnswerTargets
from .writer import SequenceWriter


@dataclass(frozen=True)
class PackedSequence:
    """One training sequence. See `SequenceWriter` for the lists.

    pixels: S S 3 uint8, the crop.
    questions: number of questions.
    """

    pixels: np.ndarray
    tokens: list[int]
    conversation: list[int]
    positions: list[int]
    answers: list[AnswerTargets]
    questions: int
    word_targets: list[tuple[int, int]] = field(default_factory=list)


class ConversationWriter(SequenceWriter):
    """Writes CapeLLM's conversations: several rounds of question and answer, in the run's instruction form."""

    def __init__(self, model: CapeLLM, config: CapeLLMTrainConfig, rng: np.random.Generator) -> None:
        self.form = training_form(model, config)
        super().__init__(model, config, rng, self.form.ending)

    def ask(self, item: LabelledObject | SyntheticObject, keypoint: int, points: np.ndarray) -> None:
        """Append one question without its answer, about the keypoint of that index; points as in `write`."""
        ((describe,), (wording,), options) = self.draw_options(self.form, item, [keypoint], points)
        prompt = self.form.prompt(item.category, keypoint, describe, wordings=[wording], **options)
        self.append([token for ids in self.tokenize(prompt) for token in ids], self.next_conversation(), 0)
        last = len(self.tokens) - 1
        self.answers.append(AnswerTargets([], [], [], tuple(points[keypoint].tolist()), (last, last)))

    def converse(self, item: LabelledObject | SyntheticObject, group: list[int], points: np.ndarray) -> None:
        """Append one conversation: a question and its answer for every keypoint of a group; points as in `write`."""
        describe, wordings, options = self.draw_options(self.form, item, group, points)
        segments = self.form.conversation(item.category, group, describe, wordings=wordings, **options)
        self.write(segments, points, self.next_conversation(), 0)


def build_sequences(
    model: CapeLLM,
    item: TrainingObject,
    config: CapeLLMTrainConfig,
    rng: np.random.Generator,
    answered: bool = True,
    group: list[int] | None = None,
) -> list[PackedSequence]:
    """Crop an object and write the conversation of one group of keypoints, or of all groups of its visible ones.

    Returns one sequence, several behind the same crop where one would hold more than `pack` questions, or none where no
    labelled point that is asked about lies inside the crop.

    model: the model that is trained.
    item: the object.
    config: the options of the run.
    rng: generator of the crop and the conversations.
    answered: False leaves every answer out; each question is then a conversation of its own.
    group: indices of the object's labels that are asked about in one conversation, where they lie inside the crop; with
        the grouping "locllm" no more than the first `rounds` of these. None draws all groups and packs them.
    """
    item = resolve(item)
    placement = place(item.box, model.config.crop_scale, config.augment, rng, item.category.flips)
    points = placement.labels(item.points, item.category)
    inside = np.flatnonzero(visible_in(points)).tolist()
    if group is None:
        groups = grouped(config.grouping, inside, config.rounds, config.pack, rng)
    else:
        kept = [i for i in placement.keypoints_of(group, item.category) if i in inside]
        kept = kept[: config.rounds] if config.grouping == "locllm" else kept
        groups = [kept] if kept else []
    if not answered:
        groups = [[i] for i in dict.fromkeys(i for group in groups for i in group)]
    packed = pack(groups, config.pack) if group is None else [groups] if groups else []
    if config.sampling == "balanced":  # every draw is one sequence, so that large categories do not weigh more
        packed = packed[:1]
    if not packed:
        return []
    pixels = crop_object(item, placement, model, config, rng)
    sequences = []
    for part in packed:
        writer = ConversationWriter(model, config, rng)
        for group in part:
            if answered:
                writer.converse(item, group, points)
            else:
                writer.ask(item, group[0], points)
        lists = (writer.tokens, writer.conversation, writer.positions, writer.answers)
        sequences.append(PackedSequence(pixels, *lists, sum(map(len, part)), writer.word_targets))
    return sequences


def crop_object(
    item: LabelledObject | SyntheticObject,
    placement: CropPlacement,
    model: GenerativeModel,
    config: GenerativeTrainConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """The pixels of an object's crop, S S 3 uint8, in the size of the model and with the recipe's colour jitter."""
    image = item.image if isinstance(item, SyntheticObject) else read_picture(item.image)
    if config.augment.colour:
        image = jitter(image, config.augment.colour, rng)
    return crop_placed(image, placement, model.config.vision.image_size, model.config.released_crop)


def training_form(model: CapeLLM, config: CapeLLMTrainConfig) -> Instruction:
    """The instruction form of a run. Raises InputError where the run cannot learn from the form's answers."""
    form = instruction(config.instruction) if config.instruction else model.instruction
    if config.loss == "digits":
        if form.answers_text:
            raise InputError(
                f"The loss 'digits' knows no answers but points, and the instruction form {form.name!r} also answers "
                "in words; use the loss 'text'."
            )
        if model.keypoint_token is not None:
            raise InputError(
                "The loss 'digits' cannot train a model that answers with <KEYPOINT>; use the loss 'text'."
            )
    if not form.answers_points and model.keypoint_token is not None:
        raise InputError(
            f"The instruction form {form.name!r} answers in words about given coordinates, but this model writes "
            "<KEYPOINT> for a point; use a model with the answer 'text'."
        )
    if not form.answers_points and config.guide.layers:
        raise InputError(
            f"guide.layers needs answers that are points, but the instruction form {form.name!r} answers in words; "
            "leave the guide out."
        )
    return form
