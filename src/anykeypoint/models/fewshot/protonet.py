"""ProtoNet on keypoints (Snell et al. 2017): a keypoint is where the query's map is nearest to its prototype.

    prototype = mean over the examples that show the keypoint of the features at its point
    score     = -scale * |cell - prototype|^2 / C

Chosen here: the encoder's map itself is compared, or a learnt projection of it; the distances have one learnt scale;
and cross-entropy trains the softmax over the cells.

Letters: S examples, Q queries, K keypoints, C channels, h x w cells.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...configs.checks import check_positive, check_whole
from ...configs.strict import Config
from ..maps import features_at
from .method import Adapted, Episodes, FewShotMethod, check_examples, episode_losses


@dataclass(frozen=True)
class ProtoNetConfig(Config):
    """Options of a ProtoNet.

    width: channels of a learnt projection of the map; None compares the map itself.
    scale: initial value of the learnt scale of the distances.
    """

    called = "The options of a ProtoNet"

    width: int | None = None
    scale: float = 10.0

    def __post_init__(self) -> None:
        if self.width is not None:
            check_whole(self.width, "A ProtoNet's width, where it is not null,")
        check_positive(self.scale, "A ProtoNet's scale")


class ProtoNet(FewShotMethod):
    """The method as the module describes it."""

    config_class = ProtoNetConfig

    def __init__(self, config: ProtoNetConfig, channels: int) -> None:
        super().__init__(config, channels)
        self.projection = nn.Identity() if config.width is None else nn.Conv2d(channels, config.width, 1)
        self.log_scale = nn.Parameter(torch.tensor(float(config.scale)).log())

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Compute the prototypes; see `FewShotMethod.fit`."""
        check_examples(features, points, visible)
        with torch.no_grad():
            prototypes = self.prototypes(features, points, visible)
        return Adapted(lambda query: self.scores(query, prototypes), visible.any(dim=0))

    def loss(self, episodes: Episodes) -> Tensor:
        """See `FewShotMethod.loss`."""

        def score(features: Tensor, points: Tensor, visible: Tensor, query: Tensor) -> Tensor:
            return self.scores(query, self.prototypes(features, points, visible))

        return episode_losses(episodes, score)

    def prototypes(self, features: Tensor, points: Tensor, visible: Tensor) -> Tensor:
        """[K, C], zeros for keypoints that no example shows; arguments as in `fit`."""
        sampled = features_at(self.projection(features), points.where(visible[..., None], 0.5))
        total = sampled.masked_fill(~visible[..., None], 0).sum(dim=0)
        return total / visible.sum(dim=0).clamp(min=1)[:, None]

    def scores(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Scores [Q, K, h, w] of maps [Q, C, h, w] and prototypes [K, C].

        The squared length of the prototype is left out of the squared distance: it is the same for all cells.
        """
        cells = self.projection(query)
        products = torch.einsum("kc,qchw->qkhw", prototypes, cells)
        lengths = cells.square().sum(dim=1, keepdim=True)
        return self.log_scale.exp() * (2 * products - lengths) / cells.shape[1]
