"""Tables that pandas stored in HDF5 (`DataFrame.to_hdf`), as rows of texts like those of a CSV file.

Only the layout "fixed" is read, which is the one by default: its axes and blocks are plain arrays. The layout "table"
keeps the names of its columns as a pickle, which is code and is never run.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, first_line
from .reading import MAX_BYTES, check_is_file

HDF5 = (".h5", ".hdf5", ".hdf")  # suffixes of such files, in lower case
_SAY_CSV = "give the .csv that lies beside it"
_MAX_CELLS = 50_000_000


def read_frame(path: Path) -> list[list[str]]:
    """The rows of the one table in a file: a header line for each level of the columns, then one line for each row.

    A header line begins with the level's name, a row with the parts of its index, as `DataFrame.to_csv` writes them.
    NaN is an empty cell. Raises InputError if the file is anything else, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            f"{path} is HDF5, which needs the package h5py; {_SAY_CSV}, or install anykeypoint with the extra 'h5'."
        ) from error
    check_is_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB; {_SAY_CSV}.")
    try:
        with h5py.File(path) as file:
            return _rows(_the_group(file, path), path)
    except InputError:
        raise
    except (OSError, KeyError, IndexError, TypeError, ValueError, RuntimeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table of pandas ({first_line(error)}); {_SAY_CSV}.") from error


def _the_group(file: Any, path: Path) -> Any:
    """The group of the file's one table."""
    groups = [group for group in file.values() if "pandas_type" in group.attrs]
    kinds = [_text(group.attrs["pandas_type"]) for group in groups]
    if kinds == ["frame_table"]:
        raise InputError(f"{path} keeps the names of its columns as a pickle, which is never opened; {_SAY_CSV}.")
    if kinds != ["frame"]:
        raise InputError(f"{path} must hold one table of pandas, but has {len(kinds)}; {_SAY_CSV}.")
    return groups[0]


def _rows(group: Any, path: Path) -> list[list[str]]:
    columns, names = _axis(group, "axis0")
    index, _ = _axis(group, "axis1")
    if len(columns) * len(index) > _MAX_CELLS:
        raise InputError(f"{path} has {len(columns)} x {len(index)} cells, more than labels have; {_SAY_CSV}.")
    values = np.full((len(index), len(columns)), np.nan)
    places = {column: place for place, column in enumerate(columns)}
    for block in range(int(group.attrs["nblocks"])):
        items, _ = _axis(group, f"block{block}_items")
        data = group[f"block{block}_values"]
        if data.shape != (len(index), len(items)):
            raise InputError(f"{path} has a block of {data.shape} cells for {len(index)} rows; {_SAY_CSV}.")
        values[:, [places[item] for item in items]] = np.asarray(_array(data), dtype=np.float64)
    wide = len(index[0]) if index else 1
    rows = [[name, *[""] * (wide - 1), *(column[i] for column in columns)] for i, name in enumerate(names)]
    for entry, line in zip(index, values.tolist(), strict=True):
        rows.append([*entry, *("" if np.isnan(value) else repr(value) for value in line)])
    return rows


def _axis(group: Any, name: str) -> tuple[list[tuple[str, ...]], list[str]]:
    """The entries of an axis, each a text for each of its levels, and the levels' names."""
    if _text(group.attrs[f"{name}_variety"]) == "regular":
        return [(text,) for text in _texts(group[name])], [_text(group[name].attrs.get("name", ""))]
    levels, labels, names = [], [], []
    for level in range(int(group.attrs[f"{name}_nlevels"])):
        stored = group[f"{name}_level{level}"]
        levels.append(_texts(stored))
        labels.append(_array(group[f"{name}_label{level}"]).tolist())
        names.append(_text(stored.attrs.get("name", "")))
    rows = zip(*labels, strict=True)
    return [tuple(levels[i][code] if code >= 0 else "" for i, code in enumerate(row)) for row in rows], names


def _texts(stored: Any) -> list[str]:
    """The texts of an array; numbers, as of frames, are written out."""
    return [_text(value) for value in _array(stored).tolist()]


def _array(stored: Any) -> np.ndarray:
    """A stored array of numbers or of bytes; a small file can unpack to more than the memory holds."""
    if stored.dtype.kind not in "Siuf":  # pandas pickles all else
        raise InputError(f"{stored.file.filename} has an array of {stored.dtype}, which is never opened; {_SAY_CSV}.")
    if stored.size * stored.dtype.itemsize > MAX_BYTES:
        raise InputError(f"{stored.file.filename} unpacks to more than {MAX_BYTES >> 20} MiB; {_SAY_CSV}.")
    return stored[...]


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8") if isinstance(value, bytes) else str(value)
