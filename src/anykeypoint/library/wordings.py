"""Other words for the points of MP-100's 29 definitions: simplified (CapeLLM, Table 6; v1, Fig. 4) and vague (Table 5).

Simplified ones are also there for the kinds that `field2` is measured on. The words are data, `simplified.json` and
`vague.json`. A category has them where its descriptions are those of one of the definitions, under whatever name, noun
and order.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from ..category import Category
from ..errors import InputError
from .lookup import category as library_category


def simplified(category: Category, keypoint: int) -> str:
    """The simplified description of the keypoint of this index.

    Raises InputError for a category without such words.
    """
    return _words(category, keypoint, "simplified")["description"]


def vague(category: Category, keypoint: int) -> str | None:
    """The vague description of the keypoint of this index; None for a category that is not MP-100's."""
    definition = _definition(tuple(point.description for point in category.keypoints), "vague")
    if definition is None:
        return None
    return _table("vague")[definition][_name(definition, category.keypoints[keypoint].description)]


def with_simplified_names(category: Category) -> Category:
    """The category with simplified names and everything else as it was.

    Raises InputError for a category without such words.
    """
    points = [
        replace(point, name=_words(category, i, "simplified")["name"]) for i, point in enumerate(category.keypoints)
    ]
    return replace(category, keypoints=tuple(points))


def _words(category: Category, keypoint: int, kind: str) -> Any:
    definition = _definition(tuple(point.description for point in category.keypoints), kind)
    if definition is None:
        raise InputError(
            f"There are no {kind} words for {category.name!r}, as they are written for the categories of MP-100 and "
            "for those that field2 is measured on; use its descriptions as they are."
        )
    return _table(kind)[definition][_name(definition, category.keypoints[keypoint].description)]


@cache
def _definition(descriptions: tuple[str, ...], kind: str) -> str | None:
    """The definition with words of a kind that has these descriptions, with the fewest others if several have them."""
    fitting = [name for name in _table(kind) if set(descriptions) <= _names(name).keys()]
    return min(fitting, key=lambda name: len(_names(name)), default=None)


def _name(definition: str, description: str) -> str:
    return _names(definition)[description]


@cache
def _names(definition: str) -> Mapping[str, str]:
    """Description -> name of the points of a definition."""
    return {point.description: point.name for point in library_category(definition).keypoints}


@cache
def _table(kind: str) -> Mapping[str, Mapping[str, Any]]:
    """Definition -> name of a point -> its words. kind: "simplified" or "vague"."""
    text = (resources.files("anykeypoint.library") / f"{kind}.json").read_text(encoding="utf-8")
    return json.loads(text)["definitions"]
