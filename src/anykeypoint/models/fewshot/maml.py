"""MAML on keypoints (Finn et al. 2017): a head whose initial weights are learnt so that a few gradient steps on the
examples make it a detector of their keypoints.

    weights <- weights - rate * gradient of the examples' loss        `steps` times, on the examples alone
    meta-training: the loss of the query with the resulting weights, differentiated through the steps

Chosen here: the whole head on the encoder's map is adapted, and the encoder is not. The last layer has a row for each
keypoint, and all rows start as the same learnt one, so number and order of the keypoints make no difference.

Letters: S examples, Q queries, K keypoints, C channels, h x w cells.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...configs.checks import check_flag, check_positive, check_whole
from ...configs.strict import Config
from .method import ROWS, Adapted, Episodes, FewShotMethod, Trunk, check_examples, episode_losses, head_scores, map_loss


@dataclass(frozen=True)
class MAMLConfig(Config):
    """The head, and how it is adapted.

    width: channels of the hidden map.
    enlarge: factor by which the sides of the encoder's map are enlarged.
    rate: learning rate of the inner steps; at 0.5 they diverge on real maps.
    steps: number of inner steps in meta-training.
    fit_steps: number of steps on the examples in prediction.
    first_order: whether the gradients of the inner steps are treated as constants.
    """

    called = "The options of a MAML head"

    width: int = 256
    enlarge: int = 1
    rate: float = 0.05
    steps: int = 5
    fit_steps: int = 20
    first_order: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "enlarge", "steps", "fit_steps"):
            check_whole(getattr(self, name), f"A MAML head's {name}")
        check_positive(self.rate, "A MAML head's rate")
        check_flag(self.first_order, "A MAML head's first_order")


class MAML(FewShotMethod):
    """The method as the module describes it."""

    config_class = MAMLConfig

    def __init__(self, config: MAMLConfig, channels: int) -> None:
        super().__init__(config, channels)
        self.trunk = Trunk(channels, config.width, config.enlarge)
        self.row = nn.Parameter(torch.randn(config.width) / config.width)

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Adapt a copy of the head; see `FewShotMethod.fit`."""
        check_examples(features, points, visible)
        with torch.enable_grad():
            initial = self.initial(visible.shape[1])
            own = {name: value.detach().requires_grad_() for name, value in initial.items()}
            adapted = self.adapted(own, features.detach(), points, visible, self.config.fit_steps, graph=False)
        weights = {name: value.detach() for name, value in adapted.items()}
        return Adapted(lambda query: head_scores(self.trunk, weights, query), visible.any(dim=0))

    def loss(self, episodes: Episodes) -> Tensor:
        """See `FewShotMethod.loss`; its graph has second derivatives, unless the config is first-order."""

        def score(features: Tensor, points: Tensor, visible: Tensor, query: Tensor) -> Tensor:
            initial = self.initial(visible.shape[1])
            graph = not self.config.first_order
            weights = self.adapted(initial, features, points, visible, self.config.steps, graph)
            return head_scores(self.trunk, weights, query)

        return episode_losses(episodes, score)

    def initial(self, count: int) -> dict[str, Tensor]:
        """The weights from which adaptation to `count` keypoints starts, by name."""
        return {**dict(self.trunk.named_parameters()), ROWS: self.row.expand(count, -1)}

    def adapted(
        self, weights: dict[str, Tensor], features: Tensor, points: Tensor, visible: Tensor, steps: int, graph: bool
    ) -> dict[str, Tensor]:
        """The weights after gradient steps on the examples' loss.

        weights: by name, as `initial` gives them.
        features, points, visible: the examples, as in `fit`.
        steps: number of steps.
        graph: whether later gradients go through those of the steps.
        """
        for _ in range(steps):
            loss = map_loss(head_scores(self.trunk, weights, features), points, visible)
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=graph)
            moved = zip(weights.items(), gradients, strict=True)
            weights = {name: value - self.config.rate * gradient for (name, value), gradient in moved}
        return weights
