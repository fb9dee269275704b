"""One object as one training sequence: its crop, and many conversations packed behind it.

The sequence is [prefix ; conversation 1 ; conversation 2 ; ...]. Each conversation starts at the position behind the
prefix and sees the prefix and its own past (a block mask), which is what it would see alone.

Letters: B images of a batch, T text tokens (padded), P prefix tokens, S crop side, n numbers' free positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...crops.augment import Placed, crop_placed, jitter, place
from ...data.synthetic import SyntheticObject, draw_object
from ...decoding.codec import CoordinateCodec, thousandths
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...geometry import visible_in
from ...images import read_image
from ...instructions import Instruction, Point, Segment, Text, instruction
from ...models.generative.base import GenerativeModel
from ...models.generative.capellm import CapeLLM
from ...models.generative.keypoint_token import KEYPOINT
from .capellm_config import TrainConfig
from .kptllm_config import KptTrainConfig
from .rounds import grouped, pack


@dataclass(frozen=True)
class Answer:
    """Where the targets of one answer that is a point stand in the text tokens, and what they are.

    With a <KEYPOINT> answer there are none but the point, and `span` is the token's own place twice.
    """

    text: list[tuple[int, int]]  # (place whose next token is predicted, that token's id): the whole answer
    lead: list[tuple[int, Tensor]]  # (place, distribution over "0" and "1")
    digits: list[tuple[int, Tensor]]  # (place, distribution over a digit slot's ids)
    point: tuple[float, float]  # the true point, normalised
    span: tuple[int, int]  # places from the token before the answer to its last


@dataclass(frozen=True)
class PackedSequence:
    """One packed training sequence."""

    pixels: np.ndarray  # S S 3 uint8
    tokens: list[int]
    conversation: list[int]  # per token the number of its conversation
    places: list[int]  # per token its position behind the prefix
    answers: list[Answer]
    questions: int
    words: list[tuple[int, int]] = field(default_factory=list)  # answers in words: as `Answer.text`


@dataclass(frozen=True)
class MadeUp:
    """A made-up object to train on, named by its two seeds and drawn when it is needed."""

    kind: int
    pose: int

    @property
    def id(self) -> str:
        return f"made-up {self.kind}/{self.pose}"


def build_sequences(
    model: CapeLLM,
    item: LabelledObject | MadeUp,
    config: TrainConfig,
    rng: np.random.Generator,
    answered: bool = True,
) -> list[PackedSequence]:
    """Crop, group and write one object's conversations; none when no labelled point lies inside the crop.

    They are one sequence, or several behind the same crop where one would hold more than `pack` questions.
    answered: False leaves every answer out; each question is then a conversation of its own.
    """
    item = drawn(item)
    placed = place(item.box, model.config.crop_scale, config.augment, rng)
    points = placed.labels(item.points, item.category)
    inside = np.flatnonzero(visible_in(points)).tolist()
    groups = grouped(config.grouping, inside, config.rounds, config.pack, rng)
    if not answered:
        groups = [[i] for i in dict.fromkeys(i for group in groups for i in group)]
    packed = pack(groups, config.pack)
    if config.sampling == "balanced":  # a visit is a sample there, not the object's turn in an epoch
        packed = packed[:1]
    if not packed:
        return []
    pixels = cut(item, placed, model, config, rng)
    built = []
    for sequence in packed:
        writer = ConversationWriter(model, config, rng)
        for group in sequence:
            if answered:
                writer.converse(item, group, points)
            else:
                writer.ask(item, group[0], points)
        count = sum(map(len, sequence))
        lists = (writer.tokens, writer.conversation, writer.places, writer.answers)
        built.append(PackedSequence(pixels, *lists, count, writer.words))
    return built


def drawn(item: LabelledObject | MadeUp) -> LabelledObject | SyntheticObject:
    """The object itself where it is a made-up one's name."""
    return draw_object(item.kind, item.pose) if isinstance(item, MadeUp) else item


