"""A probability density over the cells of a crop, and the temperature of a model's distributions (`temperature`)."""

from .density import Density, frozen_array

__all__ = ["Density", "frozen_array"]
