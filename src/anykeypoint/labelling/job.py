"""Answers for the pictures of one labelling job, from the examples that were corrected so far.

    job = Answering(ak.load(), category)
    for name, path in pictures.items():
        job.add_picture(name, path)                     # encoded once
    job.add_example("0001", first, points)              # a picture that a person has labelled
    for name, pose in job.answer():                     # all pictures without an example of their own
        ...
    job.add_example("0007", seventh, corrected)
    for name, pose in job.answer(most_unsure_first(job.doubts)):
        ...

Each picture is answered from the examples that look most like it (`nearest.chosen_examples`). Its features are kept, so
that an answer after a correction takes the head alone, and that only for the examples that the picture was not asked
with before. From FEWEST examples on, what all of them have in common counts too (`discriminant`), and what was trained
on them where `adapt` was called. A second look takes longer than the answer before it, so `answer(fine=False)` orders
many pictures, and `answer(next_ten, fine=True)` places the points of those that a person sees next.

Before there is an example a model answers from words, if it reads any. A model that is no matcher answers too, from the
examples that were given last, and without anything kept.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..category import Category
from ..errors import InputError
from ..example import Example
from ..forms.dataset import LabelledObject
from ..geometry import Box, check_overlap
from ..images import ImageSource, UprightPicture, read_picture
from ..library.lookup import as_category
from ..models.arguments import CategoryLike
from ..models.bounded_cache import BoundedCache
from ..models.cache import pixels_key
from ..models.examples import check_inside
from ..models.matching.adapted.adapted_model import AdaptedModel, combined, points_of
from ..models.matching.heads.base import HeadOutput
from ..models.matching.inputs import cut, encode_example
from ..models.matching.matcher_view import MatchView
from ..models.matching.model import MatchingModel
from ..models.view import ObjectCrop
from ..pose import Pose
from ..training.adapting.adapt import FEWEST as FEWEST_TO_ADAPT
from ..training.adapting.adapt import adapt
from ..training.adapting.adapt_config import AdaptConfig
from .discriminant import Discriminant, learnt
from .doubt import doubt
from .kept import LEAST, KeptMatcher, LearntOutput, file_state
from .nearest import COUNT, chosen_examples, nearest_first, pooled

FEWEST = 3  # examples from which on the discriminant of all of them counts
MOST_BYTES = 2**29  # what is kept in memory; beyond it the features that were used longest ago are computed again


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A picture that was taken in.

    image, box: as they were given. crop: where its crop lies, without pixels; None of a model that is no matcher.
    vector: as `nearest.pooled` gives it; empty of a model that is no matcher.
    key: of its features among what is kept.
    """

    image: ImageSource
    box: Box | None
    crop: ObjectCrop | None
    vector: np.ndarray
    key: bytes = b""


@dataclass(frozen=True, eq=False)
class _Shown:
    """An example. number: tells it from an earlier one of that name. shown: [K] bool. places: [K, 2], fractions of its
    crop, NaN where not shown. vector: as of a picture."""

    example: Example
    number: int
    shown: np.ndarray
    places: np.ndarray
    vector: np.ndarray


@dataclass(frozen=True, eq=False)
class _Answer:
    """The last answer of a picture. of: the numbers of its examples. fine: whether it had a second look."""

    pose: Pose
    of: tuple[int, ...]
    fine: bool


