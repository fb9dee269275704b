"""Values that have one meaning but are not spelled as COCO spells it: ids, numbers, points, boxes, outlines, flags.

`plain` gives a copy of a document in COCO's spelling, so that every later check reads one spelling, and a fault for
each kind of value that it rewrote. Entries keep their places. K is the number of keypoints of a category.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ...category import plain_text
from ...configs.doubled_keys import DoubledKeys, doubled_objects
from ..category_entry import numbered
from ..reading import picture_key, whole_number
from ..skeletons import skeleton_bases, stated_base
from .changes import SECTIONS
from .fault import Fault, Rewrite
from .findings import Ambiguous, naming

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1, "no": 0, "yes": 1, "none": 0, "null": 0}
_NUMERIC = {"images": ("width", "height"), "annotations": ("bbox", "keypoints", "area", "num_keypoints")}
_BOX_KEYS = (("x", "left"), ("y", "top"), ("width", "w"), ("height", "h"))
_CORNER_KEYS = (("x1", "xmin", "left"), ("y1", "ymin", "top"), ("x2", "xmax", "right"), ("y2", "ymax", "bottom"))
_VISIBILITY = ("v", "visibility", "visible")


@dataclass(frozen=True)
class NamedBox(Rewrite):
    """A box in a row whose four numbers had names, so that nothing need be asked about their order."""


def plain(document: Mapping[str, list]) -> tuple[dict[str, list], list[Fault]]:
    """A copy of a document in COCO's spelling, and the faults whose rewrites lead to it; the document stays as it is.

    document: the lists `images`, `annotations` and `categories`.
    """
    writer = Rewriter(document)
    faults = _doubled(writer)
    _ids(writer)
    for place, entry in writer.entries("categories"):
        _names(writer, place, entry)
    _edges(writer)
    for section, keys in _NUMERIC.items():
        for place, entry in writer.entries(section):
            for key in keys:
                if key in entry and (value := _numbers(entry[key])) is not entry[key]:
                    writer.rewrite("number as text", section, place, key, value)
    labels = {
        entry["id"]: entry["keypoints"]
        for _, entry in writer.entries("categories")
        if type(entry.get("id")) is int and isinstance(entry.get("keypoints"), list)
    }
    for place, entry in writer.entries("annotations"):
        kind = entry.get("category_id")
        _shapes(writer, place, entry, labels.get(kind) if type(kind) is int else None)
        for key in ("iscrowd", "ignore"):
            _flag(writer, place, entry, key)
    return writer.document, faults + writer.faults()


class Rewriter:
    """A copy of a document some of whose values are rewritten; entries that are not are shared with the original.

    document: the copy.
    """

    def __init__(self, document: Mapping[str, list]) -> None:
        self.document = {**document, **{section: list(document[section]) for section in SECTIONS}}
        self._groups: dict[tuple[str, str, str, bool], list[tuple[int, Any, Rewrite | None]]] = {}

    def entries(self, section: str) -> list[tuple[int, dict[str, Any]]]:
        """Index and entry of each JSON object of a section, as it is now."""
        return [(i, entry) for i, entry in enumerate(self.document[section]) if isinstance(entry, dict)]

    def rewrite(self, kind: str, section: str, place: int, key: str, value: Any) -> None:
        """Give an entry's key another value, as a fault of this kind."""
        self.put(kind, section, Rewrite(place, key, value))

    def put(self, kind: str, section: str, rewrite: Rewrite) -> None:
        """Rewrite a value of a section, as a fault of this kind."""
        self._note(kind, section, rewrite.place, rewrite.key, rewrite)
        entry = self.document[section][rewrite.place]
        self.document[section][rewrite.place] = {**entry, rewrite.key: rewrite.value}

    def doubt(self, kind: str, section: str, place: int, key: str) -> None:
        """Note a fault of this kind whose right value only a person can know."""
        self._note(kind, section, place, key, None)

    def _note(self, kind: str, section: str, place: int, key: str, rewrite: Rewrite | None) -> None:
        old = self.document[section][place].get(key)
        self._groups.setdefault((kind, section, key, rewrite is not None), []).append((place, old, rewrite))

    def faults(self) -> list[Fault]:
        """A fault for each kind and key, which names the first entries."""
        faults = []
        for (kind, section, key, sure), found in self._groups.items():
            where = naming(self.document, section, [place for place, _, _ in found])
            have, old = "has" if len(found) == 1 else "have", found[0][1]
            rewrites = tuple(rewrite for _, _, rewrite in found if rewrite is not None)
            meaning = f"which is {str(rewrites[0].value)[:40]}" if sure else "whose meaning is not clear"
            text = f"{have} {key} spelled {'' if len(found) == 1 else 'like '}{str(old)[:40]!r}, {meaning}"
            at = found[0][0] if len(found) == 1 else -1
            faults.append(Fault(kind, "", where, text, (section, at), None, rewrites, sure))
        return faults


