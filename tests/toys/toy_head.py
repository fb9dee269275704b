"""A matching head in one file: the cell whose features are most similar to the example's or to the projected phrase's.

It shows what a new head needs: this file, and one call of `heads.registry.register`.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from anykeypoint.configs.strict import Config
from anykeypoint.models.maps import cell_centres, peaks
from anykeypoint.models.matching.heads.base import MatchingHead, Stages, check_widths
from anykeypoint.models.matching.parts.losses import point_loss
from anykeypoint.models.towers.vision_config import VisionConfig


@dataclass(frozen=True)
class ToyConfig(Config):
    """image_width: channels of the feature map. text_width: channels of a phrase."""

    image_width: int = 8
    text_width: int = 8


@dataclass(frozen=True, eq=False)
class ToyOutput:
    """points: [B, K, 2]; probabilities: [B, K, h, w]."""

    points: torch.Tensor
    probabilities: torch.Tensor


class ToyHead(MatchingHead):
    """One attention layer from keypoints to cells, and the softmax of cosines."""

    config_class = ToyConfig
    prompts = ("text", "example", "both")
    text = "minilm-l6"
    loss_names = ("points",)

    def __init__(self, config):
        super().__init__(config)
        self.phrase = nn.Linear(config.text_width, config.image_width)
        self.look = nn.MultiheadAttention(config.image_width, 1, batch_first=True)
        self.log_scale = nn.Parameter(torch.tensor(1.0))

    @classmethod
    def vision(cls):
        return VisionConfig("efficientnet-lite2")

    @classmethod
    def fit(cls, config, sizes):
        widths = {"image_width": sizes.channels, "text_width": sizes.text}
        config = config or replace(cls.published(), **widths)
        check_widths(config, **widths)
        return config

    def forward(self, query, valid, prompt):
        tokens = query.new_zeros(*valid.shape, query.shape[1])
        if prompt.phrases is not None:
            tokens = tokens + self.phrase(prompt.phrases) * prompt.with_text(valid)[..., None]
        if prompt.example_features is not None:
            tokens = tokens + prompt.example_tokens() * prompt.with_example(valid)[..., None]
        cells = query.flatten(2).transpose(1, 2)
        tokens = tokens + self.look(tokens, cells, cells, need_weights=False)[0]
        cosines = F.normalize(tokens, dim=-1) @ F.normalize(cells, dim=-1).transpose(1, 2)
        probability = (self.log_scale.exp() * cosines).softmax(dim=-1)
        grid = tuple(query.shape[-2:])
        points, _ = peaks(probability, grid, cell_centres(*grid, like=query))
        return ToyOutput(points, probability.unflatten(-1, grid))

    def losses(self, output, target_points, target_heatmaps, labelled, valid, heatmap_weight=1.0):
        return {"points": point_loss(output.points, target_points, labelled)}

    def prepare(self, phrases):
        with torch.no_grad():
            self.phrase.bias.copy_(-self.phrase(phrases()).mean(dim=0))

    @property
    def phrase_width(self):
        return self.config.text_width

    def attention(self):
        return {"cells": [self.look]}

    def stages(self, output, attention):
        return Stages(
            attention["cells"].unflatten(-1, output.probabilities.shape[-2:]), output.points.expand(2, -1, -1, -1)
        )
