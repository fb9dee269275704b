"""Names of points as people type them one by one: "Nose", "nose" and "left_ear", "left ear" are one point each.

Two such names in a category cannot be told apart in words, so `Category` refuses them. One name in another spelling
costs nothing here: it is read as the spelling that most objects have. Both in one object are two places for one point.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..category import plain_text
from ..errors import InputError

_Named = tuple[int, str, dict[str, Any], Sequence[float] | None]  # image id, category, values by name, box


class OneSpelling(NamedTuple):
    """What `one_spelling` finds.

    objects, orders: with each name in the spelling that it is read as.
    read_as: category -> name -> that spelling, for the names that it changes.
    notes: a sentence for each of these that an object has.
    """

    objects: list[_Named]
    orders: dict[str, dict[str, Any]]
    read_as: dict[str, dict[str, str]]
    notes: list[str]


@lru_cache(maxsize=1 << 16)
def name_key(name: str) -> str:
    """What the spellings of one name have in common.

    Capitals, underscores, blanks, Unicode's form and signs that nobody sees, such as blanks without a width, do not
    count.
    """
    seen = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
    return plain_text(unicodedata.normalize("NFC", seen))


def check_spellings(names: Iterable[str], where: str) -> None:
    """InputError where an object has one name in two spellings. where: the object, named in the error."""
    known: dict[str, str] = {}
    for name in names:
        if (other := known.setdefault(name_key(name), name)) != name:
            raise InputError(f"{where} has the points {other!r} and {name!r}, which are one name; rename one of them.")


def one_spelling(
    objects: Sequence[_Named], orders: Mapping[str, Iterable[str]], picture_of: Callable[[int], str]
) -> OneSpelling:
    """Objects in whose categories no name comes in two spellings.

    objects: image id, category, values by the names of the points, and box of each.
    orders: category -> names of its points in order, which decide where as many objects have one spelling as another.
    picture_of: id of a picture -> its name, for the notes.
    """
    counts: dict[str, Counter[str]] = {}
    for _, kind, points, _ in objects:
        counts.setdefault(kind, Counter()).update(list(points))
    read_as: dict[str, dict[str, str]] = {}
    for kind, used in counts.items():
        alike: dict[str, list[str]] = {}
        for name in dict.fromkeys([*orders.get(kind, ()), *used]):
            alike.setdefault(name_key(name), []).append(name)
        for names in alike.values():
            usual = max(names, key=lambda name, used=used: used[name])
            read_as.setdefault(kind, {}).update({name: usual for name in names if name != usual})
    notes = []
    for kind, name, usual in [(kind, *pair) for kind, pairs in read_as.items() for pair in pairs.items()]:
        if having := [image for image, other, points, _ in objects if other == kind and name in points]:
            notes.append(
                f"{len(having)} points {name!r} of {kind!r} (the first in {picture_of(having[0])}) were read as "
                f"{usual!r}, which is the same name."
            )
    renamed_objects = [(image, kind, renamed(points, read_as.get(kind)), box) for image, kind, points, box in objects]
    renamed_orders = {kind: renamed(dict.fromkeys(order), read_as.get(kind)) for kind, order in orders.items()}
    return OneSpelling(renamed_objects, renamed_orders, read_as, notes)


def renamed(values: Mapping[str, Any], names: Mapping[str, str] | None) -> dict[str, Any]:
    """Values by name under the spellings that the names are read as; `names` has those that change."""
    return {names.get(name, name): value for name, value in values.items()} if names else dict(values)
