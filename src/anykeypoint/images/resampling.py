"""Crops resampled from pictures, in coordinates of the picture as it is in its file."""

import numpy as np
from PIL import Image

from ..errors import InputError
from ..geometry import Crop, apply_matrix, invert_matrix
from .opening import UprightPicture, without_pillows_limit

MAX_WINDOW = 16_000_000  # crops of more pixels of the picture's plane are summed over the picture alone


def crop_pixels(image: Image.Image | UprightPicture, crop: Crop, size: int, rounded: bool = True) -> np.ndarray:
    """The pixels of a crop: [size, size, 3] uint8, or float32 from 0 to 255; black outside the picture.

    image: what `read_picture` or `read_image` gives.
    crop: in image pixels; it may reach far beyond the picture, and memory stays bounded by the picture.
    size: side of the result in pixels. A point p of the picture lies at `crop.normalise(p) * size` in it.
    rounded: whether values are whole numbers, uint8. Else a crop that is moved by very little differs by very little.

    The picture is resampled once with the triangle filter (bilinear when enlarging, antialiased when shrinking), at
    exact fractions of a pixel. Raises InputError if the picture is not RGB or the crop has no area.
    """
    if isinstance(image, UprightPicture):
        image, crop = image.pixels, image.inside(crop)
    if image.mode != "RGB":
        raise InputError(f"A crop needs an RGB picture, but got mode {image.mode}; open it with read_image.")
    if not (np.isfinite([crop.x, crop.y, crop.side]).all() and crop.side > 0):
        raise InputError(f"A crop must have a finite corner and a side above 0, but got {crop}.")
    if size < 1:
        raise InputError(f"A crop must be at least 1 pixel wide, but got size {size}.")
    pixels = np.zeros((size, size, 3), dtype=np.uint8 if rounded else np.float32)
    step = crop.side / size  # picture pixels per pixel of the result
    reach = max(step, 1.0)  # radius of the filter in picture pixels
    corner = (crop.x, crop.y)
    spans = [_span(corner[axis], step, reach, size, image.size[axis]) for axis in (0, 1)]
    if any(first >= last for first, last in spans):
        return pixels
    (left, right), (top, bottom) = spans
    # The part of the picture's plane that the filter covers for these pixels, in whole pixels.
    near = np.floor([crop.x + left * step - reach, crop.y + top * step - reach]).astype(int) - 1
    far = np.ceil([crop.x + right * step + reach, crop.y + bottom * step + reach]).astype(int) + 1
    if np.prod((far - near).astype(float)) > max(2 * image.width * image.height, MAX_WINDOW):
        part = _weigh(image, crop, step, spans)
        part = np.rint(part) if rounded else part
    else:
        with without_pillows_limit():
            window = image.crop((*near.tolist(), *far.tolist()))
        x, y = crop.x - int(near[0]), crop.y - int(near[1])
        box = (x + left * step, y + top * step, x + right * step, y + bottom * step)
        wide = (right - left, bottom - top)
        if rounded:
            part = np.asarray(window.resize(wide, Image.Resampling.BILINEAR, box=box))
        else:
            part = np.empty((*wide[::-1], 3), dtype=np.float32)
            for colour, plane in enumerate(window.split()):
                part[..., colour] = plane.convert("F").resize(wide, Image.Resampling.BILINEAR, box=box)
    pixels[top:bottom, left:right] = part
    return pixels


def warp_pixels(image: Image.Image | UprightPicture, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop as MP-100's released code makes it, for weights that were trained on such crops: [size, size, 3] uint8.

    image: what `read_picture` or `read_image` gives.
    matrix: [2, 3] of `geometry.crop_matrix`.
    size: side of the result in pixels.

    The matrix is applied to the indices of pixels instead of their centres, and each pixel is interpolated from four:
    nothing is smoothed when shrinking, and black begins half a pixel too early. Use `crop_pixels` for anything else.
    Raises InputError if the picture is not RGB.
    """
    if isinstance(image, UprightPicture):
        # The index i of a pixel is that of the middle one of the file's pixels for which it stands.
        middle = np.add(image.corner, (image.shrunk - 1) / 2)
        linear = matrix[:, :2]
        image, matrix = image.pixels, np.column_stack([linear * image.shrunk, linear @ middle + matrix[:, 2]])
    if image.mode != "RGB":
        raise InputError(f"A crop needs an RGB picture, but got mode {image.mode}; open it with read_image.")
    source = np.pad(np.asarray(image), ((1, 1), (1, 1), (0, 0)))  # a black margin of one pixel
    rows, columns = np.mgrid[:size, :size]
    places = apply_matrix(invert_matrix(matrix), np.stack([columns, rows], axis=-1)) + 1
    places = np.clip(places, 0, np.array(image.size) + 1)
    low = np.minimum(np.floor(places).astype(int), image.size)
    (x, y), part = np.moveaxis(low, -1, 0), places - low
    right, down = part[..., :1], part[..., 1:]
    above = source[y, x] * (1 - right) + source[y, x + 1] * right
    below = source[y + 1, x] * (1 - right) + source[y + 1, x + 1] * right
    return np.rint(above * (1 - down) + below * down).astype(np.uint8)


# --- cropping ------------------------------------------------------------------------------------------------------


def _span(corner: float, step: float, reach: float, size: int, extent: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of the result, along one axis, whose filter touches the picture.

    corner: of the crop, in image pixels.
    step: image pixels per pixel of the result.
    reach: radius of the filter, in image pixels.
    size, extent: of the result and of the picture along this axis, in pixels.
    """
    first = np.floor((-reach - corner) / step - 0.5)
    last = np.ceil((extent + reach - corner) / step - 0.5) + 1
    return int(np.clip(first, 0, size)), int(np.clip(last, 0, size))


def _weigh(image: Image.Image, crop: Crop, step: float, spans: list[tuple[int, int]]) -> np.ndarray:
    """The same resampling as sums over the picture alone, for crops whose black part would not fit into memory.

    The filter of such a crop covers hundreds of pixels, so the sum of its weights equals its integral, `step`.
    spans: of `_span`, for x and y.
    """
    weights = []
    for corner, (first, last), extent in zip((crop.x, crop.y), spans, image.size, strict=True):
        centres = corner + (np.arange(first, last) + 0.5) * step
        distances = np.abs(np.arange(extent) + 0.5 - centres[:, None])
        weights.append(np.maximum(0.0, 1.0 - distances / step) / step)
    across, down = weights
    source = np.asarray(image)
    rows = np.stack([np.einsum("h,hwc->wc", row, source) for row in down])  # [pixels down, W, 3]
    return np.einsum("xw,ywc->yxc", across, rows)
