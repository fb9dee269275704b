"""Ultralytics' pose data, read and written: a `data.yaml`, and a text file of labels for each picture.

The path of a label file is that of its picture with the last folder `images` called `labels` and the suffix `.txt`. A
line is an object: class, centre, width and height of its box, then x, y and perhaps v of each keypoint, all but class
and v as shares of the picture. Without v (`kpt_shape: [K, 2]`) a keypoint at 0, 0 or at a negative place is not
labelled. An empty or missing label file is a picture without objects. `flip_idx` says which points change sides.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from ..category import plain_text
from ..errors import InputError
from ..images import SUFFIXES
from ..library.lookup import category as library_category
from .dataset import Dataset, LabelledObject
from .document import Labels
from .faults.sentinels import is_sentinel
from .form import LabelForm
from .picture_search import PictureSearch
from .pictures import Pictures, picture_size
from .reading import files_below, find_picture, is_absolute, leaves_folder, number, read_text, spelled, tails
from .writing import beside_pictures, by_picture, needed_size, point_labels
from .yolo_config import SPLITS, PoseConfig, read_config

PERSON = "human_body"  # the library's definition of COCO's 17 points
_WHY = "YOLO's places are shares of its size"
_BOX = 5  # numbers of a line before the keypoints
_OTHERS = ("classes.txt", "labels.txt")  # text files that tools put among the labels


# --- pictures ------------------------------------------------------------------------------------------------------


def label_file(picture: Path) -> Path:
    """Where the labels of a picture are."""
    parts = list(picture.parent.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts, picture.stem + ".txt")


def _stored(config: PoseConfig, picture: Path) -> Path:
    """The `label_file` of a picture as it is spelled on the disk: macOS may keep either in another form of Unicode."""
    file = label_file(picture)
    for folder in (config.root, file.parent):
        if file.is_relative_to(folder):
            found = folder / spelled(folder, file.relative_to(folder).as_posix())
            if found.is_file():
                return found
    return file


def _place(config: PoseConfig, entry: str) -> Path:
    """The folder or list that an entry of a split means.

    Where it is not there, `../` is also read as Roboflow writes it, for "here", and the ends of the path are tried, for
    one of another machine or one that began where the training was started.
    """
    plain = entry.replace("\\", "/")
    first = config.root / plain
    others = {end for one in chain.from_iterable(config.splits.values()) if one != entry for end in tails(one)}
    ends = [end for end in tails(entry) if end not in others]  # of two splits it would be neither
    places = [first, *([config.root / plain[3:]] if plain.startswith("../") else []), *map(config.root.joinpath, ends)]
    return next((place for place in places if place.exists() or label_file(place / "x").parent.is_dir()), first)


def _listed(config: PoseConfig, place: Path, line: str, search: PictureSearch) -> tuple[Path, str]:
    """The picture of a line of a list, and the line where the picture was searched for by it, as in `_place`, or "".

    place: the list, which is where "./" is.
    search: of the folder of the data set.
    """
    plain = line.replace("\\", "/")
    first = place.parent / plain if plain.startswith("./") else config.root / plain
    ends = [first, *(config.root / end for end in tails(line))]
    found = next((end for end in ends if end.exists() or _stored(config, end).is_file()), first)
    if found != first and found.exists():
        found = config.root / search.find(tails(line), line)
    return found, line if is_absolute(line) or found != first else ""


def _pictures(
    config: PoseConfig, entry: str, images: Path, labels: Labels, search: PictureSearch
) -> Iterator[tuple[str, Path]]:
    """The file name below `images`, and the label file, of each picture of an entry of a split, in order."""
    place, found = _place(config, entry), []
    if place.is_file():
        if place.suffix.lower() in SUFFIXES:
            raise InputError(f"{config.path} has the picture {entry} as a split; give its folder, or a list.")
        lines = [line.strip() for line in read_text(place).splitlines() if line.strip()]
        found = [_listed(config, place, line, search) for line in lines]
    elif place.is_dir():
        paths = [path for path in files_below(place) if path.suffix.lower() in SUFFIXES]
        found, used = [(path, "") for path in paths], {_stored(config, path) for path in paths}
        own = label_file(place / "x").parent
        for path in files_below(own, "**/*.txt"):
            if path not in used and path.name not in _OTHERS:
                labels.leave_out("label files without a picture")
    else:
        own = label_file(place / "x").parent
        texts = [path for path in files_below(own, "**/*.txt") if path.name not in _OTHERS]
        if not texts:
            labels.leave_out(f"split without its folder {entry}")
        for text in texts:
            stem = text.relative_to(own).with_suffix("").as_posix()
            names = [f"{before}{stem}{suffix}" for before in ("", f"{entry}/") for suffix in SUFFIXES]
            yield find_picture(images, names), text
        return
    for path, line in found:
        names = [path.relative_to(folder).as_posix() for folder in (images, place, config.root) if _below(path, folder)]
        name = find_picture(images, [name for name in names if not leaves_folder(name)] or [path.name])
        if line:
            labels.found_by(name, line)
        yield name, _stored(config, path)


def _below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


def label_files(path: Path, word: str = "") -> list[Path]:
    """The `data.yaml` and the label files of its splits, or of those that the word names."""
    config = read_config(path)
    chosen = [part.strip() for part in word.split(",") if part.strip()] or list(config.splits)
    entries = dict.fromkeys(entry for part in chosen for entry in config.splits.get(part, ()))
    labels, search = Labels(), PictureSearch(config.root)
    files = [file for entry in entries for _, file in _pictures(config, entry, config.root, labels, search)]
    return [path, *(file for file in dict.fromkeys(files) if file.is_file())]


def folder_of(path: Path) -> Path:
    """The folder that the splits of a `data.yaml` are relative to."""
    return read_config(path).root


# --- reading -------------------------------------------------------------------------------------------------------


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a `data.yaml`.

    images: the folder of the data set, or the one with the pictures of a split.
    word: splits, parted by commas (train, val, test); all that the file has by default. A picture that is in several
        counts once.
    Keypoints without names (`kpt_names`) are COCO's where there are 17 of a class called person, otherwise numbered;
    `notes` says so. Lines of boxes alone are left out and counted.
    """
    config = read_config(path)
    chosen = [part.strip() for part in word.split(",") if part.strip()] or list(config.splits)
    if missing := [part for part in chosen if part not in config.splits]:
        has = ", ".join(config.splits) or "none"
        raise InputError(f"{path} has no split {missing[0]!r}; it has {has}.")
    labels, pictures = Labels(faults=[*config.faults], notes=[*config.notes]), Pictures(images)
    kinds = _add_categories(labels, config)
    entries = dict.fromkeys(entry for part in chosen for entry in config.splits[part])
    search = PictureSearch(config.root)
    listed = {entry: list(_pictures(config, entry, images, labels, search)) for entry in entries}
    labels.notes += search.notes()
    known: dict[str, int] = {}  # file name below `images` -> id of the picture
    for part in chosen:
        found = [pair for entry in config.splits[part] for pair in listed[entry]]
        for name, file in found:
            if name not in known:
                known[name] = _add_objects(labels, config, kinds, name, file, pictures)
        if found and not any(file.is_file() for _, file in found):
            labels.bare |= {known[name] for name, _ in found}  # they are not known to be without objects
            labels.faults.append(
                f"{path} has the split {part}, none of whose {len(found)} pictures has a label file, as {found[0][1]} "
                "would be; put the labels there, or an empty file for a picture without objects."
            )
    if not known:
        if not chosen:
            raise InputError(f"{path} has none of the keys {', '.join(SPLITS)}, which say where the pictures are.")
        raise InputError(
            f"{path} has no picture in its splits ({', '.join(chosen)}); give the folder with --images, or correct the "
            "paths."
        )
    return labels


