"""Presence: the probability that a point is in the picture and visible, read from the distribution of its place."""

import numpy as np

from ..configs.checks import check_share

PRESENT_FROM = 0.5  # presence from which a point counts as present, unless a caller says otherwise


def present_points(places: np.ndarray, presence: np.ndarray, least: float = PRESENT_FROM) -> np.ndarray:
    """[K] bool, which points count as present: those with a place whose presence is not below `least`.

    places: [K, 2], NaN for points without a place.
    presence: [K], NaN where it is unknown.
    Raises InputError where `least` is not from 0 to 1.
    """
    return np.isfinite(places).all(axis=1) & ~(presence < check_share(least, "The least presence of a present point"))
