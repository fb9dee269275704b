"""From encoded objects and what is asked of each to poses: several objects go through the head together.

Objects whose prompts have the same parts are one batch; their keypoints are padded with slots that are not valid, which
change no answer (`MatchingHead`). Patches of second looks and mirrored crops are encoded together, too.

Letters: B objects, M examples, K keypoints, h x w cells of features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...configs.checks import check_flag, check_share, plain
from ...density.presence import PRESENT_FROM
from ...density.temperature import tempered
from ...errors import InputError
from ...example import Example
from ...images import UprightPicture
from ...instructions import check_describe
from ...library.lookup import as_category
from ...pose import Pose
from ..arguments import CategoryLike, check_density, check_options, check_words
from ..examples import as_examples, check_examples
from ..towers.image_encoder import ImageEncoder
from ..view import ObjectCrop
from .heads.base import HeadOutput, MatchingHead, Prompt
from .inputs import EncodedExample, encode_example, joined, make_prompt
from .matcher_config import MatcherConfig
from .mirroring import with_mirrored
from .posing import pose_of
from .presences import presence_of
from .second_look import ExamplePatches, Found, encode_patches, look_again, squares

# Largest number of (object, example, keypoint) in one batch of a head, unless a single object has more: each has maps
# over all cells.
MOST_ROWS = 4096
MOST_PATCHES = 256  # largest number of patches whose features are held at once, unless a single object has more
_DESCRIBE = ("detailed", "removed")
_OPTIONS = ("example", "words", "density", "describe", "mirror", "fine", "presence")


class Asked(Protocol):
    """What answering needs of a model: see `MatchingModel`."""

    config: MatcherConfig
    encoder: ImageEncoder
    head: MatchingHead

    @property
    def device(self) -> torch.device: ...

    def check_prompt(self, examples: bool, text: bool) -> None: ...

    def phrases(self, category: Category, described: bool = True) -> Tensor: ...

    def warn_of_language(self, category: Category) -> None: ...

    def example_features(self, example: EncodedExample) -> Tensor: ...

    def example_patches(self, example: Example, encoded: EncodedExample) -> ExamplePatches: ...

    def encode_pixels(self, pixels: np.ndarray, examples: bool = False, details: bool = False) -> Tensor: ...

    def match(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput: ...


class Seen(Protocol):
    """One encoded object: see `MatchView`."""

    @property
    def features(self) -> Tensor: ...

    @property
    def cut(self) -> ObjectCrop: ...

    @property
    def picture(self) -> UprightPicture: ...


@dataclass(frozen=True, eq=False)
class MatcherQuestion:
    """What is asked of one object.

    category: K keypoints.
    prompt: of one object, B = 1.
    covered: [K] bool, the keypoints that the prompt covers.
    looked_at: the examples that a second look is taken with.
    density, mirror: as in `MatchView.predict`.
    least: the presence from which a point is present.
    """

    category: Category
    prompt: Prompt
    covered: np.ndarray
    looked_at: Sequence[Example] = ()
    density: bool | int = False
    mirror: bool = False
    least: float = PRESENT_FROM


@dataclass(frozen=True, eq=False)
class RowOutput:
    """The points [1, K, 2] and probabilities [1, K, h, w] of one object of a batch; a `HeadOutput`.

    own: [1, K, h, w], the head's own probabilities, before what a job has learnt: those that presence is read from.
    scores: [1, K], of `MatchingHead.best_scores`.
    """

    points: Tensor
    probabilities: Tensor
    own: Tensor
    scores: Tensor | None = None


def prompt_for(
    model: Asked,
    category: Category,
    example: Example | Sequence[Example] | None,
    words: bool | None,
    describe: str = "detailed",
) -> tuple[Prompt, np.ndarray]:
    """The prompt with which a model is asked for a category, and the keypoints [K] bool that it covers.

    example, words, describe: as in `MatchView.predict`. Raises InputError for a prompt that the model does not take.
    """
    if check_describe(describe) not in _DESCRIBE:
        raise InputError(
            f"A matcher's descriptions are {' or '.join(_DESCRIBE)}, but got {describe!r}; take one of these, or a "
            "language model."
        )
    examples = check_examples(example, category)
    words = model.config.takes_text if check_words(words) is None else words
    model.check_prompt(bool(examples), words)
    if words and not examples:
        model.warn_of_language(category)
    phrases = model.phrases(category, describe == "detailed") if words else None
    encoded = [encode_example(one, model.config) for one in examples]
    return make_prompt(category, phrases, encoded, model.example_features, model.device)


def question_of(
    model: Asked,
    category: CategoryLike,
    example: Example | Sequence[Example] | None = None,
    words: bool | None = None,
    density: bool | int = False,
    describe: str = "detailed",
    mirror: bool = False,
    fine: bool | None = None,
    presence: float = PRESENT_FROM,
    **others: Any,
) -> MatcherQuestion:
    """What `MatchView.predict` is asked, whose arguments these are; InputError where it raises one for them."""
    category, density = as_category(category), check_density(density)
    check_options("A matcher", others, _OPTIONS)
    prompt, covered = prompt_for(model, category, example, words, describe)
    looked_at = _looked_at(model, example, fine)
    mirror = check_flag(plain(mirror), "Whether the mirrored picture is asked about too")
    check_share(presence, "The least presence of a present point")
    return MatcherQuestion(category, prompt, covered, looked_at, density, mirror, presence)


def _looked_at(model: Asked, example: Example | Sequence[Example] | None, fine: bool | None) -> list[Example]:
    """The examples that a second look is taken with; none where none is taken.

    Raises InputError for a second look that is requested without an example.
    """
    wanted = model.config.fine if fine is None else check_flag(plain(fine), "Whether a second look is taken")
    if fine and example is None:
        raise InputError("A second look compares with an example; pass one, or leave fine out.")
    return as_examples(example) if wanted and example is not None else []


def answers(model: Asked, objects: Sequence[Seen], questions: Sequence[MatcherQuestion]) -> list[Pose]:
    """The pose of each object, asked one question each."""
    outputs = match_all(model, [one.features for one in objects], questions)
    presences = [  # of the picture as it is, for which the curve was fitted, also where its mirror image is asked, too
        presence_of(model.config, asked.prompt, output.own, output.scores, asked.covered)
        for asked, output in zip(questions, outputs, strict=True)
    ]
    if turned := [i for i, question in enumerate(questions) if question.mirror]:
        pixels = np.stack([objects[i].cut.pixels[:, ::-1] for i in turned])
        others = match_all(model, model.encode_pixels(pixels).split(1), [questions[i] for i in turned])
        for i, other in zip(turned, others, strict=True):
            question = questions[i]
            outputs[i] = with_mirrored(outputs[i], other, question.category, question.covered, model.head.read)
    found = second_looks(model, objects, questions, outputs)
    poses = []
    for one, asked, output, look, there in zip(objects, questions, outputs, found, presences, strict=True):
        grids, of = probabilities(model, output, asked.prompt), (one.cut, asked.category, asked.covered)
        poses.append(pose_of(*of, output.points, grids, asked.density, look, there, asked.least))
    return poses


def match_all(model: Asked, features: Sequence[Tensor], questions: Sequence[MatcherQuestion]) -> list[RowOutput]:
    """The head's output for each of the feature maps [1, C, h, w], asked one question each.

    All K slots of an object are valid, and the head leaves out those that its prompt does not cover.
    """
    outputs: list[RowOutput | None] = [None] * len(questions)
    for group in _groups(questions):
        counts = [len(questions[i].covered) for i in group]
        valid = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
        prompt = joined([questions[i].prompt for i in group], max(counts))
        output = model.match(torch.cat([features[i] for i in group]), valid.to(model.device), prompt)
        points, grids, scores = output.points, output.probabilities, model.head.best_scores(output)
        plain = getattr(output, "plain", output).probabilities
        for row, (i, count) in enumerate(zip(group, counts, strict=True)):
            own = slice(row, row + 1), slice(count)
            outputs[i] = RowOutput(points[own], grids[own], plain[own], None if scores is None else scores[own])
    return outputs  # type: ignore[return-value]  # every question is in a group


def _groups(questions: Sequence[MatcherQuestion]) -> Iterator[Sequence[int]]:
    """The numbers of questions that are one batch: prompts with the same parts, within MOST_ROWS."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for i, question in enumerate(questions):
        features = question.prompt.example_features
        alike.setdefault((question.prompt.kind, 1 if features is None else features.shape[1]), []).append(i)
    for (_, examples), members in alike.items():
        most = examples * max(len(questions[i].covered) for i in members)  # all are padded to it
        yield from within(members, [most] * len(members), MOST_ROWS)


