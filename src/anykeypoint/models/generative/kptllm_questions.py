"""What a KptLLM is asked about one object: its examples, encoded, and the questions about each keypoint.

Letters: N features of a crop, C channels, K keypoints.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class ExampleTokens:
    """One example, encoded.

    features: 1 N C, the encoder's features of its crop.
    points: K 2, fractions of its crop; NaN where a keypoint has no point.
    visible: K bool, the keypoints whose point lies inside the crop.
    key: equal for equal pixels and points; examples are sorted by it, so that their order changes no bit.
    """

    features: Tensor
    points: np.ndarray
    visible: np.ndarray
    key: bytes


@dataclass(frozen=True)
class KeypointQuestion:
    """The questions about one keypoint.

    keypoint: its index in the category.
    tokens: one tokenised question per example that has the keypoint, or a single one without examples.
    key: integers that draws of a decoding strategy depend on.
    """

    keypoint: int
    tokens: list[list[int]]
    key: list[int]
