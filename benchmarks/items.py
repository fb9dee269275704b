"""What CapeLLM's two training items learn in the same time on one core, from the same random weights.

    python benchmarks/items.py train.json val.json images/ --item group --seconds 150 -o run/

The model is that of `capellm_small.yaml`. The loss before and after is of single questions about held-out objects.
"""

import argparse
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from anykeypoint.configs.yaml_files import read_config
from anykeypoint.crops.augment import PLAIN
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.training.generative.answer_losses import training_losses
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train
from anykeypoint.training.generative.sequence_batch import collate
from anykeypoint.training.generative.sequences import build_sequences

RECIPE = CapeLLMTrainConfig(
    loss="digits", sigma=0.025, steps=100_000, accumulate=1, warmup=0.0, lr=1e-3, batch=4, seed=0
)


class TimeIsUp(Exception):
    """Ends a training from within."""


@torch.no_grad()
def held_out_loss(model: CapeLLM, objects: list, config: CapeLLMTrainConfig) -> float:
    """Mean loss over the questions about some objects, each question by itself."""
    model.eval()
    asking = replace(config, item="object", rounds=1, augment=PLAIN)
    losses, questions = [], []
    for item in objects:
        for sequence in build_sequences(model, item, asking, np.random.default_rng(0)):
            losses.append(training_losses(model, collate([sequence], model.codec.base), asking)["loss"].item())
            questions.append(sequence.questions)
    return float(np.average(losses, weights=questions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--item", choices=("group", "object"), required=True)
    parser.add_argument("--seconds", type=float, default=150, help="processor time of the training")
    parser.add_argument("--held", type=int, default=16, help="number of held-out objects")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    described = Path(str(resources.files("anykeypoint"))) / "experiments" / "capellm_small.yaml"
    model = CapeLLM.build(read_config(CapeLLMConfig, described), 0)
    config = replace(RECIPE, item=options.item, precision="fp32", save_every=RECIPE.steps)
    val = read_coco(options.val, options.images).objects
    chosen = np.random.default_rng(0).choice(len(val), options.held, replace=False)
    held = [val[i] for i in chosen]
    print(f"{options.item}: loss before {held_out_loss(model, held, config):.2f}", flush=True)
    start, steps = time.process_time(), 0

    def on_step(step: int, figures: dict[str, float]) -> None:
        nonlocal steps
        steps = step
        if time.process_time() - start > options.seconds:
            raise TimeIsUp

    try:
        train(model, read_coco(options.train, options.images).objects, config, options.out, on_step, quiet=True)
    except TimeIsUp:
        print(f"{steps} steps in {time.process_time() - start:.0f} s", flush=True)
    print(f"{options.item}: loss after {held_out_loss(model, held, config):.2f}")


if __name__ == "__main__":
    main()
