"""A batch of episodes as tensors, with the prompts that were drawn for each episode.

Letters: B episodes, R of them with examples, M examples of an episode, K keypoints, S side of a crop in pixels, C h w a
feature map, N cells along a side of a heat map.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...crops.batches import EpisodeBatch


@dataclass(frozen=True)
class EpisodePrompt:
    """The prompts that are drawn for an episode.

    text: whether the keypoints' phrases are given.
    example: whether the examples are given.
    described: whether the phrases have descriptions, for a model that reads them.
    keypoints: (K,) bool, the keypoints that are queried; None queries those that all examples show.
    form, voice: of the phrases, where the recipe draws them (`phrase_draws`).
    """

    text: bool
    example: bool
    described: bool
    keypoints: np.ndarray | None
    form: str = "name"
    voice: int = 0


@dataclass(frozen=True)
class MatcherBatch:
    """Episodes as a matcher takes them. Crops are uint8 pixels, or float16 feature maps where these are cached.

    Letters: an episode has P prompts, B = P * Q rows of Q episodes, those of an episode one after another.

    query: Q S S 3 or Q C h w.
    examples: R M S S 3 or R M C h w, of the rows with examples alone.
    with_examples: R, the indices of these rows in the batch.
    example_heatmaps: B M K N N.
    example_points: B M K 2 float32, their centres of mass, for a head that reads points; else None.
    example_visible: B M K bool, where the example is given and shows the keypoint.
    has_text: B K bool, where the keypoint's phrase is given.
    valid: B K bool, where the keypoint is queried.
    labelled: B K bool, where it is queried and visible in the query.
    points: B K 2 float32, the query's points in normalised coordinates of its crop.
    heatmaps: B K N N, the query's heat maps.
    categories: the B categories.
    prompts: the B drawn prompts.
    """

    query: Tensor
    examples: Tensor
    with_examples: Tensor
    example_heatmaps: Tensor
    example_points: Tensor | None
    example_visible: Tensor
    has_text: Tensor
    valid: Tensor
    labelled: Tensor
    points: Tensor
    heatmaps: Tensor
    categories: tuple[Category, ...]
    prompts: tuple[EpisodePrompt, ...]

    def to(self, device: torch.device) -> "MatcherBatch":
        """The same batch on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})


def matcher_batch(
    episodes: EpisodeBatch, prompts: Sequence[EpisodePrompt], points: np.ndarray | None = None
) -> MatcherBatch:
    """Convert stacked episodes to tensors and apply the prompts drawn for them.

    prompts: those of an episode one after another, equally many for each.
    points: Q M K 2, the examples' points for a head that reads these.

    As in the released code, a keypoint that an example does not show is not queried, not by text either; but where a
    share of the keypoints is drawn (`EpisodePrompt.keypoints`), those are queried by text alone whether an example
    shows them or not.
    """
    share = len(prompts) // len(episodes.categories)

    def rows(values: np.ndarray) -> np.ndarray:
        """Q ... -> B ..."""
        return values if share == 1 else values.repeat(share, axis=0)

    shown, seen = rows(episodes.examples.visible), rows(episodes.query.visible)
    valid = shown.all(axis=1)
    for row, prompt in enumerate(prompts):
        if prompt.keypoints is not None:
            drawn = np.zeros_like(valid[row])
            drawn[: len(prompt.keypoints)] = prompt.keypoints
            valid[row] = drawn & valid[row] if prompt.example else drawn
    text = np.array([prompt.text for prompt in prompts])
    example = np.array([prompt.example for prompt in prompts])
    with_examples = np.flatnonzero(example)
    tensors = {
        "query": episodes.query.pixels,
        "examples": episodes.examples.pixels[with_examples // share],
        "with_examples": with_examples,
        "example_heatmaps": rows(episodes.examples.heatmaps),
        "example_visible": shown & valid[:, None] & example[:, None, None],
        "has_text": valid & text[:, None],
        "valid": valid,
        "labelled": valid & seen,
        "points": rows(episodes.query.points).astype(np.float32),
        "heatmaps": rows(episodes.query.heatmaps),
    }
    converted = {name: torch.from_numpy(array) for name, array in tensors.items()}
    return MatcherBatch(
        **converted,
        example_points=None if points is None else torch.from_numpy(rows(points)),
        categories=tuple(category for category in episodes.categories for _ in range(share)),
        prompts=tuple(prompts),
    )
