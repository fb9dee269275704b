"""What a mend has changed, as a table, and the way back: `take_back` gives the original document of a mended one.

A change is a value of an entry, or a whole entry that is left out. The changes of a table are in the order in which
they were made, and each says where its value was then, so that they are taken back from the last to the first.
"""

import copy
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from ...configs.doubled_keys import DoubledKeys, dump_json, open_json
from ...errors import InputError
from ..reading import read_table


@dataclass(frozen=True)
class Change:
    """One changed value.

    section: "images", "annotations", "categories" or another key of the document.
    id: of the entry, as it was.
    path: the value's JSON pointer in the document as it was at that time, "/annotations/3/bbox"; "/annotations/3" for
        an entry that was left out or written as a whole.
    old, new: the value before and after as JSON; "" where there was none, or is none any more.
    kind: of the fault.
    """

    section: str
    id: str
    path: str
    old: str
    new: str
    kind: str


SECTIONS = ("images", "annotations", "categories")
_COLUMNS = tuple(field.name for field in fields(Change))


class Ledger:
    """A document that is being mended, and the changes so far.

    document: a copy of the original; the entries of a section keep their places until `drop`.
    """

    def __init__(self, document: Mapping[str, list]) -> None:
        self.document = {**document, **{key: copy.deepcopy(document[key]) for key in SECTIONS}}
        self.changes: list[Change] = []
        self._last: dict[str, int] = {}  # section -> largest id that `new_id` has given

    def new_id(self, section: str) -> int:
        """An id that no entry of a section has."""
        if section not in self._last:
            ids = (known_value(entry, "id") for entry in self.document[section])
            self._last[section] = max((identity for identity in ids if type(identity) is int), default=0)
        self._last[section] += 1
        return self._last[section]

    def set(self, section: str, place: int, key: str, value: Any, kind: str) -> None:
        """Give an entry's key a value."""
        entry = self.document[section][place]
        if key in entry and _json(entry[key]) == _json(value):
            return
        old = _json(entry[key]) if key in entry else ""
        self.changes.append(Change(section, _id(entry), f"/{section}/{place}/{_escape(key)}", old, _json(value), kind))
        entry[key] = value

    def remove(self, section: str, place: int, key: str, kind: str) -> None:
        """Take a key out of an entry."""
        entry = self.document[section][place]
        path = f"/{section}/{place}/{_escape(key)}"
        self.changes.append(Change(section, _id(entry), path, _json(entry.pop(key)), "", kind))

    def write_once(self, section: str, place: int, kind: str) -> None:
        """Put an entry in which keys stand twice, with the same value, as one in which they stand once."""
        entry, old = self.document[section][place], _json(self.document[section][place])
        once = json.loads(old)  # the last of equal values
        if _json(once) != old:
            self.changes.append(Change(section, _id(entry), f"/{section}/{place}", old, _json(once), kind))
            self.document[section][place] = once

    def set_whole(self, key: str, value: Any, kind: str) -> None:
        """Give a key of the document itself, such as `info`, a value."""
        old = _json(self.document[key]) if key in self.document else ""
        self.changes.append(Change(key, "", f"/{key}", old, _json(value), kind))
        self.document[key] = value

    def drop(self, section: str, place: int, kind: str) -> None:
        """Leave an entry out; the places of those behind it become one less."""
        entry = self.document[section].pop(place)
        self.changes.append(Change(section, _id(entry), f"/{section}/{place}", _json(entry), "", kind))


def known_value(entry: Any, key: str) -> Any:
    """The value of an entry's key; None where it has none, is no JSON object, or has two values for it."""
    if not isinstance(entry, dict) or (isinstance(entry, DoubledKeys) and key in entry.clashing):
        return None
    return entry.get(key)


def _id(entry: Any) -> str:
    identity = known_value(entry, "id")
    return "" if identity is None else str(identity)[:100]


def _json(value: Any) -> str:
    return dump_json(value)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# --- the table -----------------------------------------------------------------------------------------------------


def changes_text(changes: Sequence[Change]) -> str:
    """The table of changes as CSV with a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(astuple(change) for change in changes)
    return text.getvalue()


def read_changes(path: Path) -> list[Change]:
    """The changes of a table; InputError if it has other columns than `changes_text` writes."""
    head, *rows = read_table(path)
    if tuple(head) != _COLUMNS:
        raise InputError(f"{path} must begin with the columns {', '.join(_COLUMNS)}; give a table of --changes.")
    if odd := [i for i, row in enumerate(rows, start=1) if len(row) != len(_COLUMNS)]:
        raise InputError(f"{path}: row {odd[0]} under the header must have {len(_COLUMNS)} cells.")
    return [Change(*row) for row in rows]


# --- the way back --------------------------------------------------------------------------------------------------


def take_back(document: Mapping[str, Any], changes: Sequence[Change], origin: str) -> dict[str, Any]:
    """The document as it was before the changes; entries that were left out are at their places again.

    document: the mended document; it stays as it is.
    changes: in the order in which they were made.
    origin: the file of the changes, named in the InputError where they do not fit the document.
    """
    data = copy.deepcopy(dict(document))
    for row, change in reversed(list(enumerate(changes, start=1))):
        try:
            _take_back(data, change)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise InputError(
                f"{origin}: row {row} under the header, {change.path[:80]}, does not fit the labels; give the table "
                "that was written with this very file."
            ) from None
    return data


def _take_back(data: dict[str, Any], change: Change) -> None:
    section, *rest = change.path.removeprefix("/").split("/")
    if not rest:
        _take_back_key(data, section, change)
        return
    place, *keys = rest
    entries, at = data[section], int(place)
    if not keys and change.new:
        if _json(entries[at]) != change.new:
            raise ValueError(at)
        entries[at] = open_json(change.old, "")
        return
    if not keys:
        if not 0 <= at <= len(entries):
            raise IndexError(at)
        entries.insert(at, open_json(change.old, ""))
        return
    (key,) = (part.replace("~1", "/").replace("~0", "~") for part in keys)
    _take_back_key(entries[at], key, change)


def _take_back_key(entry: dict[str, Any], key: str, change: Change) -> None:
    if (_json(entry[key]) if key in entry else "") != change.new:
        raise ValueError(key)
    if change.old:
        entry[key] = open_json(change.old, "")
    else:
        del entry[key]
