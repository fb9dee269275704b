"""Keypoints and categories in words: names, descriptions, skeleton, and pairs of left and right.

"left" in a name is always the subject's own left. Indices of keypoints count from 0.
"""

import unicodedata
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import yaml

from .configs.checks import near_names
from .configs.doubled_keys import strict_json, strict_yaml
from .configs.typed import split_points
from .errors import InputError, ReadingWarning, first_line
from .io import as_path, text_of
from .sides.mirroring import mirrored_pairs, unpaired

MAX_KEYPOINTS = 256  # largest number of keypoints in a category
MAX_TEXT = 512  # largest number of characters in a name or description

_KEYPOINT_KEYS = {"name", "description", "label", "phrase"}


@dataclass(frozen=True)
class Keypoint:
    """One point in words.

    name: what it is called, as in "left ear tip".
    description: where it is, in a sentence or phrase; "" for none.
    label: what a data set calls it, where that differs from the name; "" otherwise.
    phrase: what a text encoder reads for it in place of the name, "" for the name. Several points may share one, and
        its left need not be the subject's; see `forms.phrases`.
    Raises InputError for an empty name and for text that is too long.

    >>> ak.Keypoint("left ear tip", "the highest point of the left ear").name
    'left ear tip'
    """

    name: str
    description: str = ""
    label: str = ""
    phrase: str = ""

    def __post_init__(self) -> None:
        for field in ("name", "description", "label", "phrase"):
            value = getattr(self, field)
            if not isinstance(value, str):
                raise InputError(f"A keypoint's {field} must be text, but got {value!r}; write it as a string.")
            if len(value) > MAX_TEXT:
                raise InputError(
                    f"A keypoint's {field} may have {MAX_TEXT} characters, but got {len(value)}; shorten it."
                )
        if not self.name.strip():
            raise InputError(
                "A keypoint's name must not be empty; write what the point is called, e.g. 'left ear tip'."
            )