def within(items: Sequence[Any], sizes: Sequence[int], most: int) -> Iterator[list[Any]]:
    """The items in groups, in order, whose sizes add up to `most` or less; an item that is larger is one by itself."""
    group: list[Any] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        if group and total + size > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += size
    if group:
        yield group


def probabilities(model: Asked, output: HeadOutput, prompt: Prompt) -> Tensor:
    """The distributions [1, K, h, w] of an output, at the model's temperature for such a prompt."""
    return tempered(output.probabilities, model.config.temperature.of(prompt.kind or "text"), dims=2)


def second_looks(
    model: Asked, objects: Sequence[Seen], questions: Sequence[MatcherQuestion], outputs: Sequence[HeadOutput]
) -> list[Found | None]:
    """What a second look finds of each object; None without examples, and where none of them shows a point."""
    found: list[Found | None] = [None] * len(objects)
    looks = []
    for i, (one, question, output) in enumerate(zip(objects, questions, outputs, strict=True)):
        examples = [encode_example(example, model.config) for example in question.looked_at]
        rows = np.flatnonzero(np.any([example.visible for example in examples], axis=0)) if examples else ()
        if len(rows):
            xy = one.cut.to_image(output.points[0].cpu().double().numpy()[rows])
            looks.append((i, examples, rows, squares(xy, model.config.look.side * max(one.cut.box[2:]))))
    for group in within(looks, [len(crops) for *_, crops in looks], MOST_PATCHES):
        patches = [(objects[i].picture, crop) for i, _, _, crops in group for crop in crops]
        features = encode_patches(patches, model.config.look.size, partial(model.encode_pixels, details=True))
        parts = features.split([len(crops) for *_, crops in group])
        for (i, examples, rows, crops), query in zip(group, parts, strict=True):
            pairs = zip(questions[i].looked_at, examples, strict=True)
            theirs = [model.example_patches(example, marks) for example, marks in pairs]
            found[i] = look_again(model.config.look, model.encoder.detail_groups, query, crops, rows, theirs)
    return found
