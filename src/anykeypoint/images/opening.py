"""Pictures read safely: the one place where a picture's file is opened.

`read_picture` gives an upright RGB picture, a large one shrunk; `read_image` gives its pixels where it is not too large
for that; `picture_size` reads the header alone. Sizes are checked in the header before a pixel is decoded, and nothing
is ever fetched.
"""

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from ..errors import InputError, first_line
from ..geometry import Box, Crop
from . import limits
from .formats import HEIF_NEEDED, heif_orientation, png_has_exif, reads_heif
from .limits import MAX_PIXELS, MAX_SIDE, check_bytes, check_ceiling, check_max_pixels, check_size
from .pixels import from_array, is_array, shrunk_rgb, to_rgb

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_KINDS = "JPEG, PNG, WebP, BMP, TIFF, AVIF or HEIC"
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
_ORIENTATION = 274  # the EXIF and TIFF tag
_TILE_SIDES = (322, 323)  # TIFF tags; a tile may be larger than its picture and is decoded whole
_TURNED = (5, 6, 7, 8)  # EXIF orientations that change width and height
_UPRIGHT = {  # EXIF orientation -> what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FROM_RIGHT, _FROM_BOTTOM = (2, 3, 6, 7), (3, 4, 7, 8)  # orientations whose upright x, y count from the stored far end
_DRAFTS = (8, 4, 2)  # shares of the size at which JPEG is decoded directly
_HEAD = 256  # bytes from which the kind of a file is known
_lock = threading.Lock()
_open: dict[str, Any] = {"calls": 0, "limit": 0}


@dataclass(frozen=True, eq=False)
class UprightPicture:
    """An upright RGB picture; a large one is shrunk. All coordinates of this library are those of `size`.

    pixels: a Pillow image of mode RGB, without metadata.
    size: (width, height) in pixels of the upright picture as it is in the file.
    shrunk: number of the file's pixels, along each side, for one pixel of `pixels`; 1 where nothing was shrunk.
    corner: where the top-left corner of `pixels` lies in the file's picture, each from -shrunk (excluded) to 0: the
        last pixels of a side are the first ones once the picture is upright.
    path: of the file; "" where it did not come from one.
    """

    pixels: Image.Image
    size: tuple[int, int]
    shrunk: int = 1
    corner: tuple[int, int] = (0, 0)
    path: str = ""

    @property
    def whole(self) -> Box:
        """The box of the whole picture."""
        return (0.0, 0.0, float(self.size[0]), float(self.size[1]))

    def mirrored(self) -> "UprightPicture":
        """The picture seen in a mirror: a place (x, y) becomes (width - x, y)."""
        right = self.corner[0] + self.pixels.width * self.shrunk  # where the pixels end in the file's picture
        corner = (self.size[0] - right, self.corner[1])
        flipped = self.pixels.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return UprightPicture(flipped, self.size, self.shrunk, corner, self.path)

    def inside(self, crop: Crop) -> Crop:
        """A crop in coordinates of `size` as the crop of `pixels`."""
        if self.shrunk == 1:
            return crop
        x, y = ((value - start) / self.shrunk for value, start in zip((crop.x, crop.y), self.corner, strict=True))
        return Crop(x, y, crop.side / self.shrunk)


ImageSource = str | os.PathLike | bytes | BinaryIO | Image.Image | np.ndarray | UprightPicture  # also a tensor of torch


def read_picture(source: ImageSource, max_pixels: int | None = None) -> UprightPicture:
    """A picture, upright and RGB.

    source: one of
        a path, the bytes of a file, or a file object opened in binary mode, such as BytesIO;
        a Pillow image;
        a numpy array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]: grey, RGB or RGBA, never OpenCV's BGR; uint8, floating
            point from 0 to 1, or uint16;
        a tensor of torch of the same types, [C, H, W] where the first axis has 1, 3 or 4 entries, else [H, W, C];
        a `UprightPicture`, which is given back.
    max_pixels: a picture of more pixels is read shrunk by a whole number, so that it has no more; None takes 40
        million. Coordinates stay those of the picture as it is in its file, whose size is `UprightPicture.size`.

    Files are JPEG, PNG, WebP, BMP, AVIF, TIFF (its first page), MPO (its first picture), and HEIC where pillow-heif is
    installed; up to 800 million pixels and 512 MiB. EXIF orientation is applied, to Pillow images too. Transparent
    parts become white; grey of 16 bits is scaled by its range (`pixels.to_8_bits`); an EXIF block that cannot be read
    is ignored, as picture viewers do.

    Raises InputError, one sentence that names the file, for anything else: no such file, a URL, another format,
    animated, too large, damaged or cut off, or values without a known scale (32-bit grey).

    >>> ak.read_picture("examples/cat.jpg").size
    (451, 300)
    """
    if isinstance(source, UprightPicture):
        return source
    return _read(source, check_ceiling, check_max_pixels(max_pixels))


def read_image(source: ImageSource) -> Image.Image:
    """The pixels of a picture that is small enough to be read as it is: a new Pillow image of mode RGB.

    source: as for `read_picture`.

    Raises InputError as `read_picture` does, and for a picture of more than 40 million pixels or 16384 pixels a side.
    """
    if isinstance(source, UprightPicture):
        check_size(*source.size, source.path or "The picture")
        return source.pixels.copy()
    return _read(source, check_size, MAX_PIXELS).pixels


def picture_size(source: ImageSource) -> tuple[int, int] | None:
    """(width, height) of the upright picture in pixels, from its header alone; None if there is no such picture."""
    if isinstance(source, UprightPicture):
        return source.size
    try:
        return _read(source, lambda *_: None, 0).size
    except InputError:
        return None


def header_size(source: ImageSource, check: "Check") -> tuple[int, int]:
    """(width, height) of the upright picture in pixels, from its header alone.

    check: called with width, height and the picture's name before anything is decoded; raises InputError to refuse it.
    Raises InputError for what is no picture.
    """
    return _read(source, check, 0).size


# --- sources -------------------------------------------------------------------------------------------------------

Check = Callable[[int, int, str], None]  # refuses a width and height; the name is the subject of the sentence


def _read(source: Any, check: Check, max_pixels: int) -> UprightPicture:
    """The picture of any source. max_pixels: see `read_picture`; 0 reads the header alone and gives no pixels."""
    check_source(source)
    if isinstance(source, Image.Image):
        name = _printable(getattr(source, "filename", "") or "The Pillow image")
        return _decode(source, name, check, max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source), "The picture given as bytes", check, max_pixels)
    if isinstance(source, str | os.PathLike):
        return _from_path(os.fsdecode(source), check, max_pixels)
    if hasattr(source, "read"):
        return _from_stream(source, "The picture given as a file object", check, max_pixels)
    return _decode(from_array(source, check), "The array picture", check, max_pixels)


