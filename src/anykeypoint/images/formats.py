"""The kinds of files that are pictures: their suffixes, and what is needed to read them."""

from functools import cache
from importlib.util import find_spec
from typing import Any, BinaryIO

HEIF = (".heic", ".heif", ".hif")  # read by pillow-heif, which the extra `heic` installs
SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"),
    *HEIF,
)
HEIF_NEEDED = "install anykeypoint[heic]"


@cache
def reads_heif() -> bool:
    """Whether HEIC files can be read here; where they can, Pillow knows them afterwards."""
    if find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def heif_orientation(file: BinaryIO, image: Any) -> int | None:
    """The EXIF orientation that still has to be applied to a HEIC picture, None for none.

    file: the open file.
    image: the Pillow image, which is turned as the container says ("irot", "imir") when it is decoded.

    Cameras write the turn into the container and into EXIF, and then EXIF must not turn the picture again; some
    programs write it into EXIF alone.
    """
    meta = _part(file, b"meta", 0, 0) or b""
    return None if b"irot" in meta or b"imir" in meta else image.info.get("original_orientation")


def png_has_exif(file: BinaryIO) -> bool:
    """Whether a PNG file has an EXIF block, which may stand behind the pixels; these are not decoded."""
    return _part(file, b"eXIf", 8, 12) is not None


def _part(file: BinaryIO, kind: bytes, start: int, uncounted: int) -> bytes | None:
    """The first part of a kind; None for none. A part is its length and its kind, of 4 bytes each, and a body.

    start: where the first part begins.
    uncounted: bytes of a part that its length does not count.

    The file's place is afterwards what it was.
    """
    place, at = file.tell(), start
    try:
        while True:
            file.seek(at)
            head = file.read(8)
            length = int.from_bytes(head[:4], "big") + uncounted
            if len(head) < 8 or length < 8:
                return None
            if head[4:] == kind:
                return file.read(length - 8)
            at += length
    finally:
        file.seek(place)
