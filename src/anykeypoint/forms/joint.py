"""Several data sets joined into one, for training or evaluation (KptLLM++, Sec. 4.1 (3) and Fig. 4).

A YAML file lists them:

    - {data: "coco:person_keypoints_train2017.json", images: coco/train2017, weight: 3}
    - {data: "ap10k:ap10k/annotations/ap10k-train-split1.json", images: ap10k/data, weight: 1, name: animals,
       test: "ap10k:ap10k/annotations/ap10k-val-split1.json"}

data: FORM:FILE, the file relative to the YAML file.
images: the folder of its pictures, relative to the YAML file; may be left out where the form knows it.
weight: its share of the training samples, in any unit, for all data sets or for none; without weights each has the
    share of its objects.
name: name of the source; by default the text before the colon.
test: FORM:FILE of the labels that the data set is tested on elsewhere. Nothing of them is read but the names of their
    pictures: a picture that any of the data sets trains on is refused.
test_images: the folder of the pictures of `test`; by default that of the data set.
"""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ..category import Category
from ..configs.checks import near_names
from ..configs.doubled_keys import strict_yaml
from ..errors import InputError
from .dataset import Dataset, LabelledObject, ListedPair
from .document import Labels
from .form import LabelForm, NamePictures, ReadOne
from .reading import read_text

_KEYS = ("data", "images", "weight", "name", "test", "test_images")
_TEXTS = ("images", "name", "test", "test_images")


@dataclass(frozen=True)
class JointMember:
    """One of the data sets.

    name: of the source.
    spec: FORM:FILE.
    images: the folder of its pictures; None where the form knows it.
    weight: its share of the training samples; None where no data set has one.
    test: FORM:FILE of the labels that it is tested on; None where none are named.
    test_images: the folder of their pictures; None where it is not named, and that of the data set is meant.
    """

    name: str
    spec: str
    images: Path | None
    weight: float | None
    test: str | None = None
    test_images: Path | None = None


def read(path: Path, images: Path, word: str = "") -> Labels:
    """Always an InputError: what works on one document (checking, splitting) must be done with each member."""
    raise InputError(f"{path} puts several data sets together, which are looked after one by one; give one of its own.")


def read_joint(path: Path, read_one: ReadOne, pictures: NamePictures) -> Dataset:
    """The objects of all members of a file as one data set, see `joined`.

    path: the YAML file.
    read_one: reads a member from its specification and folder of pictures.
    pictures: the paths of the pictures that a specification's labels name, there or not.
    Raises InputError for a member without a usable object, and for one with a picture that the `test` of any member
    names.
    """
    listed = members(path)
    data = joined(listed, read_one, f"{path}: ")
    _check_apart(path, listed, data.objects, pictures)
    return data


def joined(listed: Sequence[JointMember], read_one: ReadOne, where: str = "") -> Dataset:
    """The objects of data sets as those of one, in their order.

    read_one: reads a member from its specification and folder of pictures.
    where: what an error begins with.
    Ids of objects and of categories are numbered from 1 across the members. Each object keeps its category and points;
    its `source` is the name of the member, which also begins its group. Numbers of skipped objects, missing
    pictures and faults are added up, and `weights` sum to 1. Raises InputError for a member without a usable object.
    """
    objects: list[LabelledObject] = []
    categories: dict[int, Category] = {}
    skipped: Counter[str] = Counter()
    faults: list[str] = []
    supplied: list[str] = []
    notes: list[str] = []
    missing: list[str] = []
    empty: list[Path] = []
    pairs: list[ListedPair] = []
    models: list[str] = []
    weights: dict[str, float] = {}
    for member in listed:
        data = read_one(member.spec, member.images)
        if not data.objects:
            raise InputError(f"{where}{member.name!r} ({member.spec}) has no usable object; mend it or take it out.")
        ids = {old: len(categories) + place for place, old in enumerate(data.categories, start=1)}
        categories |= {ids[old]: category for old, category in data.categories.items()}
        numbers = {item.id: len(objects) + place for place, item in enumerate(data.objects, start=1)}
        for item in data.objects:
            group = None if item.group is None else f"{member.name}/{item.group}"
            kind, number = ids[item.category_id], numbers[item.id]
            objects.append(replace(item, id=number, category_id=kind, group=group, source=member.name))
        for pair in data.pairs:
            if pair.example in numbers and pair.query in numbers:
                pairs.append(replace(pair, example=numbers[pair.example], query=numbers[pair.query]))
        skipped.update(data.skipped)
        missing += data.missing
        faults += data.faults
        supplied += data.supplied
        notes += data.notes
        empty += data.empty
        models.append(data.model)
        weights[member.name] = float(len(data.objects)) if member.weight is None else member.weight
    total = math.fsum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    return Dataset(
        objects,
        categories,
        dict(skipped),
        tuple(missing),
        shares,
        faults=tuple(faults),
        supplied=tuple(supplied),
        notes=tuple(notes),
        empty=tuple(empty),
        model=models[0] if len(set(models)) == 1 else "",
        pairs=tuple(pairs),
    )