def kept_source(source: ImageSource) -> ImageSource:
    """A path or bytes as they are; anything else read now, as files are read once and arrays may be changed later."""
    check_source(source)
    return source if isinstance(source, str | os.PathLike | bytes) else read_picture(source)


def check_source(source: Any) -> None:
    """InputError for what is no kind of picture; whether it can be read turns out when it is read."""
    kinds = str | os.PathLike | bytes | bytearray | memoryview | Image.Image | UprightPicture
    if isinstance(source, kinds) or hasattr(source, "read") or is_array(source):
        return
    more = "; give lists of pictures to predict" if isinstance(source, list | tuple) else ""
    raise InputError(
        "A picture must be a path, bytes, a binary file, a Pillow image, or an array or tensor of height x width x 3 "
        f"in RGB order, but got {type(source).__name__}{more}."
    )


def _from_stream(stream: Any, name: str, check: Check, max_pixels: int) -> UprightPicture:
    """The picture of a file object: all of a BytesIO, wherever it was left after writing, else what is still unread."""
    try:
        data = stream.getvalue() if isinstance(stream, BytesIO) else stream.read(limits.MAX_BYTES + 1)
    except (OSError, ValueError, TypeError) as error:  # ValueError: it is closed
        raise InputError(f"{name} cannot be read: {first_line(error)}; give a path or the bytes.") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name} must be opened in binary mode ('rb'), but gives {type(data).__name__}.")
    if not data:
        raise InputError(f"{name} has nothing left to read; go back to its start with seek(0), or give the bytes.")
    return _from_bytes(data, name, check, max_pixels)


