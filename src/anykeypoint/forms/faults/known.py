"""Faults that public data sets are known for: each is reported where the labels at hand have it."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ...category import plain_text
from ..deepfashion2 import GARMENTS
from .fault import CategoryCounts, Fault

VEHICLES = ("bus", "car", "suv")  # MP-100's categories from CarFusion
INSECTS = ("fly", "locust")  # MP-100's categories whose pictures come in .h5 files
MOSTLY = 0.5  # share of missing pictures above which a whole source counts as missing


def known_faults(document: Mapping[str, list], images: Path, counts: Mapping[Any, CategoryCounts]) -> list[Fault]:
    """The known faults of the labels at hand.

    document: the COCO document.
    images: the folder of its pictures.
    counts: by the id of the category.
    """
    return [
        Fault("known fault", counted.name, f"category {kind}", text)
        for kind, counted in counts.items()
        for text in _of_category(kind, counts, document, images)
    ]


def _of_category(
    kind: Any, counts: Mapping[Any, CategoryCounts], document: Mapping[str, list], images: Path
) -> Iterator[str]:
    """A sentence for each known fault of one category. kind: its id."""
    counted = counts[kind]
    name, gone = plain_text(counted.name), len(counted.missing) > MOSTLY * len(counted.images)
    if name in VEHICLES and gone and counted.images:
        yield (
            "CarFusion: MP-100 names these pictures by ids of a conversion to COCO that users do not get again; "
            "`data prepare mp100` finds them by their labels"
        )
    if name in INSECTS and gone and counted.images:
        archives = sorted(path.name for path in images.rglob("*.h5")) if images.is_dir() else []
        have = f" ({archives[0]} is here)" if archives else ""
        yield (
            f"the source gives its pictures as one .h5 file{have}, and the numbers that name them here are no places "
            "in it; `data prepare mp100` finds them by their labels and writes them out"
        )
    if name in ("hand", "human hand"):
        yield from _hands(kind, document)
    if name == "face" and counted.points in (19, 68):
        source = "AFLW, in the folder amur_tiger_body" if counted.points == 19 else "300W, in the folder human_face"
        if sum(plain_text(other.name) == "face" for other in counts.values()) > 1:
            yield f"MP-100 calls two categories 'face'; this one, of {counted.points} points, is from {source}"
    if _garment(name):
        names = [PurePosixPath(e["file_name"]).name for e in _images(document, counted.images)]
        if len(set(names)) < len(names):
            yield (
                f"DeepFashion2: {len(names) - len(set(names))} file names are in more than one of its parts (train, "
                "validation, test); keep the parts in folders of their own"
            )


def _hands(kind: Any, document: Mapping[str, list]) -> Iterator[str]:
    """A sentence if points of hands lie outside their pictures: MP-100's do not fit OneHand10K as published now."""
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
    """The entries of pictures with these ids and a file name."""
    entries = [entry for entry in document["images"] if isinstance(entry, dict) and entry.get("id") in ids]
    return [entry for entry in entries if isinstance(entry.get("file_name"), str)]


def _garment(name: str) -> bool:
    """Whether a category, in plain text, is a kind of garment of DeepFashion2."""
    return name in {plain_text(garment) for garment in GARMENTS}
