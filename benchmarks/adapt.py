"""How much `anykeypoint adapt` brings on kinds of object that its matcher never learnt, with few labelled pictures.

    python benchmarks/adapt.py coco:labels.json --images images --model fast --pictures 20,40 -o adapt.json

For each category with enough objects, some pictures are for adapting and the others for testing, whole groups on one
side. On the same test objects, all from the same frozen features, are measured:

    nearest    nearest neighbour of features with a prior on the place, the mean over all pictures for adapting
    matcher    the matcher with five of them as examples
    heat maps  a small convolutional head with heat maps, trained on the same crops of the same pictures
    adapted    what `adapt` gives

Printed are PCK in percent at each threshold for each category, the means over the categories, the least difference of
"adapted" to the others at 0.05, and the minutes that adapting took on this machine.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import anykeypoint as ak
from anykeypoint.forms.dataset import LabelledObject
from anykeypoint.forms.registry import read
from anykeypoint.models.maps import cell_centres, features_at, gaussian_at
from anykeypoint.models.matching.adapted.adapted_model import points_of, points_of_start, start_scores
from anykeypoint.models.matching.model import MatchingModel
from anykeypoint.training.adapting.adapt import adapt, chosen_examples
from anykeypoint.training.adapting.adapt_config import AdaptConfig
from anykeypoint.training.adapting.crops_of_pictures import PictureFeatures, picture_features
from anykeypoint.training.held_out import THRESHOLDS, group_numbers, shares_within

METHODS = ("nearest", "matcher", "heat maps", "adapted")
PRIOR, PRIOR_HEIGHT = 0.25, 0.1  # as in `evaluation.baselines.neighbours`
EXAMPLES = 5
MOST_TESTED = 60  # objects of a category
WIDTH, STEPS, BATCH, RATE = 64, 200, 12, 2e-3  # of the convolutional head
LEFT_OUT = 0.2  # share of the pictures on which the convolutional head is stopped


def split(objects: list[LabelledObject], count: int, seed: int) -> tuple[list[LabelledObject], list[LabelledObject]]:
    """`count` objects for adapting and at most MOST_TESTED for testing; no group is on both sides."""
    groups, rng = group_numbers(objects), np.random.default_rng([seed, 20])
    order = rng.permutation(groups.max() + 1)
    used = 1 + int(np.searchsorted(np.cumsum(np.bincount(groups)[order]), count))
    first = np.flatnonzero(np.isin(groups, order[:used]))
    others = np.flatnonzero(np.isin(groups, order[used:]))
    chosen = [objects[i] for i in rng.permutation(first)[:count]]
    return chosen, [objects[i] for i in rng.permutation(others)[:MOST_TESTED]]


def nearest(pictures: PictureFeatures, tested: PictureFeatures) -> np.ndarray:
    """Points [N, K, 2] where the features are most like those under the pictures' points, near the points' places."""
    maps = tested.maps[:, 0].float()
    grid = tuple(maps.shape[-2:])
    cells, places = F.normalize(maps.flatten(2), dim=1), cell_centres(*grid, like=maps)
    total, shown = torch.zeros(len(maps), pictures.points.shape[2], cells.shape[-1]), 0
    for example, points, visible in zip(pictures.examples, pictures.points[:, 0], pictures.visible[:, 0], strict=True):
        at = points.nan_to_num(0.5)
        sample = F.normalize(features_at(example[None].float(), at[None])[0], dim=-1)
        score = sample @ cells + PRIOR_HEIGHT * gaussian_at(at, places, PRIOR)
        total += score * visible[:, None]
        shown = shown + visible
    scores = total / torch.as_tensor(shown).clamp(min=1)[:, None] / 0.05
    return points_of(scores.log_softmax(dim=-1).unflatten(-1, grid)).numpy()


def matcher(
    start: MatchingModel, pictures: PictureFeatures, tested: PictureFeatures, item: LabelledObject
) -> np.ndarray:
    """Points [N, K, 2] of the matcher with five examples, read as the matcher reads them."""
    chosen = chosen_examples(pictures, np.arange(len(pictures.maps)), EXAMPLES)
    shown, points, found = pictures.examples[chosen].float(), pictures.points[chosen, 0], []
    with torch.inference_mode():
        for query in tested.maps[:, 0].float():
            scores = start_scores(start, query[None], shown, points, item.category)
            found.append(points_of_start(start, scores))
    return torch.cat(found).numpy()


class HeatMapHead(nn.Module):
    """The plain way: a convolution, one that enlarges the map twice, and a heat map for each point."""

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.norm, self.first = nn.GroupNorm(1, channels), nn.Conv2d(channels, WIDTH, 3, padding=1)
        self.larger = nn.ConvTranspose2d(WIDTH, WIDTH, 4, stride=2, padding=1)
        self.maps = nn.Conv2d(WIDTH, points, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Feature maps [B, C, h, w] -> scores [B, K, 2h, 2w]."""
        return self.maps(self.larger(self.first(self.norm(features)).relu()).relu())

    def loss(self, maps: Tensor, points: Tensor, visible: Tensor) -> Tensor:
        """Cross-entropy with Gaussians of one cell around the points."""
        scores = self(maps.float())
        places = cell_centres(*scores.shape[-2:], like=scores)
        target = gaussian_at(points.nan_to_num(0.5), places, 1 / scores.shape[-1])
        target = target / target.sum(dim=-1, keepdim=True).clamp(min=1e-8)
        entropy = -(target * scores.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
        return (entropy * visible).sum() / visible.sum().clamp(min=1)


def heat_maps(pictures: PictureFeatures, tested: PictureFeatures, seed: int) -> np.ndarray:
    """Points [N, K, 2] of a `HeatMapHead`, trained on most of the pictures and stopped on the others."""
    rng = np.random.default_rng([seed, 21])
    torch.manual_seed(seed)
    count, versions, channels = pictures.maps.shape[:3]
    order = rng.permutation(count)
    left_out, learnt = np.split(order, [max(1, round(LEFT_OUT * count))])
    head = HeatMapHead(channels, pictures.points.shape[2])
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    best, state, visible = np.inf, head.state_dict(), pictures.visible
    for step in range(1, STEPS + 1):
        rows, drawn = rng.choice(learnt, BATCH), rng.integers(versions, size=BATCH)
        loss = head.loss(pictures.maps[rows, drawn], pictures.points[rows, drawn], visible[rows, drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 40 == 0:
            with torch.no_grad():
                off = float(head.loss(pictures.maps[left_out, 0], pictures.points[left_out, 0], visible[left_out, 0]))
            if off < best:
                best, state = off, {name: value.clone() for name, value in head.state_dict().items()}
    head.load_state_dict(state)
    with torch.no_grad():
        scores = torch.cat([head(one[None].float()) for one in tested.maps[:, 0]])
    return points_of(scores.flatten(2).log_softmax(dim=-1).view_as(scores)).numpy()


def measure(
    start: MatchingModel, objects: list[LabelledObject], count: int, seed: int, config: AdaptConfig
) -> dict[str, object]:
    """PCK of each method at THRESHOLDS on the test objects of a category, and the minutes of adapting."""
    few, others = split(objects, count, seed)
    tested = picture_features(start, others, 1, config.augment, seed)
    labelled = tested.points[:, 0].numpy()
    began = time.monotonic()
    pictures = picture_features(start, few, config.versions, config.augment, seed)
    model, report = adapt(start, few, config, pictures=pictures)
    minutes = (time.monotonic() - began) / 60
    with torch.inference_mode():
        scores = torch.cat([model(one[None].float()) for one in tested.maps[:, 0]])
    found = {
        "nearest": nearest(pictures, tested),
        "matcher": matcher(start, pictures, tested, few[0]),
        "heat maps": heat_maps(pictures, tested, seed),
        "adapted": model.points(scores).numpy(),
    }
    pck = {name: (100 * shares_within(points, labelled, tested.sides)).tolist() for name, points in found.items()}
    return {
        "pictures": len(few),
        "tested": len(others),
        "pck": pck,
        "matcher_share": report.start_share,
        "minutes": round(minutes, 2),
    }


def chosen_kinds(objects: list[LabelledObject], wanted: str | None, least: int) -> Iterator[list[LabelledObject]]:
    """The objects of each category that is measured: those wanted by id, or those with `least` objects or more."""
    by_id: dict[int, list[LabelledObject]] = {}
    for item in objects:
        by_id.setdefault(item.category_id, []).append(item)
    ids = [int(one) for one in wanted.split(",")] if wanted else [k for k, own in by_id.items() if len(own) >= least]
    return (by_id[one] for one in ids)


def line(name: str, values: list[float]) -> str:
    """One line of figures."""
    return f"    {name:<10}" + "".join(f"{value:7.1f}" for value in values)


def summary(results: list[dict]) -> str:
    """Means over the categories of `measure`'s results, and the least difference of the adapted model at 0.05."""
    means = {name: np.mean([one["pck"][name] for one in results], axis=0) for name in METHODS}
    lines = [f"mean of {len(results)} categories", *(line(name, values.tolist()) for name, values in means.items())]
    for name in METHODS[:-1]:
        gains = [one["pck"]["adapted"][1] - one["pck"][name][1] for one in results]
        lines.append(f"    adapted - {name} at {THRESHOLDS[1]}: mean {np.mean(gains):+.1f}, least {min(gains):+.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="FORM:FILE")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--pictures", default="20,40", help="numbers of pictures for adapting")
    parser.add_argument("--kinds", help="ids of the categories; by default all with --least objects")
    parser.add_argument("--least", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    start, config = ak.load(given.model, device="cpu"), AdaptConfig(seed=given.seed)
    results: dict[str, list[dict]] = {count: [] for count in given.pictures.split(",")}
    for objects in chosen_kinds(read(given.data, given.images).objects, given.kinds, given.least):
        for count, measured in results.items():
            one = {"category": objects[0].category.name, **measure(start, objects, int(count), given.seed, config)}
            measured.append(one)
            print(f"{one['category']}: {one['pictures']} pictures, {one['tested']} tested, {one['minutes']} min")
            print("\n".join(line(name, one["pck"][name]) for name in METHODS), flush=True)
            if given.output:
                given.output.write_text(json.dumps({"thresholds": THRESHOLDS, "results": results}, indent=1))
    for count, measured in results.items():
        if measured:
            print(f"{count} pictures, {summary(measured)}")


if __name__ == "__main__":
    main()
