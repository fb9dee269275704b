"""The presence of a matcher's points, from the head's own distributions and its best scores (`density.presence`).

Letters: K keypoints, h x w cells of features.
"""

import numpy as np
from torch import Tensor

from ...density.presence import entropy_shares
from .heads.base import Prompt
from .matcher_config import MatcherConfig


def cues_of(probabilities: Tensor, scores: Tensor | None, covered: np.ndarray) -> np.ndarray:
    """The cues [K, 2] of presence: entropies, and scores, which are NaN where the head has none.

    probabilities: [1, K, h, w], as the head gives them.
    scores: [1, K], of `MatchingHead.best_scores`.
    covered: [K] bool, the keypoints that were asked for; the cues of the others are NaN.
    """
    cues = np.full((len(covered), 2), np.nan)
    if covered.any():
        cues[covered, 0] = entropy_shares(probabilities[0].cpu().double().numpy()[covered])
        if scores is not None:
            cues[covered, 1] = scores[0].cpu().double().numpy()[covered]
    return cues


def presence_of(
    config: MatcherConfig, prompt: Prompt, probabilities: Tensor, scores: Tensor | None, covered: np.ndarray
) -> np.ndarray:
    """The presences [K] by a prompt, see `cues_of`; NaN where the config has no curve for it, or not covered."""
    return config.presence.of(prompt.kind or "text", cues_of(probabilities, scores, covered))
