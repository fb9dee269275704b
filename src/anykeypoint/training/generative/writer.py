"""Writing of conversations into one token sequence, with the targets of their answers."""

from collections.abc import Sequence

import numpy as np

from ...data.synthetic import SyntheticObject
from ...forms.dataset import LabelledObject
from ...geometry import visible_in
from ...instructions import Instruction, Point, Segment, Text
from ...models.generative.base import GenerativeModel
from ...models.generative.keypoint_token import KEYPOINT
from .generative_config import GenerativeTrainConfig
from .targets import AnswerTargets, answer_targets, number_targets


class SequenceWriter:
    """A token sequence to which conversations are appended. Each model family has a subclass with its conversations.

    tokens: ids of the text tokens written so far.
    conversation: for each token the number of its conversation.
    positions: for each token its position behind the prefix; every conversation starts at 0.
    answers: targets of the answers that are points.
    word_targets: targets of the answers in words, as `AnswerTargets.text`.
    """

    def __init__(
        self, model: GenerativeModel, config: GenerativeTrainConfig, rng: np.random.Generator, ending: str
    ) -> None:
        """
        model: the model that is trained, for its tokens.
        config: the options of the run.
        rng: generator of descriptions, wordings and spread coordinates.
        ending: text that ends an answer in the instruction form of the conversations.
        """
        self.model, self.config, self.rng, self.ending = model, config, rng, ending
        self.tokens: list[int] = []
        self.conversation: list[int] = []
        self.positions: list[int] = []
        self.answers: list[AnswerTargets] = []
        self.word_targets: list[tuple[int, int]] = []

    def write(self, segments: Sequence[Segment], points: np.ndarray, number: int, position: int) -> None:
        """Append the segments of a conversation.

        segments: texts and points of the conversation.
        points: K 2, normalised coordinates that the segments' keypoints have in the crop.
        number: number of the conversation.
        position: position behind the prefix from which on it is written.
        """
        before: Segment | None = None
        for segment, ids in zip(segments, self.tokenize(segments), strict=True):
            if isinstance(segment, Point):
                ids = self._write_point(segment, tuple(points[segment.keypoint].tolist()))
            elif segment.answer:
                self._add_word_targets(ids, isinstance(before, Point))
            position = self.append(ids, number, position)
            before = segment
        if self.config.loss == "digits" and any(isinstance(segment, Point) for segment in segments):
            # The loss "digits" needs no token behind the last free position, so these are cut off.
            spare = len(self.model.codec.closing) + len(self.tokenize([Text(self.ending)])[0]) + 1
            for line in (self.tokens, self.conversation, self.positions):
                del line[-spare:]

    def append(self, tokens: list[int], number: int, position: int) -> int:
        """Append tokens of a conversation from a position on. Returns the position behind them."""
        self.tokens += tokens
        self.conversation += [number] * len(tokens)
        self.positions += range(position, position + len(tokens))
        return position + len(tokens)

    def next_conversation(self) -> int:
        """The number of the next conversation."""
        return self.conversation[-1] + 1 if self.conversation else 0

    def tokenize(self, segments: Sequence[Segment]) -> list[list[int]]:
        """The token ids of each segment's text; none for a point."""
        return self.model.tokenize([segment.text if isinstance(segment, Text) else "" for segment in segments])

    def draw_options(
        self, form: Instruction, item: LabelledObject | SyntheticObject, keypoints: list[int], points: np.ndarray
    ) -> tuple[list[str], list[int], dict]:
        """Draw what varies between the conversations of one form.

        Returns for each keypoint the way its description is given and the index of its wording, and the options
        of `Instruction.conversation` that all of them share.

        form: instruction form of the conversation.
        item: the object.
        keypoints: indices of the keypoints that the conversation is about.
        points: K 2, normalised coordinates of all keypoints in the crop.
        """
        noun = item.category.noun if self.rng.random() < self.config.noun else "object"
        describe = [self._describe(item.category.keypoints[i].description) for i in keypoints]
        count = len(form.wordings)
        wordings = [int(self.rng.integers(count)) if count > 1 else 0 for _ in keypoints]
        visible = np.flatnonzero(visible_in(points)).tolist()
        return describe, wordings, {"noun": noun, "visible": visible, "special": self.model.control_tokens}

    def _describe(self, description: str) -> str:
        """Draw how a question gives a description. A description that does not exist cannot be replaced."""
        way = draw_description(self.config, self.rng)
        return "removed" if way == "replaced" and not description else way

    def _write_point(self, segment: Point, point: tuple[float, float]) -> list[int]:
        """The ids that write a point. Where it is an answer, its targets are added."""
        codec, start = self.model.codec, len(self.tokens)
        if not segment.answer:
            return list(codec.encode(*point))
        if self.model.keypoint_token is not None:
            text = [(start - 1, KEYPOINT)] if self.model.writes_token else []
            self.answers.append(AnswerTargets(text, [], [], point, (start, start)))
            return [KEYPOINT]
        x, y = (number_targets(codec, value, self.config.sigma, self.rng) for value in point)
        ids = list(codec.encode_values(x.value, y.value))
        self.answers.append(answer_targets(codec, start, ids, (x, y), point))
        return ids

    def _add_word_targets(self, ids: list[int], behind_point: bool) -> None:
        """Make the words that are appended next targets; behind a point they belong to its answer."""
        start = len(self.tokens)
        targets = [(start - 1 + i, token) for i, token in enumerate(ids)]
        if not behind_point:
            self.word_targets.extend(targets)
        elif self.model.keypoint_token is None or self.model.writes_token:
            # A <KEYPOINT> that is given is the whole answer, and what ends it is not learnt.
            self.answers[-1].text.extend(targets)


def draw_description(config: GenerativeTrainConfig, rng: np.random.Generator) -> str:
    """Draw how a question gives its description, one of `instructions.DESCRIBE`."""
    if rng.random() >= config.describe:
        return "removed"
    return "replaced" if config.replace and rng.random() < config.replace else config.descriptions
