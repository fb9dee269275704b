"""The shipped categories: by name, by id or name of MP-100, and by the labels of a data set."""

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from ..category import Category, Keypoint, plain_text, spoken
from ..configs.checks import near_names
from ..errors import InputError, ReadingWarning
from .broader import broader_kind

MP100 = "mp100/"  # prefix of the names of MP-100's categories
# Nouns that may stand in a description of any object with the definition's points.
WIDE_NOUNS = frozenset({"animal", "bird", "person", "vehicle"})
_FIELD = re.compile(r"field2?_\d+_")  # what the name of a definition of a single data set begins with


def category(name: str | os.PathLike) -> Category:
    """A category of the library, or of a file.

    name: one of
        a name of the library, such as "animal_face";
        "mp100/12" or "mp100/camel_face": a category of the MP-100 benchmark by its id (1 to 100) or by its name in the
        benchmark's annotations. It has the definition of its kind with its own name and noun;
        a path of a JSON or YAML file.
    Raises InputError, listing near names, if there is none.

    >>> ak.category("animal_face").noun
    'animal face'
    """
    if not isinstance(name, str | os.PathLike):
        raise InputError(f"A category is given by its name or its file, but got {name!r:.80}; see library_names().")
    text = os.fsdecode(name)
    if text.lower().endswith((".json", ".yaml", ".yml")):
        return Category.from_file(text)
    if text.startswith(MP100):
        return _load_mp100(_mp100_id(text.removeprefix(MP100)))
    if text not in library_names():
        general = [known for known in library_names() if not _FIELD.match(known)]
        hint = ", ".join(_near(text) or general)
        raise InputError(
            f"There is no category {text!r} in the library{near_names(text, library_names())}; known are {hint}; or "
            "give a JSON/YAML file, or the names of the points (Category.from_text, --keypoints)."
        )
    return _load(text)


def _near(text: str) -> list[str]:
    """Names of the library that someone who wrote this may mean: those that share its words, and the general ones of
    its kind of object, as animal_body is for a cat; those of a single data set last."""
    kind, words = broader_kind(text), f" {plain_text(text)} "
    found = []
    for name in library_names():
        own, of_one = f" {plain_text(name)} ", bool(_FIELD.match(name))
        shares = bool(words.strip()) and (words in own or own in words)
        if shares or (kind is not None and not of_one and broader_kind(_load(name).noun) == kind):
            found.append((of_one, not shares, name))
    return [name for _, _, name in sorted(found)]


def as_category(value: Any) -> Category:
    """The category that a caller means.

    value: a `Category`; what `category` takes; or the names of the points, as in ["nose", "left ear tip"].
    Warns with a ReadingWarning of a list that has names of the library alone, as it is read as points all the same.
    Raises InputError for anything else.
    """
    if isinstance(value, Category):
        return value
    if isinstance(value, str | os.PathLike):
        return category(value)
    if isinstance(value, list | tuple) and value and all(isinstance(one, str | Keypoint) for one in value):
        if all(isinstance(one, str) and one in _known_names() for one in value):
            warnings.warn(
                f"{list(value)!r:.80} was read as the names of points, but all are categories of the library; for "
                f"categories give [ak.category({value[0]!r}), ...].",
                ReadingWarning,
                stacklevel=2,
            )
        return Category("object", tuple(one if isinstance(one, Keypoint) else Keypoint(one) for one in value))
    raise InputError(
        "A category must be a Category, a name of the library, or a list of the points' names as in ['nose', 'tail'], "
        f"but got {value!r:.80} of type {type(value).__name__}."
    )


def library_names() -> list[str]:
    """Names of all shipped categories, sorted.

    >>> "animal_face" in ak.library_names()
    True
    """
    folder = resources.files("anykeypoint.library") / "definitions"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def names_for_people() -> list[str]:
    """Names of all shipped categories in the order of a list that a person looks through.

    First the definitions that fit many data sets, then those of a single one; each part by noun, as a name does not
    always say what it is of ("amur_tiger_body" is a human face), and those of one noun by their number of points.
    """

    def order(name: str) -> tuple[bool, str, int, str]:
        one = _load(name)
        return bool(_FIELD.match(name)), one.noun.lower(), len(one), name

    return sorted(library_names(), key=order)


@cache
def _known_names() -> frozenset[str]:
    return frozenset(library_names())


@cache
def _load(name: str) -> Category:
    text = (resources.files("anykeypoint.library") / "definitions" / f"{name}.json").read_text(encoding="utf-8")
    return Category.from_dict(json.loads(text), origin=f"library category {name!r}")


@cache
def mp100_categories() -> Mapping[int, Mapping[str, str]]:
    """MP-100's categories by id, 1 to 100: name in the annotations, definition in the library, noun and supercategory.

    They are not keyed by name, because 18 and 40 are both called "face".
    """
    text = (resources.files("anykeypoint.library") / "mp100.json").read_text(encoding="utf-8")
    return {int(identity): entry for identity, entry in json.loads(text)["categories"].items()}


