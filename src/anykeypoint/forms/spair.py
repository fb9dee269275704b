"""SPair-71k and SPair-U in their authors' form: a folder of JSON files, one for each picture and one for each pair.

ImageAnnotation/CATEGORY/PICTURE.json has `bndbox` (left, top, right, bottom) and `kps`: number of a point -> its place,
null where the picture does not show it. PairAnnotation/SPLIT/PAIR.json names the example (`src_imname`), the query
(`trg_imname`), their `category` and the numbers of the points that both show (`kps_ids`). Layout/large/SPLIT.txt lists
the pairs of a split, Layout/small a part of them; SPair-U has neither Layout nor pictures of its own. Places are in
pixels of JPEGImages/CATEGORY/PICTURE.jpg.
"""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from ..configs.checks import near_names
from ..errors import InputError
from .dataset import ListedPair
from .document import Labels
from .form import LabelForm
from .pair_files import corner_box, file_name, json_object, list_of, place_of
from .reading import files_below, leaves_folder, read_text

SPLITS, SIZES = ("test", "trn", "val"), ("large", "small")  # the first of each is taken if none is named
NO_FILE = "pairs of the layout without a file"
MOVED = "pairs have a point in another place than the file of its picture, whose place is taken"
NAMELESS = "The points have no names in these files and are called by their numbers."


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The objects of the pairs of a split, and the pairs themselves.

    path: the folder with PairAnnotation and ImageAnnotation.
    images: the folder JPEGImages.
    word: a split, "small" for the small layout, and categories, parted by commas, as in spair/val,cat:DIR.
    A category has the points that any of its pictures shows, in the order of their numbers.
    """
    split, size, categories = _choice(path, word)
    labels = Labels(notes=[NAMELESS])
    kinds: dict[str, tuple[int, list[str]]] = {}  # category -> its id, and the numbers of its points
    objects: dict[tuple[str, str], int] = {}  # category and picture -> id of the annotation
    picture_of = cache(partial(_picture, path))

    def object_of(category: str, name: str) -> int:
        if (category, name) not in objects:
            picture = picture_of(category, name)
            image = labels.add_image(f"{category}/{name}", **picture.size)
            identity, numbers = kinds[category]
            places = np.array([picture.places.get(key, (np.nan, np.nan)) for key in numbers]).reshape(-1, 2)
            visibility = np.where(np.isfinite(places[:, 0]), 2, 0)
            objects[category, name] = labels.add_object(image, identity, places, visibility, picture.box)
        return objects[category, name]

    for file in _pair_files(path, split, size, labels):
        with labels.catching():
            entry = json_object(file)
            category = file_name(entry, "category", file)
            if categories and category not in categories:
                continue
            names = [file_name(entry, key, file) for key in ("src_imname", "trg_imname")]
            if category not in kinds:
                numbers = _numbers(path, category)
                kinds[category] = labels.add_category(category, numbers), numbers
            keys = [str(key) for key in list_of(entry, "kps_ids", file)]
            for name, side in zip(names, ("src_kps", "trg_kps"), strict=True):
                _check_places(picture_of(category, name), keys, list_of(entry, side, file), file, side, labels)
            example, query = (object_of(category, name) for name in names)
            points = tuple(kinds[category][1].index(key) for key in keys)
            labels.pairs.append(ListedPair(example, query, points))
    return labels


class _Picture(NamedTuple):
    """The file of a picture: width and height where stated, box x, y, w, h, and places by the numbers of the points."""

    size: dict[str, Any]
    box: list[float]
    places: dict[str, tuple[float, float]]


def _picture(path: Path, category: str, name: str) -> _Picture:
    file = path / "ImageAnnotation" / category / f"{PurePosixPath(name).stem}.json"
    entry = json_object(file)
    size = {key: entry.get(f"image_{key}") for key in ("width", "height")}
    return _Picture(size, corner_box(entry, "bndbox", file), _places(entry, file))


def _places(entry: Mapping[str, Any], file: Path) -> dict[str, tuple[float, float]]:
    """The places of the points that a picture shows, by their numbers."""
    points = entry.get("kps")
    if not isinstance(points, dict):
        raise InputError(f"{file} must have places by number under 'kps', but has {str(points)[:40]!r}.")
    places = {}
    for key, place in points.items():
        if not key.isascii() or not key.isdigit():
            raise InputError(f"{file}, key 'kps', must have numbers of points, but has {key[:40]!r}.")
        if place is not None:
            places[key] = place_of(place, f"kps {key}", file)
    return places


def _numbers(path: Path, category: str) -> list[str]:
    """The numbers of the points that any picture of a category shows, in order."""
    shown: set[str] = set()
    for file in files_below(path / "ImageAnnotation" / category, "*.json"):
        try:
            shown |= set(_places(json_object(file), file))
        except InputError:
            continue  # its own sentence comes with the pairs that need it
    if not shown:
        raise InputError(f"{path / 'ImageAnnotation' / category} has no picture that shows a point; give the folder.")
    return sorted(shown, key=int)


def _check_places(picture: _Picture, keys: list[str], places: list, file: Path, side: str, labels: Labels) -> None:
    """Refuse a pair with a point that its picture lacks, and note one that is elsewhere in the picture's own file."""
    if len(places) != len(keys):
        raise InputError(f"{file}, key {side!r}, must have a place for each of {len(keys)} kps_ids, not {len(places)}.")
    if lacking := [key for key in keys if key not in picture.places]:
        raise InputError(f"{file}, key 'kps_ids', names the point {lacking[0]}, which the file of its picture lacks.")
    stated = [place_of(place, side, file) for place in places]
    if any(place != picture.places[key] for place, key in zip(stated, keys, strict=True)):
        labels.count_note(MOVED)