def _add_categories(labels: Labels, config: PoseConfig) -> dict[int, tuple[int, int]]:
    """Add the classes; class -> id of its category and number of its keypoints."""
    kinds = {}
    count = config.shape[0]
    for kind, name in config.names.items():
        if kind in config.points:
            points = config.points[kind]
        elif count == len(library_category(PERSON)) and plain_text(name) == "person":
            points = library_category(PERSON).names
            labels.notes.append(f"{config.path} does not name the keypoints of {name!r}; they are called as COCO's 17.")
        else:
            points = [f"keypoint {i}" for i in range(1, count + 1)]
            labels.notes.append(
                f"{config.path} does not name the keypoints of {name!r} (kpt_names); they are numbered."
            )
        own = len(points)
        pairs = config.pairs if config.pairs is None else [pair for pair in config.pairs if max(pair) < own]
        kinds[kind] = (labels.add_category(name, points, pairs=pairs), own)
    return kinds


def _add_objects(
    labels: Labels, config: PoseConfig, kinds: Mapping[int, tuple[int, int]], name: str, file: Path, pictures: Pictures
) -> int:
    """Add a picture and the objects of its label file; returns the picture's id."""
    stored = pictures.size(pictures.path(name))
    image = labels.add_image(name, **({} if stored is None else {"width": stored[0], "height": stored[1]}))
    if not file.is_file():
        return image
    with labels.catching(), labels.of_picture(image):
        size = pictures.size_needed(name, _WHY)
        if size is None:  # any size serves, as the objects are left out
            labels.unplaced.add(image)
        elif not pictures.has(name):
            labels.borrowed.add(image)
        for count, line in enumerate(read_text(file).splitlines(), start=1):
            with labels.catching():
                cells = line.split()
                if len(cells) == _BOX:
                    labels.leave_out("boxes without keypoints")
                elif cells:
                    _add_object(labels, config, kinds, image, size or (1, 1), cells, f"{file}: line {count}")
    return image


