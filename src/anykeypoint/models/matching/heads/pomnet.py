"""POMNet's head: heat maps by matching an example's keypoints with the query (Xu et al., ECCV 2022, "Pose for
Everything").

    image   = encoder(image_projection(feature map))               the query's cells look at each other
    support = decoder(support_projection(tokens), image)           keypoint interaction: with each other and the cells
    heat    = matching(image beside one keypoint's support)        a relation, then deconvolutions to the heat map

Layers and sizes are those of the released configuration, in which example and query have a backbone each. The
interaction has no order and no place of the keypoints in it: a keypoint is known by its looks alone.

Letters: B objects, h x w cells, N = h * w, K keypoints, C channels, H x W cells of the heat maps.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....configs.strict import known_fields
from ....errors import InputError
from ...maps import peaks, share_within
from ..parts.positions import grid_code
from ..parts.skeleton import FeedForward, Skeleton
from .graph import clean, initialise, something

NORMS = ("batch", "group")
NEAR = 0.1  # of the crop: what counts as the answer's surroundings, as in the other models' confidence
SLOTS = 100  # that the released loss divides by, however many keypoints there are
_GROUPS = 32
_SMALL = 1e-3  # deviation of the matching layers' first weights


@dataclass(frozen=True)
class POMNetConfig:
    """Sizes of the head; the released ones by default. With ResNet-50's 8 x 8 cells they make 64 x 64 heat maps."""

    image_width: int = 2048  # channels of the query's feature map
    support_width: int = 2048  # channels of a support token
    width: int = 256  # of all tokens inside; a multiple of 4 and of the heads
    heads: int = 8
    hidden: int = 2048  # of the feed-forward layers
    encoder_layers: int = 3
    decoder_layers: int = 3
    doublings: int = 3  # deconvolutions, each of which doubles the sides of the map; 2 for a backbone of stride 16
    norm: str = "batch"  # of the matching layers; "group" does not look at the other objects of a training batch
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("image_width", "support_width", "width", "heads", "hidden", "encoder_layers", "decoder_layers"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"A POMNet head's {name} must be a whole number from 1, but got {value!r}.")
        if type(self.doublings) is not int or self.doublings < 0:
            raise InputError(f"A POMNet head's doublings must be a whole number from 0, but got {self.doublings!r}.")
        if self.width % 4 or self.width % self.heads:
            raise InputError(
                f"A POMNet head's width must be a multiple of 4 and of its {self.heads} heads, but got {self.width}."
            )
        if self.norm not in NORMS:
            raise InputError(f"A POMNet head's norm must be one of {', '.join(NORMS)}, but got {self.norm!r}.")
        if self.norm == "group" and self.width % _GROUPS:
            raise InputError(f"Group norm needs a width that is a multiple of {_GROUPS}, but got {self.width}.")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise InputError(f"A POMNet head's dropout must be at least 0 and below 1, but got {self.dropout!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "POMNetConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a POMNet head"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class HeatMatch:
    """What the head answers: heat (B K H W), any real numbers, 0 in slots that are not valid.

    Everything read off it is float32 or better; in slots that are not valid it is finite and means nothing.
    """

    heat: Tensor

    @cached_property
    def density(self) -> Tensor:
        """Where each keypoint is, over the map's cells: (B K H W), sums to 1.

        The heat without what is below 0, normed; even where nothing is above. The squared error is least for the mean
        of the bumps that stand for the places the point may have, so this is the density blurred by one bump.
        """
        heat = self.heat.to(torch.promote_types(self.heat.dtype, torch.float32))
        heat = heat.clamp(min=0)
        total = heat.sum(dim=(-2, -1), keepdim=True)
        return torch.where(total > 0, heat / total.clamp(min=1e-30), 1 / heat[0, 0].numel())

    @cached_property
    def found(self) -> Tensor:
        """The answer (B K 2), fractions of the query's crop: the density's peak, between cells.

        The released code moves the best cell by a quarter towards the higher neighbour on each axis instead.
        """
        return peaks(self.density.flatten(2), self.grid, self.places)[0]

    @cached_property
    def confidence(self) -> Tensor:
        """The density's share (B K) within a tenth of the crop of the answer."""
        return share_within(self.density.flatten(2), self.places, self.found, NEAR)

    @cached_property
    def chances(self) -> Tensor:
        """The density (B K H W) over cells that tile the crop, as `Density` has them: half a cell beside the map's.

        A map's cell is shared out evenly; what reaches out of the crop is left out, and the rest normed.
        """
        cells = F.pad(self.density, (0, 1, 0, 1))
        rows = (cells[..., :-1, :] + cells[..., 1:, :]) / 2
        chances = (rows[..., :-1] + rows[..., 1:]) / 2
        return chances / chances.sum(dim=(-2, -1), keepdim=True)

    @property
    def grid(self) -> tuple[int, int]:
        return self.heat.shape[-2], self.heat.shape[-1]

    @property
    def places(self) -> Tensor:
        """What place each cell stands for, row by row: (H*W 2). Cell 0 is the edge, as in `data.heatmaps`."""
        rows, columns = self.grid
        y, x = (torch.arange(n, device=self.heat.device, dtype=self.density.dtype) / n for n in (rows, columns))
        y, x = torch.meshgrid(y, x, indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], dim=-1)


