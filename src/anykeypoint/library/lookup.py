"""The shipped categories: by name, by id or name of MP-100, and by the labels of a data set."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path

from ..category import Category, plain_text
from ..configs.checks import near_names
from ..errors import InputError

MP100 = "mp100/"  # prefix of the names of MP-100's categories
_FIELD = re.compile(r"field2?_\d+_")  # what the name of a definition of a single data set begins with


def category(name: str | Path) -> Category:
    """A category of the library, or of a file.

    name: one of
        a name of the library, such as "animal_face";
        "mp100/12" or "mp100/camel_face": a category of the MP-100 benchmark by its id (1 to 100) or by its name in the
        benchmark's annotations. It has the definition of its kind with its own name and noun;
        a path of a JSON or YAML file.
    Raises InputError, listing near names, if there is none.
    """
    text = str(name)
    if text.lower().endswith((".json", ".yaml", ".yml")):
        return Category.from_file(text)
    if text.startswith(MP100):
        return _load_mp100(_mp100_id(text.removeprefix(MP100)))
    if text not in library_names():
        near = [known for known in library_names() if text.lower() in known or known in text.lower()]
        hint = ", ".join(near or [known for known in library_names() if not _FIELD.match(known)])
        raise InputError(
            f"There is no category {text!r} in the library{near_names(text, library_names())}; known are {hint}, or "
            "give a JSON/YAML file."
        )
    return _load(text)


def library_names() -> list[str]:
    """Names of all shipped categories, sorted."""
    folder = resources.files("anykeypoint.library") / "definitions"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


@cache
def _load(name: str) -> Category:
    text = (resources.files("anykeypoint.library") / "definitions" / f"{name}.json").read_text(encoding="utf-8")
    return Category.from_dict(json.loads(text), origin=f"library category {name!r}")


@cache
def mp100_categories() -> Mapping[int, Mapping[str, str]]:
    """MP-100's categories by id, 1 to 100: name in the annotations, definition in the library, and noun.

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


@cache
def _by_labels() -> dict[tuple[str, ...], list[Category]]:
    """Labels of the keypoints in plain text, in order -> the library's categories that have them."""
    table: dict[tuple[str, ...], list[Category]] = {}
    for name in library_names():
        loaded = _load(name)
        labels = tuple(plain_text(keypoint.label or keypoint.name) for keypoint in loaded.keypoints)
        table.setdefault(labels, []).append(loaded)
    return table


def described(name: str, labels: Iterable[str]) -> Category | None:
    """The library's definition for a category of a data set; None if there is none.

    name: of the data set's category.
    labels: of its keypoints, which a definition must have in the same order.
    If several definitions have them, the first of these is taken: the one whose noun is the name; the one that was
    written for a category of this name ("horse, farm points" of field2_105_horse_farm_points); the only one that does
    not belong to a single data set (field_..., field2_...).
    """
    candidates = _by_labels().get(tuple(plain_text(label) for label in labels), [])
    by_noun = [one for one in candidates if plain_text(one.noun) == plain_text(name)]
    if by_noun:
        return by_noun[0]
    stem = re.sub(r"[^a-z0-9]+", "_", name.lower().replace("'s", "s")).strip("_")
    by_name = [one for one in candidates if _FIELD.sub("", one.name, count=1) == stem]
    if by_name:
        return by_name[0]
    general = [one for one in candidates if not _FIELD.match(one.name)]
    fitting = candidates if len(candidates) == 1 else general
    return fitting[0] if len(fitting) == 1 else None
