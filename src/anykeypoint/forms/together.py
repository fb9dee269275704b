"""Label files as one data set that can be written as one file: pictures below one folder, one animal one category.

Joining itself is that of `joint`, whose lists are taken here too.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..category import Category, plain_text
from ..errors import InputError
from ..io import common_folder
from .dataset import Dataset, LabelledObject
from .joint import JointMember, joined, members
from .registry import form_of, parse, pictures_of, read


@dataclass(frozen=True)
class LabelFiles:
    """Specifications of labels to be read as one data set.

    given: as they were given.
    listed: the data sets that they stand for, more than `given` where that is a list.
    images: the folder that names of pictures start at in what is written.
    """

    given: Sequence[str]
    listed: Sequence[JointMember]
    images: Path

    @property
    def specs(self) -> list[str]:
        """All specifications that are read."""
        return list(dict.fromkeys([*self.given, *(member.spec for member in self.listed)]))

    def read(self, allow_missing: bool = False, strict: bool = False) -> Dataset:
        """The objects; of one specification as `registry.read` gives them.

        Of several, ids count from 1, and categories of one name with the same points are one, with the skeleton of the
        first. Raises InputError where `registry.read` and `joint.joined` do, and where two label one name with other
        points or in another order.
        """

        def one(spec: str, images: Path | None) -> Dataset:
            return read(spec, images, allow_missing, strict=strict)

        first, *others = self.given
        if first == self.listed[0].spec and not others:
            return one(first, self.images)
        data = joined(self.listed, one) if others else one(first, None)
        return _of_kinds(_placed(data, self.images))


def label_files_of(specs: Sequence[str], images: Path | None = None) -> LabelFiles:
    """What specifications stand for: one, several, or one list (`joint:FILE`).

    images: the folder of all pictures; None where the forms know it.
    Raises InputError where the folder of some pictures is not known, for labels that are given twice, and for a list
    among others.
    """
    lists = [spec for spec in specs if form_of(parse(spec)[0]).join is not None]
    if len(specs) == 1 and not lists:
        folder = pictures_of(specs[0], images)
        return LabelFiles(specs, [JointMember("", specs[0], folder, None)], folder)
    if lists and (len(specs) > 1 or images is not None):
        raise InputError(
            f"{lists[0]} is a list of data sets itself, with the folders of their pictures; give it alone, without "
            "others and without a folder."
        )
    if lists:
        listed = members(parse(lists[0])[2])
    else:
        listed = [JointMember(name, spec, images, None) for name, spec in zip(_names(specs), specs, strict=True)]
    return LabelFiles(specs, listed, _start([pictures_of(member.spec, member.images) for member in listed]))


def first_of_kind(categories: Mapping[int, Category]) -> dict[int, int]:
    """Id of each category -> that of the first one of the same name and points, as several files of one animal have it.

    Capitals, spaces and underscores do not count.
    """
    first: dict[tuple[str, ...], int] = {}
    kinds = {key: (plain_text(own.name), *map(plain_text, own.names)) for key, own in categories.items()}
    return {key: first.setdefault(kind, key) for key, kind in kinds.items()}


def _names(specs: Sequence[str]) -> list[str]:
    """What label files are called: their paths from the folder that holds all, where that is enough without the ending.

    Paths from elsewhere would be those of this machine, and the names begin the groups of pictures.
    """
    places = [os.path.abspath(parse(spec)[2]) for spec in specs]
    folder = common_folder([os.path.dirname(place) for place in places])
    paths = [Path(place if folder is None else os.path.relpath(place, folder)) for place in places]
    names = [path.with_suffix("").as_posix() for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [f"{spec.partition(':')[0]}:{path.as_posix()}" for spec, path in zip(specs, paths, strict=True)]
    if twice := [spec for spec, name in zip(specs, whole, strict=True) if whole.count(name) > 1]:
        raise InputError(f"The labels {twice[0]} are given twice, which would double each object; give them once.")
    return whole


def _start(folders: Sequence[Path]) -> Path:
    """The folder that all folders are or lie below: as it was given, otherwise relative to where the user stands."""
    start = common_folder([os.path.abspath(folder) for folder in folders])
    if start is None:
        raise InputError(
            "The pictures lie on several drives, so that no folder holds them all; put them on one, or convert the "
            "labels of each drive on their own."
        )
    if given := [folder for folder in folders if os.path.abspath(folder) == start]:
        return given[0]
    return Path(start).relative_to(Path.cwd()) if Path(start).is_relative_to(Path.cwd()) else Path(start)


def _placed(data: Dataset, start: Path) -> Dataset:
    """The data set with all pictures below `start`; one without objects is listed only where no file has any."""

    def place(path: Path) -> Path:
        return start / os.path.relpath(path, start)

    objects = [replace(item, image=place(item.image)) for item in data.objects]
    sources: dict[Path, set[str]] = {}
    for item in objects:
        sources.setdefault(item.image, set()).add(item.source)
    empty = [path for path in dict.fromkeys(map(place, data.empty)) if path not in sources]
    notes = data.notes
    if shared := [path for path, names in sources.items() if len(names) > 1]:
        count = "A picture is" if len(shared) == 1 else f"{len(shared)} pictures are"
        notes += (
            f"{count} labelled in several of the files, such as {shared[0].relative_to(start).as_posix()}; the objects "
            "of all of them are kept, also where two are the same animal.",
        )
    return replace(data, objects=objects, empty=tuple(empty), notes=notes)


def _of_kinds(data: Dataset) -> Dataset:
    """The data set with one category for each kind (`first_of_kind`), numbered from 1."""
    first = first_of_kind(data.categories)
    ids = {old: new for new, old in enumerate(dict.fromkeys(first.values()), start=1)}
    owners: dict[str, LabelledObject] = {}
    for item in data.objects:
        other = owners.setdefault(plain_text(item.category.name), item)
        if first[other.category_id] != first[item.category_id] and other.source != item.source:
            raise InputError(
                f"{other.source!r} and {item.source!r} both label {other.category.name!r}, but "
                f"{_difference(other.category.names, item.category.names)}; make them alike, or give one another name."
            )
    objects = [
        replace(item, category_id=ids[first[item.category_id]], category=data.categories[first[item.category_id]])
        for item in data.objects
    ]
    other = [one.name for old, one in data.categories.items() if one.skeleton != data.categories[first[old]].skeleton]
    notes = tuple(
        f"The files have other edges between the points of {name!r}; those of the first are kept."
        for name in dict.fromkeys(other)
    )
    categories = {new: data.categories[old] for old, new in ids.items()}
    return replace(data, objects=objects, categories=categories, notes=data.notes + notes)


def _difference(one: Sequence[str], other: Sequence[str]) -> str:
    """How the points of two categories differ, as the middle of a sentence."""
    if len(one) != len(other):
        return f"with {len(one)} points and with {len(other)}"
    place = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if plain_text(a) != plain_text(b))
    return f"point {place + 1} is {one[place]!r} in the first and {other[place]!r} in the second"
