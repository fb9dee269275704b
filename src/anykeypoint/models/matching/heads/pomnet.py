"""POMNet's head: heat maps by matching an example's keypoints with the query (Xu et al., ECCV 2022, "Pose for
Everything").

    image    = encoder(image_projection(feature map))          the query's cells attend to each other
    tokens   = decoder(token_projection(example tokens), image)    keypoint interaction: among each other and with cells
    heatmap  = matching(image concatenated with one token)     a convolution, then deconvolutions up to the heat map

Layers and sizes are those of the released configuration, in which example and query have an image encoder each. The
interaction has no order and no position of the keypoints in it: a keypoint is described by its appearance alone.

Letters: B objects, h x w cells, N = h * w, K keypoints, C channels, H x W cells of the heat maps, P pairs of an object
and a keypoint.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....configs.checks import check_choice, check_rate, check_whole
from ....configs.strict import Config
from ....errors import InputError
from ...maps import peaks
from ...towers.vision_config import VisionConfig
from ..parts.masks import clean, keep_one
from ..parts.positions import grid_code
from ..parts.skeleton import FeedForward
from .base import EncoderSizes, MatchingHead, Prompt, check_widths, initialise

NORMS = ("batch", "group")
SLOTS = 100  # number of keypoints that the released loss divides by, however many there are
_GROUPS = 32  # number of groups of group norm
_DEVIATION = 1e-3  # standard deviation of the first weights of the matching layers
_COUNTS = ("image_width", "token_width", "width", "heads", "hidden", "encoder_layers", "decoder_layers")


@dataclass(frozen=True)
class POMNetConfig(Config):
    """Sizes of the head; the released ones by default. From ResNet-50's 8 x 8 cells they give 64 x 64 heat maps.

    image_width: channels of the query's feature map.
    token_width: channels of an example token.
    width: channels C of all tokens inside the head, a multiple of 4 and of `heads`.
    heads: number of attention heads.
    hidden: width of the hidden layer of the feed-forward blocks.
    encoder_layers, decoder_layers: numbers of layers.
    doublings: number of deconvolutions, each of which doubles the sides of the map; 2 for an encoder of stride 16.
    norm: norm of the matching layers; "group" does not depend on the other objects of a training batch.
    dropout: dropout probability.
    """

    called = "The options of a POMNet head"
    former_keys: ClassVar[Mapping[str, str]] = {"support_width": "token_width"}

    image_width: int = 2048
    token_width: int = 2048
    width: int = 256
    heads: int = 8
    hidden: int = 2048
    encoder_layers: int = 3
    decoder_layers: int = 3
    doublings: int = 3
    norm: str = "batch"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in _COUNTS:
            check_whole(getattr(self, name), f"A POMNet head's {name}")
        check_whole(self.doublings, "A POMNet head's doublings", least=0)
        if self.width % 4 or self.width % self.heads:
            raise InputError(
                f"A POMNet head's width must be a multiple of 4 and of its {self.heads} heads, but got {self.width}."
            )
        check_choice(self.norm, "A POMNet head's norm", NORMS)
        if self.norm == "group" and self.width % _GROUPS:
            raise InputError(f"Group norm needs a width that is a multiple of {_GROUPS}, but got {self.width}.")
        check_rate(self.dropout, "A POMNet head's dropout")


@dataclass(frozen=True, eq=False)
class HeatmapOutput:
    """What the head gives; a `HeadOutput`.

    heatmaps: [B, K, H, W], any real numbers, 0 in slots that are not valid. Everything else is computed from them in
        float32 or a finer precision.
    """

    heatmaps: Tensor

    @cached_property
    def density(self) -> Tensor:
        """[B, K, H, W], probabilities over the map's cells: the heat maps without what is below 0, normed.

        A map without positive values gives equal probabilities. The expected squared error is least for the mean of the
        Gaussians at the places that the point may have, so this is the true density smoothed by one such Gaussian.
        """
        heatmaps = self.heatmaps.to(torch.promote_types(self.heatmaps.dtype, torch.float32))
        heatmaps = heatmaps.clamp(min=0)
        total = heatmaps.sum(dim=(-2, -1), keepdim=True)
        return torch.where(total > 0, heatmaps / total.clamp(min=1e-30), 1 / heatmaps[0, 0].numel())

    @cached_property
    def points(self) -> Tensor:
        """[B, K, 2], fractions of the query's crop: the peak of the density, between cells.

        The released code instead moves the best cell by a quarter towards the higher neighbour on each axis.
        """
        return peaks(self.density.flatten(2), self.grid, self.places)[0]

    @cached_property
    def probabilities(self) -> Tensor:
        """[B, K, H, W], the density over cells that tile the crop, which lie half a cell beside the map's cells.

        A map's cell is divided evenly; what lies outside the crop is left out, and the rest normed.
        """
        cells = F.pad(self.density, (0, 1, 0, 1))
        rows = (cells[..., :-1, :] + cells[..., 1:, :]) / 2
        tiles = (rows[..., :-1] + rows[..., 1:]) / 2
        return tiles / tiles.sum(dim=(-2, -1), keepdim=True)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.heatmaps.shape[-2], self.heatmaps.shape[-1]

    @property
    def places(self) -> Tensor:
        """[H*W, 2], the place of each cell, row by row, as a fraction of the crop: its corner, as in `heat_targets`."""
        rows, columns = self.grid
        y, x = (torch.arange(n, device=self.heatmaps.device, dtype=self.density.dtype) / n for n in (rows, columns))
        y, x = torch.meshgrid(y, x, indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], dim=-1)


class POMNet(MatchingHead):
    """The head. In training mode with batch norm, the rows of a batch share its statistics."""

    config_class = POMNetConfig
    prompts = ("example",)
    sigma = 2
    own_example_encoder = True

    def __init__(self, config: POMNetConfig) -> None:
        super().__init__(config)
        c = config
        self.image_projection = nn.Conv2d(c.image_width, c.width, 1)
        self.token_projection = nn.Linear(c.token_width, c.width)
        self.encoder = nn.ModuleList(CellLayer(c) for _ in range(c.encoder_layers))
        self.decoder = nn.ModuleList(KeypointLayer(c) for _ in range(c.decoder_layers))
        self.norm = nn.LayerNorm(c.width)
        initialise(self)
        self.matching = _matching(c)

    @classmethod
    def vision(cls) -> VisionConfig:
        """ResNet-50."""
        return VisionConfig("resnet50", tuning="full")

    @classmethod
    def fit(cls, config: POMNetConfig | None, sizes: EncoderSizes) -> POMNetConfig:
        """See `MatchingHead.fit`; the deconvolutions end at heat maps of the examples' size."""
        cells = sizes.heatmap_cells
        doublings = max(0, round(math.log2(cells / sizes.grid)))
        if sizes.grid * 2**doublings != cells:
            raise InputError(
                f"POMNet doubles the sides of the image encoder's map of {sizes.grid} cells, but that never gives "
                f"{cells}; write cells: {sizes.grid * 2**doublings}."
            )
        needed = {"image_width": sizes.channels, "token_width": sizes.channels, "doublings": doublings}
        config = config or replace(cls.published(), **needed)
        check_widths(config, **needed)
        return config

    def forward(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeatmapOutput:
        """See `MatchingHead.forward`; skeletons are not used."""
        return self.locate(query, prompt.example_tokens(), prompt.with_example(valid))

    def locate(self, query: Tensor, tokens: Tensor, valid: Tensor) -> HeatmapOutput:
        """Find the keypoints of example tokens [B, K, token_width]; else as `forward`."""
        tokens = self.token_projection(clean(tokens, valid))
        image = self.image_projection(query)
        code = grid_code(*image.shape[-2:], self.config.width, like=image)
        cells = image.flatten(2).transpose(1, 2)
        for layer in self.encoder:
            cells = layer(cells, code)
        attended = keep_one(valid)
        for layer in self.decoder:
            tokens = layer(tokens, attended, cells, code)
        # Only valid slots are matched, so that the others change no statistics of batch norm.
        rows, slots = valid.nonzero(as_tuple=True)
        memory = cells.transpose(1, 2).unflatten(2, image.shape[-2:])
        queried = self.norm(tokens[rows, slots])[..., None, None].expand(-1, -1, *image.shape[-2:])
        matched = self.matching(torch.cat([memory[rows], queried], dim=1))[:, 0]
        heatmaps = matched.new_zeros(*valid.shape, *matched.shape[-2:])
        return HeatmapOutput(heatmaps.index_put((rows, slots), matched))

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""
        return ("heat",)

    def losses(
        self,
        output: HeatmapOutput,
        target_points: Tensor | None,
        target_heatmaps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heatmap_weight: float = 1.0,
    ) -> dict[str, Tensor]:
        """The one part of the loss, `heat`: squared difference from the targets where labelled; points are not used.

        As released, every labelled keypoint has the same weight: the mean over the objects of the sum over their
        keypoints, divided by SLOTS. Raises InputError for targets of another size than the heat maps.
        """
        if target_heatmaps.shape != output.heatmaps.shape:
            raise InputError(
                f"This head makes heat maps {tuple(output.heatmaps.shape)}, but the targets are "
                f"{tuple(target_heatmaps.shape)}; draw episodes with cells {output.heatmaps.shape[-1]}."
            )
        difference = output.heatmaps - target_heatmaps.where(labelled[..., None, None], 0)
        squared = difference.square().mean(dim=(-2, -1))
        return {"heat": heatmap_weight * squared.where(labelled, 0).sum(dim=1).mean() / SLOTS}


class CellLayer(nn.Module):
    """The query's cells attend to each other (DETR's encoder layer, post-norm); their code is in queries and keys."""

    def __init__(self, config: POMNetConfig) -> None:
        super().__init__()
        self.attention = _attention(config)
        self.feedforward = FeedForward(config.width, config.hidden, config.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, cells: Tensor, code: Tensor) -> Tensor:
        """Cells [B, N, C] and their code [N, C] -> cells."""
        placed = cells + code
        attended, _ = self.attention(placed, placed, cells, need_weights=False)
        cells = self.norm1(cells + self.dropout(attended))
        return self.norm2(cells + self.dropout(self.feedforward(cells)))


class KeypointLayer(nn.Module):
    """The keypoint interaction: keypoints attend to each other, then to the query's cells (post-norm)."""

    def __init__(self, config: POMNetConfig) -> None:
        super().__init__()
        self.self_attention, self.cross_attention = _attention(config), _attention(config)
        self.feedforward = FeedForward(config.width, config.hidden, config.dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(config.width) for _ in range(3))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, valid: Tensor, cells: Tensor, code: Tensor) -> Tensor:
        """Keypoint tokens [B, K, C] -> keypoint tokens.

        valid: [B, K] bool with one keypoint or more in each row.
        cells: [B, N, C], with their code [N, C].
        """
        attended, _ = self.self_attention(x, x, x, key_padding_mask=~valid, need_weights=False)
        x = self.norm1(x + self.dropout(attended))
        attended, _ = self.cross_attention(x, cells + code, cells, need_weights=False)
        x = self.norm2(x + self.dropout(attended))
        return self.norm3(x + self.dropout(self.feedforward(x)))


def _attention(config: POMNetConfig) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(config.width, config.heads, config.dropout, batch_first=True)


def _matching(config: POMNetConfig) -> nn.Sequential:
    """From a query's map beside one keypoint's token [P, 2C, h, w] to a heat map [P, 1, H, W]."""
    width = config.width

    def normed(layer: nn.Module) -> list[nn.Module]:
        norm = nn.BatchNorm2d(width) if config.norm == "batch" else nn.GroupNorm(_GROUPS, width)
        nn.init.normal_(layer.weight, std=_DEVIATION)
        return [layer, norm, nn.ReLU()]

    layers = normed(nn.Conv2d(2 * width, width, 3, padding=1, bias=False))
    for _ in range(config.doublings):
        layers += normed(nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False))
    last = nn.Conv2d(width, 1, 1)
    nn.init.normal_(last.weight, std=_DEVIATION)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
