"""Any kind of pixels as 8-bit RGB: grey, palettes, transparency, more bits than eight, arrays and tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError, first_line

BITS = (8, 10, 12, 14, 16)  # depths at which cameras and microscopes record into 16 bits
_BAND = 4_000_000  # pixels of a large picture that are converted at once
_TIFF_BITS = 258  # TIFF tag: bits of a sample
_CHANNELS = (1, 3, 4)


def to_8_bits(values: np.ndarray, bits: int | None = None, clear: int | None = None) -> np.ndarray:
    """Numbers of 16 bits as numbers of 8 bits, scaled by the range of the device that recorded them.

    values: uint16 of any shape.
    bits: the depth, where the file states it. None takes the least of BITS that holds the largest value: a picture
        whose values reach 3900 is one of 12 bits, and 4095 becomes 255.
    clear: a value that stands for transparency and says nothing about the range.
    """
    whole = values.astype(np.uint32)
    known = whole if clear is None else whole[whole != clear]
    largest = int(known.max(initial=0))
    if bits is None or largest >= 2**bits:
        bits = next(depth for depth in BITS if largest < 2**depth)
    top = 2**bits - 1
    return np.minimum((whole * 255 + top // 2) // top, 255).astype(np.uint8)


def to_rgb(image: Image.Image, name: str, bits: int | None = None) -> Image.Image:
    """A decoded picture as a new RGB image: transparent parts white, 16-bit grey scaled to 8 bits.

    name: the picture, named in errors.
    bits: depth of 16-bit grey, where it is known.
    """
    if image.mode.startswith("I;16"):
        grey, clear = np.asarray(image), image.info.get("transparency")
        clear = clear if isinstance(clear, int) else None
        scaled = to_8_bits(grey, _stated_bits(image) if bits is None else bits, clear)
        if clear is not None:
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


def shrunk_rgb(image: Image.Image, name: str, factor: int) -> Image.Image:
    """`to_rgb` of a large picture, shrunk by a whole number: each pixel is the mean of factor x factor pixels.

    The last column and row are the means of what is left there. The picture is converted in bands, so that beside the
    decoded picture little memory is needed.
    """
    bits = _depth(image) if image.mode.startswith("I;16") else None
    shrunk = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    rows = max(1, _BAND // (image.width * factor)) * factor
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        shrunk.paste(to_rgb(band, name, bits).reduce(factor), (0, top // factor))
    return shrunk


def _depth(image: Image.Image) -> int:
    """The depth in bits of a whole picture of 16-bit grey."""
    clear = image.info.get("transparency")
    grey = np.asarray(image)
    largest = int(grey.max(initial=0, where=grey != clear) if isinstance(clear, int) else grey.max(initial=0))
    stated = _stated_bits(image)
    return stated if stated and largest < 2**stated else next(depth for depth in BITS if largest < 2**depth)


def _stated_bits(image: Image.Image) -> int | None:
    """The depth that a TIFF states, where it is less than 16; others state none."""
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (16,))
    first = bits[0] if isinstance(bits, tuple) and bits else bits
    return first if isinstance(first, int) and 8 <= first < 16 else None


# --- arrays --------------------------------------------------------------------------------------------------------


def is_array(source: Any) -> bool:
    """Whether something is an array of numpy or a tensor of torch."""
    return isinstance(source, np.ndarray) or _is_tensor(source)


def from_array(source: Any, check: Callable[[int, int, str], None]) -> Image.Image:
    """An array or tensor as a Pillow image of mode L, RGB or RGBA.

    source: as `opening.read_picture` takes it.
    check: refuses a width and height.
    """
    values, what = (_plain(source), "A tensor picture") if _is_tensor(source) else (source, "An array picture")
    if np.ma.is_masked(values):
        raise InputError(f"{what} has masked pixels, whose colour is unknown; fill them, as in image.filled(255).")
    values = _channels_last(values, what, tensor=_is_tensor(source))
    check(values.shape[1], values.shape[0], "The array picture")
    if np.issubdtype(values.dtype, np.floating):
        values = _from_shares(values, what)
    elif values.dtype.newbyteorder("=") == np.uint16:  # files of other machines have the higher byte first
        values = to_8_bits(values)
    elif values.dtype != np.uint8:
        raise InputError(
            f"{what} must be uint8, uint16, or floating point from 0 to 1, but got {values.dtype}; convert it."
        )
    if values.shape[2] == 1:
        values = values[..., 0]
    return Image.fromarray(np.ascontiguousarray(values))


def _channels_last(values: np.ndarray, what: str, tensor: bool) -> np.ndarray:
    """The array as [H, W, C] with 1, 3 or 4 channels. tensor: channels that come first are accepted, and preferred."""
    if values.ndim == 2:
        return values[..., None]
    if values.ndim == 3:
        if tensor and values.shape[0] in _CHANNELS:
            return np.moveaxis(values, 0, -1)
        if values.shape[2] in _CHANNELS:
            return values
    mend = ""
    if values.ndim == 4:
        mend = "; give one picture, or a list of pictures"
    elif values.ndim == 3 and values.shape[0] in _CHANNELS:
        mend = "; move the channels to the end"
    order = "3 x height x width or height x width x 3" if tensor else "height x width x 3"
    raise InputError(
        f"{what} must be {order} in RGB order (or grey, or RGBA), but got {values.dtype} of shape "
        f"{tuple(values.shape)}{mend}."
    )


def _from_shares(values: np.ndarray, what: str) -> np.ndarray:
    """Floating-point values from 0 to 1 as uint8."""
    if values.size:
        low, high = float(values.min()), float(values.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):  # also where one is NaN
            raise InputError(
                f"{what} of {values.dtype} must have values from 0 to 1, but has {low:g} to {high:g}; scale it, or "
                "give uint8."
            )
    return np.rint(np.clip(values.astype(np.float32), 0, 1) * 255).astype(np.uint8)


def _is_tensor(source: Any) -> bool:
    """Whether something is a tensor of torch, which is not imported for pictures from files."""
    return any(kind.__module__ == "torch" and kind.__name__ == "Tensor" for kind in type(source).__mro__)


def _plain(tensor: Any) -> np.ndarray:
    """The numbers of a tensor, wherever it is."""
    try:
        tensor = tensor.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except (RuntimeError, TypeError) as error:  # sparse, quantised or meta tensors have no plain numbers
        raise InputError(f"A tensor picture must be dense, but cannot be read: {first_line(error)}.") from error
