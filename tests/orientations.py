"""EXIF's orientations, as files store them."""

from PIL import Image

_UNDONE = {  # orientation -> how an upright picture is stored
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def as_stored(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a file of that orientation has for a picture."""
    return upright.transpose(_UNDONE[orientation]) if orientation in _UNDONE else upright