class POMNet(nn.Module):
    """The head; its inputs are those of `head.Head`. In eval mode a row is answered as it would be alone."""

    def __init__(self, config: POMNetConfig) -> None:
        super().__init__()
        self.config = c = config
        self.image_projection = nn.Conv2d(c.image_width, c.width, 1)
        self.support_projection = nn.Linear(c.support_width, c.width)
        self.encoder = nn.ModuleList(CellLayer(c) for _ in range(c.encoder_layers))
        self.decoder = nn.ModuleList(KeypointLayer(c) for _ in range(c.decoder_layers))
        self.norm = nn.LayerNorm(c.width)
        initialise(self)
        self.matching = _matching(c)

    def forward(
        self, query: Tensor, support: Tensor, valid: Tensor, skeletons: list[Skeleton] | None = None
    ) -> HeatMatch:
        """Find K keypoints in each of B queries.

        query: feature map (B image_width h w). support: tokens (B K support_width), see `support.pool`. valid: (B K)
        bool, which slots are asked for; what the others hold is never read. skeletons: not used, POMNet knows none.
        """
        tokens = self.support_projection(clean(support, valid))
        image = self.image_projection(query)
        code = grid_code(*image.shape[-2:], self.config.width, like=image)
        cells = image.flatten(2).transpose(1, 2)
        for layer in self.encoder:
            cells = layer(cells, code)
        seen = something(valid)
        for layer in self.decoder:
            tokens = layer(tokens, seen, cells, code)
        # Only slots that are asked for are matched, so that the others change no statistics of the batch.
        rows, slots = valid.nonzero(as_tuple=True)
        memory = cells.transpose(1, 2).unflatten(2, image.shape[-2:])
        asked = self.norm(tokens[rows, slots])[..., None, None].expand(-1, -1, *image.shape[-2:])
        found = self.matching(torch.cat([memory[rows], asked], dim=1))[:, 0]
        heat = found.new_zeros(*valid.shape, *found.shape[-2:])
        return HeatMatch(heat.index_put((rows, slots), found))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `losses` gives."""
        return ("heat",)

    def losses(
        self,
        match: HeatMatch,
        points: Tensor,
        heat_maps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heat_weight: float = 1.0,
    ) -> dict[str, Tensor]:
        """The one part of the loss, `heat`: squared distance from the targets (B K H W) where labelled (B K bool).

        As released, each labelled keypoint counts alike: the mean over the objects of the sum over their keypoints, a
        hundredth of it. points and valid are not used. Raises InputError for targets of another size than the maps.
        """
        if heat_maps.shape != match.heat.shape:
            raise InputError(
                f"This head makes heat maps {tuple(match.heat.shape)}, but the targets are {tuple(heat_maps.shape)}; "
                f"draw episodes with cells {match.heat.shape[-1]}."
            )
        apart = (match.heat - heat_maps.where(labelled[..., None, None], 0)).square().mean(dim=(-2, -1))
        return {"heat": heat_weight * apart.where(labelled, 0).sum(dim=1).mean() / SLOTS}


class CellLayer(nn.Module):
    """The query's cells attend to each other (DETR's encoder layer, post-norm); their code is in queries and keys."""

    def __init__(self, config: POMNetConfig) -> None:
        super().__init__()
        self.attention = _attention(config)
        self.feedforward = FeedForward(config.width, config.hidden, config.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, cells: Tensor, code: Tensor) -> Tensor:
        """Cells (B N C), their code (N C) -> cells."""
        placed = cells + code
        seen, _ = self.attention(placed, placed, cells, need_weights=False)
        cells = self.norm1(cells + self.dropout(seen))
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
        """Keypoints (B K C), valid (B K) bool with one or more in each row, cells (B N C), code (N C) -> keypoints."""
        seen, _ = self.self_attention(x, x, x, key_padding_mask=~valid, need_weights=False)
        x = self.norm1(x + self.dropout(seen))
        seen, _ = self.cross_attention(x, cells + code, cells, need_weights=False)
        x = self.norm2(x + self.dropout(seen))
        return self.norm3(x + self.dropout(self.feedforward(x)))


def _attention(config: POMNetConfig) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(config.width, config.heads, config.dropout, batch_first=True)


def _matching(config: POMNetConfig) -> nn.Sequential:
    """A query's map beside one keypoint (P 2C h w) -> heat (P 1 H W)."""
    width = config.width

    def normed(layer: nn.Module) -> list[nn.Module]:
        norm = nn.BatchNorm2d(width) if config.norm == "batch" else nn.GroupNorm(_GROUPS, width)
        nn.init.normal_(layer.weight, std=_SMALL)
        return [layer, norm, nn.ReLU()]

    layers = normed(nn.Conv2d(2 * width, width, 3, padding=1, bias=False))
    for _ in range(config.doublings):
        layers += normed(nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False))
    last = nn.Conv2d(width, 1, 1)
    nn.init.normal_(last.weight, std=_SMALL)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
