"""Tiny matchers as they are before training: heads as they are initialised, with dropout and tuning to choose."""

from dataclasses import replace
from pathlib import Path

import tiny_matchers

from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import MatchingModel, build


def config(name: str, folder: Path, tuning: str = "frozen", dropout: float = 0.0, **options: object) -> MatcherConfig:
    """On crops of 64 pixels (2 x 2 cells). tuning: of the backbone; dropout: of the head."""
    made = tiny_matchers.config(name, folder)
    backbone, head = replace(made.backbone, tuning=tuning), replace(made.head, dropout=dropout)
    return replace(made, backbone=backbone, head=head, **options)


def matcher(name: str, folder: Path, tuning: str = "frozen", seed: int = 0, **options: object) -> MatchingModel:
    return build(config(name, folder, tuning, **options), seed)
