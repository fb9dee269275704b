"""Whose words a text encoder reads for the points of a data set: the library's, the label file's, or another file's.

MP-100's files of CapeX have phrases of their own as labels. They are not names: several points may share one, and for
faces, clothes and furniture their left is the viewer's, where the library's is the subject's. A matcher must be asked
in the words that it was trained in, so they go beside the names, as `Keypoint.phrase`. Points, order, skeleton and the
pairs that exchange sides under a flip stay as they are: a pair is the same two points in either convention.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..category import Category, plain_text, spoken
from ..configs.checks import near_names
from ..configs.doubled_keys import strict_yaml
from ..errors import InputError
from .dataset import Dataset
from .reading import read_text

LIBRARY, FILE = "library", "file"


def has_phrases(labels: Sequence[str]) -> bool:
    """Whether labels are words to read, and no codes such as "L_F_Elbow", "kpt_7" or "23".

    Each must have a word of three letters, and none a single letter but "a"; nor may numbers alone tell them apart.
    """
    if not labels:
        return False
    words = [re.findall(r"[^\W\d_]+", label) for label in labels]
    if not all(any(len(word) > 2 for word in each) for each in words):
        return False
    if any(len(word) == 1 and word.lower() != "a" for each in words for word in each):
        return False
    counted = any(re.search(r"\d", label) for label in labels)
    return not counted or len({" ".join(each) for each in words}) > len(labels) // 2


def in_phrases(data: Dataset, phrases: str | None, entries: Iterable[Any], path: Path) -> Dataset:
    """The data set with the words that were asked for.

    phrases: "library": the library's names, where it knows the points, otherwise the labels; nothing changes.
        "file": the labels of all categories. None: the labels of the categories where they are phrases
        (`has_phrases`). A JSON or YAML file: a mapping from name or id of a category to the phrases of its points, as
        a list in their order or as a mapping from a point's name.
    entries: the entries of `categories` in the label file, with the labels under `keypoints`.
    path: the label file, named in errors.
    Raises InputError for a category without words, and for a file of phrases that does not fit.
    """
    if phrases == LIBRARY:
        return data
    if phrases in (FILE, None):
        labels = {entry["id"]: list(entry.get("keypoints") or ()) for entry in entries}
        texts = {key: labels.get(key, []) for key in data.categories}
        if phrases is None:
            texts = {key: found for key, found in texts.items() if has_phrases(found)}
    else:
        texts = listed_phrases(Path(phrases), data.categories)
    categories = dict(data.categories)
    for key, found in texts.items():
        categories[key] = _worded(categories[key], found, str(path) if phrases in (FILE, None) else str(phrases))
    objects = [replace(item, category=categories[item.category_id]) for item in data.objects]
    return replace(data, objects=objects, categories=categories)


def whose_words(category: Category, phrases: str | None) -> str:
    """Whose words a category has in a data set that was read with `phrases`: "library", "file", or the file of phrases.

    Names that are the labels as the data set spells them are the file's.
    """
    if any(point.phrase for point in category.keypoints):
        return FILE if phrases is None else phrases
    own = all(
        not point.description and plain_text(point.name) == plain_text(point.label or point.name)
        for point in category.keypoints
    )
    return FILE if own else LIBRARY


def words_of(data: Dataset, phrases: str | None) -> str:
    """One word for a whole data set, to be kept with a model that was trained on it: `phrases`, "file" or "library"."""
    worded = any(point.phrase for item in data.objects for point in item.category.keypoints)
    return (phrases or FILE) if worded else LIBRARY


def listed_phrases(path: Path, categories: Mapping[int, Category]) -> dict[int, list[str]]:
    """Category id -> the phrases that a JSON or YAML file has for its points (see `in_phrases`), in their order.

    A point that a mapping leaves out has "". Raises InputError for a file that cannot be read, that lacks a category,
    or that names a point which a category does not have.
    """
    listed = _read_phrases(path)
    return {key: _listed(listed, key, category, str(path)) for key, category in categories.items()}


def _worded(category: Category, texts: Sequence[str], origin: str) -> Category:
    if len(texts) != len(category) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError(
            f"{origin} must have a phrase for each of the {len(category)} keypoints of {category.name!r}, but has "
            f"{len([text for text in texts if text])}; add them, or ask for the phrases of the library."
        )
    points = [replace(point, phrase=spoken(text)) for point, text in zip(category.keypoints, texts, strict=True)]
    return replace(category, keypoints=tuple(points))


def _read_phrases(path: Path) -> Mapping[str, Any]:
    """Plain name or id of a category -> its phrases."""
    try:
        data = strict_yaml(read_text(path))  # JSON is YAML too
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML or JSON: {' '.join(str(error).split())[:200]}.") from error
    if not isinstance(data, dict) or not all(isinstance(value, list | dict) for value in data.values()):
        raise InputError(f"{path} must be a mapping from categories to their phrases, in a list or by keypoint.")
    return {plain_text(str(key)): value for key, value in data.items()}


def _listed(listed: Mapping[str, Any], key: int, category: Category, path: str) -> list[str]:
    """The phrases of a category in its points' order."""
    for name in (str(key), plain_text(category.name)):
        if name not in listed:
            continue
        found = listed[name]
        if isinstance(found, list):
            return found
        places = {point: category.index_of(str(point)) for point in found}
        if unknown := sorted(plain_text(str(point)) for point, place in places.items() if place is None):
            known = [*category.names, *filter(None, (point.label for point in category.keypoints))]
            near = near_names(unknown[0], known)
            raise InputError(f"{path} has a phrase for {unknown[0]!r}, which {category.name!r} does not have{near}.")
        texts = {places[point]: text for point, text in found.items()}
        return [texts.get(place, "") for place in range(len(category))]
    raise InputError(f"{path} has no phrases for {category.name!r} (id {key}); add them under its name or id.")
