"""How large a picture may be, and the sentences for one that is larger. All is known before a pixel is decoded."""

from typing import Any

from ..configs.checks import plain
from ..errors import InputError

MAX_PIXELS = 40_000_000  # number of pixels up to which a picture is read as it is; a larger one is read shrunk
CEILING = 800_000_000  # largest number of pixels of a picture that is read at all
MAX_SIDE = 16_384  # largest width and height in pixels of a picture that is read as it is
MAX_BYTES = 2**29  # largest size of a picture's file


def check_max_pixels(value: Any) -> int:
    """The number of pixels above which a picture is read shrunk, MAX_PIXELS for None; InputError unless it is whole."""
    if value is None:
        return MAX_PIXELS
    value = plain(value)
    if type(value) is not int or value < 1:
        raise InputError(f"The limit of pixels must be a whole number from 1, but got {value!r}; give e.g. 40000000.")
    return value


def check_size(width: int, height: int, name: str) -> None:
    """InputError unless a picture of this size is read as it is. name: the picture, subject of the sentence."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise InputError(f"{name} has {width} x {height} pixels, but each side must be 1 to {MAX_SIDE}; resize it.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS // 10**6} million allowed; shrink it."
        )


def check_ceiling(width: int, height: int, name: str) -> None:
    """InputError for a picture that is too large even to be read shrunk. name: subject of the sentence."""
    if min(width, height) < 1:
        raise InputError(f"{name} has {width} x {height} pixels, but each side must be 1 or more; give another.")
    if width * height > CEILING:
        raise InputError(
            f"{name} has {width} x {height} pixels, but at most {CEILING // 10**6} million are read, even shrunk; "
            "save it smaller."
        )


def check_bytes(count: int, name: str) -> None:
    """InputError for a file that is too large. count: its size in bytes; name: the picture, subject of the sentence."""
    if count > MAX_BYTES:
        raise InputError(f"{name} has {count} bytes, more than the {MAX_BYTES // 2**20} MiB allowed; save it smaller.")
