"""Pictures of objects rendered from 3-D models that Python packages carry, with exact points: free training data."""

from .kinds import Kind, known_kinds
from .rendered import ANNOTATIONS, IMAGES, LICENCES, write_rendered

__all__ = ["ANNOTATIONS", "IMAGES", "LICENCES", "Kind", "known_kinds", "write_rendered"]
