"""Poses as files: COCO keypoints JSON, a tidy CSV table, and our own JSON, which keeps everything.

The writers need no more than the plain fields of `PoseFields`. Files are whole or not there at all (`io.write_bytes`),
and both kinds of JSON state their schema version.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..density import Density
from ..errors import InputError
from ..geometry import Box
from ..io import write_bytes
from .areas import box_area
from .skeletons import with_base, written_edges

# Version of both kinds of JSON; files of version 0.1.0 state none. Since version 2 they have the presence of points and
# the places of those that are not present.
SCHEMA_VERSION = 2
SCHEMA = "anykeypoint.poses"  # what the `info` of a COCO file calls its schema

CSV_COLUMNS = ("image", "object", "category", "keypoint", "x", "y", "confidence", "present")
BOX_COLUMNS = ("box_x", "box_y", "box_w", "box_h", "box_score", "box_word")  # follow; older tables may lack them
PRESENCE = "presence"  # the last column; older tables may lack it


class TableFields(Protocol):
    """What `csv_text` writes of an object: plain fields, as `anykeypoint.Pose` describes them."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def xy(self) -> np.ndarray: ...

    @property
    def confidence(self) -> np.ndarray: ...

    @property
    def present(self) -> np.ndarray: ...

    @property
    def presence(self) -> np.ndarray: ...

    @property
    def category(self) -> str: ...

    @property
    def image(self) -> str: ...

    @property
    def box(self) -> Box | None: ...

    @property
    def box_score(self) -> float | None: ...

    @property
    def box_word(self) -> str: ...


class PoseFields(TableFields, Protocol):
    """What a pose must have to be written or drawn: plain fields, as `anykeypoint.Pose` describes them."""

    @property
    def image_size(self) -> tuple[int, int]: ...

    @property
    def skeleton(self) -> Sequence[tuple[int, int]]: ...

    @property
    def density(self) -> Mapping[str, Density] | None: ...

    @property
    def keys(self) -> list[str]: ...

    def __len__(self) -> int: ...

    def to_dict(self) -> dict[str, Any]: ...


def coco_annotation(
    pose: PoseFields, image_id: int = 1, annotation_id: int = 1, category_id: int = 1
) -> dict[str, Any]:
    """One annotation of COCO's keypoint format, with these keys:

    keypoints: x, y, v of each point, with v = 2 for present points and 0, 0, 0 for the others.
    keypoints_all: the same with the places of points that are not present, whose v is 1; 0, 0, 0 for a point that has
        no place, as it could not be asked for. Like the next two not a key of COCO's own.
    keypoint_presence: presence of each point, null where unknown.
    keypoint_confidence: confidence of each point, null where unknown.
    bbox, area: the pose's box, or the whole picture if it has none, in image pixels, and its area.
    score: mean confidence of the present points, 0 if there are none; left out if one of them is unknown, as CVAT
        refuses a score that is null.
    segmentation: an empty list, which CVAT requires.
    box_score, box_word: of the detector that found the box; left out where there was none.

    image_id, annotation_id, category_id: the ids to give it.
    """
    box = pose.box or (0.0, 0.0, float(pose.image_size[0]), float(pose.image_size[1]))
    keypoints: list[float] = []
    every: list[float] = []
    for (x, y), present in zip(pose.xy.tolist(), pose.present.tolist(), strict=True):
        keypoints += [x, y, 2] if present else [0, 0, 0]
        every += [0, 0, 0] if np.isnan(x) else [x, y, 2 if present else 1]
    known = pose.confidence[pose.present]
    scored = {} if np.isnan(known).any() else {"score": float(known.mean()) if len(known) else 0.0}
    detected = {} if pose.box_score is None else {"box_score": pose.box_score, "box_word": pose.box_word}
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "keypoints": keypoints,
        "keypoints_all": every,
        "keypoint_presence": _nulls(pose.presence),
        "keypoint_confidence": _nulls(pose.confidence),
        "num_keypoints": len(known),
        "bbox": list(box),
        "area": box_area(box),
        "segmentation": [],
        "iscrowd": 0,
        **scored,
        **detected,
    }


