"""Ultralytics' `data.yaml`: where pictures and labels are, and what classes and keypoints are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..configs.doubled_keys import strict_yaml
from ..errors import InputError
from .reading import read_text

SPLITS = ("train", "val", "test")
_ALSO = {"val": ("validation", "valid")}  # what some tools call it; Ultralytics takes the first too
_MOST_CLASSES = 10_000  # more than any data set has


@dataclass(frozen=True)
class PoseConfig:
    """What a `data.yaml` says.

    path: the file.
    root: the folder that the splits are relative to.
    splits: train, val or test -> the folders of pictures, or text files that list pictures.
    names: class -> its name.
    shape: number of keypoints, and 2 or 3 numbers for each.
    points: class -> names of its keypoints, at most as many as there are; without classes that the file names none of.
    pairs: pairs of keypoints that change sides; None where the file does not say.
    faults, notes: sentences, as in `Labels`; a key with a fault counts as missing, and costs no object.
    """

    path: Path
    root: Path
    splits: dict[str, list[str]]
    names: dict[int, str]
    shape: tuple[int, int]
    points: dict[int, list[str]]
    pairs: list[tuple[int, int]] | None
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def read_config(path: Path) -> PoseConfig:
    """The contents of a `data.yaml`; InputError for one that does not describe poses."""
    text = read_text(path)
    try:
        data = strict_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}.") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} must be a mapping with train, val, kpt_shape and names; give Ultralytics' data.yaml.")
    shape = data.get("kpt_shape")
    if not _is_ints(shape) or len(shape) != 2 or shape[0] < 1 or shape[1] not in (2, 3):
        raise InputError(
            f"{path}, key 'kpt_shape', must be [number of keypoints, 2 or 3], but got {str(shape)[:40]}; data without "
            "it are of boxes alone."
        )
    names, notes = _by_class(data.get("names")), []
    count = data.get("nc")
    if type(count) is int and data.get("names") is None and 0 < count < _MOST_CLASSES:
        names = {i: f"class_{i}" for i in range(count)}  # as Ultralytics calls them
        notes.append(f"{path} has no 'names'; its classes are numbered, from class_0 to class_{count - 1}.")
    elif names and count is not None and count != len(names):
        notes.append(f"{path} says that there are {str(count)[:20]} classes (nc), but names {len(names)}.")
    if not names or not all(isinstance(name, str | int) for name in names.values()):
        got = str(data.get("names"))[:40]
        raise InputError(f"{path}, key 'names', must list the names of the classes, but got {got!r}.")
    texts = {number: str(name) for number, name in names.items()}
    root = path.parent
    if isinstance(data.get("path"), str) and (path.parent / data["path"]).is_dir():
        root = path.parent / data["path"]  # a path of another machine is not there
    names_of = {key: [one for one in (key, *_ALSO.get(key, ())) if data.get(one)] for key in SPLITS}
    splits = {key: _strings(data[found[0]], path, found[0]) for key, found in names_of.items() if found}
    faults: list[str] = []
    pairs = _pairs(data.get("flip_idx"), shape[0], path)  # a bad one is refused: flips would teach the wrong side
    points = _points(data.get("kpt_names"), texts, shape[0], path, faults)
    return PoseConfig(path, root, splits, texts, (shape[0], shape[1]), points, pairs, tuple(faults), tuple(notes))


def _by_class(values: Any) -> dict[int, Any]:
    """Class -> value of a list or of a mapping whose keys are numbers, perhaps written as texts; {} for others."""
    if isinstance(values, list):
        return dict(enumerate(values))
    if isinstance(values, dict) and all(str(key).isdecimal() for key in values):
        return {int(key): value for key, value in values.items()}
    return {}


def _points(values: Any, names: Mapping[int, str], count: int, path: Path, faults: list[str]) -> dict[int, list[str]]:
    """Class -> names of its keypoints: one list for all classes, or a list by number or by name of the class.

    faults: gets a sentence for each class whose names cannot be used.
    """
    if values is None:
        return {}
    if isinstance(values, list) and all(not isinstance(value, list) for value in values):
        found: dict[int, Any] = dict.fromkeys(names, values)
    else:
        by_name = {name: number for number, name in names.items()}
        plain = isinstance(values, dict) and all(key in by_name for key in values)
        found = {by_name[key]: value for key, value in values.items()} if plain else _by_class(values)
    points = {}
    for kind in names:
        own = found.get(kind)
        if isinstance(own, list) and 1 <= len(own) <= count:
            points[kind] = [str(name) for name in own]
        else:
            faults.append(
                f"{path}, key 'kpt_names', must name up to {count} keypoints of each class, but has {str(own)[:60]} "
                f"for {names[kind]!r}."
            )
    return points


def _pairs(values: Any, count: int, path: Path) -> list[tuple[int, int]] | None:
    """The pairs that `flip_idx` exchanges."""
    if values is None or values == []:
        return None
    if not _is_ints(values) or sorted(values) != list(range(count)) or any(values[values[i]] != i for i in values):
        raise InputError(
            f"{path}, key 'flip_idx', must say for each of the {count} keypoints which one it is in the mirrored "
            f"picture, so that mirroring twice changes nothing, but got {str(values)[:80]}."
        )
    return [(i, other) for i, other in enumerate(values) if i < other]


def _is_ints(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int for value in values)


def _strings(value: Any, path: Path, key: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise InputError(f"{path}, key {key!r}, must be a folder, or a list of them, but got {str(value)[:40]!r}.")
    return values
