"""Speed of loading training data, beside plain decoding of the same files, and speed of scoring pairs.

    python benchmarks/data.py --data coco:labels.json --images photos/ --json data.json

Loading: pictures per second of worker processes that decode with Pillow alone, that build training conversations
(CapeLLM's recipe, with the shipped default or --model), that build episodes (GraphCape's recipe, one example) and that
draw made-up objects. Each loader's share of plain decoding within one round is the number to compare: files, disk and
machine cancel out.
Without --data, made-up objects are written to a temporary folder as JPEG.

Scoring: the predictions of MP-100's 60,000 pairs, with 17 points each, are read from JSON lines, and all are scored and
averaged in one call.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

import anykeypoint as ak
from anykeypoint.crops.batches import collate as collate_episodes
from anykeypoint.data.episodes import EpisodeConfig, EpisodeSampler
from anykeypoint.data.synthetic import draw_object, write_dataset
from anykeypoint.evaluation.metrics import pair_means, score_pairs
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.forms.registry import read
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.sequence_batch import collate as collate_sequences
from anykeypoint.training.generative.sequences import build_sequences

BATCH = 8
CATEGORIES = 20  # number of categories of an MP-100 test split


@dataclass(frozen=True)
class Items:
    """A map-style data set for DataLoader. build: makes the item of a number. count: number of items."""

    build: Callable[[int], object]
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> object:
        return self.build(index)


def made_up(folder: Path, count: int, size: int) -> Dataset:
    """`count` made-up objects whose pictures are JPEGs of `size` pixels a side, as photos are."""
    data = read_coco(write_dataset(folder / "data", count, per_category=8, size=size), folder / "data" / "images")
    objects = []
    for item in data.objects:
        path = item.image.with_suffix(".jpg")
        Image.open(item.image).save(path, quality=90)
        objects.append(replace(item, image=path))
    return replace(data, objects=objects)


def loaders(data: Dataset, model: CapeLLM, passes: int) -> dict[str, tuple[Items, Callable, int]]:
    """Name of a loader -> its items, the function that makes a batch of them, and the number of pictures of an item."""
    objects, recipe, plan = data.objects, CapeLLMTrainConfig(), EpisodeSampler(data, EpisodeConfig())
    count = passes * len(objects)

    def decode(index: int) -> int:
        return Image.open(objects[index % len(objects)].image).convert("RGB").width

    def converse(index: int) -> list:
        item = objects[index % len(objects)]
        return build_sequences(model, item, recipe, np.random.default_rng([recipe.seed, index]))

    def together(built: list[list]) -> object:
        sequences = [sequence for of_one in built for sequence in of_one]
        return vars(collate_sequences(sequences, model.codec.base)) if sequences else None

    def episodes(built: list) -> dict:
        batch = collate_episodes(built)
        return {"examples": vars(batch.examples), "query": vars(batch.query), "common": batch.common}

    def draw(index: int) -> int:
        return draw_object(index, 0).image.width

    return {
        "decode": (Items(decode, count), sum, 1),
        "drawing": (Items(draw, count), sum, 1),
        "conversations": (Items(converse, count), together, 1),
        "episodes": (Items(plan.episode, count // 2), episodes, 2),
    }


def rates(all_loaders: dict[str, tuple[Items, Callable, int]], workers: int, rounds: int) -> dict[str, list[float]]:
    """Pictures per second of each loader, round by round, after a first pass with the start of the processes."""
    running = {
        name: DataLoader(items, BATCH, collate_fn=batch, num_workers=workers, persistent_workers=True)
        for name, (items, batch, _) in all_loaders.items()
    }
    for loader in running.values():
        _drain(loader)
    found: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, loader in running.items():
            items, _, pictures = all_loaders[name]
            found[name].append(len(items) * pictures / seconds(_drain, loader))
    return found


def _drain(batches: Iterable) -> None:
    for _ in batches:
        pass


def seconds(run: Callable, *args: object) -> float:
    start = time.perf_counter()
    run(*args)
    return time.perf_counter() - start


def scoring(folder: Path, pairs: int, points: int) -> dict[str, float]:
    """Seconds to read the predictions of all pairs from JSON lines, and to score and average them."""
    rng = np.random.default_rng(0)
    labelled = rng.uniform(0, 500, (pairs, points, 2))
    mask, sides = rng.random((pairs, points)) < 0.8, rng.uniform(50, 400, pairs)
    categories = np.repeat(np.arange(CATEGORIES), -(-pairs // CATEGORIES))[:pairs].tolist()
    path = folder / "predictions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for pair, answer in enumerate((labelled + rng.normal(0, 30, labelled.shape)).round(2).tolist()):
            file.write(json.dumps({"pair": pair, "points": answer}) + "\n")

    start = time.perf_counter()
    with path.open(encoding="utf-8") as file:
        predicted = np.array([json.loads(line)["points"] for line in file])
    reading = time.perf_counter() - start
    start = time.perf_counter()
    scores = score_pairs(predicted, labelled, mask, sides)
    middle = time.perf_counter()
    pair_means(scores, categories)
    end = time.perf_counter()
    return {"read_s": reading, "score_s": middle - start, "means_s": end - middle, "file_mb": path.stat().st_size / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="labels as FORM:FILE, such as coco:labels.json; made-up objects without it")
    parser.add_argument("--images", type=Path, default=Path("."))
    parser.add_argument("--model", default="capellm-small")
    parser.add_argument("--count", type=int, default=96, help="maximum number of objects")
    parser.add_argument("--size", type=int, default=640, help="pixels a side of a made-up picture")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--passes", type=int, default=2, help="passes over the objects in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--points", type=int, default=17)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # DataLoader has worker processes; tokenizers would warn
    torch.set_num_threads(1)
    model = ak.load(options.model, device="cpu")
    figures: dict[str, float | int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = read(options.data, options.images) if options.data else made_up(folder, options.count, options.size)
        data = enough(replace(data, objects=data.objects[: options.count]))
        figures["objects"] = len(data.objects)
        for workers in options.workers:
            found = rates(loaders(data, model, options.passes), workers, options.rounds)
            for loader, values in found.items():
                figures[f"{loader}_per_s_{workers}"] = statistics.median(values)
                shares = [value / plain for value, plain in zip(values, found["decode"], strict=True)]
                if loader != "decode":
                    figures[f"{loader}_of_decode_{workers}"] = statistics.median(shares)
        runs = [scoring(folder, options.pairs, options.points) for _ in range(options.rounds)]
        figures |= {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        figures["score_of_read"] = statistics.median((run["score_s"] + run["means_s"]) / run["read_s"] for run in runs)
    for name, value in figures.items():
        print(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def enough(data: Dataset) -> Dataset:
    """The objects of categories that have two or more, without which there is no episode."""
    kinds = [item.category_id for item in data.objects]
    objects = [item for item in data.objects if kinds.count(item.category_id) > 1]
    kept = {item.category_id: item.category for item in objects}
    return replace(data, objects=objects, categories=kept)


if __name__ == "__main__":
    main()
