"""A probability density over the cells of a crop, and what is read from a model's distributions: their temperature
(`temperature`), and whether a point is there at all (`presence`)."""

from .density import Density, as_numbers, check_covariance, disc_shares, frozen_array, of_tensor

__all__ = ["Density", "as_numbers", "check_covariance", "disc_shares", "frozen_array", "of_tensor"]
