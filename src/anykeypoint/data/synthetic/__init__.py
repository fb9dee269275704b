"""Synthetic articulated objects with named keypoints: pictures free of rights, for tests and as training data."""

from .dataset import ANNOTATIONS, IMAGES, write_dataset
from .objects import FAMILIES, SyntheticObject, draw_object, make_object

__all__ = ["ANNOTATIONS", "FAMILIES", "IMAGES", "SyntheticObject", "draw_object", "make_object", "write_dataset"]
