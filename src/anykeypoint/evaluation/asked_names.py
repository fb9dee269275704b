"""In which names an evaluation asks for the points: the data's own, simplified, in other words, or those of a file."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from ..category import Category
from ..configs.checks import near_names
from ..errors import InputError
from ..forms.phrases import LIBRARY, listed_phrases
from ..library.rewordings import reworded, ways
from ..library.wordings import with_simplified_names
from .evaluation_config import EvaluationConfig
from .protocols import EvaluationProtocol

OWN, SIMPLIFIED = "own", "simplified"
_ENDINGS = (".json", ".yaml", ".yml")


def check_names(config: EvaluationConfig, protocol: EvaluationProtocol) -> None:
    """InputError for names that there are not, and for those that the protocol or the phrases of a config exclude."""
    names, known = config.names, (OWN, SIMPLIFIED, *ways())
    if names not in known and not names.endswith(_ENDINGS):
        raise InputError(
            f"The names can be {', '.join(known)} or a YAML or JSON file, but got {names!r}{near_names(names, known)}."
        )
    if names == OWN:
        return
    if names == SIMPLIFIED and config.phrases != LIBRARY:
        raise InputError(f"Simplified names are the library's, but got the phrases {config.phrases!r}; leave one out.")
    if not protocol.uses_text:
        why = "measures the data's own names" if protocol.identifies else "asks by examples alone"
        raise InputError(f"The protocol {config.protocol!r} {why}; leave out other names.")


def asked_in(categories: Mapping[int, Category], config: EvaluationConfig) -> dict[int, Category]:
    """Category id -> the category with the names that a config asks in; all else, the order too, is as it was.

    Of a file that is not there, the word list of that name that comes with the package is taken.
    Raises InputError for simplified names of a category that has none, and for a file that does not fit.
    """
    if config.names == OWN:
        return dict(categories)
    if config.names == SIMPLIFIED:
        return {key: with_simplified_names(category) for key, category in categories.items()}
    if config.names in ways():
        return {key: reworded(category, config.names, config.seed) for key, category in categories.items()}
    listed = listed_phrases(_word_list(config.names), categories)
    return {key: _named(category, listed[key], config.names) for key, category in categories.items()}


def renamed(categories: Mapping[int, Category], asked: Mapping[int, Category]) -> dict[str, int]:
    """The number of points, and of those that are asked for in other words than the data's, over all categories."""
    pairs = [
        ((point.name, point.phrase), (other.name, other.phrase))
        for key, category in categories.items()
        for point, other in zip(category.keypoints, asked[key].keypoints, strict=True)
    ]
    return {"points": len(pairs), "renamed": sum(own != other for own, other in pairs)}


def _word_list(given: str) -> Path:
    """The file of a name: what was given, or the one of that name in the package."""
    packaged: Any = resources.files("anykeypoint.experiments") / "words" / given
    if not Path(given).exists() and len(Path(given).parts) == 1 and packaged.is_file():
        return Path(packaged)
    return Path(given)


def _named(category: Category, names: list[str], origin: str) -> Category:
    """The category with the names of a file. Raises InputError where a point has none."""
    if len(names) != len(category) or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError(f"{origin} must have a name for each of the {len(category)} points of {category.name!r}.")
    points = [
        replace(point, name=name, phrase=name if point.phrase else "")
        for point, name in zip(category.keypoints, names, strict=True)
    ]
    return replace(category, keypoints=tuple(points))
