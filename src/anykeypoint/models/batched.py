"""Many objects asked at once: what is asked of each, and batches that a model answers together.

A batch that fails is asked again one object at a time, so that one bad picture spoils no other answer.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from ..category import Category
from ..errors import InputError, PredictionFailed, first_line
from ..example import Example
from ..geometry import Box
from ..images import ImageSource, UprightPicture, read_picture
from ..library.lookup import as_category
from ..pose import Pose
from ..poses import Poses
from .arguments import CategoryLike, is_several

BATCH = 8  # largest number of objects that go through a network together, of most models
HELD_PIXELS = 2**26  # pixels of pictures with which a batch is full, as they are held until their objects are answered

_log = logging.getLogger(__name__)
Examples = Example | Sequence[Example] | None
_NO_POINT = Category | os.PathLike | list | tuple  # of such entries a list is one of categories, not of points


@dataclass(frozen=True)
class ObjectQuery:
    """One object, and what is asked about it.

    image: what `images.read_picture` takes.
    category, box, example, words: as in the model's `predict`.
    options: further arguments of the model's `predict`.
    """

    image: ImageSource = field(repr=False)
    category: CategoryLike
    box: Box | None = None
    example: Examples = None
    words: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What a view's `predict` takes besides the category; `example` and `words` only where they are given, as some
        models have none."""
        given = {"example": self.example, "words": self.words}
        return {**{name: value for name, value in given.items() if value is not None}, **self.options}


class BatchPredictor(Protocol):
    """A model that answers several objects at once."""

    @property
    def batch(self) -> int:
        """The largest number of them."""
        ...

    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Pose]:
        """One pose for each query, in order. Raises InputError if one of them cannot be answered."""
        ...


class PredictsMany:
    """The method `predict_many`, for every model that has `predict_batch`.

    batch: largest number of objects that go through the network together.
    """

    batch: int = BATCH

    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Pose]:
        """One pose for each query, in order; all of them go through the network together."""
        raise NotImplementedError

    def predict_many(
        self,
        images: ImageSource | Sequence[ImageSource],
        categories: CategoryLike | Sequence[CategoryLike],
        boxes: Any = None,
        examples: Examples | Sequence[Examples] = None,
        words: bool | None = None,
        **options: Any,
    ) -> Poses:
        """Find the keypoints of several objects, up to `batch` of which go through the network together.

        images: a picture, or a list of pictures (what `images.read_picture` takes).
        categories: one for all pictures, as in `predict` (a list of texts is the points of one); or a list of Category
            objects, one for each picture.
        boxes: None for whole pictures. Of one picture a box, or a list of boxes, each of an object. Of a list of
            pictures one box for all of them, or a list with an entry for each picture: None, a box or a list of boxes.
        examples: an Example, or a list of them, for all pictures. A list in which there is None or a list has an entry
            for each picture: None, an Example or a list of them.
        words, options: as in `predict`, for all objects.

        Returns one pose for each object, in the order of the pictures and of their boxes. Each is within 1e-3 pixels of
        what `predict` gives for the object alone. A picture is read once, and let go when its objects are answered; at
        most `batch` pictures, or HELD_PIXELS pixels and one more picture, are in memory.

        Raises InputError where lists have different lengths, and where an object cannot be answered, saying which one.
        """
        asked = list(object_queries(images, categories, boxes, examples, words, options))
        found = []
        answers = answered(self, (query for _, query in asked))
        for (where, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, InputError):
                raise InputError(f"{where}: {answer}") from answer
            found.append(answer)
        return Poses(found)


