"""SOCO in its authors' form (SOCOv1): a JSON file for each pair, which has all that is known of its two pictures.

PairAnnotations/intra/CATEGORY/PAIR.json, cross/GROUP/PAIR.json and trainsplits/train and test/CATEGORY/PAIR.json name
the example (`src_...`) and the query (`trg_...`): category, picture, size, box (left, top, right, bottom) and keypoints
with an id, a name and a place. `semantic_overlap` has the names of the points that are matched (SOC, or Cross-SOC
between categories). Places are in pixels of Images/CATEGORY/PICTURE. The matches of one point with several
(`concept_matches`, CC) are not read, nor are the descriptions of points in Metadata, whose form is not described.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..configs.checks import near_names
from ..errors import InputError
from .dataset import ListedPair
from .document import Labels
from .form import LabelForm
from .pair_files import corner_box, file_name, json_object, list_of, place_of
from .reading import files_below, whole_number

SETS = {"intra": "intra", "cross": "cross", "train": "trainsplits/train", "test": "trainsplits/test"}
SIDES = ("src", "trg")  # the example and the query
MOVED = "pairs have a point in another place than an earlier pair with the same picture, whose place is taken"


class _View(NamedTuple):
    """A picture of a pair: its folder, name and size, its box x, y, w, h, and name -> id and place of its points."""

    category: str
    name: str
    size: tuple[float, float]
    box: list[float]
    points: dict[str, tuple[int, tuple[float, float]]]


class _SocoPair(NamedTuple):
    """A pair as its file has it: its group, its two views, and the names of the points that are matched."""

    group: str
    views: list[_View]
    matched: list[str]

    def keyed(self) -> list[tuple[tuple[str, str, str], _View]]:
        """Group, category and picture of the example and of the query, each with its view."""
        return [((self.group, view.category, view.name), view) for view in self.views]


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The objects of the pairs of a set, and the pairs themselves.

    path: the folder SOCOv1.
    images: its folder Images.
    word: a set, and the folders of categories or groups in it, parted by commas, as in soco/cross,car:DIR.
    A category has the points of all of its pictures, by their ids. Between categories a group of pairs is one category
    that has the points of both, so that its noun is no word for either; words are for the other sets.
    """
    labels = Labels()
    pairs = []
    for file in files(path, word):
        with labels.catching():
            pairs.append(_pair(file))
    views: dict[tuple[str, str, str], _View] = {}  # group, category and picture -> what all of its pairs say of it
    for pair in pairs:
        for key, view in pair.keyed():
            known = views.setdefault(key, view).points
            if any(known.get(name, point) != point for name, point in view.points.items()):
                labels.count_note(MOVED)
            views[key] = view._replace(points={**view.points, **known})
    order: dict[str, dict[str, int]] = {}  # group -> name of a point -> its id
    for (group, _, _), view in views.items():
        order.setdefault(group, {}).update({name: identity for name, (identity, _) in view.points.items()})
    names = {group: sorted(ids, key=lambda name, ids=ids: (ids[name], name)) for group, ids in order.items()}
    kinds = {group: labels.add_category(group, points) for group, points in names.items()}
    objects: dict[tuple[str, str, str], int] = {}  # as in views -> id of the annotation
    for (group, category, name), view in views.items():
        image = labels.add_image(f"{category}/{name}", width=view.size[0], height=view.size[1])
        places = [view.points[one][1] if one in view.points else (np.nan, np.nan) for one in names[group]]
        table = np.array(places, dtype=np.float64).reshape(-1, 2)
        visibility = np.where(np.isfinite(table[:, 0]), 2, 0)
        objects[group, category, name] = labels.add_object(image, kinds[group], table, visibility, view.box)
    for pair in pairs:
        example, query = (objects[key] for key, _ in pair.keyed())
        points = tuple(names[pair.group].index(name) for name in pair.matched)
        labels.pairs.append(ListedPair(example, query, points))
    return labels


def files(path: Path, word: str) -> list[Path]:
    """The files of the pairs that a word names, by folder and name."""
    parts = [part.strip() for part in word.split(",") if part.strip()]
    sets = [part for part in parts if part in SETS]
    if len(sets) > 1:
        raise InputError(f"SOCO is read one set at a time, but got soco/{word}; name one of {', '.join(SETS)}.")
    folder = path / "PairAnnotations" / SETS[(sets or list(SETS))[0]]
    if not folder.is_dir():
        raise InputError(f"{path} has no folder {folder.relative_to(path)}; give the folder SOCOv1, unpacked.")
    known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    wanted = [part for part in parts if part not in SETS]
    if unknown := sorted(set(wanted) - set(known)):
        near = near_names(unknown[0], [*SETS, *known])
        raise InputError(f"{folder} has no category {unknown[0]!r}{near}; known are {', '.join(known)}.")
    return [file for name in known if not wanted or name in wanted for file in files_below(folder / name, "*.json")]


def _pair(file: Path) -> _SocoPair:
    """A pair from its file; InputError where a matched point is not one of both pictures."""
    entry = json_object(file)
    views = [_view(entry, side, file) for side in SIDES]
    matched = [str(name) for name in list_of(entry, "semantic_overlap", file)]
    for name in matched:
        if not all(name in view.points for view in views):
            raise InputError(f"{file}, key 'semantic_overlap', names {name[:40]!r}, which one of its pictures lacks.")
    key = "pair_group" if entry.get("pair_group") is not None else "trg_category"
    return _SocoPair(file_name(entry, key, file), views, matched)


def _view(entry: Mapping[str, Any], side: str, file: Path) -> _View:
    """One of the two pictures. A pair without a box for it is normalised by the whole picture, as in SOCO's code."""
    key = f"{side}_category" if entry.get(f"{side}_category") else "category"
    size = place_of(list_of(entry, f"{side}_imsize", file)[:2], f"{side}_imsize", file)
    stated = entry.get(f"{side}_bndbox") is not None
    box = corner_box(entry, f"{side}_bndbox", file) if stated else [0.0, 0.0, *size]
    points: dict[str, tuple[int, tuple[float, float]]] = {}
    for point in list_of(entry, f"{side}_keypoints", file):
        name = point.get("name") if isinstance(point, dict) else None
        identity = whole_number(point.get("id")) if isinstance(point, dict) else None
        if not isinstance(name, str) or not name or identity is None or name in points:
            raise InputError(
                f"{file}, key '{side}_keypoints', must have an id and a name of its own for each point, but has "
                f"{str(point)[:40]!r}."
            )
        points[name] = identity, place_of(point.get("pos"), f"{side}_keypoints, pos", file)
    return _View(file_name(entry, key, file), file_name(entry, f"{side}_image", file), size, box, points)


FORM = LabelForm(
    read,
    "SOCO (its folder SOCOv1), with the pairs that it lists",
    "intra (if none is named), cross, train or test, and categories, parted by commas",
    pictures=lambda path: path / "Images",
    files=files,
)