class Answering:
    """One labelling job: a model, a category, pictures and examples. For one thread at a time; between two answers of
    `answer` every method may be called, and what it changes counts from the next answer on.

    model: what `anykeypoint.load` gives.
    category: of all pictures; names the K points.
    words: whether names and descriptions are read beside the examples; None reads them where the model can.
    count: how many examples answer a picture together.
    most_bytes: of pixels and features that are kept in memory.
    """

    def __init__(
        self,
        model: Any,
        category: CategoryLike,
        *,
        words: bool | None = None,
        count: int = COUNT,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.category: Category = as_category(category)
        self.model, self.words, self.count = model, words, count
        self._kept: BoundedCache[Any] = BoundedCache(most_bytes)
        self._matcher = KeptMatcher(model, self._kept) if isinstance(model, MatchingModel) else None
        self._pictures: dict[str, _Encoded] = {}
        self._examples: dict[str, _Shown] = {}
        self._answers: dict[str, _Answer] = {}
        self._learnt: tuple[tuple[int, ...], Discriminant] | None = None
        self._adapted: AdaptedModel | None = None
        self._adapted_of: tuple[int, ...] = ()  # the numbers of the examples that it was adapted to
        self._added = 0

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> list[str]:
        """The names of all pictures, in the order in which they came."""
        return list(self._pictures)

    @property
    def examples(self) -> list[str]:
        """The names of the examples, in the order in which they came."""
        return list(self._examples)

    @property
    def uncorrected(self) -> list[str]:
        """The names of the pictures that are no example."""
        return [name for name in self._pictures if name not in self._examples]

    @property
    def doubts(self) -> dict[str, float]:
        """How unsure the last answer of each uncorrected picture is (`doubt.doubt`); those without one are missing."""
        return {name: doubt(self._answers[name].pose) for name in self.uncorrected if name in self._answers}

    def add_picture(self, name: str, image: ImageSource, box: Box | None = None) -> None:
        """Take in a picture, or another file or box of one, and encode it.

        name: by which it is called from now on.
        image: what `images.read_picture` takes. A file is read again when its pixels are needed again.
        box: of the object in image pixels; None for the whole picture.

        Raises InputError for a picture that cannot be read, and for a box that is none or lies outside the picture;
        then nothing has changed.
        """
        encoded = self._encoded(image, box)
        if name in self._pictures:
            self.remove_picture(name)
        self._pictures[name] = encoded

    def add_example(self, name: str, image: ImageSource, points: np.ndarray, box: Box | None = None) -> None:
        """Take in a picture that a person has labelled, in place of an earlier example of that name. The picture of
        that name, if there is one, is no longer answered unless it is named.

        points: [K, 2] in image pixels, NaN where a point is not shown. The others as in `add_picture`.

        Raises InputError as `add_picture` does, for points of another number or outside the picture, and where no point
        lies in the object's crop; then nothing has changed.
        """
        example = Example(image, points, box, self.category)
        if len(example) != len(self.category):
            raise InputError(
                f"The example has {len(example)} points, but {self.category.name!r} has {len(self.category)}; give a "
                "point for each, NaN where it is not shown."
            )
        picture = self._picture(image)
        if self._matcher is None:
            check_inside(example, picture.size)
            shown, places, vector = example.marked, example.points, np.zeros(0)
        else:
            encoded = encode_example(replace(example, image=picture), self._matcher.config)
            vector = pooled(self._matcher.features(encoded.pixels)[0].float().cpu().numpy())
            shown = encoded.visible
            crop = cut(picture, box, self._matcher.config).crop
            places = np.where(shown[:, None], crop.normalise(example.points), np.nan)
        self._added += 1
        self._examples[name] = _Shown(example, self._added, shown, places, vector)

    def remove_picture(self, name: str) -> None:
        """Forget a picture and its answer; its example, if it is one, stays. InputError for an unknown name."""
        self._known(name)
        del self._pictures[name]
        self._answers.pop(name, None)

    def remove_example(self, name: str) -> None:
        """Forget an example; the picture of that name is answered again. InputError for an unknown name."""
        if name not in self._examples:
            raise InputError(f"There is no example {name!r}; add it first.")
        del self._examples[name]

    def examples_of(self, name: str) -> list[str]:
        """The names of the examples that a picture is answered from, the most alike first.

        Raises InputError for an unknown picture.
        """
        picture = self._known(name)
        others = [one for one in self._examples if one != name]
        if "example" not in getattr(self.model, "prompts", ()):
            return []
        if self._matcher is None:
            return others[-self.count :][::-1]
        if not others:
            return []
        shown = [self._examples[one] for one in others]
        vectors, points = np.stack([one.vector for one in shown]), np.stack([one.shown for one in shown])
        return [others[number] for number in chosen_examples(picture.vector, vectors, points, self.count)]

    def vector(self, name: str) -> np.ndarray:
        """What a picture looks like, as `nearest.pooled` gives it; empty of a model that is no matcher.

        Raises InputError for an unknown picture.
        """
        return self._known(name).vector

    def ranked_examples(self, name: str) -> list[tuple[str, float]]:
        """All examples but the picture's own, the most alike first, each with the cosine of how alike it is.

        Raises InputError for an unknown picture.
        """
        picture = self._known(name)
        others = [one for one in self._examples if one != name]
        if not others:
            return []
        vectors = np.stack([self._examples[one].vector for one in others])
        return [
            (others[number], float(vectors[number] @ picture.vector))
            for number in nearest_first(picture.vector, vectors)
        ]

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(
        self, names: Iterable[str] | None = None, fine: bool | None = None
    ) -> Iterator[tuple[str, Pose | InputError]]:
        """The names of pictures, each with its pose, or with the error that says why there is none.

        names: of pictures, in the order in which they are answered; None takes those that are no example.
        fine: whether a second look is taken, as in the matcher's `predict`. False also gives a pose that had one.

        A picture whose examples are those of its last answer is not asked again. Raises InputError for an unknown name.
        """
        asked = self.uncorrected if names is None else list(names)
        for name in asked:
            self._known(name)
        for name in asked:
            if name in self._pictures:  # it may have been removed meanwhile
                try:
                    yield name, self._answer(name, fine)
                except InputError as error:
                    yield name, error

    def _answer(self, name: str, fine: bool | None) -> Pose:
        chosen = self.examples_of(name)
        learns = self._learns(chosen)
        of = (*self._numbers(self._examples), -1, *self._adapted_of) if learns else self._numbers(chosen)
        again = bool(of) and self._matcher is not None and (self._matcher.config.fine if fine is None else bool(fine))
        last = self._answers.get(name)
        if last is not None and last.of == of and (last.fine or not again):
            return last.pose
        picture, examples = self._pictures[name], [self._examples[one].example for one in chosen]
        if self._matcher is None or picture.crop is None:
            pose = self._ask_plainly(picture, examples)
        else:
            self._matcher.asked = [(picture.key, number) for number in self._numbers(chosen)]
            self._matcher.learnt = self._after_learning if learns else None
            pose = self._ask(self._matcher, picture, picture.crop, examples, again)
        self._answers[name] = _Answer(pose, of, again)
        return pose

    def _numbers(self, names: Iterable[str]) -> tuple[int, ...]:
        return tuple(self._examples[name].number for name in names)

    def _ask_plainly(self, picture: _Encoded, examples: list[Example]) -> Pose:
        """The answer of a model that is no matcher."""
        asked: dict[str, Any] = {} if self.words is None else {"words": self.words}
        asked |= {"example": examples} if examples else {}
        return self.model.predict(picture.image, self.category, box=picture.box, **asked)

    def _ask(
        self, matcher: KeptMatcher, picture: _Encoded, crop: ObjectCrop, examples: list[Example], fine: bool
    ) -> Pose:
        """The answer of a matcher."""
        read: Any = self._picture(picture.image) if fine else None  # a first look needs no pixels
        view = MatchView(matcher, self._features(matcher, picture), crop, read)
        shown = [replace(one, image=self._picture(one.image)) for one in examples]
        return view.predict(self.category, shown or None, self.words, fine=fine)

    # --- learning on the way -----------------------------------------------------------------------------------------

    def _learns(self, chosen: list[str]) -> bool:
        """Whether what the examples have in common is taken into account: there are enough of them, and the head's
        points are read from its probabilities, so that these may change."""
        if self._matcher is None or not chosen or len(self._examples) < FEWEST:
            return False
        return self._matcher.head.read(torch.full((1, 1, 2, 2), 0.25)) is not None

    def adapt(self, config: AdaptConfig | None = None) -> None:
        """Train on the examples that there are now (`training.adapting`), and count what came of it from now on, beside
        the examples. Takes minutes. InputError for fewer examples than adapting needs, and for another kind of model.
        """
        if not self._examples:
            raise InputError(
                f"Adapting needs {FEWEST_TO_ADAPT} labelled objects or more, but there are none; add examples."
            )
        self._adapted, self._adapted_of = adapt(self.model, self._labelled(), config)[0], self._numbers(self._examples)

    def forget_adapting(self) -> None:
        """Answer as if `adapt` had not been called."""
        self._adapted, self._adapted_of = None, ()

    def _labelled(self) -> list[LabelledObject]:
        """The examples as labelled objects."""
        objects = []
        for number, one in enumerate(self._examples.values(), start=1):
            example, seen = one.example, np.where(one.example.marked, 2, 0)
            image: Any = example.image  # adapting reads whatever `read_picture` takes
            box = self._picture(image).whole if example.box is None else example.box
            objects.append(LabelledObject(number, image, 1, self.category, box, example.points, seen, None))
        return objects

    def _after_learning(self, query: Tensor, output: HeadOutput) -> HeadOutput:
        """The head's output for a picture, together with the discriminant of all examples and with what was adapted."""
        assert self._matcher is not None
        logs = output.probabilities.float().clamp(min=LEAST).log() + self._discriminant(self._matcher).scores(query)
        adapted, points = self._adapted, None
        if adapted is not None and adapted.config.own_weight:
            own = torch.stack([member(query.float()) for member in adapted.members]).mean(dim=0)
            shares, fine = (adapted.config.own_weight, adapted.config.start_weight), adapted.config.templates.fine
            logs = combined(own, logs.flatten(-2).log_softmax(dim=-1).view_as(logs), *shares, fine)
            points = points_of(logs)
        probabilities = logs.flatten(-2).softmax(dim=-1).view_as(logs)
        read: Any = self._matcher.head.read(probabilities) if points is None else points  # see `_learns`
        return LearntOutput(read, probabilities, output)

    def _discriminant(self, matcher: KeptMatcher) -> Discriminant:
        """Of the examples that there are now."""
        numbers = self._numbers(self._examples)
        if self._learnt is None or self._learnt[0] != numbers:
            maps = []
            for one in self._examples.values():
                picture = self._picture(one.example.image)
                maps.append(matcher.features(cut(picture, one.example.box, matcher.config).pixels))
            self._learnt = numbers, learnt(maps, [one.places for one in self._examples.values()])
        return self._learnt[1]

    # --- what is kept ------------------------------------------------------------------------------------------------

    def _known(self, name: str) -> _Encoded:
        if name not in self._pictures:
            raise InputError(f"There is no picture {name!r}; add it first.")
        return self._pictures[name]

    def _picture(self, image: ImageSource) -> UprightPicture:
        """A picture as it is read, kept while there is room."""
        if not isinstance(image, str) and not hasattr(image, "__fspath__"):
            return read_picture(image)
        return self._kept.get(
            ("picture", str(image), file_state(image)),
            lambda: read_picture(image),
            lambda one: 3 * one.size[0] * one.size[1],
        )

    def _encoded(self, image: ImageSource, box: Box | None) -> _Encoded:
        """A picture that is taken in; its features are kept while there is room."""
        picture = self._picture(image)
        if self._matcher is None:
            if box is not None:
                check_overlap(box, picture.size, picture.path or "the picture")
            return _Encoded(image, box, None, np.zeros(0))
        crop = cut(picture, box, self._matcher.config)
        vector = pooled(self._matcher.features(crop.pixels)[0].float().cpu().numpy())
        return _Encoded(image, box, replace(crop, pixels=crop.pixels[:0].copy()), vector, pixels_key(crop.pixels))

    def _features(self, matcher: KeptMatcher, picture: _Encoded) -> Tensor:
        """The feature map [1, C, h, w] of a picture's crop."""
        kept = self._kept.find(("crop", False, picture.key))
        if kept is not None:
            return kept
        return matcher.features(cut(self._picture(picture.image), picture.box, matcher.config).pixels)