def _from_bytes(data: bytes, name: str, check: Check, max_pixels: int) -> UprightPicture:
    check_bytes(len(data), name)
    return _from_file(BytesIO(data), name, check, max_pixels)


def _from_path(path: str, check: Check, max_pixels: int) -> UprightPicture:
    """The picture of a regular file that is not too large; InputError for anything else, and for URLs."""
    name = _printable(path)
    if re.match(r"[a-z][a-z0-9+.-]+:/|data:", path, re.IGNORECASE):
        raise InputError(f"{name} is a URL, and pictures are never fetched; save it to a file and give its path.")
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a folder; give a picture.")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is not a regular file; give a picture.")
        check_bytes(status.st_size, name)
        with open(path, "rb") as file:
            return replace(_from_file(file, name, check, max_pixels), path=path)
    except FileNotFoundError:
        raise InputError(f"There is no file {name}; check the path.") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise InputError(f"Cannot read {name}: {_reason(error)}.") from error


def _from_file(file: BinaryIO, name: str, check: Check, max_pixels: int) -> UprightPicture:
    """The picture in an open file. name: the picture, named in errors."""
    head = file.read(_HEAD)
    file.seek(0)
    if not head:
        raise InputError(f"{name} is empty; give a picture.")
    if (size := _webp_size(head)) is not None:
        check(*size, name)  # Pillow's WebP reader allocates the whole picture on opening
    formats = _formats(head, name)
    try:
        with without_pillows_limit():
            image = Image.open(file, formats=formats)
        with image:
            return _decode(image, name, check, max_pixels, file)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not a readable {_KINDS} picture; convert it to one.") from error
    except Exception as error:  # Pillow's readers raise many types of errors for damaged headers
        raise _damaged(name, error) from error


def _formats(data: bytes, name: str) -> tuple[str, ...]:
    """The formats, by Pillow's names, that these bytes may be read as."""
    if data[4:8] != b"ftyp":
        return _FORMATS
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4], "big"), 256), 4))}
    if b"avif" in brands or b"avis" in brands:
        if not features.check("avif"):
            raise InputError(f"{name} is an AVIF picture, which this Pillow cannot read; install Pillow 11.3 or later.")
        return ("AVIF",)
    if not brands.isdisjoint(_HEIF_BRANDS):
        if not reads_heif():
            raise InputError(f"{name} is a HEIC picture; {HEIF_NEEDED} to read it, or save it as JPEG or PNG.")
        return ("HEIF",)
    return _FORMATS


@contextmanager
def without_pillows_limit() -> Iterator[None]:
    """Pillow's own limit on the number of pixels is off meanwhile: it is far below ours, which is checked instead.

    The limit belongs to the whole process, so that the last of several threads puts it back.
    """
    with _lock:
        if _open["calls"] == 0:
            _open["limit"], Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _open["calls"] += 1
    try:
        yield
    finally:
        with _lock:
            _open["calls"] -= 1
            if _open["calls"] == 0:
                Image.MAX_IMAGE_PIXELS = _open["limit"]


# --- decoding ------------------------------------------------------------------------------------------------------


