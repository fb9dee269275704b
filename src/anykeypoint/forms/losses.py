"""What labels can have beside pictures, points and their names, and what of it a label form has no room for.

Each form declares in its `LabelForm` which `DETAILS` it holds; what a data set has of all others is lost when it is
written in that form. `data convert` says so, and `data convert --dry-run` says so before anything is written.
"""

from collections.abc import Callable

import numpy as np

from ..category import Category
from .areas import box_area
from .dataset import Dataset
from .form import LabelForm
from .walk import own_category
from .writing import point_labels


def lost(data: Dataset, form: LabelForm) -> list[str]:
    """A phrase for each thing that the data have and the form cannot hold; empty if all of it is kept."""
    phrases = [phrase(data) for detail, phrase in DETAILS.items() if detail not in form.holds]
    own = [] if form.also_lost is None else form.also_lost(data)
    return [text for text in [*phrases, *own, _listed(data)] if text]


# --- one function for each detail: the phrase about what a data set has of it, "" where it has none ------------------


def _boxes(data: Dataset) -> str:
    return "boxes" if data.objects else ""


def _hidden(data: Dataset) -> str:
    return _counted(sum(int((item.visibility == 1).sum()) for item in data.objects), "that {} points are hidden")


def _outlines(data: Dataset) -> str:
    return _counted(sum(bool(item.segmentation) for item in data.objects), "{} outlines")


def _areas(data: Dataset) -> str:
    """Areas that are not those of the boxes, which every reader can count again."""
    own = [item for item in data.objects if item.area is not None and item.area != box_area(item.box)]
    return _counted(len(own), "{} areas")


def _skeletons(data: Dataset) -> str:
    return "skeletons" if any(item.category.skeleton for item in data.objects) else ""


def _pairs(data: Dataset) -> str:
    """Pairs of left and right that a reader of the names would not give."""
    odd = any(kind.pairs != _read_again(kind).pairs for kind in _kinds(data))
    return "pairs of left and right that the names do not tell" if odd else ""


def _alone(data: Dataset) -> str:
    """Points that have a side and no partner on purpose, where a reader of the names would not know it."""
    lone = [{*kind.alone} & {*kind.unpaired} - {*_read_again(kind).alone} for kind in _kinds(data)]
    return _counted(sum(map(len, lone)), "that {} points have no other side on purpose")


def _descriptions(data: Dataset) -> str:
    """Descriptions of points that a reader of the names would not have from the library."""
    odd = [
        sum(a.description != b.description for a, b in zip(kind.keypoints, _read_again(kind).keypoints, strict=True))
        for kind in _kinds(data)
    ]
    return _counted(sum(odd), "the descriptions of {} points")


def _kinds(data: Dataset) -> list[Category]:
    return list({item.category_id: item.category for item in data.objects}.values())


def _read_again(kind: Category) -> Category:
    """What a reader makes of a category's name and labels."""
    return own_category(kind.name, point_labels(kind), ())


def _groups(data: Dataset) -> str:
    count = len({item.group for item in data.objects} - {None})
    return _counted(count, "{} groups (videos, persons or sessions of pictures)")


def _ids(data: Dataset) -> str:
    """Ids other than the count of the objects and of the categories, which readers give anew."""
    objects = [item.id for item in data.objects] != list(range(1, len(data.objects) + 1))
    kinds = list(data.categories) != list(range(1, len(data.categories) + 1))
    return "the objects' ids" if objects else "the categories' ids" if kinds else ""


def _confidences(data: Dataset) -> str:
    known = [item.confidence for item in data.objects if item.confidence is not None]
    return _counted(sum(int(np.isfinite(values).sum()) for values in known), "the confidences of {} points")


def _scores(data: Dataset) -> str:
    return _counted(sum(item.score is not None for item in data.objects), "the scores of {} objects")


def _detections(data: Dataset) -> str:
    return _counted(sum(item.box_score is not None for item in data.objects), "what the detector said of {} boxes")


def _scales(data: Dataset) -> str:
    return _counted(sum(item.scale is not None for item in data.objects), "the scales of {} objects")


def _empty(data: Dataset) -> str:
    return _counted(len(data.empty), "{} pictures without objects")


def _listed(data: Dataset) -> str:
    """Pairs of objects that a benchmark lists, which no written form has room for."""
    return _counted(len(data.pairs), "{} pairs that the data set lists")


def _counted(count: int, phrase: str) -> str:
    return phrase.format(count) if count else ""


DETAILS: dict[str, Callable[[Dataset], str]] = {
    "boxes": _boxes,
    "hidden": _hidden,
    "outlines": _outlines,
    "areas": _areas,
    "skeletons": _skeletons,
    "pairs": _pairs,
    "alone": _alone,
    "descriptions": _descriptions,
    "groups": _groups,
    "ids": _ids,
    "confidences": _confidences,
    "scores": _scores,
    "detections": _detections,
    "scales": _scales,
    "empty": _empty,
}
ALL = frozenset(DETAILS)
