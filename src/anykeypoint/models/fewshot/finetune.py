"""Fine-tuning (Nakamura & Harada 2019, on keypoints): a head trained on known categories gets a new last layer, which
is trained on the examples when they are given.

Chosen here: what is trained then, and for how long. Nakamura & Harada advise a low rate, an adaptive optimiser
(Adam here) and, where the new categories are far from the known, training everything: `trains` has the head's last
layer, or all of the head; the backbone stays as it is.

The new layer begins with zeros, every place alike: nothing is drawn by chance, and neither the order nor the number of
the keypoints changes what is found for one of them when the last layer alone trains.

Letters: S examples, K keypoints, C channels, h x w cells.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...configs.strict import known_fields
from ...errors import InputError
from .maps import ROWS, Adapted, Episodes, Trunk, check_examples, head_scores, map_loss

TRAINS = ("last", "head")


@dataclass(frozen=True)
class FineTuneConfig:
    """The head, what it is first trained on, and how it is tuned.

    known: (name, number of keypoints) of the categories that it is first trained on; each has rows of its own.
    """

    width: int = 256  # of the hidden map
    enlarge: int = 1  # how many times the backbone's map is enlarged on each side
    rate: float = 1e-3
    steps: int = 100
    trains: str = "last"  # the new last layer, or all of the head
    known: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "enlarge", "steps"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"A fine-tuned head's {name} must be a whole number from 1, but got {value!r}.")
        if type(self.rate) not in (int, float) or not 0 < self.rate < float("inf"):
            raise InputError(f"A fine-tuned head's rate must be a finite number above 0, but got {self.rate!r}.")
        if self.trains not in TRAINS:
            raise InputError(f"What a fine-tuned head trains must be {' or '.join(TRAINS)}, but got {self.trains!r}.")
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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "FineTuneConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a fine-tuned head"))

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "known": [list(one) for one in self.known]}


class FineTune(nn.Module):
    """See above. channels: of the backbone's maps."""

    def __init__(self, config: FineTuneConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(channels, config.width, config.enlarge)
        self.know(config.known)

    def know(self, categories: tuple[tuple[str, int], ...]) -> None:
        """Have rows of zeros for these names and numbers of keypoints in place of what it had."""
        self.config = replace(self.config, known=categories)
        self.rows = nn.Parameter(
            self.trunk.hidden.weight.new_zeros(sum(count for _, count in categories), self.config.width)
        )

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Maps (S C h w), points (S K 2), visible (S K) bool -> the tuned head; see `maps.Method`."""
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
        """First training, on every picture of the episodes with the rows of its category: the mean of their losses.

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
        """The rows (K width) of a known category, by name and number of keypoints."""
        start = 0
        for known in self.config.known:
            if known == category:
                return self.rows[start : start + known[1]]
            start += known[1]
        raise InputError(
            f"This head was not made to be trained on {category[0]!r} with {category[1]} keypoints; known are "
            f"{', '.join(f'{name} ({count})' for name, count in self.config.known) or 'none'}."
        )
