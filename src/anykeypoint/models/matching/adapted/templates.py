"""The part of an adapted model that learns from its few pictures: templates of the points, on frozen features.

A cell's features, standardised, are compared with a template for each point; beside that stands a small convolutional
trunk, for what the surroundings say. Both give several scores for a cell, one for each of its `fine` x `fine` parts, so
that answers are finer than the cells of the feature map (as a deconvolution, but without its cost).

Letters: B objects, C channels, K keypoints, h x w cells of features, r parts on a side of a cell, D channels of the
trunk.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, arange, nn, ones, zeros

from ....configs.checks import check_rate, check_whole
from ....configs.strict import Config

_LEAST = 1e-4  # standard deviation below which a channel counts as constant
_CELLS = 2**24  # cells of maps that are made float32 at once to be measured


@dataclass(frozen=True)
class TemplateConfig(Config):
    """Sizes of the templates.

    channels: channels C of the feature map.
    points: number K of keypoints.
    width: channels D of the trunk.
    blocks: number of convolutional blocks of the trunk; 0 leaves the templates alone.
    fine: parts r on a side of a cell.
    dropout: dropout probability.
    """

    called = "The options of templates"

    channels: int
    points: int
    width: int = 96
    blocks: int = 2
    fine: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("channels", "points", "width", "fine"):
            check_whole(getattr(self, name), f"The templates' {name}")
        check_whole(self.blocks, "The templates' blocks", least=0)
        check_rate(self.dropout, "The templates' dropout")


class Templates(nn.Module):
    """From feature maps to scores; a softmax over all parts of all cells makes them probabilities."""

    def __init__(self, config: TemplateConfig) -> None:
        super().__init__()
        self.config = c = config
        self.register_buffer("mean", zeros(c.channels))
        self.register_buffer("deviation", ones(c.channels))
        self.direct = nn.Linear(c.channels, c.points * c.fine**2)
        nn.init.zeros_(self.direct.weight)
        self.dropout = nn.Dropout(c.dropout)
        self.reduce = nn.Linear(c.channels, c.width)
        self.blocks = nn.ModuleList(_TemplateBlock(c.width, c.dropout) for _ in range(c.blocks))
        self.norm = nn.LayerNorm(c.width)
        self.around = nn.Linear(c.width, c.points * c.fine**2)

    def standardise(self, maps: Tensor, rows: Tensor) -> None:
        """From now on, scale each channel by its mean and deviation over the maps of some objects.

        maps: [N, V, C, h, w], of V crops of each object.
        rows: numbers of the objects.
        Some channels at a time, which bounds the memory; two at least, as threads would share one and round otherwise.
        """
        channels, cells = maps.shape[2], len(rows) * maps[0, :, 0].numel()
        parts = min(-(-channels * cells // _CELLS), max(channels // 2, 1))
        for part in arange(channels).tensor_split(parts):
            features = maps[:, :, part[0] : part[-1] + 1][rows].float()
            self.mean[part] = features.mean(dim=(0, 1, 3, 4))
            self.deviation[part] = features.std(dim=(0, 1, 3, 4)).clamp(min=_LEAST)

    def forward(self, features: Tensor) -> Tensor:
        """Feature maps [B, C, h, w] -> scores [B, K, h * r, w * r]."""
        grid = features.shape[-2:]
        cells = (features.flatten(2).transpose(1, 2) - self.mean) / self.deviation  # B n C
        scores = self.direct(cells)
        if len(self.blocks):
            around = self.reduce(self.dropout(cells))
            for block in self.blocks:
                around = block(around, grid)
            scores = scores + self.around(self.dropout(self.norm(around)))
        return F.pixel_shuffle(scores.transpose(1, 2).unflatten(2, grid), self.config.fine)


class _TemplateBlock(nn.Module):
    """A 5 x 5 depthwise convolution, then a small MLP, beside a shortcut."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.gain = nn.Parameter(0.2 * ones(width))

    def forward(self, cells: Tensor, grid: tuple[int, int]) -> Tensor:
        """Cells [B, n, D] of a grid (h, w) -> cells."""
        mixed = self.mix(cells.transpose(1, 2).unflatten(-1, grid)).flatten(2).transpose(1, 2)
        return cells + self.dropout(self.gain * self.down(F.gelu(self.up(self.norm(mixed)))))
