"""How the templates of an adapted model learn from the features of a few pictures.

Letters: N objects, V versions (crops) of each, K keypoints, n x n cells of the answer.
"""

import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from ...models.maps import cell_centres
from ...models.matching.adapted.templates import TemplateConfig, Templates
from ..rates import cosine_rate
from .adapt_config import AdaptConfig
from .crops_of_pictures import PictureFeatures

_RISE = 0.1  # share of the steps in which the rate rises


def tuned_member(
    pictures: PictureFeatures,
    learnt: np.ndarray,
    left_out: np.ndarray,
    config: AdaptConfig,
    number: int,
    on_step: Callable[[], None] | None = None,
) -> Templates:
    """A member that has learnt from some of the objects, as it was when it was best on others; in eval mode.

    learnt, left_out: numbers of the objects to learn from, and of those to measure on.
    number: of the member, for its random numbers.
    on_step: called after each step.
    """
    channels, count = pictures.maps.shape[2], pictures.points.shape[2]
    sizes = {name: getattr(config, name) for name in ("width", "blocks", "fine", "dropout")}
    rng = np.random.default_rng([config.seed, 12, number])
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        member = Templates(TemplateConfig(channels, count, **sizes))
        member.standardise(pictures.maps, torch.from_numpy(learnt))
        optimiser = torch.optim.AdamW(member.parameters(), config.rate, weight_decay=config.weight_decay)
        best, best_state = math.inf, member.state_dict()
        for step in range(config.steps):
            for group in optimiser.param_groups:
                group["lr"] = config.rate * cosine_rate(step, config.steps, _RISE)
            objects = torch.from_numpy(rng.choice(learnt, config.batch))
            versions = torch.from_numpy(rng.integers(0, pictures.maps.shape[1], config.batch))
            loss = _loss(member.train(), pictures, objects, versions, config.spread)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step + 1) % config.check_every == 0 or step + 1 == config.steps:
                measured = _measured(member, pictures, left_out, config.spread)
                if measured < best:
                    best, best_state = measured, deepcopy(member.state_dict())
            if on_step is not None:
                on_step()
    member.load_state_dict(best_state)
    return member.eval()


def _loss(member: Templates, pictures: PictureFeatures, objects: Tensor, versions: Tensor, spread: float) -> Tensor:
    """Cross-entropy of the member's maps of some crops with Gaussians around their points."""
    scores = member(pictures.maps[objects, versions].float())
    points, visible = pictures.points[objects, versions], pictures.visible[objects, versions]
    places = cell_centres(*scores.shape[-2:], like=scores)
    steps = (places - points.nan_to_num(0.5)[..., None, :]) * scores.shape[-1]  # in cells of the answer
    target = (-steps.square().sum(dim=-1) / (2 * spread**2)).softmax(dim=-1)
    entropy = -(target * scores.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return (entropy * visible).sum() / visible.sum().clamp(min=1)


@torch.no_grad()
def _measured(member: Templates, pictures: PictureFeatures, objects: np.ndarray, spread: float) -> float:
    """The loss on the plain crops of some objects."""
    rows = torch.from_numpy(objects)
    return float(_loss(member.eval(), pictures, rows, torch.zeros_like(rows), spread))
