"""How fast the head `evidence` trains on cached features: a prompt of a picture in float32, and two in bfloat16.

    python benchmarks/training_speed.py --pictures 24 --batch 24 --steps 5 --json training.json

Both settings train a new decoder on made-up pictures, the same ones, and take turns step by step, so that the machine
cancels out of the ratio. Counted is the time of this process on its core, which others that share the machine lengthen
less than the clock. Printed for each: ms of a step for a picture, by its parts, prompts learnt in a second; and how
many times more prompts the second setting learns. Features are computed before, and count in neither.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from accelerate import Accelerator

from anykeypoint.data.synthetic import write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import build
from anykeypoint.training.loop import RunState
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig, ModalityDropout
from anykeypoint.training.matching.matcher_trainer import MatcherTrainer

PARTS = ("load", "forward", "backward", "update")
RUN = {"features": "cached", "versions": 2, "most_keypoints": 24, "sampling": "balanced", "warmup": 1, "steps": 1000}
RUN |= {"support_points_fraction": 1.0, "lr": 1e-3, "weight_decay": 0.05, "clip": 1.0, "ema": 0.99}


@dataclass(frozen=True)
class Setting:
    """A way to train. head: options of the head. recipe: options of the run. prompts: of a picture."""

    head: dict
    recipe: dict
    prompts: int


SETTINGS = {
    "one prompt, fp32": Setting({}, {"modality_dropout": ModalityDropout(0.6, 0.15)}, 1),
    "two prompts, bf16": Setting(
        {"image_dropout": 0.0, "attention_dropout": 0.0}, {"prompts_per_picture": 2, "precision": "bf16"}, 2
    ),
}


class Run:
    """A training in one setting, step by step."""

    def __init__(self, setting: Setting, data: Dataset, batch: int, folder: Path) -> None:
        """folder: where the features are kept, those of each precision apart."""
        config = MatcherTrainConfig(**RUN, **setting.recipe, batch=batch)
        self.mixed = config.precision == "bf16"
        model = build(MatcherConfig.from_dict({"name": "evidence", "head": {"members": 1, **setting.head}}))
        self.trainer = MatcherTrainer(model, data, config, quiet=True)
        self.plan = self.trainer.prepare(Accelerator(), folder / config.precision)
        self.state = RunState.of(self.trainer)
        self.batch = batch

    def step(self, number: int) -> list[float]:
        """Seconds of the PARTS of one step."""
        marks = [time.process_time()]
        (numbers,) = self.plan.micro_batches(number, 0)
        loaded = self.trainer.load(numbers, number)
        marks.append(time.process_time())
        self.trainer.model.train()
        torch.manual_seed(loaded.seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
            loss = self.trainer.losses(loaded.batches[0][0], number)["loss"]
        marks.append(time.process_time())
        loss.backward()
        marks.append(time.process_time())
        torch.nn.utils.clip_grad_norm_(list(self.state.parameters.values()), 1.0)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()
        self.state.update_average(0.99, number)
        marks.append(time.process_time())
        return [after - before for before, after in pairwise(marks)]


def figures(data: Dataset, batch: int, steps: int, folder: Path) -> dict[str, dict[str, float] | float]:
    """The printed figures: medians over the steps, of which a first one is not counted."""
    runs = {name: Run(setting, data, batch, folder) for name, setting in SETTINGS.items()}
    taken: dict[str, list[list[float]]] = {name: [] for name in runs}
    for number in range(steps + 1):
        for name, run in runs.items():
            seconds = run.step(number)
            if number:
                taken[name].append(seconds)
    found: dict[str, dict[str, float] | float] = {}
    rates = []
    for name, steps_taken in taken.items():
        parts = [statistics.median(column) / batch for column in zip(*steps_taken, strict=True)]
        rates.append([SETTINGS[name].prompts * batch / sum(seconds) for seconds in steps_taken])
        milliseconds = {f"{part} ms": 1000 * value for part, value in zip(PARTS, parts, strict=True)}
        found[name] = {**milliseconds, "prompts a second": statistics.median(rates[-1])}
    found["ratio"] = statistics.median(after / before for before, after in zip(*rates, strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=24, help="number of made-up pictures")
    parser.add_argument("--batch", type=int, default=24, help="pictures to a step")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = read_coco(write_dataset(folder, options.pictures, seed=0), folder / "images")
        found = figures(data, options.batch, options.steps, folder)
    for name, values in found.items():
        shown = values if isinstance(values, float) else ", ".join(f"{key} {one:.1f}" for key, one in values.items())
        print(f"{name}: {shown:.2f}" if isinstance(shown, float) else f"{name}: {shown}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
