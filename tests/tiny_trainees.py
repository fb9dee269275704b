"""Tiny matchers as they are before training: heads as they are initialised, with dropout and tuning to choose."""

from dataclasses import replace
from pathlib import Path

import tiny_matchers

from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import MatchingModel, build


def config(name: str, folder: Path, tuning: str = "frozen", dropout: float = 0.0, **options: object) -> MatcherConfig:
    """On crops of 64 pixels (2 x 2 cells). tuning: of the image encoder; dropout: of the head."""
    made = tiny_matchers.config(name, folder)
    vision, head = replace(made.vision, tuning=tuning), made.head
    if name in tiny_matchers.FUSIONS:
        head = replace(head, graph_head=replace(head.graph_head, dropout=dropout))
    else:
        head = replace(head, dropout=dropout)
    return replace(made, vision=vision, head=head, **options)


def matcher(name: str, folder: Path, tuning: str = "frozen", seed: int = 0, **options: object) -> MatchingModel:
    return build(config(name, folder, tuning, **options), seed)