def _add_object(
    labels: Labels,
    config: PoseConfig,
    kinds: Mapping[int, tuple[int, int]],
    image: int,
    size: tuple[int, int],
    cells: list[str],
    where: str,
) -> None:
    """Add the object of a line. size: (width, height) of its picture in pixels."""
    count, wide = config.shape
    if len(cells) != _BOX + count * wide:
        wanted = _BOX + count * wide
        more = "; a file of predictions has one number more" if len(cells) == wanted + 1 else ""
        raise InputError(
            f"{where} has {len(cells)} numbers, but {count} keypoints with {wide} each make {wanted}{more}."
        )
    values = np.array([number(cell, f"number {place}", where) for place, cell in enumerate(cells, start=1)])
    kind = int(values[0])
    if kind != values[0] or kind not in kinds:
        raise InputError(f"{where} is of class {cells[0]}, which 'names' does not have; it has {len(kinds)} classes.")
    category, own = kinds[kind]
    x, y, w, h = values[1:_BOX] * np.array([*size, *size])
    table = values[_BOX:].reshape(count, wide)
    if wide == 3:
        visibility = table[:, 2]
        if not np.isin(visibility, (0, 1, 2)).all():
            odd = visibility[~np.isin(visibility, (0, 1, 2))][0]
            raise InputError(f"{where} has the visibility {odd:g}; it must be 0, 1 or 2.")
    else:
        nowhere = (table < 0).any(axis=1) | (table == 0).all(axis=1)
        visibility = np.where(nowhere, 0, 2)
    if (visibility[own:] > 0).any():
        raise InputError(f"{where} has {int((visibility > 0).sum())} keypoints, but its class names only {own}.")
    # A place such as -1, -1 stays as it is: it is no share but says 'not labelled', and `data check` then knows it.
    marks = np.array([is_sentinel(*place) for place in table[:own, :2].tolist()], dtype=bool)
    points = np.where(marks[:, None], table[:own, :2], table[:own, :2] * np.array(size))
    box = (x - w / 2, y - h / 2, w, h)
    labels.add_object(image, category, points, visibility[:own].astype(int), box)


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> dict[str, str | Path]:
    """A folder that Ultralytics trains on: `data.yaml`, label files, and copies of the pictures.

    Classes are numbered from 0 in the order of the categories; one with fewer keypoints than others has absent ones.
    Pictures in images/train, images/val and images/test stay in their splits. Others go to images/train and are both
    `train` and `val`, as nothing says which are which. The file has no `path`, so the splits lie beside it.
    """
    kinds = {item.category_id: item.category for item in data.objects}
    order = [identity for identity in data.categories if identity in kinds]
    count = max(len(category) for category in kinds.values())
    pictures = by_picture(data, images)
    beside_pictures(pictures, ".txt", "YOLO")
    splits = [split for split in SPLITS if any(name.startswith(f"images/{split}/") for name in pictures)]
    parted = "train" in splits and all(
        name.startswith(tuple(f"images/{split}/" for split in splits)) for name in pictures
    )
    config: dict[str, Any] = {"train": "images/train", "val": "images/train"}
    config |= {split: f"images/{split}" for split in splits if parted} | {"kpt_shape": [count, 3]}
    if (flip := _flip(data)) is not None:
        config["flip_idx"] = flip
    config["names"] = {number: kinds[identity].name for number, identity in enumerate(order)}
    config["kpt_names"] = {number: point_labels(kinds[identity]) for number, identity in enumerate(order)}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    files: dict[str, str | Path] = {"data.yaml": text}
    for name, picture in pictures.items():
        place = PurePosixPath(name if parted else f"images/train/{name}")
        size = needed_size(picture.path, _WHY)
        lines = [_line(item, order.index(item.category_id), count, size) for item in picture.objects]
        files[label_file(Path(place)).as_posix()] = "".join(f"{line}\n" for line in lines)
        files[str(place)] = picture.path
    return files