def coco_document(
    poses: Iterable[PoseFields],
    image_ids: Mapping[str, int] | None = None,
    category_id: int | None = None,
    model: str = "",
) -> dict[str, Any]:
    """A whole COCO keypoints document, with each picture and each category once.

    image_ids: file name -> id, of every picture; None counts from 1 in the order of their first pose.
    category_id: the id of the one category; None counts from 1 likewise.
    model: the name of the model whose answers they are; "" leaves it out.
    File names are the poses' `image`, and skeletons count from 1. `info` states that, the schema and its version, and
    the model.
    Raises InputError if a pose has no file name, or two poses disagree on a picture's size or a category's keypoints.
    """
    images: dict[str, dict[str, Any]] = {}
    categories: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for pose in poses:
        if not pose.image:
            raise InputError("A pose must know its picture's file name to be written as COCO; set its image.")
        name = pose.category or "object"
        number = len(images) + 1 if image_ids is None else image_ids[pose.image]
        image = {"id": number, "file_name": pose.image, "width": pose.image_size[0]}
        image["height"] = pose.image_size[1]
        kind = len(categories) + 1 if category_id is None else category_id
        category = {"id": kind, "name": name, "supercategory": "", "keypoints": list(pose.names)}
        category["skeleton"] = written_edges(pose.skeleton)
        image = _same(images, pose.image, image, "picture", "sizes")
        category = _same(categories, name, category, "category", "keypoints or skeletons")
        annotations.append(coco_annotation(pose, image["id"], len(annotations) + 1, category["id"]))
    return {
        "info": with_base({"schema": SCHEMA, "schema_version": SCHEMA_VERSION} | ({"model": model} if model else {})),
        "images": list(images.values()),
        "annotations": annotations,
        "categories": list(categories.values()),
    }


def csv_text(poses: Iterable[TableFields]) -> str:
    """A tidy table with one line per keypoint under a header line.

    The columns are image, object (1, 2, ... within its picture), category, keypoint, x and y in image pixels,
    confidence, present (true or false), on every line of an object its box in image pixels, with the detector's score
    and word if one found it, and presence. A point that is not present has its place all the same; x and y are empty
    where there is none. Confidence and presence are empty where unknown, the box where it is the whole picture. Numbers
    have all the digits needed to read them back.
    """
    counts: dict[str, int] = {}
    lines = _Lines()
    # With this line end the writer quotes a cell that holds either of its two characters; _Lines drops the end itself.
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow((*CSV_COLUMNS, *BOX_COLUMNS, PRESENCE))
    for pose in poses:
        counts[pose.image] = counts.get(pose.image, 0) + 1
        start = [pose.image, counts[pose.image], pose.category]
        box = [""] * 4 if pose.box is None else [*pose.box]
        box += ["", ""] if pose.box_score is None else [pose.box_score, pose.box_word]
        points = (pose.names, pose.xy, pose.confidence, pose.present.tolist(), pose.presence)
        for name, xy, confidence, present, presence in zip(*points, strict=True):
            known = np.isfinite(xy).all()
            *numbers, last = [float(one) if known and np.isfinite(one) else "" for one in (*xy, confidence, presence)]
            writer.writerow([*start, name, *numbers, "true" if present else "false", *box, last])
    return "\n".join([*lines, ""])


def write_coco(
    poses: Iterable[PoseFields],
    path: str | Path,
    image_ids: Mapping[str, int] | None = None,
    category_id: int | None = None,
    model: str = "",
) -> None:
    """Write `coco_document` as JSON. Raises InputError where it does, and if the file cannot be written."""
    write_bytes(path, _json(coco_document(poses, image_ids, category_id, model)))


def write_csv(poses: Iterable[PoseFields], path: str | Path) -> None:
    """Write `csv_text` in UTF-8. Raises InputError if the file cannot be written."""
    # "surrogateescape" keeps the bytes of file names that are not UTF-8.
    write_bytes(path, csv_text(poses).encode("utf-8", "surrogateescape"))


def write_json(poses: Iterable[PoseFields], path: str | Path) -> None:
    """Write all that the poses hold, densities too; `poses.read_json` reads it.

    The file is a list with `Pose.to_dict` and the key `schema_version` for each. Raises InputError if it cannot be
    written.
    """
    write_bytes(path, _json([{"schema_version": SCHEMA_VERSION, **pose.to_dict()} for pose in poses]))


class _Lines(list[str]):
    """The file that a csv.writer writes to: it collects lines without their \\r\\n."""

    def write(self, line: str) -> None:
        self.append(line[:-2])


def _same(known: dict[str, dict[str, Any]], key: str, item: dict[str, Any], what: str, field: str) -> dict[str, Any]:
    """The entry known by a key, or this one if it is the first; InputError if they differ in more than the id.

    what, field: what the entry is, and what differs, as the error says it.
    """
    first = known.setdefault(key, item)
    if {**first, "id": 0} != {**item, "id": 0}:
        raise InputError(f"Two poses give the {what} {key!r} different {field}; write them to two files.")
    return first


def _nulls(values: np.ndarray) -> list[float | None]:
    """The values with None for NaN."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def _json(value: Any) -> bytes:
    # A file name that is not UTF-8 holds lone surrogates; "backslashreplace" spells them as JSON's own \udcXX.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
