"""Pictures read safely, and crops resampled from them.

`read_image` reads an upright RGB picture from a file, bytes, a Pillow image or an array. Its size is checked in the
header before a pixel is decoded, and nothing is ever fetched. `crop_pixels` resamples the square of a `geometry.Crop`
in one step; `warp_pixels` does so as MP-100's released code does.
"""

import re
import stat
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from .errors import InputError, first_line
from .geometry import Crop, apply_matrix, invert_matrix

MAX_PIXELS = 40_000_000  # largest number of pixels of a picture
MAX_SIDE = 16_384  # largest width and height in pixels
MAX_BYTES = 64 * 2**20  # largest size of a picture's file
MAX_WINDOW = 16_000_000  # crops of more pixels of the picture's plane are summed over the picture alone
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

ImageSource = str | Path | bytes | Image.Image | np.ndarray

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_ORIENTATION = 274  # the EXIF and TIFF tag
_TILE_SIDES = (322, 323)  # TIFF tags; a tile may be larger than its picture and is decoded whole
_UPRIGHT = {  # EXIF orientation -> what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: ImageSource) -> Image.Image:
    """The picture as a new, upright Pillow image of mode RGB, without metadata.

    source: a path, the bytes of a file, a Pillow image, or an array [H, W, 3] of uint8 in RGB order.

    JPEG, PNG, WebP, BMP and TIFF (its first page) are read, up to 40 million pixels, 16384 pixels a side and 64 MiB.
    EXIF orientation is applied, to Pillow images too, so that all coordinates of this library belong to the upright
    picture. Transparent parts become white; 16-bit grey is scaled from 0..65535 to 0..255; an EXIF block that cannot
    be read is ignored, as picture viewers do.

    Raises InputError, one sentence that names the file, for anything else: no such file, a URL, another format,
    animated, too large, damaged or cut off, or values without a known scale (32-bit grey).
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        name = getattr(source, "filename", "") or "The Pillow image"
        return _decode(source, _printable(name))
    if isinstance(source, bytes):
        return _from_bytes(source, "The picture given as bytes")
    if isinstance(source, str | Path):
        return _from_bytes(_read_bytes(source), _printable(str(source)))
    raise InputError(
        f"A picture must be a path, bytes, a Pillow image or a uint8 array of height x width x 3, "
        f"but got {type(source).__name__}."
    )


def crop_pixels(image: Image.Image, crop: Crop, size: int) -> np.ndarray:
    """The pixels of a crop: [size, size, 3] uint8, black outside the picture.

    image: what `read_image` gives.
    crop: in image pixels; it may reach far beyond the picture, and memory stays bounded by the picture.
    size: side of the result in pixels. A point p of the picture lies at `crop.normalise(p) * size` in it.

    The picture is resampled once with the triangle filter (bilinear when enlarging, antialiased when shrinking), at
    exact fractions of a pixel. Raises InputError if the picture is not RGB or the crop has no area.
    """
    if image.mode != "RGB":
        raise InputError(f"A crop needs an RGB picture, but got mode {image.mode}; open it with read_image.")
    if not (np.isfinite([crop.x, crop.y, crop.side]).all() and crop.side > 0):
        raise InputError(f"A crop must have a finite corner and a side above 0, but got {crop}.")
    if size < 1:
        raise InputError(f"A crop must be at least 1 pixel wide, but got size {size}.")
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
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
    else:
        window = image.crop((*near.tolist(), *far.tolist()))
        x, y = crop.x - int(near[0]), crop.y - int(near[1])
        box = (x + left * step, y + top * step, x + right * step, y + bottom * step)
        part = np.asarray(window.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box))
    pixels[top:bottom, left:right] = part
    return pixels


def warp_pixels(image: Image.Image, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop as MP-100's released code makes it, for weights that were trained on such crops: [size, size, 3] uint8.

    image: what `read_image` gives.
    matrix: [2, 3] of `geometry.crop_matrix`.
    size: side of the result in pixels.

    The matrix is applied to the indices of pixels instead of their centres, and each pixel is interpolated from four:
    nothing is smoothed when shrinking, and black begins half a pixel too early. Use `crop_pixels` for anything else.
    Raises InputError if the picture is not RGB.
    """
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
    return np.rint(np.einsum("xw,ywc->yxc", across, rows)).astype(np.uint8)


# --- reading -------------------------------------------------------------------------------------------------------


def _read_bytes(path: str | Path) -> bytes:
    """The bytes of a regular file that is not too large; InputError for anything else, and for URLs."""
    name = _printable(str(path))
    if re.match(r"[a-z][a-z0-9+.-]+:/|data:", str(path), re.IGNORECASE):
        raise InputError(f"{name} is a URL, and pictures are never fetched; save it to a file and give its path.")
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a folder; give a picture.")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is not a regular file; give a picture.")
        _check_bytes(status.st_size, name)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"There is no file {name}; check the path.") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise InputError(f"Cannot read {name}: {_reason(error)}.") from error