# --- files -----------------------------------------------------------------------------------------------------------


def _pair_files(path: Path, split: str, size: str, labels: Labels) -> list[Path]:
    """The files of a split's pairs, in the order of the layout, or by name where there is no layout."""
    folder, layout = path / "PairAnnotation" / split, path / "Layout" / size / f"{split}.txt"
    if not folder.is_dir():
        raise InputError(f"{path} has no folder PairAnnotation/{split}; give the folder SPair-71k or SPair-U.")
    if not layout.is_file():
        if size != SIZES[0]:
            raise InputError(f"{path} has no Layout/{size}/{split}.txt; leave {size!r} out to take all pairs.")
        return files_below(folder, "*.json")
    files = []
    for line in read_text(layout).splitlines():
        name = line.strip()
        if name and not leaves_folder(name) and (folder / f"{name}.json").is_file():
            files.append(folder / f"{name}.json")
        elif name:
            labels.leave_out(NO_FILE)
    return files


def _choice(path: Path, word: str) -> tuple[str, str, set[str]]:
    """The split, the size of the layout and the categories that a word names; no category means all."""
    parts = [part.strip() for part in word.split(",") if part.strip()]
    splits, sizes = [part for part in parts if part in SPLITS], [part for part in parts if part in SIZES]
    if len(splits) > 1 or len(sizes) > 1:
        raise InputError(f"SPair is read one split and one layout at a time, but got spair/{word}; name one of each.")
    categories = {part for part in parts if part not in (*SPLITS, *SIZES)}
    folder = path / "ImageAnnotation"
    if not folder.is_dir():
        raise InputError(f"{path} has no folder ImageAnnotation; give the folder SPair-71k or SPair-U.")
    known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if unknown := sorted(categories - set(known)):
        near = near_names(unknown[0], [*SPLITS, *SIZES, *known])
        raise InputError(f"{path} has no category {unknown[0]!r}{near}; known are {', '.join(known)}.")
    return (splits or list(SPLITS))[0], (sizes or list(SIZES))[0], categories


def pictures(path: Path) -> Path | None:
    """The folder of the pictures; None for SPair-U, which has those of SPair-71k, unless they are linked into it."""
    folder = path / "JPEGImages"
    return folder if folder.is_dir() else None


FORM = LabelForm(
    read,
    "SPair-71k and SPair-U (their folder), with the pairs that they list",
    "test (if none is named), trn or val, small, and categories, parted by commas",
    pictures=pictures,
)
