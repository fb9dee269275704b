"""Fine-tuning (Nakamura & Harada 2019, on keypoints): a head trained on known categories gets a new last layer, which
is trained on the given examples.

Chosen here: what is trained then, and for how long. Nakamura & Harada advise a low rate, an adaptive optimiser (Adam
here) and, where the new categories are far from the known ones, training everything: `trains` is the head's last layer
or the whole head; the image encoder stays as it is.

The new layer starts with zeros, which scores all places equally: nothing is drawn at random, and when the last layer
alone trains, neither order nor number of the keypoints changes the points of one of them.

Letters: S examples, K keypoints, C channels, h x w cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...configs.checks import check_choice, check_positive, check_whole
from ...configs.strict import Config
from ...errors import InputError
from .method import ROWS, Adapted, Episodes, FewShotMethod, Trunk, check_examples, head_scores, map_loss

TRAINS = ("last", "head")


@dataclass(frozen=True)
class FineTuneConfig(Config):
    """The head, the categories that it is first trained on, and how it is tuned to examples.

    width: channels of the hidden map.
    enlarge: factor by which the sides of the encoder's map are enlarged.
    rate: learning rate of tuning.
    steps: number of steps of tuning.
    trains: what is tuned: "last", the new last layer; "head", the whole head.
    known: (name, number of keypoints) of the categories of the first training; each has its own rows in the last layer.
    """

    called = "The options of a fine-tuned head"

    width: int = 256
    enlarge: int = 1
    rate: float = 1e-3
    steps: int = 100
    trains: str = "last"
    known: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "enlarge", "steps"):
            check_whole(getattr(self, name), f"A fine-tuned head's {name}")
        check_positive(self.rate, "A fine-tuned head's rate")
        check_choice(self.trains, "What a fine-tuned head trains", TRAINS)
        try:
            known = tuple((name, count) for name, count in self.known)
        except (TypeError, ValueError):
            known = ((None, 0),)
        if not all(isinstance(name, str) and type(count) is int and count > 0 for name, count in known):
            raise InputError(
                f"A fine-tuned head's known categories must be pairs of a name and a number of keypoints from 1, but "
                f"got {self.known!r}."
            )
        if len(set(known)) < len(known):
            raise InputError("A fine-tuned head's known categories must differ in name or number, but two are alike.")
        object.__setattr__(self, "known", known)


class FineTune(FewShotMethod):
    """The method as the module describes it."""

    config_class = FineTuneConfig

    def __init__(self, config: FineTuneConfig, channels: int) -> None:
        super().__init__(config, channels)
        self.trunk = Trunk(channels, config.width, config.enlarge)
        self.know(config.known)

    def know(self, categories: Sequence[tuple[str, int]]) -> None:
        """Replace the last layer by rows of zeros for these names and numbers of keypoints."""
        self.config = replace(self.config, known=tuple(categories))
        self.rows = nn.Parameter(
            self.trunk.hidden.weight.new_zeros(sum(count for _, count in categories), self.config.width)
        )

    def meet(self, categories: Sequence[tuple[str, int]]) -> FineTuneConfig:
        """Make rows for these categories, unless the head has rows already; see `FewShotMethod.meet`."""
        if not self.config.known:
            self.know(categories)
        for category in categories:
            self.rows_of(category)
        return self.config

    def learnable(self, examples_visible: Any, query_visible: Any) -> Any:
        """The first training learns from every picture by itself: any picture that shows the keypoint will do."""
        return examples_visible | query_visible

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Tune a copy of the head; see `FewShotMethod.fit`."""
        check_examples(features, points, visible)
        weights = {name: value.detach().clone() for name, value in self.trunk.named_parameters()}
        weights[ROWS] = self.rows.new_zeros(visible.shape[1], self.config.width)
        tuned = [ROWS] if self.config.trains == "last" else list(weights)
        with torch.enable_grad():
            features = features.detach()
            optimiser = torch.optim.Adam([weights[name].requires_grad_() for name in tuned], self.config.rate)
            for _ in range(self.config.steps):
                optimiser.zero_grad()
                map_loss(head_scores(self.trunk, weights, features), points, visible).backward()
                optimiser.step()
        weights = {name: value.detach() for name, value in weights.items()}
        return Adapted(lambda query: head_scores(self.trunk, weights, query), visible.any(dim=0))

    def loss(self, episodes: Episodes) -> Tensor:
        """The mean loss of the episodes in the first training, which takes every picture of an episode by itself.

        Raises InputError for a category that is not known.
        """
        losses = []
        for row, category in enumerate(episodes.categories):
            own = self.rows_of(category)
            features = torch.cat([episodes.examples[row], episodes.query[row : row + 1]])
            points = torch.cat([episodes.points[row], episodes.query_points[row][None]])[:, : len(own)]
            visible = torch.cat([episodes.visible[row], episodes.query_visible[row][None]])[:, : len(own)]
            scores = head_scores(self.trunk, {**dict(self.trunk.named_parameters()), ROWS: own}, features)
            losses.append(map_loss(scores, points, visible))
        return torch.stack(losses).mean()

    def rows_of(self, category: tuple[str, int]) -> Tensor:
        """The rows [K, width] of a known category, given by name and number of keypoints."""
        start = 0
        for known in self.config.known:
            if known == category:
                return self.rows[start : start + known[1]]
            start += known[1]
        raise InputError(
            f"This head was not made to be trained on {category[0]!r} with {category[1]} keypoints; known are "
            f"{', '.join(f'{name} ({count})' for name, count in self.config.known) or 'none'}."
        )
