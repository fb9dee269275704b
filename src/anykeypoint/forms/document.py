"""What the readers share: files opened with a limit, numbers that are numbers, pictures by any of their names.

A reader turns its file into a COCO document in memory (see `Labels`), so that all formats are judged by one reader in
the end, `coco.from_document`. Nothing is written and nothing is fetched.
"""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from ..errors import InputError
from .dataset import leaves_folder

MAX_BYTES = 512 << 20  # of one label file that is not COCO's own
MARGIN = 0.1  # of the longer side: how far a box made from points reaches beyond them
MIN_MARGIN = 4.0  # pixels

NamedPoints = dict[str, tuple[float, float, int]]  # x, y and visibility by name
NamedObject = tuple[int, str, NamedPoints, Sequence[float] | None]  # image id, category, points, box if there is one


@dataclass
class Labels:
    """A COCO document in the making, and what was left out of it by reason."""

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Labels":
        """Those of a document that `load_document` gave; its entries are shared, not copied."""
        return cls(document["images"], document["annotations"], document["categories"])

    def document(self) -> dict[str, list]:
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}

    def add_image(self, name: str, **more: Any) -> int:
        """The id of the picture `name`, listed once."""
        for entry in self._by_name.setdefault(name, []):
            return entry["id"]
        entry = {"id": len(self.images) + 1, "file_name": name} | {k: v for k, v in more.items() if v is not None}
        self.images.append(entry)
        self._by_name[name].append(entry)
        return entry["id"]

    def add_category(self, name: str, keypoints: Sequence[str], skeleton: Iterable[Sequence[int]] = ()) -> int:
        """The id of a new category; `skeleton` counts from 0, which `from_document` cannot take for counting from 1."""
        identity = len(self.categories) + 1
        edges = [[int(a), int(b)] for a, b in skeleton]
        self.categories.append({"id": identity, "name": name, "keypoints": list(keypoints), "skeleton": edges})
        return identity

    def add_object(
        self, image: int, category: int, points: np.ndarray, visibility: np.ndarray, box: Sequence[float] | None = None
    ) -> None:
        """One object: points (K, 2) in image pixels, NaN where absent; visibility (K,). box: x, y, w, h, else made."""
        labelled = visibility > 0
        flat = np.where(labelled[:, None], points, 0.0)
        numbers = np.column_stack([flat, np.where(labelled, visibility, 0)])
        if box is None and labelled.any():
            box = box_round(points[labelled])
        self.annotations.append(
            {
                "id": len(self.annotations) + 1,
                "image_id": image,
                "category_id": category,
                "keypoints": [value for x, y, v in numbers.tolist() for value in (x, y, int(v))],
                "num_keypoints": int(labelled.sum()),
                "bbox": None if box is None else [float(value) for value in box],
                "iscrowd": 0,
            }
        )

    def add_named_objects(self, found: Sequence[NamedObject], orders: Mapping[str, Iterable[str]]) -> None:
        """Objects whose points are known by name, and the categories that they need.

        A category's points are those of `orders`, then others as they appear; a point that an object lacks is absent.
        """
        names = {kind: dict.fromkeys(order) for kind, order in orders.items()}
        for _, kind, points, _ in found:
            names.setdefault(kind, {}).update(dict.fromkeys(points))
        used = {kind for _, kind, _, _ in found}
        ids = {kind: self.add_category(kind, list(order)) for kind, order in names.items() if kind in used}
        for image, kind, points, box in found:
            table = np.array([points.get(name, (0.0, 0.0, 0)) for name in names[kind]], dtype=np.float64).reshape(-1, 3)
            self.add_object(image, ids[kind], table[:, :2], table[:, 2].astype(int), box)

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def __post_init__(self) -> None:
        self._by_name: dict[str, list[dict[str, Any]]] = {}


def box_round(points: np.ndarray) -> tuple[float, float, float, float]:
    """A box for formats that have none: the smallest round points (N, 2), grown on all sides by `MARGIN` of its longer
    side and at least `MIN_MARGIN` pixels. x, y, w, h in the points' frame; it may reach beyond the picture."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(MIN_MARGIN, MARGIN * float((high - low).max()))
    (x, y), (w, h) = low - margin, high - low + 2 * margin
    return float(x), float(y), float(w), float(h)


# --- files ---------------------------------------------------------------------------------------------------------


def read_bytes(path: Path) -> bytes:
    """A label file's bytes; InputError if it cannot be read or is larger than `MAX_BYTES`."""
    try:
        if not path.is_file():
            raise InputError(f"There is no label file {path}; give the file that was exported.")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB; export the labels in several files.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the labels {path}: {error.strerror or error}.") from error


def read_text(path: Path) -> str:
    """`read_bytes` as UTF-8 text."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); export the labels again.") from error


def read_json(path: Path) -> Any:
    """Any JSON value; InputError if it is none."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {str(error).splitlines()[0]}.") from error


def read_table(path: Path) -> list[list[str]]:
    """The rows of a CSV file, empty lines left out; InputError if it has none or cannot be cut into cells."""
    text = read_text(path)
    before = csv.field_size_limit(MAX_BYTES)  # outlines can be long
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV table: {error}.") from error
    finally:
        csv.field_size_limit(before)
    if not rows:
        raise InputError(f"{path} is empty; a CSV table of labels begins with a header line.")
    return rows


def read_xml(path: Path) -> Element:
    """The root of an XML file. A document type is refused: that is where entities, which can grow without end or point
    at other files, are declared."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise InputError(f"{path} declares a document type, which exports of labels do not; remove it.")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(read_bytes(path), True)
        return builder.close()
    except (expat.ExpatError, AssertionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid XML: {error}.") from error


# --- values --------------------------------------------------------------------------------------------------------


def number(value: Any, key: str, where: str) -> float:
    """A finite number from a JSON value or the text of a cell; InputError names `where` and `key`."""
    try:
        found = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{where}, key {key!r}, must be a finite number, but got {str(value)[:40]!r}.")
    return found


def find_picture(images: Path, names: Sequence[str]) -> str:
    """The first of a picture's possible names that is a file under `images`, else the first, which is then missing; ""
    for none, which `from_document` refuses."""
    for name in names:
        if name and not leaves_folder(name) and os.path.isfile(images / name):
            return name
    return names[0] if names else ""
