"""Two optimiser steps of a CapeLLM with Llama-3.2-1B's and DINOv2-L's widths, in a process of its own.

    python two_steps.py FOLDER LAYERS

LAYERS: of both towers, or 0 for all of them. Prints a JSON object: the losses, how many of the trained tensors moved,
the measured memory of the model and of the two steps, and the estimated one, in bytes.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from anykeypoint.data.synthetic import write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.towers.language import LanguageConfig
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.models.tuning import tune
from anykeypoint.reproduction.networks import published_sizes
from anykeypoint.reproduction.pieces import PieceTokenizer
from anykeypoint.reproduction.sizes import training_size
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train

ON_GPU = torch.cuda.is_available()
RECIPE = CapeLLMTrainConfig(steps=2, accumulate=1, save_every=2)  # otherwise the paper's, in bf16


def resident(key: str) -> int:
    """This process's memory in bytes: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def used() -> int:
    """The memory in use now, of the GPU where there is one."""
    return torch.cuda.memory_allocated() if ON_GPU else resident("VmRSS")


def peak() -> int:
    """The highest memory in use since `forget_peak`."""
    return torch.cuda.max_memory_allocated() if ON_GPU else resident("VmHWM")


def forget_peak() -> None:
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def build(config: CapeLLMConfig) -> CapeLLM:
    """The model with random weights."""
    sizes = dict(published_sizes()["language"][config.language.name])
    kind, digits = sizes.pop("kind"), sizes.pop("digits")
    sizes["num_hidden_layers"] = config.language.layers or sizes["num_hidden_layers"]
    # torch's own draws would take as long as the two steps, and transformers draws all of these weights anew.
    with patch.object(nn.Linear, "reset_parameters"), patch.object(nn.Embedding, "reset_parameters"):
        language = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes))
    tune(language, config.language.tuning, config.language.lora)
    return CapeLLM(config, build_encoder(config.vision), language, PieceTokenizer(digits))


def main(folder: Path, layers: int) -> dict:
    data = read_coco(write_dataset(folder / "data", 6, seed=3), folder / "data" / "images")
    sizes = {"num_hidden_layers": layers} if layers else {}
    config = CapeLLMConfig(
        vision=VisionConfig("dinov2-l", RANDOM, tuning="lora", sizes=sizes),
        language=LanguageConfig("llama-3.2-1b", tuning="lora", layers=layers or None),
    )
    estimated = training_size(config, RECIPE, Counter(item.category for item in data.objects))
    memory, start = estimated.memory(), used()
    torch.manual_seed(0)
    model = build(config)
    if ON_GPU:
        model.to("cuda")
    held = used() - start
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    losses: list[float] = []
    forget_peak()
    train(model, data.objects, RECIPE, folder / "run", lambda step, values: losses.append(values["loss"]), quiet=True)
    reached = peak() - start - 4 * sum(p.numel() for p in before.values())
    moved = [name for name, p in model.named_parameters() if name in before and not torch.equal(p, before[name])]
    weights = model.language.base_model.layers[0].mlp.up_proj.weight
    return {
        "losses": losses,
        "moved": len(moved),
        "trained": len(before),
        "frozen": not weights.requires_grad,
        "held": held,
        "reached": reached,
        "estimated": {**vars(memory), "total": memory.total},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