@dataclass(frozen=True)
class Category:
    """An ordered list of keypoints with a skeleton.

    name: of the category.
    keypoints: 1 to 256 of them; two may share a name only if their descriptions differ.
    skeleton: edges as pairs of indices.
    pairs: pairs of indices of left and right points, all of them; None derives them from the names (`sides.mirroring`).
    noun: the word for the object in a question, "object" if nothing is known of it.
    alone: indices of points that stand by themselves on purpose: `library.check` requires neither an edge nor a
        partner on the other side for them, and training with flips goes on. Where such a name has a side, the category
        is never mirrored (`flips`).
    Raises InputError for anything else.

    >>> ears = ak.Category("ears", (ak.Keypoint("left ear tip"), ak.Keypoint("right ear tip")), noun="cat")
    >>> ears.names, ears.pairs
    (['left ear tip', 'right ear tip'], ((0, 1),))
    >>> len(ak.Category.from_text("nose: the tip of the nose; tail"))
    2
    """

    name: str
    keypoints: tuple[Keypoint, ...]
    skeleton: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] | None = None
    noun: str = "object"
    alone: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._check_types()
        count = len(self.keypoints)
        if not 1 <= count <= MAX_KEYPOINTS:
            raise InputError(
                f"A category needs 1 to {MAX_KEYPOINTS} keypoints, but {self.name!r} has {count}; "
                f"{'ask for them in several parts' if count else 'list the points you want'}."
            )
        if len(self.noun) > MAX_TEXT or not self.noun.strip():
            raise InputError(f"A category's noun must be 1 to {MAX_TEXT} characters, but got {self.noun[:40]!r}.")
        known: set[tuple[str, str]] = set()
        for keypoint in self.keypoints:
            key = (_same(keypoint.name), _same(keypoint.description))
            if key in known:
                raise InputError(
                    f"Two keypoints of {self.name!r} are called {keypoint.name!r} with the same description; "
                    "rename one or describe them differently."
                )
            known.add(key)
        for field in ("skeleton", "pairs"):
            edges = getattr(self, field)
            if edges is not None or field == "skeleton":
                check_edges(edges, count, f"The {field} of {self.name!r}")
                object.__setattr__(self, field, tuple((int(a), int(b)) for a, b in edges))
        if wrong := [i for i in self.alone if not 0 <= i < count]:
            raise InputError(
                f"What stands alone in {self.name!r} must be indices from 0 to {count - 1}, but got {wrong[0]}."
            )
        paired = [i for pair in self.pairs or () for i in pair]
        if twice := [i for i in paired if paired.count(i) > 1]:
            raise InputError(f"The pairs of {self.name!r} must be disjoint, but index {twice[0]} is in more than one.")
        if self.pairs is None:
            object.__setattr__(self, "pairs", mirrored_pairs(self.names))

    def _check_types(self) -> None:
        """InputError for fields of other types than the class declares; a list of keypoints becomes a tuple."""
        for field in ("name", "noun"):
            if not isinstance(getattr(self, field), str):
                raise InputError(f"A category's {field} must be text, but got {getattr(self, field)!r:.80}.")
        points = self.keypoints
        if not isinstance(points, list | tuple) or not all(isinstance(point, Keypoint) for point in points):
            raise InputError(
                f"The keypoints of {self.name!r} must be a tuple of Keypoint, but got {points!r:.80}; for names alone "
                "use Category.from_text('nose; tail')."
            )
        object.__setattr__(self, "keypoints", tuple(points))
        if not isinstance(self.alone, list | tuple) or not all(isinstance(i, Integral) for i in self.alone):
            raise InputError(f"What stands alone in {self.name!r} must be indices, but got {self.alone!r:.80}.")
        object.__setattr__(self, "alone", tuple(map(int, self.alone)))

    @property
    def names(self) -> list[str]:
        """The names of the keypoints, in order."""
        return [keypoint.name for keypoint in self.keypoints]

    def __len__(self) -> int:
        return len(self.keypoints)

    def index_of(self, name: str) -> int | None:
        """The index of the point of that name, or else of the only one that its data set calls so; None without one."""
        wanted = plain_text(name)
        for texts in ([point.name for point in self.keypoints], [point.label for point in self.keypoints]):
            found = [index for index, text in enumerate(texts) if text and plain_text(text) == wanted]
            if len(found) == 1:
                return found[0]
        return None

    @cached_property
    def unpaired(self) -> tuple[int, ...]:
        """Indices of the points whose name has a side and that are in no pair, those that stand alone included."""
        return tuple(unpaired(self.names, self.pairs or ()))

    @property
    def flips(self) -> bool:
        """Whether pictures of it may be mirrored: with a side that has no partner, a mirrored one would show another.

        The right ear of a tiger seen from its right looks like a left ear in a mirrored picture.
        """
        return not self.unpaired

    def only(self, rows: Sequence[int]) -> "Category":
        """The category of some keypoints with the edges and pairs among them. rows: their indices, in the new order."""
        given: list[Any] = list(rows) if _has_items(rows) else [None]
        if not all(isinstance(i, Integral) and not isinstance(i, bool) and 0 <= int(i) < len(self) for i in given):
            raise InputError(f"Rows of {self.name!r} must be indices from 0 to {len(self) - 1}, but got {rows!r:.80}.")
        rows = [int(i) for i in given]
        places = {row: place for place, row in enumerate(rows)}  # old index -> new index

        def kept(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
            return tuple((places[a], places[b]) for a, b in pairs if a in places and b in places)

        return replace(
            self,
            keypoints=tuple(self.keypoints[row] for row in rows),
            skeleton=kept(self.skeleton),
            pairs=kept(self.pairs or ()),
            alone=tuple(places[row] for row in self.alone if row in places),
        )

    def mirrored(self) -> list[int]:
        """The order of the keypoints after a horizontal flip of the picture: `new[i] = old[mirrored[i]]`."""
        order = list(range(len(self)))
        for a, b in self.pairs or ():
            order[a], order[b] = b, a
        return order

    @classmethod
    def from_text(cls, text: str, name: str = "object", noun: str = "object") -> "Category":
        """Read `"left ear; nose: the tip of the nose"`.

        text: keypoints, each a name and perhaps a description behind a colon, parted by semicolons or new lines; by
            commas where there is neither these nor a description (see `configs.typed.split_points`).
        name, noun: of the category.
        Warns with a ReadingWarning where the text could be meant in another way, and raises InputError for one that
        holds tabs or control characters, or names no keypoint.
        """
        if not isinstance(text, str):
            raise InputError(f"Keypoints in words must be text as in 'nose; tail', but got {text!r:.80}.")
        points, doubt = split_points(text)
        if doubt:
            warnings.warn(doubt, ReadingWarning, stacklevel=2)
        return cls(name=name, keypoints=tuple(Keypoint(*point) for point in points), noun=noun)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: str = "category") -> "Category":
        """Build from the JSON or YAML form of the library; unknown keys are refused.

        data: the mapping of such a file.
        origin: the file, named in errors.
        """
        known = {"name", "noun", "source", "keypoints", "skeleton", "pairs", "alone"}
        if not isinstance(data, Mapping) or not isinstance(data.get("keypoints"), list):
            marks = isinstance(data, Mapping) and data and all(isinstance(value, list) for value in data.values())
            hint = f"; a file that marks points is for --example PICTURE:{origin}" if marks else ""
            raise InputError(f"{origin} must be a mapping with a list under 'keypoints'{hint}.")
        if unknown := sorted(map(str, set(data) - known)):
            near = near_names(unknown[0], known)
            raise InputError(
                f"{origin} has the unknown key {unknown[0]!r}{near}; known keys are {', '.join(sorted(known))}."
            )
        keypoints = [_keypoint(item, origin) for item in data["keypoints"]]
        for key in sorted({"name", "noun"} & set(data)):
            if type(data[key]) not in (str, int, float):
                raise InputError(f"{origin}: {key} must be text, but got {data[key]!r}; write a word or leave it out.")
        name = str(data.get("name", "object"))
        return cls(
            name=name,
            keypoints=tuple(keypoints),
            skeleton=_edges(data.get("skeleton", ()), origin, "skeleton"),
            pairs=None if data.get("pairs") is None else _edges(data["pairs"], origin, "pairs"),
            noun=str(data.get("noun", name.replace("_", " "))),
            alone=_indices(data.get("alone", ()), origin, "alone"),
        )

    @classmethod
    def from_file(cls, path: str | Path) -> "Category":
        """Read a JSON or YAML file of the library's form.

        Raises InputError if the file cannot be read or is not a category.
        """
        path = as_path(path, "A category file")
        try:
            text = text_of(path.read_bytes(), "it")
            data = strict_json(text) if path.suffix.lower() == ".json" else strict_yaml(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"Cannot read the category file {path}: {first_line(error)}.") from error
        return cls.from_dict(data, origin=str(path))

    def to_dict(self) -> dict[str, Any]:
        """The form that `from_dict` reads."""
        keypoints = []
        for keypoint in self.keypoints:
            keypoints.append({key: value for key, value in vars(keypoint).items() if value})
        data = {
            "name": self.name,
            "noun": self.noun,
            "keypoints": keypoints,
            "skeleton": [list(edge) for edge in self.skeleton],
            "pairs": [list(pair) for pair in self.pairs or ()],
        }
        return data | ({"alone": list(self.alone)} if self.alone else {})


