"""What the models' methods are called with: categories in several forms, several pictures, several boxes, options.

Whatever a caller passes is used or refused with an InputError, never with an error of Python's own.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..category import Category, Keypoint
from ..configs.checks import check_flag, check_whole, near_names, plain
from ..density import as_numbers
from ..errors import InputError
from ..geometry import Box, check_box
from ..images import ImageSource, UprightPicture, read_picture
from .examples import SLACK

CategoryLike = Category | str | Path | Sequence[str | Keypoint]
Boxes = Box | Sequence[Box] | np.ndarray | None
MOST_CELLS = 2000  # largest number of cells on a side of a density; coordinates have a thousand steps
Answer = TypeVar("Answer")


def for_each(
    image: ImageSource | Sequence[ImageSource], box: Any, answer: Callable[[UprightPicture, Box | None], Answer]
) -> Answer | list[Any]:
    """The answers for one or several pictures, each with one or several boxes; a picture is read once.

    image: what `images.read_picture` takes, or a list of that.
    box: of one picture: None, a box, or boxes (a list or an array [N, 4]), whose answers are a list. Of a list of
        pictures: None or one box for all of them, or a list with an entry for each picture.
    answer: called for each picture and box.

    Returns one answer, a list of them, or for a list of pictures a list of these. Raises InputError for boxes that are
    none and for lists of different lengths.
    """
    if not isinstance(image, list | tuple):
        picture = read_picture(image)
        return [answer(picture, one) for one in box] if is_several(box) else answer(picture, box)
    if box is None or not is_several(box, none=True):
        box = [box] * len(image)
    if len(box) != len(image):
        raise InputError(f"There are {len(image)} pictures, but boxes for {len(box)}; give an entry for each picture.")
    return [for_each(one, place, answer) for one, place in zip(image, box, strict=True)]


def check_options(of: str, others: Collection[str], known: Sequence[str] = ()) -> None:
    """InputError for options that a model does not have.

    of: the model, subject of the sentence, as in "A matcher".
    others: names that the caller gave and the model does not know.
    known: names that it knows.
    """
    if others:
        name = next(iter(others))
        raise InputError(f"{of} has no choice of {name}{near_names(name, known)}; leave it out.")


def let_answer(model: Any, answer: str | None, called: str) -> None:
    """Let a model of several ways to answer take one of them; None leaves its own.

    called: the model's name, for the InputError where it has one way to answer.
    """
    if answer is None:
        return
    if not hasattr(model, "answer_by"):
        raise InputError(f"The answer {answer!r:.40} is for DLF, but {called} has one way to answer; leave it out.")
    model.answer_by(answer)


def check_words(value: Any) -> bool | None:
    """Whether words are read, or None; InputError for anything else."""
    return None if value is None else check_flag(plain(value), "Whether words are read")


def check_density(value: Any) -> bool | int:
    """True, False, or a number of cells on a side; InputError for anything else."""
    value = plain(value)
    if not isinstance(value, bool) and check_whole(value, "A density's cells on a side") > MOST_CELLS:
        raise InputError(f"A density has at most {MOST_CELLS} cells on a side, but got {value!r:.80}; choose fewer.")
    return value


def check_points(points: Any) -> tuple[np.ndarray, bool]:
    """The points to name [P, 2] in image pixels, and whether a single (x, y) was given; InputError for others."""
    try:
        places = as_numbers(points)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        places = np.array(np.nan)
    single = places.shape == (2,)
    places = places[None] if single else places
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise InputError(f"Points to name must be (x, y) or (P, 2), finite and in pixels, but got {_kind(points)}.")
    return places, single


def check_touched(points: Any, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
    """`check_points`, and InputError for a point that lies more than SLACK outside its picture.

    size: width and height of the picture in pixels.
    """
    places, single = check_points(points)
    outside = ((places < -SLACK) | (places > np.array(size) + SLACK)).any(axis=1)
    if outside.any():
        x, y = places[outside][0]
        raise InputError(
            f"The point ({x:g}, {y:g}) lies outside the picture of {size[0]} x {size[1]} pixels; give points inside."
        )
    return places, single


def is_several(box: Any, none: bool = False) -> bool:
    """Whether a box argument is a list of boxes; InputError where it is neither that nor a box.

    none: whether entries of the list may be None, or lists of boxes.
    """
    if box is None:
        return False
    listed = isinstance(box, list | tuple)
    if not listed and not (hasattr(box, "ndim") and box.ndim > 0):
        if hasattr(box, "__next__"):  # it would be empty when it is read again
            raise InputError(f"Boxes must be a list of x, y, w, h in pixels, but got {_kind(box)}; pass list(...).")
        check_box(box)  # says what a box is
    if (not listed and box.ndim > 1) or len(box) == 0:
        return True
    inner = [one is None or (hasattr(one, "__len__") and getattr(one, "ndim", 1) > 0) for one in box]
    if any(inner) and (not all(inner) or (not none and any(one is None for one in box))):
        raise InputError(f"Boxes must be a list of boxes x, y, w, h in pixels, but got {_kind(box)}.")
    return all(inner)


def _kind(value: Any) -> str:
    """A value in a sentence: what it is, and its beginning where that is short."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 80 else text[:77] + '...'} of type {type(value).__name__}"
