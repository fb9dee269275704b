"""Poses as files: COCO keypoints JSON, a tidy CSV table, and our own JSON, which keeps everything.

Every file is written beside its place under a temporary name and then moved there, so a reader never meets half a
file and a failed write leaves the old one as it was.
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

CSV_COLUMNS = ("image", "object", "category", "keypoint", "x", "y", "confidence", "present")
DETECTION_COLUMNS = ("box_x", "box_y", "box_w", "box_h", "box_score", "box_word")  # behind those, where there are any


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
    """One annotation of COCO's keypoint format.

    keypoints: [x, y, v] each, v = 2 for present points and 0, 0, 0 for absent ones, as COCO has it.
    keypoint_confidence: what COCO has no room for; null where absent or unknown.
    bbox: the pose's box, the whole picture if it has none. area is the bbox's.
    score: the mean confidence of the present points, 0 if there are none; null if one of them is unknown.
    box_score, box_word: of the detector that found the box; left out where there was none.
    """
    box = pose.box or (0.0, 0.0, float(pose.image_size[0]), float(pose.image_size[1]))
    keypoints: list[float] = []
    for (x, y), present in zip(pose.xy.tolist(), pose.present.tolist(), strict=True):
        keypoints += [x, y, 2] if present else [0, 0, 0]
    there = pose.confidence[pose.present]
    detected = {} if pose.box_score is None else {"box_score": pose.box_score, "box_word": pose.box_word}
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "keypoints": keypoints,
        "keypoint_confidence": [None if np.isnan(value) else value for value in pose.confidence.tolist()],
        "num_keypoints": len(there),
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
        "score": None if np.isnan(there).any() else float(there.mean()) if len(there) else 0.0,
        **detected,
    }


def coco_document(poses: Iterable[PoseFields]) -> dict[str, Any]:
    """A whole COCO keypoints document: images, annotations and categories, each once, ids from 1 in order of meeting.

    file_name is the pose's `image`; skeletons are 1-based, as COCO has them. Raises InputError if a pose has no file
    name, or two poses disagree on a picture's size or a category's keypoints.
    """
    images: dict[str, dict[str, Any]] = {}
    categories: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for pose in poses:
        if not pose.image:
            raise InputError("A pose must know its picture's file name to be written as COCO; set its image.")
        name = pose.category or "object"
        image = {"id": len(images) + 1, "file_name": pose.image, "width": pose.image_size[0]}
        image["height"] = pose.image_size[1]
        category = {"id": len(categories) + 1, "name": name, "supercategory": "", "keypoints": list(pose.names)}
        category["skeleton"] = [[a + 1, b + 1] for a, b in pose.skeleton]
        image = _same(images, pose.image, image, "picture", "sizes")
        category = _same(categories, name, category, "category", "keypoints or skeletons")
        annotations.append(coco_annotation(pose, image["id"], len(annotations) + 1, category["id"]))
    return {"images": list(images.values()), "annotations": annotations, "categories": list(categories.values())}


def csv_text(poses: Iterable[TableFields]) -> str:
    """A tidy table: one line per keypoint under a header line.

    image, object (1, 2, ... within its picture), category, keypoint, x, y (image pixels), confidence, present (true
    or false); x, y and confidence are empty where absent, confidence where unknown. Numbers have all the digits needed
    to read them back. If a detector found some of the boxes, DETECTION_COLUMNS follow on every line: the box in image
    pixels, the detector's score and the word; empty for poses that it did not find.
    """
    poses = list(poses)
    detected = any(pose.box_score is not None for pose in poses)
    counts: dict[str, int] = {}
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\r\n")  # makes the writer quote both of them inside a cell
    writer.writerow((*CSV_COLUMNS, *DETECTION_COLUMNS) if detected else CSV_COLUMNS)
    for pose in poses:
        counts[pose.image] = counts.get(pose.image, 0) + 1
        start = [pose.image, counts[pose.image], pose.category]
        found = [""] * len(DETECTION_COLUMNS) if detected else []
        if pose.box is not None and pose.box_score is not None:
            found = [*pose.box, pose.box_score, pose.box_word]
        for name, xy, confidence, present in zip(
            pose.names, pose.xy.tolist(), pose.confidence.tolist(), pose.present.tolist(), strict=True
        ):
            sure = "" if np.isnan(confidence) else confidence
            numbers = [*xy, sure, "true"] if present else ["", "", "", "false"]
            writer.writerow([*start, name, *numbers, *found])
    return "\n".join([*lines, ""])


def without_detections(rows: list[list[str]]) -> list[list[str]]:
    """The rows of a CSV table as they would be without DETECTION_COLUMNS; as they are where they have none."""
    if not rows or tuple(rows[0]) != (*CSV_COLUMNS, *DETECTION_COLUMNS):
        return rows
    return [row[: len(CSV_COLUMNS)] if len(row) == len(rows[0]) else row for row in rows]


def write_coco(poses: Iterable[PoseFields], path: str | Path) -> None:
    """Write `coco_document` as JSON. Raises InputError as it does, and if the file cannot be written."""
    write_bytes(path, _json(coco_document(poses)))


def write_csv(poses: Iterable[PoseFields], path: str | Path) -> None:
    """Write `csv_text` in UTF-8. Raises InputError if the file cannot be written."""
    write_bytes(path, csv_text(poses).encode("utf-8", "surrogateescape"))  # file names keep their bytes


def write_json(poses: Iterable[PoseFields], path: str | Path) -> None:
    """Write everything the poses hold, densities too: a list of `Pose.to_dict`. Raises InputError as `write_csv`."""
    write_bytes(path, _json([pose.to_dict() for pose in poses]))


class _Lines(list[str]):
    """What a csv.writer writes to: lines without their \\r\\n."""

    def write(self, line: str) -> None:
        self.append(line[:-2])


def _same(known: dict[str, dict[str, Any]], key: str, item: dict[str, Any], what: str, field: str) -> dict[str, Any]:
    """The item already known by that key, or this one; they must agree in all but the id."""
    first = known.setdefault(key, item)
    if {**first, "id": 0} != {**item, "id": 0}:
        raise InputError(f"Two poses give the {what} {key!r} different {field}; write them to two files.")
    return first


def _json(value: Any) -> bytes:
    # A file name that is not UTF-8 holds lone surrogates; "backslashreplace" spells them as JSON's own \udcXX.
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
