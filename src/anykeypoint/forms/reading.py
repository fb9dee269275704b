"""Label files opened with a limit, and the values in them: what the readers of all label forms share.

Nothing is written and nothing is fetched. Every function that refuses something raises InputError and names the file.
"""

import csv
import io
import math
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ..configs.doubled_keys import open_json
from ..errors import InputError
from ..io import UTF_16, text_of

MAX_BYTES = 512 << 20  # size limit of a label file in every form but COCO, whose own limit is in `document`
_PACKED = {b"PK\x03\x04": "ZIP", b"\x1f\x8b": "gzip", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR"}
_SPREADSHEETS = (".xlsx", ".ods", ".numbers")
_NO_TEXT = re.compile("[\udc80-\udcff]")  # a byte that is not UTF-8, as "surrogateescape" reads it


# --- files ---------------------------------------------------------------------------------------------------------


def files_below(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files of a folder that match, in order, without hidden ones and those in hidden folders.

    macOS puts a hidden "._a.jpg" beside "a.jpg" on drives of other systems, and programs keep copies in hidden folders.
    """
    found = (path for path in folder.glob(pattern) if path.is_file()) if folder.is_dir() else ()
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a label file; InputError if it cannot be read or is larger than `limit` bytes."""
    try:
        check_is_file(path)
        if path.stat().st_size > limit:
            raise InputError(f"{path} is larger than {limit >> 20} MiB; export the labels in several files.")
        return _unpacked(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"Cannot read the labels {path}: {error.strerror or error}.") from error


def check_is_file(path: Path) -> None:
    """InputError where there is no file, or a folder in its place."""
    if path.is_dir():
        raise InputError(f"{path} is a folder where a label file is needed; give the file in it.")
    if not path.is_file():
        raise InputError(f"There is no label file {path}; give the file that was exported.")


def _unpacked(data: bytes, what: str) -> bytes:
    """The bytes of a file; InputError where they are an archive, as some tools export.

    what: the file, named in the error.
    """
    if kind := next((kind for sign, kind in _PACKED.items() if data.startswith(sign)), ""):
        if what.lower().endswith(_SPREADSHEETS):
            raise InputError(f"{what} is a spreadsheet in its program's own form; save it as CSV.")
        raise InputError(f"{what} is a {kind} archive; unpack it and give the label file in it.")
    return data


def read_text(path: Path, otherwise: str = "") -> str:
    """The text of a label file, as `text_of` takes it.

    otherwise: the encoding of a file that is not UTF-8, for forms whose own tool writes another; "" refuses it.
    """
    data = read_bytes(path)
    try:
        return text_of(data, str(path))
    except InputError:
        if not otherwise:
            raise
        return data.decode(otherwise, "replace")


def read_json(path: Path) -> Any:
    """The JSON value that a label file holds.

    An object in which a key stands twice is an InputError when that key is looked up (`doubled_keys.DoubledKeys`).
    """
    text = read_text(path)
    try:
        return open_json(text, str(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {str(error).splitlines()[0]}.") from error


def read_table(path: Path) -> list[list[str]]:
    """The rows of a CSV file without its empty lines; InputError if no row is left or quoting is broken.

    The text is UTF-8, but for names of pictures in the first column: bytes that are not are kept as lone surrogates, as
    Python has them in paths. Where the first line has no comma, semicolons or tabs part the cells, as spreadsheets
    write them in many countries, and a comma in a number is its decimal point.
    """
    data = read_bytes(path)
    text = text_of(data, str(path)) if data.startswith(UTF_16) else data.decode("utf-8-sig", "surrogateescape")
    parting = parting_sign(text)
    before = csv.field_size_limit(MAX_BYTES)  # the library's limit of 128 KiB is too small for a cell with an outline
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True, delimiter=parting) if row]
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV table: {error}.") from error
    finally:
        csv.field_size_limit(before)
    if _NO_TEXT.search(text) and any(_NO_TEXT.search(cell) for i, row in enumerate(rows) for cell in row[i > 0 :]):
        read_text(path)  # raises with the place
    if not rows:
        raise InputError(f"{path} is empty; a CSV table of labels begins with a header line.")
    if parting == ",":
        return rows
    return [[decimal_point(cell) for cell in row] for row in rows]


def parting_sign(table: str) -> str:
    """What parts the cells of a CSV table: a comma where its first line has one, otherwise a semicolon or tab there."""
    first = table.lstrip().partition("\n")[0]
    return "," if "," in first else next((sign for sign in ";\t" if sign in first), ",")


def read_xml(path: Path) -> Element:
    """The root element of an XML file, as `parse_xml` reads it."""
    return parse_xml(read_bytes(path), str(path))


def parse_xml(data: str | bytes, what: str) -> Element:
    """The root element of an XML text; InputError where it is none.

    what: the text, as the sentence begins.
    A document type is refused, because it is where entities are declared: they can expand without end or name other
    files.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise InputError(f"{what} declares a document type, which exports of labels do not; remove it.")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what} is not valid XML: {error}{_advice(data, error)}.") from error


def _advice(data: str | bytes, error: Exception) -> str:
    """What helps where an XML text cannot be read for its encoding; "" where that is not why."""
    try:
        if isinstance(data, bytes):
            data.decode("utf-8")
        other = "encoding" in str(error)
    except UnicodeDecodeError:
        other = True
    return "; save it as UTF-8" if other else ""


@contextmanager
def catching(faults: list[str]) -> Iterator[None]:
    """Read one object of a file: an InputError is added to `faults` as its sentence, and the next object follows."""
    try:
        yield
    except InputError as error:
        faults.append(str(error))


# --- values --------------------------------------------------------------------------------------------------------


def number(value: Any, key: str, where: str) -> float:
    """A finite number from a JSON value or from the text of a cell.

    value: the JSON value or text; booleans and null are refused.
    key: the key or column that holds it, named in the error.
    where: the file and entry that hold it, named in the error.
    """
    try:
        result = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise InputError(f"{where}, key {key!r}, must be a finite number, but got {str(value)[:40]!r}.")
    return result


_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
_ID_DIGITS = 40  # more digits than any tool gives an id; Python refuses to read texts of thousands

# What pandas reads as missing, and what spreadsheets and other scripts write for it, in lower case.
_MISSING = frozenset(
    [
        *("", "nan", "-nan", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "none", "nat", "-"),
        *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
    ]
)


def is_missing(cell: str) -> bool:
    """Whether a table's cell says that there is no value, in one of the spellings that pandas reads so."""
    return cell.strip().lower() in _MISSING


def decimal_point(text: str) -> str:
    """A text with "." for the comma where it is a number with a decimal comma; any other as it is."""
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text


def plain_number(value: Any) -> float:
    """The value of a JSON number as a float, NaN for a value of any other type; nothing is refused."""
    try:
        return float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return math.inf


def is_finite(value: Any) -> bool:
    """Whether a JSON value has no infinite number and no NaN in it, which JSON cannot hold."""
    if isinstance(value, dict):
        value = list(value.values())
    return (
        all(map(is_finite, value)) if isinstance(value, list) else not isinstance(value, float) or math.isfinite(value)
    )


def whole_number(value: Any) -> int | None:
    """The whole number that a JSON value means (1, 1.0 and "1" are one), None for any other value."""
    if type(value) is float and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.strip().removeprefix("-").isdigit():
        return int(value) if len(value) <= _ID_DIGITS else None
    return value if type(value) is int else None


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """What names are sorted by where numbers in them count by their value: "frame2" before "frame10"."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def leaves_folder(name: str) -> bool:
    """Whether a relative file name, read the POSIX or the Windows way, leads out of the folder it is relative to."""
    return ".." in {*PurePosixPath(name).parts, *PureWindowsPath(name).parts} or is_absolute(name)


def is_absolute(name: str) -> bool:
    """Whether a file name, read the POSIX or the Windows way, begins at the root of a file system or at a drive."""
    return PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor)


def picture_key(name: str) -> str:
    """What two file names of one picture have in common: the parts of the path, "\\" being "/", in Unicode's NFC.

    Capitals count: on many systems `a.jpg` and `A.jpg` are two files.
    """
    parts = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).parts
    return "/".join(part for part in parts if part != ".")


def spelled(images: Path, name: str) -> str:
    """A file name as it is spelled in a folder: as given, or with "/" for "\\" and another normal form of Unicode.

    images: the folder of the pictures.
    name: relative to it. Returned as given where no spelling of it exists. One that is quoted as in an address
        (my%20picture.jpg) is read as that where there is no file of its own.
    """
    key = picture_key(name)
    spellings = [name, key, unicodedata.normalize("NFD", key)]
    if "%" in key and not leaves_folder(plain := picture_key(unquote(key))):
        spellings += [plain, unicodedata.normalize("NFD", plain)]
    for spelling in dict.fromkeys(spellings):
        if os.path.isfile(images / spelling):
            return spelling
    return name


def tails(name: str) -> list[str]:
    """The file names below a folder that a path of another machine may mean, the longest first."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    if parts and parts[0].endswith(":"):  # a drive of Windows
        parts = parts[1:]
    return ["/".join(parts[i:]) for i in range(len(parts))]


def find_picture(images: Path, names: Sequence[str]) -> str:
    """The first of several possible file names that exists in a folder.

    images: the folder of the pictures.
    names: file names relative to it that the picture may have, the likeliest first.
    Where none exists the first name is returned, and the picture counts as missing later; "" for no names, which
    `walk.walk` refuses.
    """
    for name in names:
        if name and not leaves_folder(name) and os.path.isfile(images / (found := spelled(images, name))):
            return found
    return names[0] if names else ""
