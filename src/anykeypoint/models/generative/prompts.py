"""Prompt tokens: what an image has at a point, as one vector per keypoint (KptLLM++, Sec. 3.2 and 3.3).

    F_p = MLP(PE(x))                           Eq. 1   `PromptEncoder`
    z_p = CrossAttnLayers(F_p, F_s)            Eq. 2   `PromptExtractor`
    z_p = mean of F_s around x                 the ablation (Table 14), `PooledPrompts`

F_s are the image's features before any projection; z_p has their width. Both extractors have the same `forward`.

Letters: B images, N = h x w image tokens row by row, C encoder width, K points of an image, F frequencies.
"""

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..maps import pool

TURNS = (0.5, 64.0)  # number of periods across the crop of the lowest and the highest frequency
POOL_CELLS = 64  # number of cells on a side of the pooled heat map; POMNet's


class PromptEncoder(nn.Module):
    """Eq. 1. The position embedding has sine and cosine of several frequencies in x and in y, spaced geometrically from
    TURNS[0] to TURNS[1] periods across the crop.

    width: encoder width C.
    frequencies: number F of frequencies in each direction.
    """

    def __init__(self, width: int, frequencies: int) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(4 * frequencies, width), nn.GELU(), nn.Linear(width, width))

    def embedding(self, points: Tensor) -> Tensor:
        """PE: points ... 2, fractions of the crop -> ... 4F: sines then cosines of x, sines then cosines of y."""
        low, high = torch.tensor(TURNS, dtype=torch.float64, device="cpu").log().tolist()
        turns = torch.linspace(low, high, self.frequencies, dtype=torch.float64).exp().to(points)
        angles = 2 * torch.pi * points[..., None] * turns  # ... 2 F
        return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)

    def forward(self, points: Tensor) -> Tensor:
        """Points ... 2, fractions of the crop -> F_p ... C."""
        return self.mlp(self.embedding(points.float()).to(self.mlp[0].weight.dtype))


class CrossAttention(nn.Module):
    """A transformer layer with cross-attention only: attention and feed-forward net, each added and normalised."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.attended = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.fed = nn.LayerNorm(width)

    def forward(self, prompts: Tensor, features: Tensor) -> Tensor:
        """Prompts B K C attend to features B N C, not to one another -> B K C."""
        values, _ = self.attention(prompts, features, features, need_weights=False)
        prompts = self.attended(prompts + values)
        return self.fed(prompts + self.feed_forward(prompts))


class PromptExtractor(nn.Module):
    """Eq. 1 and 2, with the prompt as query and the features as keys and values in every layer.

    width: encoder width C.
    layers: number of cross-attention layers.
    heads: number of attention heads of each layer; they must divide the width.
    frequencies: number of frequencies of the position embedding.
    """

    def __init__(self, width: int, layers: int, heads: int, frequencies: int) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                f"The prompt extractor has {heads} heads, but the encoder's width {width} cannot be shared among them; "
                "choose heads that divide it."
            )
        self.encoder = PromptEncoder(width, frequencies)
        self.layers = nn.ModuleList(CrossAttention(width, heads) for _ in range(layers))

    def forward(self, features: Tensor, points: Tensor, grid: tuple[int, int]) -> Tensor:
        """The prompt tokens z_p, B K C.

        features: B N C, the encoder's features of the images.
        points: B K 2, fractions of the images' crops.
        grid: (h, w) with h * w = N.
        """
        prompts = self.encoder(points)
        features = features.to(prompts.dtype)
        for layer in self.layers:
            prompts = layer(prompts, features)
        return prompts


class PooledPrompts(nn.Module):
    """The mean of the features, weighted by a Gaussian around the point.

    sigma: standard deviation of the Gaussian, a share of the crop.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, features: Tensor, points: Tensor, grid: tuple[int, int]) -> Tensor:
        """As `PromptExtractor.forward`. A point beyond the crop gets the features nearest to it."""
        centres = (torch.arange(POOL_CELLS, device=points.device) + 0.5) / POOL_CELLS
        across = (centres - points[..., :1].float()).square()  # B K cells
        down = (centres - points[..., 1:].float()).square()
        distance = down[..., :, None] + across[..., None, :]
        # Without the least distance, all weights of a point far beyond the crop would be 0 in float32.
        heatmaps = (-(distance - distance.amin(dim=(-2, -1), keepdim=True)) / (2 * self.sigma**2)).exp()
        maps = features.transpose(1, 2).unflatten(2, grid)
        return pool(maps[:, None], heatmaps[:, None].to(maps.dtype))