def object_queries(
    images: ImageSource | Sequence[ImageSource],
    categories: CategoryLike | Sequence[CategoryLike],
    boxes: Any = None,
    examples: Examples | Sequence[Examples] = None,
    words: bool | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[tuple[str, ObjectQuery]]:
    """Where each object is, as an error says it, and its query; the arguments are those of `PredictsMany.predict_many`.

    Raises InputError where lists have different lengths, and for what is no category, no box or no boxes.
    """
    alone = not isinstance(images, list | tuple)
    pictures: Sequence[Any] = images if isinstance(images, list | tuple) else [images]
    listed = not alone and boxes is not None and is_several(boxes, none=True)
    places = _one_each(boxes, "boxes", len(pictures), listed)
    listed = isinstance(categories, list | tuple) and any(isinstance(one, _NO_POINT) for one in categories)
    kinds = _one_each(categories if listed else as_category(categories), "categories", len(pictures), listed)
    listed = isinstance(examples, list | tuple) and any(one is None or isinstance(one, list) for one in examples)
    shown = _one_each(examples, "examples", len(pictures), listed)
    for number, (image, place, kind, example) in enumerate(zip(pictures, places, kinds, shown, strict=True), start=1):
        where = f"Picture {number} ({image})" if isinstance(image, str | os.PathLike) else f"Picture {number}"
        try:
            several, known = is_several(place), as_category(kind)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        for box_number, box in enumerate(place if several else [place], start=1):
            at = f"{where}, box {box_number}" if several else where
            yield at, ObjectQuery(image, known, box, example, words, options or {})


def _one_each(values: Any, what: str, count: int, listed: bool) -> Sequence[Any]:
    """An entry for each picture: those of a list, or the same one for all. what: of the error for another length."""
    if not listed:
        return [values] * count
    if len(values) != count:
        raise InputError(f"There are {count} pictures, but {what} for {len(values)}; give an entry for each picture.")
    return values


def answered(
    model: BatchPredictor, queries: Iterable[ObjectQuery], batch: int | None = None
) -> Iterator[Pose | InputError]:
    """For each query, in order, its pose, or the error that says why there is none.

    queries: taken as they are needed; those of one picture that stand together have it read once.
    batch: largest number of objects in a batch; None takes the model's own.

    A batch that does not fit into memory is halved once; one that fails otherwise, and a half that fails again, is
    asked one object at a time. An error that is no InputError becomes a `PredictionFailed`, which has it as its cause.
    """
    for chunk in _chunks(queries, model.batch if batch is None else batch):
        ready = [one for one in chunk if isinstance(one, ObjectQuery)]
        answers = iter(_answers(model, ready, halves=True))
        yield from (one if isinstance(one, InputError) else next(answers) for one in chunk)


def _chunks(queries: Iterable[ObjectQuery], batch: int) -> Iterator[list[ObjectQuery | InputError]]:
    """Batches of queries with their pictures read; where one cannot be read, the error in the query's place."""
    chunk: list[ObjectQuery | InputError] = []
    held: dict[int, int] = {}  # of the chunk's pictures: identity -> number of pixels
    last: tuple[Any, UprightPicture | InputError] | None = None
    for query in queries:
        if last is None or not _same(query.image, last[0]):
            last = query.image, _read(query.image)
        picture = last[1]
        if isinstance(picture, InputError):
            chunk.append(picture)
        else:
            chunk.append(replace(query, image=picture))
            held[id(picture)] = picture.pixels.width * picture.pixels.height
        if len(chunk) >= batch or sum(held.values()) >= HELD_PIXELS:
            yield chunk
            chunk, held = [], {}
    if chunk:
        yield chunk


def _same(image: Any, other: Any) -> bool:
    """Whether two sources of pictures are one: the same object, or the same path."""
    return image is other or (
        isinstance(image, str | os.PathLike) and isinstance(other, str | os.PathLike) and image == other
    )


def _read(image: ImageSource) -> UprightPicture | InputError:
    try:
        return read_picture(image)
    except InputError as error:
        return error


def _answers(model: BatchPredictor, queries: Sequence[ObjectQuery], halves: bool) -> list[Pose | InputError]:
    """The answers of one batch. halves: whether a batch that does not fit into memory is halved."""
    if not queries:
        return []
    try:
        return list(model.predict_batch(queries))
    except (torch.OutOfMemoryError, MemoryError) as error:
        if len(queries) == 1:
            return [_as_input_error(error)]
        if halves:
            torch.cuda.empty_cache()
            middle = len(queries) // 2
            return [one for half in (queries[:middle], queries[middle:]) for one in _answers(model, half, False)]
    except Exception as error:  # one object must not spoil the others, whatever its fault
        if len(queries) == 1:
            return [_as_input_error(error)]
    return [one for query in queries for one in _answers(model, [query], False)]


def _as_input_error(error: Exception) -> InputError:
    """An InputError as it is; another error as a `PredictionFailed` whose cause it is."""
    if isinstance(error, InputError):
        return error
    _log.debug("A prediction failed", exc_info=error)
    wrapped = PredictionFailed(f"The prediction failed: {type(error).__name__}: {first_line(error)}.")
    wrapped.__cause__ = error
    return wrapped
