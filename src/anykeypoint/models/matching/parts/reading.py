"""Where a point is, of a distribution over cells: at the highest place once the map is smoothed."""

from torch import Tensor

from ...maps import cell_centres, modes, peaks

READINGS = ("modes", "window")
SMOOTHING = 0.07  # standard deviation, as a fraction of the crop, of the Gaussian that smooths maps to find a peak


def read(probabilities: Tensor, reading: str) -> Tensor:
    """The points [..., K, 2] of distributions [..., K, h, w], fractions of the map.

    reading: "modes", the highest place of the smoothed map, between cells (`maps.modes`), or "window", the mean of the
        3 x 3 cells round the highest one.
    """
    grid = tuple(probabilities.shape[-2:])
    flat, centres = probabilities.flatten(-2), cell_centres(*grid, like=probabilities)
    return peaks(flat, grid, centres, SMOOTHING)[0] if reading == "window" else modes(flat, centres, SMOOTHING)
