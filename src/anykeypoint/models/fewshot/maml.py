"""MAML on keypoints (Finn et al. 2017): a head whose first weights are learnt so that a few gradient steps on the
examples make it a detector of their keypoints.

    weights <- weights - rate * gradient of the examples' loss        `steps` times, on the examples alone
    meta-training: the loss of the query with the weights so found, back through the steps

Chosen here: all of the head on the backbone's map is adapted, and the backbone is not. The last layer has a row for
each keypoint, and all rows begin as the same learnt one: any number and any order of keypoints are alike to it.

Letters: S examples, Q queries, K keypoints, C channels, h x w cells.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...configs.strict import known_fields
from ...errors import InputError
from .maps import ROWS, Adapted, Episodes, Trunk, check_examples, episode_losses, head_scores, map_loss


@dataclass(frozen=True)
class MAMLConfig:
    """The head, and how it is adapted."""

    width: int = 256  # of the hidden map
    enlarge: int = 1  # how many times the backbone's map is enlarged on each side
    rate: float = 0.05  # of the inner steps; at 0.5 they run away on real maps
    steps: int = 5  # of meta-training
    fit_steps: int = 20  # when examples are given
    first_order: bool = False  # True: the gradients of the inner steps count as constants

    def __post_init__(self) -> None:
        for name in ("width", "enlarge", "steps", "fit_steps"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"A MAML head's {name} must be a whole number from 1, but got {value!r}.")
        if type(self.rate) not in (int, float) or not 0 < self.rate < float("inf"):
            raise InputError(f"A MAML head's rate must be a finite number above 0, but got {self.rate!r}.")
        if type(self.first_order) is not bool:
            raise InputError(f"A MAML head's first_order must be true or false, but got {self.first_order!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "MAMLConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a MAML head"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class MAML(nn.Module):
    """See above. channels: of the backbone's maps."""

    def __init__(self, config: MAMLConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(channels, config.width, config.enlarge)
        self.row = nn.Parameter(torch.randn(config.width) / config.width)

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Maps (S C h w), points (S K 2), visible (S K) bool -> the adapted head; see `maps.Method`."""
        check_examples(features, points, visible)
        with torch.enable_grad():
            own = {name: value.detach().requires_grad_() for name, value in self.first(visible.shape[1]).items()}
            found = self.adapted(own, features.detach(), points, visible, self.config.fit_steps, graph=False)
        weights = {name: value.detach() for name, value in found.items()}
        return Adapted(lambda query: head_scores(self.trunk, weights, query), visible.any(dim=0))

    def loss(self, episodes: Episodes) -> Tensor:
        """See `maps.Method`; the second derivatives are in its graph unless the config is first-order."""

        def score(features: Tensor, points: Tensor, visible: Tensor, query: Tensor) -> Tensor:
            first = self.first(visible.shape[1])
            graph = not self.config.first_order
            weights = self.adapted(first, features, points, visible, self.config.steps, graph)
            return head_scores(self.trunk, weights, query)

        return episode_losses(episodes, score)

    def first(self, count: int) -> dict[str, Tensor]:
        """The weights that adaptation to `count` keypoints starts from."""
        return {**dict(self.trunk.named_parameters()), ROWS: self.row.expand(count, -1)}

    def adapted(
        self, weights: dict[str, Tensor], features: Tensor, points: Tensor, visible: Tensor, steps: int, graph: bool
    ) -> dict[str, Tensor]:
        """The weights after so many steps down the examples' loss. graph: whether gradients go through the steps'."""
        for _ in range(steps):
            loss = map_loss(head_scores(self.trunk, weights, features), points, visible)
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=graph)
            moved = zip(weights.items(), gradients, strict=True)
            weights = {name: value - self.config.rate * gradient for (name, value), gradient in moved}
        return weights
