"""The kinds of files that are pictures: their suffixes, and what is needed to read them."""

from functools import cache
from importlib.util import find_spec

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
