"""What a matcher's second look and its mirrored picture cost, as a ratio to the plain answer within one round.

    python benchmarks/second_look.py --model fast --threads 1 2 --json second_look.json

One picture by one example whose features and patches are kept, as in use, for several numbers of points: the plain
answer, with the second look, and with the mirrored picture; and a first call with the second look, which looks at the
example too. The median of --repeats rounds, in which all take turns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import anykeypoint as ak
from anykeypoint.models.matching.model import MatchingModel

PHOTO = Path(__file__).resolve().parents[1] / "examples" / "astronaut.jpg"
BOX = (150.0, 20.0, 160.0, 180.0)
POINTS = (4, 10, 20, 40)


def rounds(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run in each of `repeats` rounds, in which all take turns; a first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                found[name].append(time.perf_counter() - start)
    return found


def costs(model: MatchingModel, keypoints: int, repeats: int) -> dict[str, float]:
    """Milliseconds of the plain answer by one example, and the other ways as ratios to it."""
    x, y, w, h = BOX
    places = np.random.default_rng(0).uniform((x, y), (x + w, y + h), (keypoints, 2))
    category = ak.Category.from_text("; ".join(f"point {number}" for number in range(keypoints)))
    asked = {"box": BOX, "example": ak.Example(PHOTO, places, BOX, category), "words": False}

    def predict(**options: bool) -> Callable[[], object]:
        return lambda: model.predict(PHOTO, category, **asked, **options)

    def first() -> None:
        model.cache.clear()
        predict(fine=True)()

    runs = {
        "plain": predict(fine=False),
        "fine": predict(fine=True),
        "mirror": predict(fine=False, mirror=True),
        "fine, new example": first,
    }
    taken = rounds(runs, repeats)
    ratios = {
        f"{name} of plain": statistics.median(a / b for a, b in zip(taken[name], taken["plain"], strict=True))
        for name in runs
        if name != "plain"
    }
    return {"plain ms": 1000 * statistics.median(taken["plain"]), **ratios}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Print, and write where asked for, the costs for each number of threads and points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--points", type=int, nargs="+", default=list(POINTS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    model, found = ak.load(options.model), {}
    for threads in options.threads:
        torch.set_num_threads(threads)
        for keypoints in options.points:
            name = f"{threads} threads, {keypoints} points"
            found[name] = costs(model, keypoints, options.repeats)
            print(name, ", ".join(f"{key} {value:.2f}" for key, value in found[name].items()), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()