def _doubled(writer: Rewriter) -> list[Fault]:
    """The keys that stand twice in one entry; an entry whose values differ is put aside as `Ambiguous`."""
    faults = []
    for section in SECTIONS:
        entries = writer.document[section]
        for place, entry in enumerate(entries):
            for path, inner in doubled_objects(entry):
                keys = sorted(inner.clashing) or inner.doubled
                what = "with other values" if inner.clashing else "with the same value"
                text = f"has the key {'.'.join(filter(None, (path, keys[0])))!r} twice, {what}"
                where = naming(writer.document, section, [place]) if not inner.clashing else f"{section}[{place}]"
                kind = "key with two values" if inner.clashing else "key twice"
                faults.append(Fault(kind, "", where, text, (section, place)))
            if isinstance(entry, DoubledKeys) and entry.clashing:
                entries[place] = Ambiguous({value for key, value in entry.pairs if key == "id" and _is_id(value)})
    return faults


def _is_id(value: Any) -> bool:
    return isinstance(value, int | float | str)


# --- ids -----------------------------------------------------------------------------------------------------------


def _ids(writer: Rewriter) -> None:
    """Ids that are texts or have a decimal point, and the keys that refer to them."""
    for section, references in (("images", "image_id"), ("categories", "category_id"), ("annotations", "")):
        entries = writer.entries(section)
        written = [entry for _, entry in entries]
        taken = {whole for entry in written if (whole := id_number(entry.get("id"))) is not None}
        following = max(taken, default=0) + 1
        named: dict[str, int] = {}  # an id that is no number -> the number that takes its place
        for place, entry in entries:
            identity, whole = entry.get("id"), id_number(entry.get("id"))
            name = "" if section == "annotations" else _name(identity)  # nothing refers to an object: any id will do
            if whole is None and name in named:
                whole = named[name]
            elif whole is None and (section == "annotations" or name):
                whole, following = following, following + 1
                if name:
                    named[name] = whole
            if whole is not None and type(identity) is not int:
                writer.rewrite("id as text", section, place, "id", whole)
        if references:
            texts = {entry["id"] for entry in written if isinstance(entry.get("id"), str)}
            ids = {entry.get("id") for _, entry in writer.entries(section) if type(entry.get("id")) is int}
            called = _called(writer.entries(section))
            for place, entry in writer.entries("annotations"):
                value, whole = entry.get(references), id_number(entry.get(references))
                if whole is None:
                    whole = named.get(_name(value))
                if isinstance(value, str) and value not in texts:
                    name = picture_key(value) if section == "images" else value
                    if _unclear(value, name, whole, ids, called):
                        writer.doubt("id as text", "annotations", place, references)
                        continue
                    if whole not in ids or value != str(whole):
                        owner = called.get(name)
                        whole = whole if owner is None else owner
                if whole is not None and type(value) is not int:
                    writer.rewrite("id as text", "annotations", place, references, whole)


def _unclear(text: str, name: str, whole: int | None, ids: set[int], called: Mapping[str, int | None]) -> bool:
    """Whether a text such as "0007" may be the id 7 or one of several things of that name; "7" is the id 7.

    name: the text as a key of `called`. whole: the number that it means. ids: those that there are.
    """
    return whole in ids and text != str(whole) and called.get(name, whole) is None


