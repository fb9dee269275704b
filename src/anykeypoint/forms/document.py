"""A COCO document in memory: what every label form is turned into before its objects are read.

A document is a mapping with the lists `images`, `annotations` and `categories` of COCO's keypoint format. `Labels`
builds one; `load_document` opens a file that is one already. Whether the entries make sense is decided later, in one
place: `walk.walk`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..configs.doubled_keys import open_json
from ..errors import InputError
from ..io import text_of
from .dataset import NO_IMAGE, UNREADABLE, ListedPair
from .point_names import one_spelling, renamed
from .reading import picture_key, read_bytes, whole_number
from .skeletons import KEY

MAX_BYTES = 2 << 30  # size limit of a COCO file; the largest public one has a quarter of this
MARGIN = 0.1  # how far a box made from points reaches beyond them, as a share of its longer side
MIN_MARGIN = 4.0  # smallest reach beyond them, in pixels

_CONFUSED = "of pictures that cannot be told apart"
_OBJECTS = ("boxes", "rectangles")  # what reasons begin with for which objects are left out, and not drawings

NamedPoints = dict[str, tuple[float, float, int]]  # name of a point -> x, y in image pixels, and visibility
NamedObject = tuple[int, str, NamedPoints, Sequence[float] | None]  # image id, category name, points, box or None


class Answer(NamedTuple):
    """What a model said of an object: its score, and confidences of points by name; None and nothing where unknown."""

    score: float | None = None
    confidences: Mapping[str, float] = {}


@dataclass
class Labels:
    """A COCO document that a reader builds, with the number of things it left out.

    images, annotations, categories: the entries so far, as COCO has them.
    left_out: reason -> how many entries the reader left out for it.
    faults: a sentence, with file and place, for each object that the reader could not use.
    notes: a sentence for each thing that a user should know of how the labels were read, which is no fault.
    info: the document's `info`, where it says what skeletons count from (see `skeletons`) and which model answered.
    rest: the other keys of a COCO file, such as `info` and `licenses`.
    bare: ids of pictures with an object that was left out: if no other is left they are not pictures without objects.
    unplaced: ids of missing pictures without whose size the places of their objects are not known; see `placed`.
    borrowed: ids of missing pictures whose objects are placed by the size of a file elsewhere, which may be another's.
    pairs: those that the data set lists itself, by the ids of their annotations.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=lambda: {KEY: 0})
    rest: dict[str, Any] = field(default_factory=dict)
    bare: set[int] = field(default_factory=set)
    unplaced: set[int] = field(default_factory=set)
    borrowed: set[int] = field(default_factory=set)
    pairs: list[ListedPair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._image_ids: dict[tuple[str, str], int] = {}  # by the keys of the picture and of its name in the labels
        # Key of a picture -> the names in the labels that led to it, by their own keys.
        self._sources: dict[str, dict[str, str]] = {}
        self._made: list[dict[str, Any]] = []  # annotations whose box was put round their points
        self._counted: dict[str, int] = {}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Labels":
        """The labels of a document from `load_document`; its lists and entries are shared, not copied."""
        info = document.get("info")
        lists = {key: document[key] for key in ("images", "annotations", "categories")}
        rest = {key: value for key, value in document.items() if key not in lists}
        return cls(**lists, info=info if isinstance(info, dict) else {}, rest=rest)

    def document(self) -> dict[str, Any]:
        """The COCO document; its lists and entries are shared, not copied."""
        lists = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        return {"info": self.info, **lists}

    def placed(self) -> dict[str, Any]:
        """The `document` without the objects whose places are not known (see `unplaced`)."""
        if not self.unplaced:
            return self.document()
        known = [entry for entry in self.annotations if entry["image_id"] not in self.unplaced]
        return {**self.document(), "annotations": known}

    @property
    def model(self) -> str:
        """The name of the model whose answers the labels are, where the file states it."""
        stated = self.info.get("model")
        return stated if isinstance(stated, str) else ""

    def add_image(self, name: str, source: str = "", **more: Any) -> int:
        """The id of the picture `name`, which is listed once however it is spelled (see `reading.picture_key`).

        One that several names in the labels lead to is listed for each of them, until `leave_out_confused`.

        name: its file name relative to the folder of the pictures.
        source: what the labels call it, with its task or video, where `name` was searched for; see `found_by`.
        more: further keys of its entry (width, height, group); those that are None are left out.
        """
        keys = picture_key(name), picture_key(source or name)
        if source:
            self.found_by(name, source)
        if keys not in self._image_ids:
            self._image_ids[keys] = len(self.images) + 1
            known = {what: value for what, value in more.items() if value is not None}
            self.images.append({"id": self._image_ids[keys], "file_name": name, **known})
        return self._image_ids[keys]

    def found_by(self, name: str, source: str) -> None:
        """Remember what the labels call a picture that was searched for; see `leave_out_confused`."""
        self._sources.setdefault(picture_key(name), {}).setdefault(picture_key(source), source)

    def knows(self, name: str, source: str) -> bool:
        """Whether a picture was searched for before by that name in the labels, so that they list it again."""
        return picture_key(source) in self._sources.get(picture_key(name), {})

    def leave_out_confused(self, path: Path) -> None:
        """Leave out pictures that several names in the labels led to, with their objects: they cannot be told apart.

        One that the labels call exactly as the folder does is that picture, and the others are missing.
        path: the label file, named in the faults.
        """
        confused = {key: sources for key, sources in self._sources.items() if len(sources) > 1}
        ids = self._image_ids
        kept = {key: ids[key, key] for key, sources in confused.items() if key in sources and (key, key) in ids}
        for key, sources in confused.items():
            names = [name for own, name in sources.items() if own != key or key not in kept]
            if key in kept:
                more = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
                self.faults.append(
                    f"{path}: {names[0]}{more} missing, as {key} of the folder is another picture of the labels; put "
                    "each file where the labels say."
                )
            else:
                self.faults.append(
                    f"{path}: {len(names)} pictures of the labels, such as {' and '.join(names[:2])}, would all be "
                    f"{key} of the folder; keep their files in folders of their own."
                )
        reasons: dict[int | None, str] = {}  # id of a picture to leave out -> why its objects are
        for entry in json_objects(self.images) if confused else ():
            key, identity = picture_key(str(entry.get("file_name"))), whole_id(entry, "id")
            if key in confused and identity != kept.get(key):
                reasons[identity] = NO_IMAGE if key in kept else _CONFUSED
        if not reasons:
            return
        self.images = [e for e in self.images if not isinstance(e, dict) or whole_id(e, "id") not in reasons]
        annotations, self.annotations = self.annotations, []
        for entry in annotations:
            reason = reasons.get(whole_id(entry, "image_id")) if isinstance(entry, dict) else None
            if reason is None:
                self.annotations.append(entry)
            else:
                self.leave_out(reason)

    def add_category(
        self,
        name: str,
        keypoints: Sequence[str],
        skeleton: Iterable[Sequence[int]] = (),
        pairs: Iterable[Sequence[int]] | None = None,
    ) -> int:
        """The id of a new category.

        keypoints: labels of its points, in order.
        skeleton: edges as pairs of indices that count from 0, as those of every document that a reader builds.
        pairs: the left and right points that change places when a picture is mirrored, as pairs of indices that count
            from 0, where the file says which (SLEAP's symmetries, YOLO's flip_idx); all of them, so that an empty list
            means that none do. None where it says nothing: the library's definition or the names then decide. They
            are the key `pairs` of the entry, which COCO does not have and `walk.walk` reads in any document. The key
            `alone` beside it lists points that have a side and, on purpose, no partner (see `Category`).
        """
        identity = len(self.categories) + 1
        edges = [[int(a), int(b)] for a, b in skeleton]
        entry = {"id": identity, "name": name, "keypoints": list(keypoints), "skeleton": edges}
        self.categories.append(entry if pairs is None else {**entry, "pairs": [[int(a), int(b)] for a, b in pairs]})
        return identity

    def add_object(
        self,
        image: int,
        category: int,
        points: np.ndarray,
        visibility: np.ndarray,
        box: Sequence[float] | None = None,
        **more: Any,
    ) -> int:
        """Add the annotation of one object; returns its id.

        image, category: ids from `add_image` and `add_category`.
        points: [K, 2] in image pixels; values of points that are not labelled do not matter.
        visibility: [K], 0 not labelled, 1 hidden, 2 visible, as in COCO.
        box: [x, y, w, h] in image pixels; None puts `box_round` round the labelled points, see `cut_boxes`.
        more: further keys of the entry, as `walk` reads them (score, keypoint_confidence, scale); None is left out.
        """
        labelled = visibility > 0
        flat = np.where(labelled[:, None], points, 0.0)
        numbers = np.column_stack([flat, np.where(labelled, visibility, 0)])
        made = box is None and bool(labelled.any())
        if made:
            box = box_round(points[labelled])
        entry = {
            "id": len(self.annotations) + 1,
            "image_id": image,
            "category_id": category,
            "keypoints": [value for x, y, v in numbers.tolist() for value in (x, y, int(v))],
            "num_keypoints": int(labelled.sum()),
            "bbox": None if box is None else [float(value) for value in box],
            "iscrowd": 0,
            **{key: value for key, value in more.items() if value is not None},
        }
        self.annotations.append(entry)
        if made:
            self._made.append(entry)
        return entry["id"]

    def cut_boxes(self, size_of: Callable[[str], tuple[int, int] | None]) -> None:
        """Cut the boxes that were put round points at the edge of their pictures (see `within`).

        size_of: file name of a picture -> its width and height in pixels; None where they are not known.
        """
        if not self._made:
            return
        names = {entry["id"]: entry["file_name"] for entry in self.images}
        used = {entry["image_id"] for entry in self._made}
        sizes = {image: size_of(names[image]) for image in used if image in names}
        for entry in self._made:
            size, table = sizes.get(entry["image_id"]), np.array(entry["keypoints"], dtype=np.float64).reshape(-1, 3)
            if size is not None:
                entry["bbox"] = list(within(entry["bbox"], size, table[table[:, 2] > 0, :2]))

    def add_named_objects(
        self,
        objects: Sequence[NamedObject],
        orders: Mapping[str, Iterable[str]],
        answers: Mapping[int, "Answer"] | None = None,
    ) -> None:
        """Add objects whose points are known by name, and the categories that they need.

        objects: image id, category name, points by name, and box or None, for each.
        orders: category name -> names of its points in order. Points that it does not list come behind those, in the
            order of their first appearance. A point that an object lacks is not labelled.
        answers: place of an object in `objects` -> what a model said of it besides.
        A name in several spellings is one point, which is noted (see `point_names`).
        """
        objects, names, read_as, notes = one_spelling(objects, orders, lambda i: self.images[i - 1]["file_name"])
        self.notes += notes
        for _, kind, points, _ in objects:
            names.setdefault(kind, {}).update(dict.fromkeys(points))
        used = {kind for _, kind, _, _ in objects}
        ids = {kind: self.add_category(kind, list(order)) for kind, order in names.items() if kind in used}
        for place, (image, kind, points, box) in enumerate(objects):
            table = np.array([points.get(name, (0.0, 0.0, 0)) for name in names[kind]], dtype=np.float64).reshape(-1, 3)
            answer = Answer() if answers is None else answers.get(place, Answer())
            known = renamed(answer.confidences, read_as.get(kind))
            sure = [known.get(name) for name in names[kind]] if known else None
            more = {"score": answer.score, "keypoint_confidence": sure}
            self.add_object(image, ids[kind], table[:, :2], table[:, 2].astype(int), box, **more)

    @contextmanager
    def catching(self) -> Iterator[None]:
        """A block that reads one object: its InputError is added to `faults`, and the next object follows."""
        try:
            yield
        except InputError as error:
            self.faults.append(str(error))
            self.leave_out(UNREADABLE)

    @contextmanager
    def of_picture(self, image: int) -> Iterator[None]:
        """A block that reads the objects of a picture, which is one of `bare` where the block leaves one out."""
        before = self._lost_objects()
        try:
            yield
        except InputError:
            self.bare.add(image)
            raise
        if self._lost_objects() > before:
            self.bare.add(image)

    def _lost_objects(self) -> int:
        counted = sum(count for reason, count in self.left_out.items() if reason.startswith(_OBJECTS))
        return counted + len(self.faults)

    def count_note(self, what: str) -> None:
        """Count one more thing that a user should know, as in "3 tasks have no annotation"; see `notes`."""
        self._counted[what] = self._counted.get(what, 0) + 1

    def all_notes(self) -> list[str]:
        """The notes, with those that are counted."""
        return [*self.notes, *(f"{count} {what}." for what, count in self._counted.items())]

    def leave_out(self, reason: str) -> None:
        """Count one more entry that is left out for this reason."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def box_round(points: np.ndarray, least: float = MIN_MARGIN) -> tuple[float, float, float, float]:
    """A box for label forms that have none: x, y, w, h in the frame of the points; it may reach beyond the picture.

    points: [N, 2]. Their bounding box grows on all sides by `MARGIN` of its longer side, at least by `least` pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # places beyond every picture are refused later
        margin = max(least, MARGIN * float((high - low).max())) or MIN_MARGIN  # all points in one place are no box
        (x, y), (w, h) = low - margin, high - low + 2 * margin
    return float(x), float(y), float(w), float(h)


def within(box: Sequence[float], size: tuple[int, int], points: np.ndarray) -> tuple[float, float, float, float]:
    """A box x, y, w, h cut at the edge of its picture, as far as no point is cut off.

    size: (width, height) of the picture in pixels.
    points: [N, 2], those that the box was put round.
    """
    x, y, w, h = box
    low = np.maximum([x, y], np.minimum(0.0, points.min(axis=0)))
    high = np.minimum([x + w, y + h], np.maximum(size, points.max(axis=0)))
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def load_document(annotations: str | Path) -> dict[str, Any]:
    """The JSON object of a COCO file with its three lists, whose entries are not checked.

    An object in which a key stands twice is an InputError when that key is looked up (`doubled_keys.DoubledKeys`).
    Raises InputError if the file cannot be read, is larger than `MAX_BYTES`, is not JSON or lacks one of the lists.
    """
    path = Path(annotations)
    try:
        data = open_json(text_of(read_bytes(path, MAX_BYTES), str(path)), str(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid JSON: {str(error).splitlines()[0]}.") from error
    if not isinstance(data, dict):
        raise InputError(
            f"{path} must hold a JSON object with images, annotations and categories, not a list or value."
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list):
            raise InputError(f"{path} has no list under {key!r}; a COCO file has images, annotations and categories.")
    return data


def json_objects(entries: Iterable[Any]) -> list[dict[str, Any]]:
    """The JSON objects of a list. Entries of other types are skipped here and refused by `walk.walk`."""
    return [entry for entry in entries if isinstance(entry, dict)]


def with_whole_ids(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a document whose ids, and what refers to them, are numbers where they mean one (1.0 and "1")."""
    keys = {"images": ("id",), "categories": ("id",), "annotations": ("id", "image_id", "category_id")}
    copy = dict(document)
    for section, names in keys.items():
        copy[section] = [
            {**entry, **{key: whole for key in names if (whole := whole_id(entry, key)) is not None}}
            for entry in json_objects(document[section])
        ]
    return copy


def whole_id(entry: dict[str, Any], key: str) -> int | None:
    """An entry's id if it is a whole number, None otherwise, which `walk.walk` refuses."""
    return whole_number(entry.get(key))