def _decode(
    image: Image.Image, name: str, check: Check, max_pixels: int, file: BinaryIO | None = None
) -> UprightPicture:
    """The decoded picture, upright and RGB, once its header has been checked.

    file: from which the image was opened here, so that it may be changed; None for an image of the caller's.
    """
    check(*image.size, name)
    orientation = _orientation(image, file)
    size = image.size[::-1] if orientation in _TURNED else image.size
    if not max_pixels:
        return UprightPicture(image, size)
    if image.format in ("PNG", "WEBP", "AVIF") and getattr(image, "is_animated", False):
        raise InputError(f"{name} is animated; save the frame you want as a picture.")
    if image.format == "TIFF":
        tiles = [image.tag_v2.get(tag, 0) for tag in _TILE_SIDES]  # type: ignore[attr-defined]
        if not all(isinstance(side, int) and side <= MAX_SIDE for side in tiles) or tiles[0] * tiles[1] > MAX_PIXELS:
            raise InputError(f"{name} has tiles of {tiles} pixels, which is too large; save it again.")
    factor = _factor(size, max_pixels)
    try:
        drafted = 1 if file is None else _draft(image, factor)
        image.load()
        left = -(-factor // drafted)
        rgb = to_rgb(image, name) if left == 1 else shrunk_rgb(image, name, left)
        if (turn := _UPRIGHT.get(orientation or 0)) is not None:
            rgb = rgb.transpose(turn)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{name} has {size[0]} x {size[1]} pixels, more than memory holds; save it smaller."
        ) from error
    except Exception as error:  # see _from_file
        raise _damaged(name, error) from error
    rgb.info = {}  # otherwise a reader of the result would apply the orientation again
    shrunk = drafted * left
    beyond = [side * shrunk - whole for side, whole in zip(rgb.size, size, strict=True)]
    turned = (orientation in _FROM_RIGHT, orientation in _FROM_BOTTOM)
    corner = (-beyond[0] if turned[0] else 0, -beyond[1] if turned[1] else 0)
    return UprightPicture(rgb, size, shrunk, corner)


def _factor(size: tuple[int, int], max_pixels: int) -> int:
    """The smallest whole number by which a picture must be shrunk to have at most so many pixels."""
    factor = 1
    while -(-size[0] // factor) * -(-size[1] // factor) > max_pixels and factor < max(size):
        factor += 1
    return factor


def _draft(image: Image.Image, factor: int) -> int:
    """Let a JPEG be decoded at a share of its size, which costs less time and memory; gives that share, else 1."""
    if factor == 1 or image.format not in ("JPEG", "MPO"):
        return 1
    wanted = next((share for share in reversed(_DRAFTS) if share >= factor), _DRAFTS[0])
    width = image.width
    found = image.draft(None, (max(1, image.width // wanted), max(1, image.height // wanted)))
    return 1 if found is None else round(width / found[1][2])


def _orientation(image: Image.Image, file: BinaryIO | None) -> int | None:
    """The EXIF orientation that is still to be applied, None for none and where the EXIF block cannot be read."""
    if image.format == "TIFF":
        return None  # Pillow states its size upright, and turns it as it decodes it
    try:
        if file is not None and image.format == "HEIF":
            return heif_orientation(file, image)
        known = "exif" in image.info or "Raw profile type exif" in image.info
        if file is not None and image.format == "PNG" and not known and not png_has_exif(file):
            return None  # Pillow would decode the picture to find out
        return image.getexif().get(_ORIENTATION)
    except Exception:  # a damaged block of metadata, for which readers raise many types of errors, is ignored
        return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file from its first 30 bytes; None if it is not WebP or too short to tell."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kind = data[12:16]
    if kind == b"VP8X":  # 24-bit canvas sides, less one
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":  # two 14-bit sides, less one, after a signature byte
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # two 14-bit sides; the upper two bits are about scaling
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


# --- sentences -----------------------------------------------------------------------------------------------------


def _damaged(name: str, error: Exception) -> InputError:
    """The error about a picture that cannot be decoded."""
    if "closed" in str(error):  # a Pillow image of the caller's reads its file when its pixels are first needed
        return InputError(f"{name} was closed before its pixels were read; open it again, or give its path.")
    if "truncated" in str(error).lower():
        return InputError(f"{name} is cut off: {_reason(error)}; get the file again.")
    return InputError(f"{name} is damaged and cannot be decoded: {_reason(error)}; get the file again.")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.rstrip(".")
    return first_line(error)


def _printable(text: str) -> str:
    return text if text and text.isprintable() else repr(text)
