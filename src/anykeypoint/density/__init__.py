"""A probability density over the cells of a crop, and the temperature of a model's distributions (`temperature`)."""

from .density import Density, disc_shares, frozen_array

__all__ = ["Density", "disc_shares", "frozen_array"]
