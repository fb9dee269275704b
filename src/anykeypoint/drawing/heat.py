"""A density on a picture: heat where the keypoint may be, and a line round the likeliest cells.

A picture's pixel p shows the image pixels p / zoom, so callers that show a part of an image move the density's crop.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from ..density import Density
from ..geometry import Crop

SMOOTH = 0.02  # of the crop: the blur (sigma) before a line is drawn
_HOTTEST = 215  # of 255: the opacity of the heaviest cell

Colour = tuple[int, int, int]


def heat(picture: Image.Image, density: Density, colour: Colour | int, zoom: float, strength: float = 1.0) -> None:
    """Blend a density into the picture: a root of each cell's share of the heaviest, so that tails show, smoothed.

    strength: of the colour, 0 to 1.
    """
    share = (density.grid / density.grid.max()) ** 0.6
    _paste(picture, density.crop, np.rint(share * _HOTTEST * strength), colour, zoom, Image.Resampling.BICUBIC)


def outline(picture: Image.Image, density: Density, level: float, colour: Colour, zoom: float, width: float) -> None:
    """Draw a line, `width` pixels of the picture wide, round the fewest cells that hold `level` of a density.

    The density is smoothed by SMOOTH before, as it may jump from cell to cell and islands of one cell hide the shape.
    """
    places = (np.arange(len(density.grid)) + 0.5) / len(density.grid)
    blur = np.exp(-(((places[:, None] - places) / SMOOTH) ** 2) / 2)
    blur /= blur.sum(axis=0)  # nothing leaves the crop
    smooth = Density(density.crop, blur @ (density.grid / density.grid.sum()) @ blur.T)
    step = max(density.cell * zoom, 1.0)  # pixels over which the smoothed region rises from 0 to 1

    def line(inside: np.ndarray) -> np.ndarray:
        return 255 * np.clip((width + 1) / 2 - np.abs(inside / 255 - 0.5) * step, 0, 1)

    region = np.pad(smooth.credible_region(level), 1) * 255.0  # closed along the crop's edge too
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
    """Paint with the cells [N, N] of a crop, 0 to 255, as opacity, resampled to the picture and then changed."""
    corner = np.array([crop.x, crop.y]) * zoom
    cell = crop.side * zoom / len(values)  # pixels of the picture
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
    """How many full heats lie over one another where most do, 1 or more: as a small picture of them tells."""
    small = 96 / max(size)
    total = np.zeros(1)
    for density in densities:
        shown = Image.new("L", tuple(max(1, round(side * small)) for side in size))
        heat(shown, density, 255, zoom * small)
        total = total + np.asarray(shown) / _HOTTEST
    return max(1.0, float(total.max()))
