"""One decoder of the evidence head, and the weights that it gives to the cues at every stage.

Letters: R rows (one picture with one prompt), P rows of a picture, B = R / P pictures, S rows with an example, K
keypoints, n = h * w cells, C channels, D width, F channels of a position code.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...maps import full_precision, widened
from .attention import Attention
from .cues import Cues
from .masks import keep_one

CODE = 64  # channels F of the code of a position
WEIGHTS = (20.0, 6.0, 2.0, 3.0, 5.0)  # initial weights: of the cues, and of the member's own learnt similarity
_SCALE = 4.0  # initial factor of the learnt scores


class Member(nn.Module):
    """A decoder over keypoint tokens that starts with a first guess and ends with `layers` refined ones.

    image_width: channels C of the query's features. text_width: channels of a phrase. width: D, a multiple of `heads`.
    heads: number of attention heads. layers: number of decoder layers. blocks: number of convolutional blocks in front
    of them. similarity: channels of the projection whose cosine is one more cue. dropout: dropout probability.
    image_dropout: that of the convolutional blocks. attention_dropout: that of the attention's weights.

    In half precision, and under autocast, the layers compute in half; cosines, weights of the sum and scores are
    float32.
    """

    float32 = ("weights", "log_scale")

    def __init__(
        self,
        image_width: int,
        text_width: int,
        width: int,
        heads: int,
        layers: int,
        blocks: int,
        similarity: int,
        dropout: float,
        image_dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.image = nn.Linear(image_width, width)
        self.blocks = nn.ModuleList(_Block(width, image_dropout) for _ in range(blocks))
        self.image_norm = nn.LayerNorm(width)
        self.cell_place = nn.Linear(CODE, width)
        self.phrase = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(text_width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.sample = nn.Linear(image_width, width)
        self.absent = nn.Parameter(torch.zeros(2, width))  # tokens that stand for "no phrase" and "no example"
        self.point_place = nn.Sequential(nn.Linear(CODE, width), nn.GELU(), nn.Linear(width, width))
        self.token_norm = nn.LayerNorm(width)
        self.likeness = nn.Linear(image_width, similarity, bias=False)
        self.layers = nn.ModuleList(_Layer(width, heads, dropout, attention_dropout) for _ in range(layers))
        self.answer_norm = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.weights = nn.Parameter(torch.tensor(WEIGHTS).log().repeat(layers + 1, 1))  # logarithms
        self.log_scale = nn.Parameter(torch.full((layers + 1,), math.log(_SCALE)))
        nn.init.normal_(self.query.weight, std=0.02)

    def forward(
        self,
        features: Tensor,
        places: Tensor,
        grid: tuple[int, int],
        valid: Tensor,
        cues: Cues | None,
        phrases: Tensor | None,
        has_text: Tensor | None,
        share: int = 1,
    ) -> list[Tensor]:
        """Scores [R, K, n] of every stage, the first guess first; a softmax makes them probabilities.

        features: [B, n, C], of the pictures, after `cues.normed`.
        places: [n, 2], centres of the cells, fractions of the crop.
        grid: (h, w).
        valid: [R, K] bool.
        cues: of the rows' examples, or of those rows that have one; None without examples.
        phrases: [R, K, channels], with has_text [R, K] bool; None without text.
        share: P, the rows of a picture stand one after another; what concerns the picture alone is computed once.
        """
        tokens, maps = self._tokens(valid, cues, phrases, has_text), self._maps(features, cues, share)
        cells = self.cell_place(self._cast(octaves(places)))
        image = self.image(self._cast(features * math.sqrt(features.shape[-1]))) + cells
        for block in self.blocks:
            image = block(image, grid)
        image = self.image_norm(image)
        placed, keys = image + cells, widened(self.key(image))
        masked = ~keep_one(valid)

        def scores(stage: int, tokens: Tensor) -> Tensor:
            asked = widened(self.query(self.answer_norm(tokens)))
            with full_precision(keys):
                learnt = together(asked, share) @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
                learnt = self.log_scale[stage].exp() * apart(learnt, share)
                if maps is None:
                    return learnt
                weighted = torch.einsum("e,bekn->bkn", self.weights[stage].exp(), maps)
                return learnt + weighted if cues.rows is None else learnt.index_add(0, cues.rows, weighted)

        stages = [scores(0, tokens)]
        for number, layer in enumerate(self.layers, 1):
            with full_precision(places):
                guess = octaves(stages[-1].detach().softmax(dim=-1) @ places)
            tokens = layer(tokens, self.point_place(self._cast(guess)), image, placed, masked, share)
            stages.append(scores(number, tokens))
        return stages

    def attention(self) -> Sequence[nn.MultiheadAttention]:
        """The attention to the query's cells, layer by layer."""
        return [layer.cross_attention for layer in self.layers]

    def _cast(self, values: Tensor) -> Tensor:
        """The values in the precision of the layers."""
        return values.to(self.image.weight.dtype)

    def _tokens(self, valid: Tensor, cues: Cues | None, phrases: Tensor | None, has_text: Tensor | None) -> Tensor:
        """The keypoint tokens [R, K, D]: a part for the phrase and a part for the example."""
        text, example = (one.expand(*valid.shape, -1) for one in self.absent)
        if phrases is not None:
            text = torch.where(has_text[..., None], self.phrase(self._cast(phrases)), text)
        if cues is not None:
            sample = self.sample(self._cast(cues.samples * math.sqrt(cues.samples.shape[-1])))
            placed = sample + self.point_place(self._cast(octaves(cues.points)))
            if cues.rows is None:
                example = torch.where(cues.visible[..., None], placed, example)
            else:
                shown = torch.where(cues.visible[..., None], placed, self.absent[1])
                example = example.index_copy(0, cues.rows, shown.to(example.dtype))
        return self.token_norm(text + example)

    def _maps(self, features: Tensor, cues: Cues | None, share: int) -> Tensor | None:
        """The cues and the learnt similarity [S, 5, K, n]; 0 for keypoints that the example does not show."""
        if cues is None:
            return None
        if cues.rows is not None:
            features = features[cues.rows // share]
        parts = (self._cast(part) for part in (cues.samples, features))
        sample, cells = (F.normalize(widened(self.likeness(part)), dim=-1) for part in parts)
        with full_precision(cells):
            similarity = (sample @ cells.transpose(1, 2)) * cues.visible[..., None]
        return torch.cat([cues.maps, similarity[:, None]], dim=1)


def together(rows: Tensor, share: int) -> Tensor:
    """[R, K, ...] -> [B, P * K, ...]: the keypoints of all rows of a picture; the rows themselves where P is 1."""
    return rows if share == 1 else rows.unflatten(0, (-1, share)).flatten(1, 2)


def apart(pictures: Tensor, share: int) -> Tensor:
    """[B, P * K, ...] -> [R, K, ...], the reverse of `together`."""
    return pictures if share == 1 else pictures.unflatten(1, (share, -1)).flatten(0, 1)


def octaves(points: Tensor) -> Tensor:
    """The code [..., F] of points [..., 2]: sines and cosines at half octaves, from half a wave over the crop on."""
    rates = torch.pi / 2 * 2 ** (torch.arange(CODE // 4, dtype=points.dtype, device=points.device) / 2)
    angles = points[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class _Block(nn.Module):
    """A 5 x 5 depthwise convolution, then a small MLP, beside a shortcut."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, image: Tensor, grid: tuple[int, int]) -> Tensor:
        cells = image.transpose(1, 2).unflatten(-1, grid)
        if image.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with full_precision(image):  # depthwise convolution in bfloat16 is slow on a CPU
                mixed = self.mix(widened(cells))
        else:
            mixed = self.mix(cells)
        mixed = mixed.flatten(2).transpose(1, 2)
        return image + self.dropout(self.gain * self.down(F.gelu(self.up(self.norm(mixed)))))


class _Layer(nn.Module):
    """Keypoint tokens attend to one another, then to the query's cells."""

    def __init__(self, width: int, heads: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, attention_dropout, batch_first=True)
        self.cross_attention = Attention(width, heads, attention_dropout, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, place: Tensor, image: Tensor, placed: Tensor, masked: Tensor, share: int
    ) -> Tensor:
        """Tokens [R, K, D] -> tokens.

        place: [R, K, D], code of the points of the stage before.
        image: [B, n, D], the pictures' cells; placed: the same with the code of their positions.
        masked: [R, K] bool, tokens that none attends to.
        share: P, number of rows of a picture.
        """
        x = self.norms[0](tokens)
        attended, _ = self.self_attention(x + place, x + place, x, key_padding_mask=masked, need_weights=False)
        tokens = tokens + self.dropout(attended)
        asking = together(self.norms[1](tokens) + place, share)
        attended, _ = self.cross_attention(asking, placed, image, need_weights=False)
        tokens = tokens + self.dropout(apart(attended, share))
        return tokens + self.dropout(self.feed(self.norms[2](tokens)))
