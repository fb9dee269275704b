"""Coordinates as tokens: one image prefix, many questions, one fixed answer template.

This room knows token ids and embeddings. It knows nothing of text or images.
"""

from .branches import Branches, Prefix, packed_forward, passes
from .engine import DecodedPoints, Engine
from .strategies import Strategy

__all__ = ["Branches", "DecodedPoints", "Engine", "Prefix", "Strategy", "packed_forward", "passes"]
