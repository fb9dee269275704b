"""From a head's output for one object, after a second look if there was one, to its pose.

Letters: K keypoints, h x w cells of features.
"""

import numpy as np
from torch import Tensor

from ...category import Category
from ...density import disc_shares
from ...density.presence import PRESENT_FROM
from ...geometry import CONFIDENCE_RADIUS, Crop
from ...pose import Pose
from ..view import ObjectCrop, density_of
from .second_look import Found


def pose_of(
    cut: ObjectCrop,
    category: Category,
    covered: np.ndarray,
    points: Tensor,
    probabilities: Tensor,
    density: bool | int = False,
    found: Found | None = None,
    presence: np.ndarray | None = None,
    least: float = PRESENT_FROM,
) -> Pose:
    """The pose of an output.

    covered: [K] bool, the keypoints that the prompt covers; the others could not be asked for.
    points, probabilities: of the output, [1, K, 2] and [1, K, h, w], at the model's temperature.
    density: as in `MatchView.predict`.
    found: what a second look found; None without one.
    presence: [K], of `presences.presence_of`; None where it is unknown.
    least: the presence from which a point is present.
    """
    places = places_of(cut, covered, points, found)
    grids, xy = probabilities[0].cpu().double().numpy(), cut.to_image(places)
    confidence = masses(probabilities, confidence_shares(cut.crop, covered, xy, found, grids.shape[-1]))
    if not density:
        return cut.pose(category, places, confidence, None, presence, least)
    looked, densities = _looked(found), {}
    for k in np.flatnonzero(covered).tolist():
        guess = density_of(cut.crop, grids[k])
        if found is not None and k in looked:
            guess = found.density(looked[k], guess, density)
        sized = density is True or len(guess.grid) == density
        densities[k] = guess if sized else density_of(cut.crop, guess.grid, density)
    return cut.pose(category, places, confidence, densities, presence, least)


def places_of(cut: ObjectCrop, covered: np.ndarray, points: Tensor, found: Found | None) -> np.ndarray:
    """The points [K, 2] in fractions of the crop, NaN where not covered, after a second look; see `pose_of`."""
    places = np.where(covered[:, None], points[0].cpu().double().numpy(), np.nan)
    return places if found is None else cut.crop.normalise(found.moved(cut.crop.to_image(places)))


def confidence_shares(crop: Crop, covered: np.ndarray, xy: np.ndarray, found: Found | None, cells: int) -> np.ndarray:
    """What each cell's probability adds to the confidence of a point: [K, cells, cells], NaN where not covered.

    xy: [K, 2] in image pixels. The confidence is the mass within CONFIDENCE_RADIUS, after a second look.
    """
    shares, radius, looked = np.full((len(xy), cells, cells), np.nan), CONFIDENCE_RADIUS * crop.side, _looked(found)
    for k in np.flatnonzero(covered).tolist():
        if found is not None and k in looked:
            shares[k] = found.disc_shares(looked[k], crop, cells, xy[k], radius)
        else:
            shares[k] = disc_shares(crop, cells, xy[k], radius)
    return shares


def masses(probabilities: Tensor, shares: np.ndarray) -> np.ndarray:
    """The confidences [K] of distributions [1, K, h, w] by the shares [K, h, w] of their cells; NaN stays."""
    grids = probabilities[0].cpu().double().numpy()
    return np.minimum((grids * shares).sum((1, 2)) / grids.sum((1, 2)), 1.0)


def _looked(found: Found | None) -> dict[int, int]:
    """Number of a keypoint that was looked at again -> its place among these."""
    return {} if found is None else {row: place for place, row in enumerate(found.rows.tolist())}