def _called(entries: list[tuple[int, dict[str, Any]]]) -> dict[str, int | None]:
    """What objects may call a picture or category in place of its id -> the id; None where several have that name.

    entries: of one section, with their indices.
    A category is called by its name, and a picture by its path before its file's name, each also without its suffix. A
    picture that is listed twice is the first of its entries, as it is for the reader.
    """
    ids: dict[str | int, int] = {}
    levels: list[dict[str, set[str | int]]] = [defaultdict(set) for _ in range(4)]
    for place, entry in entries:
        file, name = entry.get("file_name"), entry.get("name")
        if type(entry.get("id")) is not int:
            continue
        if isinstance(file, str) and file:
            path = PurePosixPath(picture_key(file))
            ids.setdefault(str(path), entry["id"])
            for level, text in zip(levels, (path, path.parent / path.stem, path.name, path.stem), strict=True):
                level[str(text)].add(str(path))
        elif isinstance(name, str) and name:
            ids[place] = entry["id"]
            levels[0][name].add(place)
    called: dict[str, int | None] = {text: None for level in levels for text in level}
    for level in reversed(levels):
        called |= {text: ids[owner] for text, (owner, *others) in level.items() if not others}
    return called


def _name(identity: Any) -> str:
    """An id that is no whole number, as text; "" for none."""
    return str(identity) if isinstance(identity, str | float) and not isinstance(identity, bool) else ""


def id_number(value: Any) -> int | None:
    """The whole number that a JSON value means, also for a text with a decimal point ("1.0")."""
    return whole_number(_numbers(value) if isinstance(value, str) else value)


# --- numbers and names ---------------------------------------------------------------------------------------------


def _number(text: str) -> int | float:
    """The number in a text that `_NUMBER` matches."""
    return int(text) if re.fullmatch(r"\s*[-+]?\d{1,18}\s*", text) else float(text)


def _numbers(value: Any) -> Any:
    """The value with numbers for the texts that are numbers, also inside lists; the same object if there is none."""
    if isinstance(value, str):
        return _number(value) if _NUMBER.fullmatch(value) else value
    if isinstance(value, list):
        changed = [_numbers(inner) if isinstance(inner, str | list) else inner for inner in value]
        return changed if any(a is not b for a, b in zip(changed, value, strict=True)) else value
    return value


def _names(writer: Rewriter, place: int, entry: Mapping[str, Any]) -> None:
    """Names of a category and of its points that are numbers."""
    if type(entry.get("name")) in (int, float):
        writer.rewrite("number as text", "categories", place, "name", str(entry["name"]))
    labels = entry.get("keypoints")
    if isinstance(labels, list) and any(type(label) in (int, float) for label in labels):
        names = [str(label) if type(label) in (int, float) else label for label in labels]
        writer.rewrite("number as text", "categories", place, "keypoints", names)


def _edges(writer: Rewriter) -> None:
    """Edges of skeletons that name their points, as numbers that count as the rest of the file does."""
    stated, bases = stated_base(writer.document), skeleton_bases(writer.document).by_category
    for place, entry in writer.entries("categories"):
        edges, labels = entry.get("skeleton"), entry.get("keypoints")
        if isinstance(edges, list) and isinstance(labels, list) and all(isinstance(label, str) for label in labels):
            base = next(iter(bases.values()), 0) if stated is None else stated
            rows = [numbered(edge, labels, base) for edge in edges]
            if any(a is not b for a, b in zip(rows, edges, strict=True)):
                writer.rewrite("shape of values", "categories", place, "skeleton", rows)


def _flag(writer: Rewriter, place: int, entry: Mapping[str, Any], key: str) -> None:
    """A flag as a text; null is 0, as pycocotools takes it, and no fault."""
    value = entry.get(key)
    if value is None or (isinstance(value, bool | int | float) and value in (0, 1)):
        return
    known = _FLAGS.get(value.strip().lower().removesuffix(".0")) if isinstance(value, str) else None
    if known is None:
        writer.doubt("crowd flag", "annotations", place, key)
    else:
        writer.rewrite("crowd flag", "annotations", place, key, known)


# --- lists in other shapes -----------------------------------------------------------------------------------------


def _shapes(writer: Rewriter, place: int, entry: Mapping[str, Any], labels: Sequence[Any] | None) -> None:
    """Points, a box or an outline whose numbers are not in a row as COCO has them. labels: K names of the points."""
    values = entry.get("keypoints")
    flat = flat_points(values, labels) if labels and isinstance(values, list | dict) else None
    if flat is not None:
        writer.rewrite("shape of values", "annotations", place, "keypoints", flat)
    written = entry.get("bbox")
    box = flat_box(written)
    if box is not None:
        kind = NamedBox if isinstance(written, dict) else Rewrite
        writer.put("shape of values", "annotations", kind(place, "bbox", box))
    polygons = flat_polygons(entry.get("segmentation"))
    if polygons is not None:
        writer.rewrite("shape of values", "annotations", place, "segmentation", polygons)


