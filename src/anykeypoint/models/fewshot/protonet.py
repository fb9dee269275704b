"""ProtoNet on keypoints (Snell et al. 2017): a keypoint is where the query's map is nearest to its prototype.

    prototype = mean over the examples that show the keypoint, of the map at its place
    score     = -scale * |cell - prototype|^2 / C

Chosen here: what is compared is the backbone's map as it comes, or a learnt projection of it; its distances get one
learnt scale, and their softmax over the cells is what cross-entropy trains.

Letters: S examples, Q queries, K keypoints, C channels, h x w cells.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...configs.strict import known_fields
from ...errors import InputError
from ..maps import features_at
from .maps import Adapted, Episodes, check_examples, episode_losses


@dataclass(frozen=True)
class ProtoNetConfig:
    """width: channels of a learnt projection of the map; None compares the map as it comes. scale: at first."""

    width: int | None = None
    scale: float = 10.0

    def __post_init__(self) -> None:
        if self.width is not None and (type(self.width) is not int or self.width < 1):
            raise InputError(f"A ProtoNet's width must be a whole number from 1, or null, but got {self.width!r}.")
        if type(self.scale) not in (int, float) or not 0 < self.scale < float("inf"):
            raise InputError(f"A ProtoNet's scale must be a finite number above 0, but got {self.scale!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProtoNetConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a ProtoNet"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class ProtoNet(nn.Module):
    """See above. channels: of the backbone's maps."""

    def __init__(self, config: ProtoNetConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.projection = nn.Identity() if config.width is None else nn.Conv2d(channels, config.width, 1)
        self.log_scale = nn.Parameter(torch.tensor(float(config.scale)).log())

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Maps (S C h w), points (S K 2), visible (S K) bool -> prototypes; see `maps.Method`."""
        check_examples(features, points, visible)
        with torch.no_grad():
            prototypes = self.prototypes(features, points, visible)
        return Adapted(lambda query: self.scores(query, prototypes), visible.any(dim=0))

    def loss(self, episodes: Episodes) -> Tensor:
        """See `maps.Method`."""

        def score(features: Tensor, points: Tensor, visible: Tensor, query: Tensor) -> Tensor:
            return self.scores(query, self.prototypes(features, points, visible))

        return episode_losses(episodes, score)

    def prototypes(self, features: Tensor, points: Tensor, visible: Tensor) -> Tensor:
        """(K C): the mean over the examples that show a keypoint; zeros where none does."""
        found = features_at(self.projection(features), points.where(visible[..., None], 0.5))
        total = found.masked_fill(~visible[..., None], 0).sum(dim=0)
        return total / visible.sum(dim=0).clamp(min=1)[:, None]

    def scores(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Maps (Q C h w) and prototypes (K C) -> scores (Q K h w).

        The prototype's own length is left out of the squared distance: it is the same for all cells.
        """
        cells = self.projection(query)
        likeness = torch.einsum("kc,qchw->qkhw", prototypes, cells)
        lengths = cells.square().sum(dim=1, keepdim=True)
        return self.log_scale.exp() * (2 * likeness - lengths) / cells.shape[1]
