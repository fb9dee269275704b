"""Adapt a matcher to one category: from some dozens of labelled pictures to a model that answers without examples.

The pictures are dealt into parts, whole groups together. For each part a member learns from the others, and is stopped
where it is best on the part itself; so every picture is one that some member has not learnt from. On these answers, and
on those of the matcher that is started from with examples of the other parts, the share of the two is chosen. The
members then answer together.

Letters: N objects, K keypoints, T thresholds.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...io import write_bytes
from ...models.matching.adapted.adapted_config import AdaptedConfig
from ...models.matching.adapted.adapted_model import (
    AdaptedModel,
    combined,
    points_of,
    points_of_start,
    start_scores,
    started,
)
from ...models.matching.adapted.templates import Templates
from ...models.matching.model import MatchingModel
from ..held_out import THRESHOLDS, fold_numbers, shares_within
from .adapt_config import AdaptConfig
from .crops_of_pictures import PictureFeatures, picture_features
from .tune import tuned_member

REPORT = "adapting.json"  # what was measured on pictures that were left out, beside the model's own files
SHARES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)  # of the matcher in the answer; the best on left-out pictures is taken
FEWEST = 8  # objects without which nothing can be held out and learnt from


@dataclass(frozen=True)
class AdaptReport:
    """What was measured on pictures that the measured member had not learnt from.

    objects: number of objects.
    whole_groups: whether groups of pictures were kept on one side; with fewer groups than parts they were not.
    thresholds: T fractions of the longer side of the box.
    before: (T,) PCK of the matcher with examples.
    after: (T,) PCK of a single member together with the matcher, with the chosen share; the members together are
        better, but there is no picture left to measure it on.
    start_share: share of the matcher in the answer; 1 leaves the matcher as it is.
    unlabelled: names of the points that no object labels; nothing has taught the model where they are.
    """

    objects: int
    whole_groups: bool
    thresholds: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    start_share: float
    unlabelled: tuple[str, ...] = ()


def adapt(
    start: MatchingModel,
    objects: Sequence[LabelledObject],
    config: AdaptConfig | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    pictures: PictureFeatures | None = None,
) -> tuple[AdaptedModel, AdaptReport]:
    """A model adapted to the category of some labelled objects, and what was measured on left-out ones.

    start: takes examples. Its weights stay as they are, and are part of the result.
    objects: of one category, FEWEST or more.
    on_progress: called with what is done ("features", "members"), and how many of how many steps of it are done.
    pictures: features of these objects' crops, where they have been computed already; None computes them.

    Raises InputError for objects of several categories, too few of them, or another kind of model.
    """
    config = config or AdaptConfig()
    category = _check(start, objects)
    say = on_progress or (lambda what, done, total: None)
    counts = {"features": 0, "members": 0}

    def counter(what: str, total: int) -> Callable[[], None]:
        def count() -> None:
            counts[what] += 1
            say(what, counts[what], total)

        return count

    fold_of, whole = fold_numbers(objects, config.folds, config.seed)
    start = started(start)
    if pictures is None:
        counted = counter("features", len(objects))
        pictures = picture_features(start, objects, config.versions, config.augment, config.seed, counted)
    members, own, matched = [], [], []
    counted = counter("members", config.folds * config.steps)
    for fold in range(config.folds):
        learnt, left_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        members.append(tuned_member(pictures, learnt, left_out, config, fold, counted))
        own.append(_own(members[-1], pictures, left_out))
        matched.append(
            _matched(start, pictures, left_out, chosen_examples(pictures, learnt, config.examples), category)
        )
    order = torch.from_numpy(np.argsort(np.concatenate([np.flatnonzero(fold_of == f) for f in range(config.folds)])))
    share, before, after = _chosen_share(start, torch.cat(own)[order], torch.cat(matched)[order], pictures, config.fine)
    unlabelled = tuple(
        name
        for row, name in enumerate(category.names)
        if not any(np.isfinite(item.points[row]).all() for item in objects)
    )
    report = AdaptReport(len(objects), whole, THRESHOLDS, before, after, share, unlabelled)
    return _assembled(start, category, members, pictures, share, config), report


def write(model: AdaptedModel, report: AdaptReport, out: Path) -> None:
    """Write the model's folder, with the report beside its files."""
    model.save_pretrained(out)
    write_bytes(out / REPORT, (json.dumps(asdict(report), indent=1) + "\n").encode())


