"""A whole picture as a square for a network, grey where the picture ends, and the way back."""

import numpy as np
from PIL import Image

from ..geometry import Crop, square_crop
from ..images import crop_pixels

GREY = 0.5


def letterbox(image: Image.Image, size: int, centred: bool = True) -> tuple[np.ndarray, Crop]:
    """The picture's pixels [size, size, 3] float32 in 0..1, and the square of the picture that they show.

    The longer side fills the square. centred: the picture lies in the middle, as darknet has it, else at the top left,
    as OWLv2 has it. A place p of the square, in fractions of its side, is `crop.to_image(p)` in the picture.
    """
    width, height = image.size
    crop = square_crop((0.0, 0.0, width, height)) if centred else Crop(0.0, 0.0, float(max(width, height)))
    shown = crop_pixels(image, crop, size).astype(np.float32) / 255
    inside = crop_pixels(Image.new("RGB", image.size, "white"), crop, size).astype(np.float32) / 255  # 1 in the picture
    return shown + GREY * (1 - inside), crop