def _line(item: LabelledObject, kind: int, count: int, size: tuple[int, int]) -> str:
    """The line of an object. count: number of keypoints of all classes; size: (width, height) of the picture."""
    x, y, w, h = item.box
    shares = np.array([x + w / 2, y + h / 2, w, h]) / np.array([*size, *size])
    cells = [str(kind), *map(repr, shares.tolist())]
    for point, seen in zip((item.points / np.array(size)).tolist(), item.visibility.tolist(), strict=True):
        cells += [*map(repr, point), str(int(seen))] if seen else ["0", "0", "0"]
    return " ".join(cells + ["0"] * 3 * (count - len(item.points)))


def _flip(data: Dataset) -> list[int] | None:
    """The `flip_idx` of all classes; None where they would need different ones."""
    kinds = {item.category_id: item.category for item in data.objects}.values()
    count = max(len(category) for category in kinds)
    orders = {tuple([*category.mirrored(), *range(len(category), count)]) for category in kinds}
    return list(orders.pop()) if len(orders) == 1 else None


def _limits(data: Dataset) -> list[str]:
    """What YOLO has one of for all classes, and what Ultralytics does not load."""
    lost = []
    if data.objects and _flip(data) is None:
        lost.append("pairs of left and right, as the classes differ in them and flip_idx is one for all")
    outside = 0
    for item in data.objects:
        size = picture_size(item.image)
        if size is not None:
            outside += int(((item.points < 0) | (item.points > np.array(size))).any(axis=1).sum())
    if outside:
        lost.append(
            f"{outside} points outside their pictures: they are written, but Ultralytics leaves such pictures out"
        )
    return lost


FORM = LabelForm(
    read,
    "Ultralytics YOLO pose data (data.yaml)",
    "train, val or test, parted by commas",
    write=write,
    holds=frozenset({"boxes", "hidden", "pairs", "empty"}),
    also_lost=_limits,
    pictures=folder_of,
    files=label_files,
)
