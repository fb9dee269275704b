"""From what a request says in words and numbers to a category, boxes and examples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..category import Category, Keypoint
from ..configs.typed import clean, split_points
from ..errors import InputError
from ..example import Example, MarkedPicture, marked_category, to_example
from ..geometry import Box, check_box, check_overlap
from ..library.lookup import category as library_category
from .refusals import Refusal
from .schemas import Definition, InWords, MarkedPoints
from .uploads import Uploaded

_FILES = (".json", ".yaml", ".yml")


def category_of(asked: InWords, notes: list[str]) -> Category | None:
    """The category that a request means; None where it names none.

    notes: gets sentences about how the words were read.
    Raises Refusal (422) where it names several, and for words that cannot be used.
    """
    given = {name: getattr(asked, name) for name in ("category", "keypoints", "definition")}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise Refusal(422, f"Say what to find in one way, but got {' and '.join(named)}; leave one out.", named[1])
    if not named:
        return None
    try:
        noun = None if asked.noun is None else clean(asked.noun, "The noun").strip()
        if asked.category is not None:
            chosen = of_library(asked.category, "content as definition")
        elif asked.keypoints is not None:
            points, doubt = split_points(asked.keypoints)
            notes += [doubt] if doubt else []
            word = noun or "object"
            chosen = Category(word, tuple(Keypoint(*point) for point in points), noun=word)
        else:
            assert asked.definition is not None
            chosen = _defined(asked.definition)
        return chosen if noun is None else replace(chosen, noun=noun)
    except InputError as error:
        raise Refusal(422, str(error), named[0]) from None


def marks_of(marked: MarkedPoints, what: str) -> MarkedPicture:
    """The points of an example, without its picture. what: the example, in sentences.

    Raises Refusal (422) for names that cannot be used.
    """
    try:
        places = {
            clean(name, "The names of points").strip(): (np.nan, np.nan) if place is None else (place[0], place[1])
            for name, place in marked.points.items()
        }
        if len(places) != len(marked.points) or "" in places:
            raise InputError("Each point of an example needs a name of its own; rename them.")
        edges = tuple((edge[0], edge[1]) for edge in marked.skeleton)
        name = clean(marked.category, "The category").strip() or "object"
        found = MarkedPicture(Path("-"), Path(what), places, list(places), _box(marked.box), name, edges)
        marked_category([found])  # what a category is not made of is refused here
    except InputError as error:
        raise Refusal(422, str(error), "points") from None
    return found


def examples_of(
    marks: Sequence[tuple[MarkedPicture, Uploaded]], category: Category | None, field: str
) -> tuple[Category, tuple[Example, ...]]:
    """The examples of a category, of all points that they mark where it is None.

    marks: the points of each example and its picture; one or more.
    Raises Refusal (422) where they do not fit the category or their pictures.
    """
    try:
        chosen = marked_category([one for one, _ in marks]) if category is None else category
        examples = []
        for one, picture in marks:
            if one.box is not None:
                check_overlap(one.box, picture.picture.size, str(one.file))
            examples.append(replace(to_example(one, chosen), image=picture.picture))
        return chosen, tuple(examples)
    except InputError as error:
        raise Refusal(422, str(error), field) from None


def boxes_of(boxes: Sequence[Sequence[float]] | None, size: tuple[int, int]) -> list[Box | None]:
    """The boxes of a request; [None] where it has none. size: of the picture.

    Raises Refusal (422) for a box that is none or lies outside the picture.
    """
    if boxes is None:
        return [None]
    checked: list[Box | None] = []
    for place, box in enumerate(boxes):
        try:
            checked.append(check_overlap(tuple(box), size))  # type: ignore[arg-type]
        except InputError as error:
            raise Refusal(422, str(error), f"boxes.{place}") from None
    return checked


def _box(box: Sequence[float] | None) -> Box | None:
    return None if box is None else check_box(tuple(box))  # type: ignore[arg-type]


def of_library(name: str, instead: str) -> Category:
    """A category of the library by its name; a path is refused, as clients have no business with files here.

    instead: what a client sends of a category that the library does not have.
    """
    if name.lower().endswith(_FILES):
        raise InputError(f"There is no category {name[:80]!r} in the library; send its {instead}.")
    return library_category(name)


def _defined(definition: Definition) -> Category:
    data = definition.model_dump(exclude_none=True)
    for point in data["keypoints"]:
        for text in [point] if isinstance(point, str) else point.values():
            clean(text, "The keypoints")
    return Category.from_dict(data, origin="The definition")
