"""What an annotation of Label Studio says of one picture: its objects, from regions and from results about regions.

A keypoint belongs to the rectangle that its `parentID` names or that a relation joins it to, otherwise to the only
rectangle it lies in. In a picture without rectangles, keypoints that relations join are an object, and all others are
one. A choice, and a label of the control tag Labels, are results of their own with the id of the region they are about.
A task with several pictures says with `to_name`, or with `item_index` where one tag goes through a list of pages, which
picture a region was drawn on.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple

from ..errors import InputError
from ..geometry import turned_hull
from ..images import SUFFIXES
from .document import Answer, Labels, NamedPoints
from .hidden import HIDDEN_WORDS, plain_word
from .point_names import check_spellings
from .reading import number, plain_number
from .tying import holding

PICTURE = re.compile(rf"({'|'.join(map(re.escape, (*SUFFIXES, '.gif')))})([?#].*)?$", re.IGNORECASE)

# Words of choices and notes, in plain lower case -> the visibility that they give to a point.
VISIBILITY = {
    **dict.fromkeys(HIDDEN_WORDS, 1),
    **dict.fromkeys(("visible", "clear", "not occluded", "not hidden"), 2),
    **dict.fromkeys(("absent", "not labelled", "not labeled", "missing", "outside", "out of frame"), 0),
}

RECTANGLES, POINTS = ("rectanglelabels", "rectangle"), ("keypointlabels", "keypoint")  # types of regions that are read
ABOUT = ("labels", "choices", "relation")  # types of results about regions

SIZE = ("original_width", "original_height")  # what regions state of their picture, in pixels

Region = dict[str, Any]  # a result of an annotation


class Object(NamedTuple):
    """An object of a picture: its category, points by name, x, y, w, h in image pixels, and a model's answer."""

    category: str
    points: NamedPoints
    box: list[float] | None
    answer: Answer | None


def objects_of(
    regions: Sequence[Region],
    loose: str,
    labels: Labels,
    where: str,
    answered: bool = False,
    size: tuple[int, int] | None = None,
) -> list[Object]:
    """The objects of a picture.

    regions: those that were drawn on it, and the results about them.
    loose: the category of objects without a labelled rectangle.
    labels: counts regions that are left out, and collects faults; an object with one is left out.
    where: the task, named in faults.
    answered: a model gave them, so that their scores are its confidences.
    size: (width, height) of the upright picture in pixels, which places are percentages of; None takes what each
        region states, as does a region that was drawn on the picture lying on its side.
    """
    # With the control tag Labels, the label of a plain rectangle or point is a result of its own with the same id.
    named = {
        str(region.get("id")): region["value"]
        for region in regions
        if region.get("type") == "labels" and isinstance(region.get("value"), dict)
    }
    picture = _Picture(
        loose, labels, where, named, chosen_visibility(regions, labels), related(regions), answered, size
    )
    for region in regions:
        if region.get("type") in RECTANGLES:
            picture.add_rectangle(region)
        elif region.get("type") not in (*POINTS, *ABOUT):
            labels.leave_out(f"{region.get('type')} regions")
    for region in regions:
        if region.get("type") in POINTS:
            picture.add_point(region)
    return picture.objects()