def check_edges(edges: Iterable[Sequence[int]], count: int, what: str) -> None:
    """InputError unless each edge is a pair of two different indices below `count`. what: subject of the sentence."""
    for edge in edges if isinstance(edges, Collection) and _has_items(edges) else [edges]:
        pair = list(edge) if _has_items(edge) else [edge]
        whole = all(isinstance(i, Integral) and 0 <= int(i) < count for i in pair)
        if len(pair) != 2 or not whole or pair[0] == pair[1]:
            raise InputError(
                f"{what} must hold pairs of two different indices from 0 to {count - 1}, but got "
                f"{pair if _has_items(edge) else edge!r:.80}."
            )


def _has_items(value: Any) -> bool:
    """Whether something can be gone through; an array of a single number cannot, though its type says so."""
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0


def spoken(name: str) -> str:
    """A label as it is spoken: without underscores, with single spaces."""
    return " ".join(name.replace("_", " ").split())


def plain_text(text: str) -> str:
    """The form in which names are compared: lower case, without underscores, with single spaces."""
    return spoken(text.casefold())


def _same(text: str) -> str:
    """A text that is equal for texts that nobody would tell apart."""
    return unicodedata.normalize("NFC", text).casefold().strip()


def _keypoint(item: Any, origin: str) -> Keypoint:
    """A keypoint from its JSON form: a name, or a mapping with name, description and label."""
    if isinstance(item, str):
        return Keypoint(item)
    if not isinstance(item, Mapping) or "name" not in item or set(item) - _KEYPOINT_KEYS:
        raise InputError(
            f"{origin}: a keypoint must be a text or have name, description, label and phrase, but got {item!r}."
        )
    return Keypoint(**item)


def _indices(value: Any, origin: str, field: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(i) is int for i in value):
        raise InputError(f"{origin}: {field} must be a list of indices, but got {value!r}.")
    return tuple(value)


def _edges(value: Any, origin: str, field: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{origin}: {field} must be a list of index pairs, but got {value!r}.")
    for edge in value:
        if not isinstance(edge, list | tuple) or len(edge) != 2 or not all(type(i) is int for i in edge):
            raise InputError(f"{origin}: {field} must be a list of index pairs, but holds {edge!r}.")
    return tuple((edge[0], edge[1]) for edge in value)