def cut(
    item: LabelledObject | SyntheticObject,
    placed: Placed,
    model: GenerativeModel,
    config: TrainConfig | KptTrainConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """The object's placed crop as the model takes it, S S 3 uint8, in random colours as the recipe has it."""
    image = item.image if isinstance(item, SyntheticObject) else read_image(item.image)
    if config.augment.colour:
        image = jitter(image, config.augment.colour, rng)
    return crop_placed(image, placed, model.config.vision.image_size)


def training_form(model: CapeLLM, config: TrainConfig) -> Instruction:
    """The form of a run's conversations; InputError where its answers are not what the run can learn from."""
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


def reference(config: TrainConfig | KptTrainConfig, rng: np.random.Generator) -> str:
    """Draw how a question gives its description, one of `instructions.DESCRIBE`."""
    if rng.random() >= config.describe:
        return "removed"
    return "replaced" if config.replace and rng.random() < config.replace else config.descriptions


class Writer:
    """Appends conversations to a growing token sequence. ending: of the form that it writes in."""

    def __init__(
        self, model: GenerativeModel, config: TrainConfig | KptTrainConfig, rng: np.random.Generator, ending: str
    ) -> None:
        self.model, self.config, self.rng, self.ending = model, config, rng, ending
        self.tokens: list[int] = []
        self.conversation: list[int] = []
        self.places: list[int] = []
        self.answers: list[Answer] = []
        self.words: list[tuple[int, int]] = []

    def _write(self, segments: Sequence[Segment], points: np.ndarray, number: int, place: int) -> None:
        """Segments of a conversation from a position on; points: K 2, what the segments' keypoints have."""
        before: Segment | None = None
        for segment, ids in zip(segments, self._tokenize(segments), strict=True):
            if isinstance(segment, Point):
                ids = self._point(segment, tuple(points[segment.keypoint].tolist()))
            elif segment.answer:
                self._learn(ids, isinstance(before, Point))
            place = self._append(ids, number, place)
            before = segment
        if self.config.loss == "digits" and any(isinstance(segment, Point) for segment in segments):
            # Nothing behind the last free position is ever asked for.
            spare = len(self.model.codec.closing) + len(self._tokenize([Text(self.ending)])[0]) + 1
            for line in (self.tokens, self.conversation, self.places):
                del line[-spare:]

    def _choices(
        self, form: Instruction, item: LabelledObject | SyntheticObject, group: list[int], points: np.ndarray
    ) -> tuple[list[str], list[int], dict]:
        """What is drawn for a conversation: how each question describes its keypoint, its wording, and the noun."""
        noun = item.category.noun if self.rng.random() < self.config.noun else "object"
        describe = [self._describe(item.category.keypoints[i].description) for i in group]
        count = len(form.wordings)
        wordings = [int(self.rng.integers(count)) if count > 1 else 0 for _ in group]
        visible = np.flatnonzero(visible_in(points)).tolist()
        return describe, wordings, {"noun": noun, "visible": visible, "special": self.model.control_tokens}

    def _describe(self, description: str) -> str:
        """How one question gives its description; one that there never was is not replaced."""
        way = reference(self.config, self.rng)
        return "removed" if way == "replaced" and not description else way

    def _tokenize(self, segments: Sequence[Segment]) -> list[list[int]]:
        """The ids of each segment's text; none for a point."""
        return self.model.tokenize([segment.text if isinstance(segment, Text) else "" for segment in segments])

    def _point(self, segment: Point, point: tuple[float, float]) -> list[int]:
        """The ids that write a point here, whose targets are noted where it is an answer."""
        codec, start = self.model.codec, len(self.tokens)
        if not segment.answer:
            return list(codec.encode(*point))
        if self.model.keypoint_token is not None:
            self.answers.append(Answer([], [], [], point, (start, start)))
            return [KEYPOINT]
        x, y = (_soft_number(codec, value, self.config.sigma, self.rng) for value in point)
        ids = list(codec.encode_values(x.value, y.value))
        self.answers.append(self._answer(start, ids, x, y, point))
        return ids

    def _learn(self, ids: list[int], behind_point: bool) -> None:
        """Make the words that follow targets; behind a point they end its answer."""
        start = len(self.tokens)
        targets = [(start - 1 + i, token) for i, token in enumerate(ids)]
        if not behind_point:
            self.words.extend(targets)
        elif self.model.keypoint_token is None:  # that <KEYPOINT> is the answer, and all of it, is given
            self.answers[-1].text.extend(targets)

    def _next(self) -> int:
        return self.conversation[-1] + 1 if self.conversation else 0

    def _append(self, tokens: list[int], number: int, place: int) -> int:
        """Add tokens of a conversation from a position on; returns the position behind them."""
        self.tokens += tokens
        self.conversation += [number] * len(tokens)
        self.places += range(place, place + len(tokens))
        return place + len(tokens)

    def _answer(self, start: int, ids: list[int], x: "_Soft", y: "_Soft", point: tuple[float, float]) -> Answer:
        codec = self.model.codec
        lead, digits = [], []
        place = start + len(codec.opening) - 1  # the token that predicts x's lead
        for number in (x, y):
            lead.append((place, number.lead))
            first = place + 1 + len(codec.point)
            digits += [(first + slot, target) for slot, target in enumerate(number.slots)]
            last = first + len(codec.digits) - 1
            place += 1 + len(codec.point) + len(codec.digits) + len(codec.comma)
        text = [(start - 1 + i, token) for i, token in enumerate(ids)]
        return Answer(text, lead, digits, point, (start - 1, last))


class ConversationWriter(Writer):
    """CapeLLM's: rounds about groups of keypoints, in the run's form."""

    def __init__(self, model: CapeLLM, config: TrainConfig, rng: np.random.Generator) -> None:
        self.form = training_form(model, config)
        super().__init__(model, config, rng, self.form.ending)

    def ask(self, item: LabelledObject | SyntheticObject, keypoint: int, points: np.ndarray) -> None:
        """One question without its answer."""
        ((describe,), (wording,), options) = self._choices(self.form, item, [keypoint], points)
        prompt = self.form.prompt(item.category, keypoint, describe, wordings=[wording], **options)
        self._append([token for ids in self._tokenize(prompt) for token in ids], self._next(), 0)
        last = len(self.tokens) - 1
        self.answers.append(Answer([], [], [], tuple(points[keypoint].tolist()), (last, last)))

    def converse(self, item: LabelledObject | SyntheticObject, group: list[int], points: np.ndarray) -> None:
        """One conversation: a question and its answer for every keypoint of a group."""
        describe, wordings, options = self._choices(self.form, item, group, points)
        segments = self.form.conversation(item.category, group, describe, wordings=wordings, **options)
        self._write(segments, points, self._next(), 0)


@dataclass(frozen=True)
class _Soft:
    """A target number: the value written in the sequence, and the target distribution at each free position."""

    value: int
    lead: Tensor
    slots: list[Tensor]  # none where the written value is 1.000: its digits are certain


def _soft_number(codec: CoordinateCodec, value: float, sigma: float, rng: np.random.Generator) -> _Soft:
    """Spread a coordinate over the 1001 values (normal, cut at the crop), draw what is written, condition on it."""
    if sigma <= 0:
        return _sharp_number(codec, thousandths(value))
    weights = np.exp(-0.5 * ((np.arange(1001) / 1000 - value) / sigma) ** 2)
    probs = weights / weights.sum()
    return _conditioned(codec, probs, int(rng.choice(1001, p=probs)))


@lru_cache(maxsize=2002)
def _sharp_number(codec: CoordinateCodec, written: int) -> _Soft:
    """One value for certain."""
    return _conditioned(codec, np.eye(1, 1001, written)[0], written)


def _conditioned(codec: CoordinateCodec, probs: np.ndarray, written: int) -> _Soft:
    """The distribution (1001,) as targets of the free positions, each given what is written in front of it."""
    lead = torch.tensor([1 - probs[1000], probs[1000]], dtype=torch.float32)
    if written == 1000:
        return _Soft(written, lead, [])
    table, slots = probs[:1000], []
    for chosen in codec.digit_indices(written):
        split = table.reshape(codec.base, -1)
        share = split.sum(1)
        slots.append(torch.from_numpy(share / share.sum()).float())
        table = split[chosen]
    return _Soft(written, lead, slots)


@dataclass(frozen=True)
class Batch:
    """Sequences padded to one length. Places count from the first text token."""

    pixels: Tensor  # B S S 3 uint8
    tokens: Tensor  # B T
    positions: Tensor  # B T, behind the prefix
    sees: Tensor  # B T T bool, text to text; text sees the whole prefix
    text: Tensor  # n 3: image, place, next id
    words: Tensor  # n 3: those of them that are in words
    lead: tuple[Tensor, Tensor]  # n 2: image, place; n 2 distributions
    digits: tuple[Tensor, Tensor]  # n 2: image, place; n base distributions
    looks: tuple[Tensor, Tensor]  # n 2: image, place; n 2 true points, for every place of an answer
    answers: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""

        kept = {name for name, value in vars(self).items() if value is None or isinstance(value, int)}

        def move(value):
            return tuple(map(move, value)) if isinstance(value, tuple) else value.to(device)

        moved = {name: move(value) for name, value in vars(self).items() if name not in kept}
        return replace(self, **moved)


def collate(sequences: list[PackedSequence], base: int) -> Batch:
    """Pad a few sequences into one batch; padding sees only itself and has no target."""
    length = max(len(sequence.tokens) for sequence in sequences)
    tokens = torch.zeros(len(sequences), length, dtype=torch.long)
    positions = torch.zeros(len(sequences), length, dtype=torch.long)
    sees = torch.eye(length, dtype=torch.bool).repeat(len(sequences), 1, 1)
    text, words, lead, digits, looks = [], [], ([], []), ([], []), ([], [])
    for b, sequence in enumerate(sequences):
        n = len(sequence.tokens)
        tokens[b, :n] = torch.tensor(sequence.tokens)
        positions[b, :n] = torch.tensor(sequence.places)
        owner = torch.tensor(sequence.conversation)
        sees[b, :n, :n] = (owner[:, None] == owner[None]).tril()
        own = [(b, place, token) for place, token in sequence.words]
        text += own
        words += own
        for answer in sequence.answers:
            text += [(b, place, token) for place, token in answer.text]
            for where, targets in ((lead, answer.lead), (digits, answer.digits)):
                where[0].extend((b, place) for place, _ in targets)
                where[1].extend(target for _, target in targets)
            places = range(answer.span[0], min(answer.span[1] + 1, n))
            looks[0].extend((b, place) for place in places)
            looks[1].extend([answer.point] * len(places))
    return Batch(
        pixels=torch.from_numpy(np.stack([sequence.pixels for sequence in sequences])),
        tokens=tokens,
        positions=positions,
        sees=sees,
        text=torch.tensor(text, dtype=torch.long).view(-1, 3),
        words=torch.tensor(words, dtype=torch.long).view(-1, 3),
        lead=_stacked(*lead, width=2),
        digits=_stacked(*digits, width=base),
        looks=(torch.tensor(looks[0], dtype=torch.long).view(-1, 2), torch.tensor(looks[1]).view(-1, 2)),
        answers=sum(len(sequence.answers) for sequence in sequences),
    )


def _stacked(places: list[tuple[int, int]], targets: list[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Lists of (image, place) and distributions as tensors n 2 and n width, also when they are empty."""
    where = torch.tensor(places, dtype=torch.long).view(-1, 2)
    return where, torch.stack(targets) if targets else torch.zeros(0, width)