def _check_apart(
    path: Path, listed: Sequence[JointMember], objects: list[LabelledObject], pictures: NamePictures
) -> None:
    """Raise InputError where an object's picture is one that the `test` of a member names."""
    tested: dict[str, JointMember] = {}  # path of a picture -> the member that is tested on it
    for member in listed:
        if member.test is not None:
            try:
                named = pictures(member.test, member.test_images or member.images)
            except InputError as error:
                raise InputError(f"{path}: key 'test' of {member.name!r}: {error}") from error
            tested |= dict.fromkeys(map(_same_path, named), member)
    overlap: dict[str, str] = {}  # picture -> source that trains on it
    for item in objects:
        if tested and (place := _same_path(item.image)) in tested:
            overlap.setdefault(place, item.source)
    if overlap:
        place, source = next(iter(overlap.items()))
        raise InputError(
            f"{path}: {source!r} trains on pictures that {tested[place].name!r} is tested on ({tested[place].test}), "
            f"{len(overlap)} in all, such as {os.path.basename(place)}; take them out of the training labels."
        )


def _same_path(path: str | Path) -> str:
    """The path in a form that is equal for equal places; links are not followed, as that would touch every picture."""
    return os.path.abspath(path)


def digest(path: Path, word: str, of_one: Callable[[str], str]) -> str:
    """SHA-256, in hexadecimal, of the YAML file and of what each member reads."""
    digest = hashlib.sha256(read_text(path).encode())
    for member in members(path):
        digest.update(f"\n{of_one(member.spec)}".encode())
    return digest.hexdigest()


def members(path: Path) -> list[JointMember]:
    """The data sets that a file lists; InputError for anything that does not follow the form described above."""
    try:
        entries = strict_yaml(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}.") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} must be a list of data sets, each with {', '.join(_KEYS)}.")
    listed = [_member(entry, path, f"{path}: entry {place}") for place, entry in enumerate(entries, start=1)]
    names = [member.name for member in listed]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{path} has two data sets called {twice[0]!r}; give each a 'name' of its own.")
    if len({member.weight is None for member in listed}) > 1:
        raise InputError(f"{path} gives some data sets a 'weight' and some none; give it to all, or to none.")
    return listed


def _member(entry: Any, path: Path, where: str) -> JointMember:
    """One entry of the list. path: the YAML file; where: the entry, named in errors."""
    if not isinstance(entry, dict):
        raise InputError(f"{where} must have the keys {', '.join(_KEYS)}, but is {str(entry)[:40]!r}.")
    if odd := [key for key in entry if key not in _KEYS]:
        raise InputError(
            f"{where} has the key {str(odd[0])[:40]!r}{near_names(odd[0], _KEYS)}; known are {', '.join(_KEYS)}."
        )
    spec = entry.get("data")
    for key, value in (("data", spec), *((key, entry[key]) for key in _TEXTS if key in entry)):
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{where}, key {key!r}, must be a text, but got {str(value)[:40]!r}.")
    before = spec.partition(":")[0]
    for one in (spec, entry.get("test", "")):
        if one.partition(":")[0].partition("/")[0] == "joint":
            raise InputError(f"{where} is a list of data sets itself ({one}); list its members here instead.")
    weight = entry.get("weight")
    if "weight" in entry and not (type(weight) in (int, float) and 0 < weight < math.inf):
        raise InputError(f"{where}, key 'weight', must be a number above 0, but got {str(weight)[:40]!r}.")
    if "test_images" in entry and "test" not in entry:
        raise InputError(f"{where} has the key 'test_images' without 'test'; name the labels of these pictures too.")
    folder = path.parent
    return JointMember(
        name=entry.get("name", before),
        spec=_placed(spec, folder),
        images=folder / entry["images"] if "images" in entry else None,
        weight=None if weight is None else float(weight),
        test=_placed(entry["test"], folder) if "test" in entry else None,
        test_images=folder / entry["test_images"] if "test_images" in entry else None,
    )


def _placed(spec: str, folder: Path) -> str:
    """A specification whose file is relative to a folder, as one that can be read from anywhere."""
    before, colon, file = spec.partition(":")
    return f"{before}:{folder / file}" if colon and file else spec


FORM = LabelForm(read, "several data sets as one (.yaml)", join=read_joint, digest=digest)
