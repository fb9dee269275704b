"""A whole picture as a square for a network, grey beside the picture, and the way back to the picture."""

import numpy as np
from PIL import Image

from ..geometry import Crop, square_crop
from ..images import crop_pixels

GREY = 0.5  # value of the square beside the picture


def letterbox(image: Image.Image, size: int, centred: bool = True, scale: float = 1.0) -> tuple[np.ndarray, Crop]:
    """The pixels of the square [size, size, 3], float32 in 0..1, and the crop of the picture that it shows.

    image: the picture; its longer side fills the square.
    size: side of the square in pixels.
    centred: True puts the picture in the middle, as darknet does, False at the top left, as OWLv2 does.
    scale: side of a centred square, as a multiple of the picture's longer side.

    A point p of the square, in fractions of its side, is `crop.to_image(p)` in pixels of the picture.
    """
    width, height = image.size
    crop = square_crop((0.0, 0.0, width, height), scale) if centred else Crop(0.0, 0.0, float(max(width, height)))
    pixels = crop_pixels(image, crop, size).astype(np.float32) / 255
    white = Image.new("RGB", image.size, "white")
    inside = crop_pixels(white, crop, size).astype(np.float32) / 255  # 1 inside the picture, 0 beside it
    return pixels + GREY * (1 - inside), crop