@dataclass
class _Picture:
    """The rectangles and points of a picture so far.

    loose, labels, where: as in `objects_of`.
    named: id of a region -> the `value` of the result that labels it.
    chosen: id of a region -> the visibility that choices give it.
    joined: id of a region -> ids of the regions that relations join it to.
    answered, size: as in `objects_of`.
    boxes: id of a rectangle -> its label, and x, y, w, h in image pixels.
    points: id of a rectangle, of one of several joined points, or "" -> points of the object.
    bad: keys of `boxes` and `points` with a fault; their objects are left out.
    scores: key of `boxes` -> score of the rectangle.
    sure: key of `points` -> scores of the points by name.
    """

    loose: str
    labels: Labels
    where: str
    named: dict[str, dict[str, Any]]
    chosen: dict[str, int]
    joined: dict[str, set[str]]
    answered: bool
    size: tuple[int, int] | None
    boxes: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    points: dict[str, NamedPoints] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    scores: dict[str, float] = field(default_factory=dict)
    sure: dict[str, dict[str, float]] = field(default_factory=dict)

    def objects(self) -> list[Object]:
        """The objects without a fault; rectangles without points are counted."""
        for _ in set(self.boxes) - set(self.points) - self.bad:
            self.labels.leave_out("rectangles without points")
        objects = []
        for key, points in self.points.items():
            if key in self.bad:
                continue
            with self.labels.catching():
                check_spellings(points, f"{self.where}, object {key!r}," if key else self.where)
                kind, box = self.boxes.get(key, (self.loose, None))
                answer = Answer(self.scores.get(key), self.sure.get(key, {})) if self.answered else None
                objects.append(Object(kind, points, box, answer))
        return objects

    def add_rectangle(self, region: Region) -> None:
        """Add a rectangle; of a turned one the upright box round it, which is noted."""
        identity = str(region.get("id"))
        self.bad.add(identity)  # until it is sure to be good
        with self.labels.catching():
            value, wide, high, at = self._value(region)
            label = _label(value, "rectanglelabels", at) if "rectanglelabels" in value else self.loose
            if label == self.loose and identity in self.named:
                label = _label(self.named[identity], "labels", at)
            x, y, w, h = (number(value.get(key), key, at) for key in ("x", "y", "width", "height"))
            if min(w, h) < 0 or max(w, h) <= 0:
                raise InputError(f"{at} is a rectangle of {w:g} x {h:g} percent; it must have a longer side.")
            box = (x * wide / 100, y * high / 100, w * wide / 100, h * high / 100)
            if degrees := number(value.get("rotation") or 0, "rotation", at):
                box = turned_hull(box, degrees, box[:2])  # Label Studio turns a rectangle about its first corner
                self.labels.notes.append(f"{at} is turned by {degrees:g} degrees; the upright box round it was taken.")
            self.boxes[identity] = (label, list(box))
            if isfinite(score := plain_number(region.get("score"))):
                self.scores[identity] = score
            self.bad.discard(identity)

    def add_point(self, region: Region) -> None:
        """Add a point to the object it belongs to; the object has a fault where the point has one."""
        owner = self._owner(region)
        if owner in self.bad:
            return  # its fault is a sentence already
        value = region.get("value")
        if isinstance(value, dict) and value.get("x") is None and value.get("y") is None:
            self.labels.leave_out("points without a place")
            return
        with self.labels.catching():
            try:
                value, wide, high, at = self._value(region)
                x, y = number(value.get("x"), "x", at) * wide / 100, number(value.get("y"), "y", at) * high / 100
                if owner is None:
                    owner = self._rectangle_round(x, y, at)
                own = self.named.get(str(region.get("id")), {}) if "keypointlabels" not in value else {}
                name = _label(own, "labels", at) if own else _label(value, "keypointlabels", at)
                points = self.points.setdefault(owner, {})
                if name in points:
                    raise InputError(
                        f"{at} is the second point {name!r} of one object; draw a rectangle round each object."
                    )
            except InputError:
                if owner is not None:
                    self.bad.add(owner)
                raise
            points[name] = (x, y, self._visibility(region))
            if isfinite(score := plain_number(region.get("score"))):
                self.sure.setdefault(owner, {})[name] = score

    def _owner(self, region: Region) -> str | None:
        """The key of the object that a point says it belongs to; None where only its place can tell."""
        identity, parent = str(region.get("id")), str(region.get("parentID") or "")
        rectangles = {*self.boxes, *self.bad}
        if parent and parent in rectangles:
            return parent
        others = sorted(self.joined.get(identity, {identity}))
        here = [other for other in others if other in rectangles]
        if len(here) == 1:
            return here[0]
        if rectangles - {""}:
            return None
        return others[0] if len(others) > 1 else ""

    def _visibility(self, region: Region) -> int:
        """COCO's visibility of a point: what its choices say, then what its notes say, otherwise visible."""
        if (chosen := self.chosen.get(str(region.get("id")))) is not None:
            return chosen
        meta = region.get("meta")
        notes = meta.get("text") if isinstance(meta, dict) else ()
        notes = [notes] if isinstance(notes, str) else notes  # as scripts write one
        said = [visibility_of(note) for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
        return next((visibility for visibility in said if visibility is not None), 2)

    def _rectangle_round(self, x: float, y: float, at: str) -> str:
        """The id of the rectangle that a point in the image pixel (x, y) lies in. at: the region, named in errors."""
        keys = list(self.boxes)
        inside = holding([box for _, box in self.boxes.values()], x, y)
        if len(inside) == 1:
            return keys[inside[0]]
        if len(keys) == 1 and not self.bad - set(keys):  # a rectangle with a fault might be the point's
            return keys[0]
        raise InputError(
            f"{at} has no parentID and lies in {len(inside) or 'none'} of the picture's {len(self.boxes)} rectangles, "
            "so it is not said whose it is; make it a child of its rectangle."
        )

    def _value(self, region: Region) -> tuple[dict, float, float, str]:
        """A region's value, width and height of its picture in pixels, and its name for errors."""
        at = f"{self.where}, region {region.get('id')!r}"
        value = region.get("value")
        if not isinstance(value, dict):
            raise InputError(f"{at}, key 'value', must be a JSON object, but got {str(value)[:40]!r}.")
        if region.get("image_rotation"):
            raise InputError(
                f"{at} was drawn on the picture turned by {str(region['image_rotation'])[:9]}; set it upright."
            )
        wide, high = (number(region.get(key), key, at) for key in SIZE)
        if min(wide, high) <= 0:
            raise InputError(f"{at} was drawn on a picture of {wide:g} x {high:g} pixels; export the task again.")
        if self.size is not None and not _same_sides((wide, high), self.size):
            self.labels.count_note(
                "regions state another size than their picture has, of which their percentages were taken"
            )
            wide, high = self.size
        return value, wide, high, at


def stated_size(regions: Sequence[Region], size: tuple[int, int] | None) -> tuple[int, int] | None:
    """(width, height) that regions state of their picture: the first that is not its `size`, otherwise the first.

    size: of the picture in pixels, None where it is not known. None where no region states one.
    """
    stated: list[tuple[int, int]] = []
    for region in regions:
        with suppress(InputError):  # the region's own fault
            wide, high = (int(number(region.get(key), key, "")) for key in SIZE)
            stated.append((wide, high))
    return next((one for one in stated if one != size), stated[0] if stated else None)


def _same_sides(stated: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether a region was drawn on a picture of that size, upright or lying."""
    return stated in (size, size[::-1])


def _label(value: dict, key: str, at: str) -> str:
    """The label of a region, which must be one text under `key`."""
    labels = value.get(key)
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str) or not labels[0]:
        raise InputError(f"{at}, key {key!r}, must be a list of one text, but got {str(labels)[:40]!r}.")
    return labels[0]


# --- results about regions -----------------------------------------------------------------------------------------


def visibility_of(word: str) -> int | None:
    """COCO's visibility that a choice or a note means, None for a word that says nothing about it."""
    return VISIBILITY.get(plain_word(word))


def chosen_visibility(regions: Sequence[Region], labels: Labels) -> dict[str, int]:
    """Id of a region -> the visibility that its choices give it; other choices are counted by name."""
    chosen: dict[str, int] = {}
    for region in regions:
        if region.get("type") != "choices":
            continue
        value = region.get("value")
        words = value.get("choices") if isinstance(value, dict) else None
        for word in words if isinstance(words, list) else ():
            visibility = visibility_of(str(word))
            if visibility is None:
                labels.leave_out(f"choices {str(word)[:40]!r}")
            else:
                chosen[str(region.get("id"))] = visibility
    return chosen


def related(regions: Sequence[Region]) -> dict[str, set[str]]:
    """Id of a region -> ids of the regions that relations join it to, directly or through others."""
    joined: dict[str, set[str]] = defaultdict(set)
    for region in regions:
        if region.get("type") == "relation":
            first, second = str(region.get("from_id")), str(region.get("to_id"))
            whole = joined[first] | joined[second] | {first, second}
            for identity in whole:
                joined[identity] = whole
    return dict(joined)


# --- tasks with several pictures -----------------------------------------------------------------------------------


def by_task_picture(
    data: Mapping[str, Any], regions: Sequence[Region], where: str, labels: Labels
) -> list[tuple[str, list[Region]]]:
    """The pictures of a task, each with the regions that were drawn on it; relations go with every picture.

    data: the task's data. A value is a picture if it is a text that ends like one, or is the text under `image`.
    where: the task, named in errors.
    labels: collects a fault for each region of which it is not said which picture it was drawn on.
    Raises InputError for a task without a picture.
    """
    pictures = {key: value for key, value in data.items() if _is_picture(value)}
    if isinstance(data.get("image"), str):
        pictures["image"] = data["image"]
    pages = {key: value for key, value in data.items() if _is_list_of_pictures(value)}
    if len(pictures) == 1 and not pages:
        return [(next(iter(pictures.values())), list(regions))]
    if not pictures and not pages:
        raise InputError(f"{where}, key 'data', must name one picture, best under 'image', but has none.")
    parts: dict[str, list[Region]] = {name: [] for name in [*pictures.values(), *chain.from_iterable(pages.values())]}
    tags = {str(region.get("to_name")) for region in regions if region.get("type") != "relation"}
    for region in regions:
        if region.get("type") == "relation":
            for part in parts.values():
                part.append(region)
        else:
            with labels.catching():
                parts[_drawn_on(region, pictures, pages, len(tags) == 1, where)].append(region)
    return list(parts.items())


def _drawn_on(
    region: Region, pictures: Mapping[str, str], pages: Mapping[str, list[str]], alone: bool, where: str
) -> str:
    """The picture that a region was drawn on. alone: all regions of the task were drawn on one tag."""
    tag, page = str(region.get("to_name") or ""), region.get("item_index", 0)
    keys = [*pictures, *pages]
    number = re.search(r"\d+$", tag)
    alike = [key for key in keys if number and (end := re.search(r"\d+$", key)) and int(end[0]) == int(number[0])]
    key = tag if tag in keys else keys[0] if len(keys) == 1 else alike[0] if len(alike) == 1 else None
    if key is None and alone and "image" in pictures:  # the other pictures are not for labelling, such as thumbnails
        key = "image"
    if key is None:
        raise InputError(
            f"{where}, region {region.get('id')!r}, was drawn on {tag!r}, which is none of the task's pictures "
            f"{', '.join(keys)[:100]}; name the Image tags of the labelling setup like the keys of the data."
        )
    if key in pictures:
        return pictures[key]
    if type(page) is not int or not 0 <= page < len(pages[key]):
        raise InputError(
            f"{where}, region {region.get('id')!r}, is on page {page!r} of {len(pages[key])}; export again."
        )
    return pages[key][page]


def _is_picture(value: Any) -> bool:
    return isinstance(value, str) and PICTURE.search(value) is not None


def _is_list_of_pictures(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_picture, value))
