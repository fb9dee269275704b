"""What a busy machine costs, by how OpenMP's threads wait for each other.

    python benchmarks/busy.py --json busy.json

Each setting of the environment has a process of its own with the shipped `fast`. In every round all of them take turns,
first on idle cores, then beside processes that keep every core busy: one prediction by text, one prediction by an
example, and one training step of the head on cached features. The table holds medians over the rounds: milliseconds on
idle cores with the default setting, and ratios to that (of the same round, so that the machine cancels out).

--first: run the measured process before all others in the idle rounds (real-time scheduling, needs root). On a machine
that is never idle this comes near to idle cores, as other work has to wait for these seconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

SETTINGS = {  # name -> environment of the measured process, set before torch loads
    "default": {"GOMP_SPINCOUNT": "300000"},  # of libgomp
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin 1000": {"GOMP_SPINCOUNT": "1000"},
    "spin 100": {"GOMP_SPINCOUNT": "100"},
    "spin 3000": {"GOMP_SPINCOUNT": "3000"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
WORK = ("text", "example", "train")
CALLS = 3  # number of measured calls of each kind in a turn; the turn counts with their median
POLICIES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
HERE = Path(__file__).resolve()


class Measured:
    """A process with one setting. `seconds` asks it for the median time of one kind of work."""

    def __init__(self, environment: dict[str, str], works: Sequence[str]) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in POLICIES}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE), "--serve", "--work", *works],
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.process.stdout.readline()  # the process is ready

    def seconds(self, work: str) -> float:
        self.process.stdin.write(work + "\n")
        self.process.stdin.flush()
        return statistics.median(json.loads(self.process.stdout.readline()))

    def prioritise(self, policy: int) -> None:
        """Give all threads a scheduling policy, such as os.SCHED_RR, which runs them before any other work."""
        priority = os.sched_param(os.sched_get_priority_min(policy))
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), policy, priority)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def serve(works: Sequence[str]) -> None:
    """The measured process: reads a kind of work from each line of stdin, writes the seconds of each call."""
    import numpy as np

    import anykeypoint as ak

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints must not mix with the answers
    model, category = ak.load("fast", device="cpu"), ak.category("human_body")
    photo = HERE.parents[1] / "examples" / "astronaut.jpg"
    example = ak.Example(photo, np.random.default_rng(0).uniform(150, 350, (len(category), 2)), category=category)
    with tempfile.TemporaryDirectory() as folder:
        work = {
            "text": lambda: _timed(lambda: model.predict(photo, category)),
            "example": lambda: _timed(lambda: model.predict(photo, category, example=example, words=False)),
        }
        if "train" in works:
            work["train"] = _trainer(Path(folder))
        for name in works:
            work[name]()  # warms up
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(work[line.strip()]()), file=answers, flush=True)


def _timed(call: Callable[[], object]) -> list[float]:
    """Seconds of each of CALLS calls."""
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def _trainer(folder: Path) -> Callable[[], list[float]]:
    """A function that trains `fast` on for CALLS steps, on cached features of made-up objects; seconds of each step."""
    import anykeypoint as ak
    from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
    from anykeypoint.forms.coco import read_coco
    from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
    from anykeypoint.training.matching.matcher_trainer import train

    write_dataset(folder / "data", 16, per_category=8, size=128)
    data = read_coco(folder / "data" / ANNOTATIONS, folder / "data" / IMAGES)
    model = ak.load("fast", device="cpu")
    config = MatcherTrainConfig(features="cached", versions=1, steps=100_000, warmup=0, batch=8, save_every=100_000)

    def call() -> list[float]:
        times: list[float] = []
        train(model, data, config, folder / "run", lambda step, losses: times.append(time.perf_counter()), CALLS + 1)
        return [later - earlier for earlier, later in pairwise(times)]

    return call


@contextmanager
def busy_cores() -> Iterator[None]:
    """One process for every core that does nothing but calculate."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def measure(
    settings: Sequence[str], works: Sequence[str], states: Sequence[str], rounds: int, first: bool
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """State ("idle" or "busy") -> kind of work -> setting -> the seconds of every round."""
    processes = {name: Measured(SETTINGS[name], works) for name in settings}
    seconds = {state: {work: {name: [] for name in settings} for work in works} for state in states}

    def take_turns(state: str, policy: int) -> None:
        for work in works:
            for name, process in processes.items():
                if first:
                    process.prioritise(policy)
                seconds[state][work][name].append(process.seconds(work))
                if first:
                    process.prioritise(os.SCHED_OTHER)

    for _ in range(rounds):
        take_turns("idle", os.SCHED_RR)
        if "busy" in states:
            with busy_cores():
                take_turns("busy", os.SCHED_OTHER)
    for process in processes.values():
        process.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--states", nargs="+", choices=("idle", "busy"), default=["idle", "busy"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first", action="store_true", help="raise the priority in the idle rounds (needs root)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.work)
        return
    seconds = measure(options.settings, options.work, options.states, options.rounds, options.first)
    figures = {}
    base = options.settings[0]
    print(f"{'ms; ratios to ' + base + ', idle':32}" + "".join(f"{name:>16}" for name in options.settings))
    for work in options.work:
        for state in options.states:
            cells = []
            for name in options.settings:
                pairs = zip(seconds[state][work][name], seconds["idle"][work][base], strict=True)
                ratio = statistics.median(one / other for one, other in pairs)
                milliseconds = 1000 * statistics.median(seconds[state][work][name])
                figures[f"{work}, {state}, {name}"] = {"ms": milliseconds, "ratio": ratio}
                cells.append(f"{milliseconds:8.0f} {ratio:7.2f}")
            print(f"{work + ', ' + state:32}" + "".join(cells), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
