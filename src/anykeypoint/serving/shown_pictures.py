"""Pictures as a page shows them: upright, of limited size, as JPEG."""

import hashlib
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..errors import InputError
from ..images import UprightPicture, read_picture

SIDES = (128, 512, 1024, 2048)  # pixels of the longer side that are served; a page asks for one of these
QUALITY = 88


def shown(path: Path, side: int) -> bytes:
    """A picture as JPEG. side: the longest that its longer side may have, of SIDES."""
    if side not in SIDES:
        raise InputError(f"A picture is shown with a side of {', '.join(map(str, SIDES))} pixels, but got {side}.")
    pixels = read_picture(path, max_pixels=4 * side * side).pixels  # shrunk while it is decoded, then to the size
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _jpeg(pixels)


def part(picture: UprightPicture, left: int, top: int, width: int, height: int) -> bytes:
    """A part of a picture as JPEG, with all its pixels where its longer side has no more than the largest of SIDES.

    left, top, width, height: of the part, in pixels of the picture as it is in its file.
    Raises InputError for a part that is not inside the picture.
    """
    whole_width, whole_height = picture.size
    if left + width > whole_width or top + height > whole_height:
        raise InputError(
            f"A part must lie inside the picture, which has {whole_width} x {whole_height} pixels, but got one of "
            f"{width} x {height} pixels at {left}, {top}."
        )
    ends = zip((left, top, left + width, top + height), picture.corner * 2, picture.pixels.size * 2, strict=True)
    box = [min((end - start) / picture.shrunk, most) for end, start, most in ends]
    shrunk = max(picture.shrunk, max(width, height) / max(SIDES))
    size = (max(1, round(width / shrunk)), max(1, round(height / shrunk)))
    return _jpeg(picture.pixels.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def _jpeg(pixels: Image.Image) -> bytes:
    file = BytesIO()
    pixels.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def tag(path: Path, side: int) -> str:
    """What changes when the file does, for a browser that has the picture already."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path.name} is not there any longer; put it back, and its labels fit it again.") from error
    return hashlib.sha256(f"{path} {status.st_mtime_ns} {status.st_size} {side}".encode()).hexdigest()[:24]
