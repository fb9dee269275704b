"""How long `anykeypoint suggest` takes once features are kept, for many small pictures on one core.

    python benchmarks/suggest.py --pictures 10000 --count 20

The pictures are noise, and their vectors are drawn at random in the width of `fast`, so that no network is part of the
figures. Printed are the seconds of looking up all vectors and of choosing, and two ratios, which depend less on the
machine: of looking up to computing (without a network), and of choosing at once to choosing pair by pair.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from anykeypoint.labelling.looks import looks_of
from anykeypoint.labelling.suggest import spread

WIDTH = 328 * 16  # numbers of a vector of `fast`


class Drawn:
    """In the place of an encoder: vectors that are drawn at random."""

    def __init__(self) -> None:
        self.about = {"schema_version": 1, "encoder": "drawn", "side": 0}
        self.draw = np.random.default_rng(0)

    def pixels(self, path: Path) -> np.ndarray:
        """The picture."""
        with Image.open(path) as picture:
            return np.asarray(picture)

    def vectors(self, pixels: list[np.ndarray]) -> np.ndarray:
        """[B, WIDTH] of unit length."""
        vectors = self.draw.normal(size=(len(pixels), WIDTH)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_pairs(vectors: np.ndarray, count: int) -> list[int]:
    """What `spread` chooses, with one distance after another."""
    mean = vectors.mean(axis=0)
    chosen = [max(range(len(vectors)), key=lambda i: vectors[i] @ mean)]
    while len(chosen) < count:
        chosen.append(max(range(len(vectors)), key=lambda i: min(2 - 2 * vectors[i] @ vectors[j] for j in chosen)))
    return chosen


def measured(folder: Path, pictures: int, count: int, pairs: int) -> dict[str, float]:
    """The figures by name. pairs: number of pictures of which choosing pair by pair is timed."""
    noise = np.random.default_rng(1)
    (folder / "pictures").mkdir()
    for number in range(pictures):
        pixels = noise.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number:06}.png")
    paths, encoder = sorted((folder / "pictures").iterdir()), Drawn()
    times = [time.perf_counter()]
    looks_of(paths, encoder, folder / "kept")  # type: ignore[arg-type]
    times.append(time.perf_counter())
    looks = looks_of(paths, encoder, folder / "kept")  # type: ignore[arg-type]
    times.append(time.perf_counter())
    spread(looks.vectors, count)
    times.append(time.perf_counter())
    few = looks.vectors[:pairs]
    spread(few, count)
    times.append(time.perf_counter())
    by_pairs(few, count)
    times.append(time.perf_counter())
    computing, looking_up, choosing, at_once, pair_by_pair = np.diff(times)
    return {
        "looking up s": looking_up,
        "choosing s": choosing,
        "looking up / computing": looking_up / computing,
        f"at once / pair by pair ({pairs} pictures)": at_once / pair_by_pair,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), options.pictures, options.count, min(options.pairs, options.pictures))
    for name, value in figures.items():
        print(f"{name:<45}{value:>10.3f}")


if __name__ == "__main__":
    main()
