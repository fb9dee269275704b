"""What the writers of all label forms share: names and sizes of pictures, labels of points, and files on disk."""

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree.ElementTree import Element, indent, tostring

from ..category import Category
from ..errors import InputError
from ..io import check_new_file, check_new_folder, write_bytes, write_folder
from .dataset import Dataset, LabelledObject
from .form import Content
from .pictures import picture_size

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def picture_name(item: LabelledObject, images: Path) -> str:
    """The file name of an object's picture, relative to the folder of the pictures, with forward slashes."""
    return item.image.relative_to(images).as_posix()


def point_labels(category: Category) -> list[str]:
    """The keypoints' labels as the data set has them, or their names where it has none."""
    return [point.label or point.name for point in category.keypoints]


class PictureLabels(NamedTuple):
    """The labels of one picture: its path, its group, and its objects in the order of the data set."""

    path: Path
    group: str | None
    objects: list[LabelledObject]


def by_picture(data: Dataset, images: Path) -> dict[str, PictureLabels]:
    """File name of each picture, relative to the folder `images` -> its labels; pictures without objects come last."""
    pictures: dict[str, PictureLabels] = {}
    for item in data.objects:
        pictures.setdefault(picture_name(item, images), PictureLabels(item.image, item.group, [])).objects.append(item)
    for path in data.empty:
        pictures.setdefault(path.relative_to(images).as_posix(), PictureLabels(path, None, []))
    return pictures


def needed_size(path: Path, why: str) -> tuple[int, int]:
    """(width, height) of a picture in pixels; InputError if it is no readable picture. why: what needs its size."""
    size = picture_size(path)
    if size is None and not path.exists():
        raise InputError(f"{path} is not there, and {why}; put it back, or leave out that picture.")
    if size is None:
        raise InputError(f"{path} is no readable picture, and {why}; mend or leave out that picture.")
    return size


def check_names(data: Dataset, what: str) -> None:
    """InputError where a form that goes by names would mix things up.

    what: the form, as the sentence begins.
    Two categories with objects may share a name only if their points do too; the points of a category may not.
    """
    known: dict[str, Category] = {}
    for category in {item.category_id: item.category for item in data.objects}.values():
        labels = point_labels(category)
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise InputError(f"{what} goes by names, but {category.name!r} has two points {twice[0]!r}; rename one.")
        first = known.setdefault(category.name, category)
        if point_labels(first) != labels:
            raise InputError(
                f"{what} goes by names, but two categories with other points are called {category.name!r}; choose one, "
                "or rename one."
            )


def one_kind(data: Dataset, what: str) -> Category:
    """The category of all objects; InputError for several. what: the form, as the sentence begins."""
    kinds = {item.category_id for item in data.objects}
    if len(kinds) > 1:
        raise InputError(
            f"{what} is for one kind of object, but the data have {len(kinds)}; choose one, as in coco/NAME:FILE."
        )
    return data.objects[0].category


def beside_pictures(names: Iterable[str], suffix: str, what: str) -> dict[str, str]:
    """File name of each picture -> the same name with another suffix, for forms with a label file for each picture.

    what: the form, as the sentence begins. Raises InputError where two pictures would have one label file, and for a
        hidden picture, which nobody who reads the folder finds (see `reading.files_below`).
    """
    places: dict[str, str] = {}
    owners: dict[str, str] = {}  # name of a label file -> its picture
    for name in names:
        place = PurePosixPath(name).with_suffix(suffix).as_posix()
        if any(part.startswith(".") for part in PurePosixPath(name).parts):
            raise InputError(f"{what} is read without hidden files and folders, but {name} is one; rename it.")
        if place in owners:
            raise InputError(f"{what} has one label file for {owners[place]} and {name}, {place}; rename one of them.")
        owners[place] = name
        places[name] = place
    return places


def check_free(content: Content, out: Path, overwrite: bool = False) -> None:
    """InputError where something is there already that `save` would not replace; the arguments are those of `save`."""
    if isinstance(content, str):
        check_new_file(out, overwrite)
    else:
        check_new_folder(out)


def save(content: Content, out: Path, overwrite: bool = False) -> None:
    """Write what a writer gave, whole or not at all.

    out: the file, or the new folder for a form that is a folder.
    overwrite: replace a file that is there. A folder with something in it is never replaced.
    Raises InputError where something is there already, and where it cannot be written.
    """
    check_free(content, out, overwrite)
    if isinstance(content, str):
        write_bytes(out, encoded(content))
    else:
        write_folder(out, {name: encoded(one) if isinstance(one, str) else one for name, one in content.items()})


def encoded(text: str) -> bytes:
    """A text in UTF-8; bytes of file names that are not UTF-8 come back as they were, in JSON as its own \\udcXX."""
    is_json = text.lstrip()[:1] in ("{", "[")
    return text.encode("utf-8", "backslashreplace" if is_json else "surrogateescape")


def xml_text(root: Element) -> str:
    """The XML text of an element with its declaration, a line for each element; the element is indented in place.

    Raises InputError for characters that XML does not have.
    """
    indent(root)
    text = "<?xml version='1.0' encoding='UTF-8'?>\n" + tostring(root, encoding="unicode") + "\n"
    if odd := _NOT_XML.search(text):
        raise InputError(f"XML cannot hold the character {odd.group()!r} of {text[odd.start() - 20 : odd.end()]!r}.")
    return text


def json_text(value: object) -> str:
    """The JSON text of a value on one line, with a line end; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