def _mp100_id(text: str) -> int:
    """The id that an id or a name of MP-100's annotations means."""
    known = mp100_categories()
    if re.fullmatch(r"[1-9][0-9]*", text) and int(text) in known:
        return int(text)
    named = [identity for identity, entry in known.items() if plain_text(entry["name"]) == plain_text(text)]
    if len(named) == 1:
        return named[0]
    if named:
        either = " or ".join(f"{MP100}{identity} ({len(_load_mp100(identity))} points)" for identity in named)
        raise InputError(f"MP-100 has {len(named)} categories called {text!r}; say which by id: {either}.")
    wanted = plain_text(text)
    near = [entry["name"] for entry in known.values() if wanted and wanted in plain_text(entry["name"])]
    near = near or get_close_matches(wanted, [entry["name"] for entry in known.values()])
    hint = f"near names are {', '.join(near)}" if near else f"use an id from 1 to {len(known)} or an annotation's name"
    raise InputError(f"MP-100 has no category {text!r}; {hint}.")


@cache
def _load_mp100(identity: int) -> Category:
    entry = mp100_categories()[identity]
    return replace(_load(entry["definition"]), name=entry["name"], noun=entry["noun"])


def lent(name: str, labels: Sequence[str]) -> Category | None:
    """What the library lends to a data set's category: names, descriptions, skeleton and pairs; None for none.

    name, labels: of the category and its points, as the data set has them.
    The noun is the data set's category, in words. Only a definition of that very category gives its own noun; one of
    another kind of object never renames it, and lends its descriptions only if they name no kind (see `described`).
    """
    known = described(name, labels)
    if known is None:
        return None
    points = [
        replace(point, label="" if label == point.name else label)
        for point, label in zip(known.keypoints, labels, strict=True)
    ]
    if _is_of(known, name):
        return replace(known, keypoints=tuple(points))
    if _names_its_kind(known) and not _related(known.noun, name):
        points = [replace(point, description="") for point in points]
    return replace(known, noun=spoken(name), keypoints=tuple(points))


def described(name: str, labels: Iterable[str]) -> Category | None:
    """The library's definition whose points have these labels in this order; None if there is none for this category.

    Several definitions have the same labels, and the first rule that finds one decides: the noun is the category's
    name; the definition was written for a category of this name ("horse, farm points" of
    field2_105_horse_farm_points); the noun is the name with an addition or without one (zebra, Grevy's zebra); only one
    definition is not of a single data set (field_..., field2_...). A definition of a single data set is no other
    category's.
    """
    candidates = _by_labels().get(tuple(plain_text(label) for label in labels), [])
    own = [found for found in candidates if plain_text(found.noun) == plain_text(name)]
    own = own or [found for found in candidates if _is_of(found, name)]
    if own:
        return own[0]
    related = [found for found in candidates if _related(found.noun, name)]
    general = [found for found in candidates if not _FIELD.match(found.name)]
    for fitting in (related, general):
        if len(fitting) == 1:
            return fitting[0]
    return None


@cache
def _by_labels() -> dict[tuple[str, ...], list[Category]]:
    """The definitions by the labels of their points, those of `labels.json` included."""
    table: dict[tuple[str, ...], list[Category]] = {}
    for name in library_names():
        found = _load(name)
        labels = tuple(plain_text(keypoint.label or keypoint.name) for keypoint in found.keypoints)
        table.setdefault(labels, []).append(found)
    for form in json.loads((resources.files("anykeypoint.library") / "labels.json").read_text(encoding="utf-8"))[
        "forms"
    ]:
        known = _load(form["definition"])
        labels = tuple(map(plain_text, form["points"]))
        rows = [known.names.index(point) for point in form["points"].values()]
        table.setdefault(labels, []).append(known.only(rows))
    return table


def _is_of(known: Category, name: str) -> bool:
    """Whether a definition is that of this very category: by its noun or, in a single data set, by its name."""
    stem = re.sub(r"[^a-z0-9]+", "_", name.lower().replace("'s", "s")).strip("_")
    number = _FIELD.match(known.name)
    return plain_text(known.noun) == plain_text(name) or (number is not None and known.name[number.end() :] == stem)


def _related(noun: str, name: str) -> bool:
    """Whether one is the other with words in front: tiger and Amur tiger."""
    short, long = sorted((plain_text(noun).split(), plain_text(name).split()), key=len)
    return bool(short) and long[-len(short) :] == short


def _names_its_kind(known: Category) -> bool:
    """Whether a definition's descriptions contain its noun, and that is no word for every object with such points."""
    texts = " ".join(point.description for point in known.keypoints).casefold()
    return known.noun not in WIDE_NOUNS and re.search(rf"\b{re.escape(known.noun.casefold())}\b", texts) is not None