def chosen_examples(pictures: PictureFeatures, among: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the objects, of those in `among`, that show all points together: each next one shows the most points
    that those before it show least often; the first of equals."""
    visible = pictures.visible[:, 0].numpy()
    seen, left = np.zeros(visible.shape[1]), among.tolist()
    chosen: list[int] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda number: (visible[number] / (1 + seen) ** 2).sum())
        chosen.append(best)
        left.remove(best)
        seen += visible[best]
    return np.array(chosen)


def _check(start: MatchingModel, objects: Sequence[LabelledObject]) -> Category:
    """The one category of the objects; InputError where adapting is not possible."""
    if not isinstance(start, MatchingModel) or "example" not in start.prompts:
        raise InputError(
            "Adapting starts from a matcher that takes examples, such as accurate; another kind of model cannot be "
            "adapted."
        )
    categories = {item.category_id: item.category for item in objects}
    if len(categories) > 1:
        names = ", ".join(repr(one.name) for one in list(categories.values())[:5])
        raise InputError(
            f"A model is adapted to one category, but the data have {len(categories)}, such as {names}; choose one."
        )
    if len(objects) < FEWEST:
        raise InputError(
            f"Adapting needs {FEWEST} labelled objects or more, better 20 to 50, but there are {len(objects)}; label "
            "more, or give them as examples to predict."
        )
    return next(iter(categories.values()))


@torch.no_grad()
def _own(member: Templates, pictures: PictureFeatures, rows: np.ndarray) -> Tensor:
    """A member's scores of the plain crops of some objects."""
    return member(pictures.maps[torch.from_numpy(rows), 0].float())


@torch.inference_mode()
def _matched(
    start: MatchingModel, pictures: PictureFeatures, rows: np.ndarray, examples: np.ndarray, category: Category
) -> Tensor:
    """`start_scores` of the plain crops of some objects, one after another; examples: numbers of the examples."""
    shown, points = pictures.examples[examples].float(), pictures.points[examples, 0]
    queries = pictures.maps[torch.from_numpy(rows), 0].float().to(start.device)
    return torch.cat([start_scores(start, query[None], shown, points, category).cpu() for query in queries])


def _chosen_share(
    start: MatchingModel, own: Tensor, matched: Tensor, pictures: PictureFeatures, fine: int
) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    """The share of the matcher with the best mean PCK, the PCK of the matcher alone, and that with the share.

    own, matched: scores of all objects by parts that have not learnt from them, in the objects' order.
    """
    measured = {}
    for share in SHARES:
        scores = combined(own if share < 1 else None, matched if share else None, 1 - share, share, fine)
        points = points_of_start(start, scores) if share == 1 else points_of(scores)
        labelled = pictures.points[:, 0].numpy()
        measured[share] = tuple(shares_within(points.numpy(), labelled, pictures.sides).tolist())
    best = max(SHARES, key=lambda share: np.mean(measured[share]))
    return best, measured[1.0], measured[best]


def _assembled(
    start: MatchingModel,
    category: Category,
    members: Sequence[Templates],
    pictures: PictureFeatures,
    share: float,
    config: AdaptConfig,
) -> AdaptedModel:
    """The adapted model, in eval mode."""
    examples = chosen_examples(pictures, np.arange(len(pictures.maps)), config.examples if share else 0)
    adapted = AdaptedConfig(
        start=start.config,
        category=category,
        templates=members[0].config,
        members=len(members),
        examples=len(examples),
        own_weight=1 - share,
        start_weight=share,
    )
    model = AdaptedModel(adapted, start).eval()
    model.members.load_state_dict(torch.nn.ModuleList(members).state_dict())
    if len(examples):
        model.example_features.copy_(pictures.examples[examples])
        model.example_points.copy_(pictures.points[examples, 0])
    return model.to(start.device)