def _from_bytes(data: bytes, name: str) -> Image.Image:
    """The picture in the bytes of a file. name: the picture, named in errors."""
    if not data:
        raise InputError(f"{name} is empty; give a picture.")
    _check_bytes(len(data), name)
    if (size := _webp_size(data)) is not None:
        _check_size(*size, name)  # Pillow's WebP reader allocates the whole picture on opening
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            return _decode(image, name)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not a readable JPEG, PNG, WebP, BMP or TIFF picture; convert it to one."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} has more than {MAX_PIXELS // 10**6} million pixels; shrink it.") from error
    except Exception as error:  # Pillow's readers raise many types of errors for damaged headers
        raise _damaged(name, error) from error


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InputError(
            f"An array picture must be uint8 of height x width x 3, but got {array.dtype} of shape {array.shape}."
        )
    _check_size(array.shape[1], array.shape[0], "The array picture")
    return Image.fromarray(np.ascontiguousarray(array))


def _decode(image: Image.Image, name: str) -> Image.Image:
    """The decoded picture, upright and RGB, once its header has been checked."""
    _check_size(*image.size, name)
    if image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False):
        raise InputError(f"{name} is animated; save the frame you want as a picture.")
    if image.format == "TIFF":
        tiles = [image.tag_v2.get(tag, 0) for tag in _TILE_SIDES]
        if not all(isinstance(side, int) and side <= MAX_SIDE for side in tiles) or tiles[0] * tiles[1] > MAX_PIXELS:
            raise InputError(f"{name} has tiles of {tiles} pixels, which is too large; save it again.")
    try:
        image.load()
        upright = _UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image, name)
        if upright is not None:
            rgb = rgb.transpose(upright)
    except InputError:
        raise
    except Exception as error:  # see _from_bytes
        raise _damaged(name, error) from error
    rgb.info = {}  # otherwise a reader of the result would apply the orientation again
    return rgb


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, None where there is none or the EXIF block cannot be read."""
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:
        return None


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    """The picture as a new RGB image: transparent parts white, 16-bit grey scaled to 8 bits."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        scaled = ((grey + 128) // 257).astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):
            scaled[grey == clear] = 255
        return Image.fromarray(scaled).convert("RGB")
    if image.mode in ("I", "F"):
        raise InputError(f"{name} has 32-bit grey values of unknown scale; save it with 8 or 16 bits per pixel.")
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


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


def _check_size(width: int, height: int, name: str) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise InputError(f"{name} has {width} x {height} pixels, but each side must be 1 to {MAX_SIDE}; resize it.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS // 10**6} million allowed; shrink it."
        )


def _check_bytes(count: int, name: str) -> None:
    if count > MAX_BYTES:
        raise InputError(f"{name} has {count} bytes, more than the {MAX_BYTES // 2**20} MiB allowed; save it smaller.")


def _damaged(name: str, error: Exception) -> InputError:
    """The error about a picture that cannot be decoded."""
    if "truncated" in str(error).lower():
        return InputError(f"{name} is cut off: {_reason(error)}; get the file again.")
    return InputError(f"{name} is damaged and cannot be decoded: {_reason(error)}; get the file again.")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.rstrip(".")
    return first_line(error)


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)
