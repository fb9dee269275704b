"""A density on a picture: heat where the keypoint may be, and a line round the likeliest cells.

`zoom` is the number of pixels of the picture per image pixel: pixel p of the picture shows the place p / zoom of the
image. A caller that draws on a part of an image shifts the density's crop accordingly.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from ..density import Density
from ..geometry import Crop
from .shapes import Colour

SMOOTH = 0.02  # sigma of the blur before a line is drawn, as a share of the crop's side
_HOTTEST = 215  # opacity, from 0 to 255, of the cell with the largest probability


def heat(picture: Image.Image, density: Density, colour: Colour | int, zoom: float, strength: float = 1.0) -> None:
    """Blend a density into the picture, which is changed in place.

    density: in image pixels. A cell's opacity is (its probability / the largest one) ** 0.6, so that tails show.
    colour: RGB, or one value for a grey picture.
    zoom: pixels of the picture per image pixel.
    strength: factor of the opacity, 0 to 1.
    """
    share = (density.grid / density.grid.max()) ** 0.6
    _paste(picture, density.crop, np.rint(share * _HOTTEST * strength), colour, zoom, Image.Resampling.BICUBIC)


def outline(picture: Image.Image, density: Density, level: float, colour: Colour, zoom: float, width: float) -> None:
    """Draw a line round the fewest cells that hold a share of a density; the picture is changed in place.

    density: in image pixels. It is blurred by SMOOTH before: probabilities may jump from cell to cell, and islands of
        single cells would hide the shape.
    level: the share, 0 to 1.
    zoom: pixels of the picture per image pixel.
    width: of the line, in pixels of the picture.
    """
    places = (np.arange(len(density.grid)) + 0.5) / len(density.grid)
    blur = np.exp(-(((places[:, None] - places) / SMOOTH) ** 2) / 2)
    blur /= blur.sum(axis=0)  # no probability leaves the crop
    smooth = Density(density.crop, blur @ (density.grid / density.grid.sum()) @ blur.T)
    step = max(density.cell * zoom, 1.0)  # pixels over which the smoothed region rises from 0 to 1

    def line(inside: np.ndarray) -> np.ndarray:
        return 255 * np.clip((width + 1) / 2 - np.abs(inside / 255 - 0.5) * step, 0, 1)

    # The empty margin closes the line along the edge of the crop.
    region = np.pad(smooth.credible_region(level), 1) * 255.0
    side = density.crop.side + 2 * density.cell
    corner = density.crop.x - density.cell, density.crop.y - density.cell
    _paste(picture, Crop(*corner, side), region, colour, zoom, Image.Resampling.BILINEAR, line)


def _paste(
    picture: Image.Image,
    crop: Crop,
    values: np.ndarray,
    colour: Colour,
    zoom: float,
    filter: Image.Resampling,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Paint a colour with the cells of a crop as its opacity.

    crop: in image pixels.
    values: [N, N] opacity of the cells, 0 to 255.
    filter: how the cells are resampled to the picture's pixels.
    change: applied to the resampled opacities [H, W]; None leaves them as they are.
    """
    corner = np.array([crop.x, crop.y]) * zoom
    cell = crop.side * zoom / len(values)  # side of a cell in pixels of the picture
    lows = np.floor(np.clip(corner, 0, picture.size)).astype(int)
    highs = np.ceil(np.clip(corner + cell * len(values), 0, picture.size)).astype(int)
    if (highs <= lows).any():
        return
    limits = np.clip([(lows - corner) / cell, (highs - corner) / cell], 0, len(values))
    if (limits[1] <= limits[0]).any():
        return
    mask = Image.fromarray(values.astype(np.uint8))
    mask = mask.resize(tuple((highs - lows).tolist()), filter, box=limits.ravel().tolist())
    if change is not None:
        mask = Image.fromarray(change(np.asarray(mask, dtype=np.float64)).astype(np.uint8))
    picture.paste(colour, (*lows.tolist(), *highs.tolist()), mask)


def overlap(densities: Sequence[Density], size: tuple[int, int], zoom: float) -> float:
    """How many densities at full opacity lie over one another at the worst place, at least 1.

    size: (width, height) of the picture in pixels. It is estimated on a picture of 96 pixels.
    """
    small = 96 / max(size)
    total = np.zeros(1)
    for density in densities:
        sketch = Image.new("L", tuple(max(1, round(side * small)) for side in size))
        heat(sketch, density, 255, zoom * small)
        total = total + np.asarray(sketch) / _HOTTEST
    return max(1.0, float(total.max()))
