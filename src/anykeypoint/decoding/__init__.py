"""The engine: one image prefix, many keypoints, one forced template. It knows token ids; nothing of text or images."""

from .branches import Branches, Prefix, packed_forward, passes
from .engine import Answers, Engine
from .strategies import Strategy

__all__ = ["Answers", "Branches", "Engine", "Prefix", "Strategy", "packed_forward", "passes"]
