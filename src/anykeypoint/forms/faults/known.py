"""Faults of public data sets that everybody meets, told where the data at hand have them.

Each check looks at a COCO document and the folder of its pictures and gives a sentence, or nothing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ...category import plain_text
from ..deepfashion2 import GARMENTS
from .fault import CategoryCounts, Fault

VEHICLES = ("bus", "car", "suv")
INSECTS = ("fly", "locust")
MOSTLY = 0.5  # share of missing pictures from which a whole source is taken to be misplaced


def known_faults(document: Mapping[str, list], images: Path, sums: Mapping[Any, CategoryCounts]) -> list[Fault]:
    """Those that the data at hand have, one `Fault` for each."""
    found = []
    for kind, total in sums.items():
        for text in _of_category(kind, sums, document, images):
            found.append(Fault("known fault", total.name, f"category {kind}", text))
    return found


def _of_category(
    kind: Any, sums: Mapping[Any, CategoryCounts], document: Mapping[str, list], images: Path
) -> Iterator[str]:
    total = sums[kind]
    name, gone = plain_text(total.name), len(total.missing) > MOSTLY * len(total.images)
    if name in VEHICLES and gone and total.images:
        yield (
            "CarFusion: MP-100 names these pictures by ids of a conversion to COCO that users do not get again; "
            "`data prepare mp100` finds them by their labels"
        )
    if name in INSECTS and gone and total.images:
        books = sorted(path.name for path in images.rglob("*.h5")) if images.is_dir() else []
        have = f" ({books[0]} is here)" if books else ""
        yield (
            f"the source gives its pictures as one .h5 file{have}, and the numbers that name them here are no places "
            "in it; `data prepare mp100` finds them by their labels and writes them out"
        )
    if name in ("hand", "human hand"):
        yield from _hands(kind, document)
    if name == "face" and total.points in (19, 68):
        source = "AFLW, in the folder amur_tiger_body" if total.points == 19 else "300W, in the folder human_face"
        if sum(plain_text(other.name) == "face" for other in sums.values()) > 1:
            yield f"MP-100 calls two categories 'face'; this one, of {total.points} points, is from {source}"
    if _garment(name):
        names = [PurePosixPath(e["file_name"]).name for e in _images(document, total.images)]
        if len(set(names)) < len(names):
            yield (
                f"DeepFashion2: {len(names) - len(set(names))} file names are in more than one of its parts (train, "
                "validation, test); keep the parts in folders of their own"
            )


def _hands(kind: Any, document: Mapping[str, list]) -> Iterator[str]:
    """MP-100's points on hands do not fit the pictures of OneHand10K as they are given out now."""
    sizes = {e.get("id"): (e.get("width"), e.get("height")) for e in document["images"] if isinstance(e, dict)}
    off = count = 0
    for entry in document["annotations"]:
        if not isinstance(entry, dict) or entry.get("category_id") != kind:
            continue
        width, height = sizes.get(entry.get("image_id"), (None, None))
        values = entry.get("keypoints")
        if not (isinstance(values, list) and type(width) is int and type(height) is int):
            continue
        rows = [values[i : i + 3] for i in range(0, len(values) - 2, 3)]
        places = [row[:2] for row in rows if all(type(v) in (int, float) for v in row) and row[2] > 0]
        count += 1
        off += any(not (0 <= x <= width and 0 <= y <= height) for x, y in places)
    if off:
        yield (
            f"OneHand10K: {off} of {count} hands have points outside their picture; MP-100's labels of hands do not "
            "fit the pictures as they are given out, so leave the category out"
        )


def _images(document: Mapping[str, list], ids: set[Any]) -> list[dict[str, Any]]:
    entries = [entry for entry in document["images"] if isinstance(entry, dict) and entry.get("id") in ids]
    return [entry for entry in entries if isinstance(entry.get("file_name"), str)]


def _garment(name: str) -> bool:
    return name in {plain_text(garment) for garment in GARMENTS}