def flat_box(value: Any) -> list | None:
    """A box in another shape as x, y, width, height in a row; None if it is in a row already, or could mean several.

    value: four numbers by names, which may be those of two opposite corners; or one row in a list.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) and len(value[0]) == 4:
        numbers = [_plain(number) for number in value[0]]
        return None if None in numbers else numbers
    if not isinstance(value, dict) or len(value) != 4:
        return None
    for names in (_BOX_KEYS, _CORNER_KEYS):
        numbers = [_plain(next((value[key] for key in keys if key in value), None)) for keys in names]
        if None not in numbers:
            x, y, right, lower = numbers  # of two corners, either of which may come first
            corners = [min(x, right), min(y, lower), abs(right - x), abs(lower - y)]
            return numbers if names is _BOX_KEYS else corners
    return None


def flat_points(values: list | dict, labels: Sequence[Any]) -> list | None:
    """Points in another shape as x, y, v in a row; None if they are in a row already, or could mean several things.

    values: rows [x, y, v] or [x, y], null for one that is not labelled; objects with x, y and perhaps v; rows by name;
        or x, y in a row without v. A finite point without v is labelled.
    labels: K names.
    """
    if isinstance(values, dict):
        by_name = {plain_text(str(name)): row for name, row in values.items()}
        order = [plain_text(str(label)) for label in labels]
        if len(by_name) < len(values) or len(set(order)) < len(order) or set(by_name) - set(order):
            return None
        rows = [by_name.get(name) for name in order]
    elif any(isinstance(row, list | dict) for row in values):
        rows = list(values)
    elif len(values) == 2 * len(labels):
        rows = [values[i : i + 2] for i in range(0, len(values), 2)]
    else:
        return None
    flat = [value for row in rows for value in (_row(row) or ())]
    return flat if len(rows) == len(labels) and len(flat) == 3 * len(labels) else None


def _row(row: Any) -> list | None:
    """One point as [x, y, v]; None if it could mean several things."""
    if row is None:
        return [0, 0, 0]
    if isinstance(row, dict):
        if "x" not in row or "y" not in row or isinstance(row.get("visible"), bool):
            return None
        row = [row["x"], row["y"], *(row[key] for key in _VISIBILITY if key in row)]
    if not isinstance(row, list) or len(row) not in (2, 3):
        return None
    numbers = [_numbers(value) for value in row]
    if len(numbers) == 3:
        return numbers
    return [*numbers, 2] if all(_plain(value) is not None for value in numbers) else [0, 0, 0]


def flat_polygons(value: Any) -> list | None:
    """An outline in another shape as COCO's list of polygons x, y, x, y, ...; None for any other value."""
    if not isinstance(value, list) or not value:
        return None
    if all(inner == [] for inner in value):
        return []
    if not any(isinstance(inner, list | dict) for inner in value):  # one polygon that is in no list
        numbers = [_plain(number) for number in value]
        return [numbers] if len(value) >= 6 and len(value) % 2 == 0 and None not in numbers else None
    one = _polygon(value)  # one polygon of pairs
    if one is not None:
        return [one]
    many = [_polygon(inner) if isinstance(inner, list) else None for inner in value]
    if all(polygon is not None for polygon in many):
        return many
    texts = _numbers(value)
    return None if texts is value else texts


def _polygon(rows: list) -> list | None:
    """x, y, x, y, ... of three or more pairs [x, y] or objects with x and y; None for anything else."""
    pairs = [[row.get("x"), row.get("y")] if isinstance(row, dict) else row for row in rows]
    if len(pairs) < 3 or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return None
    numbers = [_plain(value) for pair in pairs for value in pair]
    return None if None in numbers else numbers


def _plain(value: Any) -> int | float | None:
    """A finite number, also from a text; None for anything else."""
    value = _numbers(value)
    return value if type(value) in (int, float) and math.isfinite(value) else None
