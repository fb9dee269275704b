"""Presence: the probability that a point is in the picture and visible, from the distribution of its place.

The distribution of a point that is there is narrow; that of a point that the picture does not have is spread out. And
where a whole object is missing, those of all its points are. So presence is a logistic function of few cues, each of
the point itself and in the mean over all points that are asked for together:

    entropy    of the distribution, as a share of the entropy of the uniform one: 0 is a single cell, 1 is everywhere
    score      how well the best place suits the point before the scores are made a distribution, for models that say

The distribution is the model's own, at temperature 1, so that fitting a temperature changes no presence. The
coefficients are fitted for each kind of prompt (`anykeypoint calibrate --presence`) and kept in the model's config.

Letters: K keypoints.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields

import numpy as np

from ..configs.checks import check_finite, check_share
from ..configs.strict import Config
from ..errors import InputError

PRESENT_FROM = 0.5  # presence from which a point counts as present, unless a caller says otherwise


@dataclass(frozen=True)
class PresenceCurve(Config):
    """The logistic function for one kind of prompt: presence = 1 / (1 + exp(-z)), z the sum of these.

    constant: added as it is.
    entropy, score: factors of the cues of the point; score 0 for models without scores.
    mean_entropy, mean_score: factors of the means of the cues over the points that are asked for together.
    """

    called = "The coefficients of a presence"

    constant: float
    entropy: float
    mean_entropy: float
    score: float = 0.0
    mean_score: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = check_finite(getattr(self, field.name), f"A presence's {field.name}")
            object.__setattr__(self, field.name, value)

    @property
    def needs_scores(self) -> bool:
        """Whether it can be computed only with scores."""
        return bool(self.score or self.mean_score)

    def at(self, cues: np.ndarray) -> np.ndarray:
        """The presences [K] of points that are asked for together.

        cues: [K, 2], entropies and scores; NaN entropies for points that are not asked for, whose presence is NaN.
        """
        factors = np.array([self.constant, self.entropy, self.score, self.mean_entropy, self.mean_score])
        if not self.needs_scores:
            cues = np.column_stack([cues[:, 0], np.zeros(len(cues))])
        return 1 / (1 + np.exp(-np.clip(terms(cues) @ factors, -700, 700)))


@dataclass(frozen=True)
class Presence(Config):
    """The curves of a model, one for each kind of prompt; None where it was not fitted, and presence is unknown.

    text: of predictions from words.
    example: of predictions from examples.
    both: of predictions from words and examples together.
    """

    called = "The presence of a model"

    text: PresenceCurve | None = None
    example: PresenceCurve | None = None
    both: PresenceCurve | None = None

    def check(self, prompts: Collection[str], scores: bool = False) -> None:
        """InputError for a curve of a prompt that the model does not take, and for factors of scores it does not have.

        prompts: the kinds that it takes; none where its answers have no distribution. scores: whether it has scores.
        """
        for field in fields(self):
            curve = getattr(self, field.name)
            if curve is not None and field.name not in prompts:
                known = f"has {' and '.join(prompts)}" if prompts else "has no distribution, so none"
                raise InputError(f"There is a presence by {field.name}, but this model {known}; leave it out.")
            if curve is not None and curve.needs_scores and not scores:
                raise InputError(f"The presence by {field.name} needs scores, which this model has not; fit it anew.")

    def of(self, prompt: str, cues: np.ndarray) -> np.ndarray:
        """The presences [K] by a kind of prompt ("text", "example" or "both"); NaN where it has no curve.

        cues: [K, 2], as `PresenceCurve.at` takes them.
        """
        curve = getattr(self, prompt)
        return np.full(len(cues), np.nan) if curve is None else curve.at(cues)


def terms(cues: np.ndarray) -> np.ndarray:
    """What the coefficients of a curve are factors of, [K, 5]: 1, both cues, and their means over the points asked for.

    cues: [K, 2], as `PresenceCurve.at` takes them.
    """
    asked = np.isfinite(cues[:, 0])
    means = cues[asked].mean(axis=0) if asked.any() else np.full(cues.shape[1], np.nan)
    return np.column_stack([np.ones(len(cues)), cues, np.broadcast_to(means, cues.shape)])


def entropy_shares(probabilities: np.ndarray) -> np.ndarray:
    """The entropies [K] of distributions, as shares of that of the uniform distribution.

    probabilities: [K, ...] from 0 up, over two cells or more; they need not sum to 1.
    """
    rows = probabilities.reshape(len(probabilities), -1).astype(np.float64)
    rows = rows / rows.sum(axis=1, keepdims=True)
    logs = np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return -(rows * logs).sum(axis=1) / np.log(rows.shape[1])


def present_points(places: np.ndarray, presence: np.ndarray, least: float = PRESENT_FROM) -> np.ndarray:
    """[K] bool, which points count as present: those with a place whose presence is not below `least`.

    places: [K, 2], NaN for points without a place.
    presence: [K], NaN where it is unknown.
    Raises InputError where `least` is not from 0 to 1.
    """
    return np.isfinite(places).all(axis=1) & ~(presence < check_share(least, "The least presence of a present point"))
