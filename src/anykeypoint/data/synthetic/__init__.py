"""Made-up articulated objects with named points: pictures without rights, for tests and as extra training material."""

from .dataset import ANNOTATIONS, IMAGES, write_dataset
from .objects import FAMILIES, SyntheticObject, draw_object, make_object

__all__ = ["ANNOTATIONS", "FAMILIES", "IMAGES", "SyntheticObject", "draw_object", "make_object", "write_dataset"]
