"""`anykeypoint train`: a model config, a recipe and labelled data in; a model folder out."""

import sys
from pathlib import Path

from accelerate import PartialState

from ..data.readers import read
from ..errors import InputError
from ..models.generative.capellm import CapeLLMConfig
from ..models.generative.folder import build, load
from ..models.loading import find
from ..training.capellm import train
from ..training.config import TrainConfig, load_config
from ..training.report import crop_counts


def run(
    data: str,
    images: Path,
    out: Path,
    *,
    model: Path | None,
    start: str | None,
    recipe: Path | None,
    allow_missing: bool,
) -> int:
    """Train a new model (`model`: its YAML file, else the paper's) or a saved one (`start`) on a COCO file."""
    if model is not None and start is not None:
        raise InputError("Give either --model for a new model or --start for a saved one, not both.")
    config = TrainConfig() if recipe is None else TrainConfig.from_file(recipe)
    described = CapeLLMConfig() if model is None else load_config(CapeLLMConfig, model)
    dataset = read(data, images, allow_missing=allow_missing)
    for reason, count in dataset.skipped.items():
        print(f"left out: {count} ({reason})", file=sys.stderr)
    built = build(described, config.seed) if start is None else load(find(start))
    train(built, dataset.objects, config, out, weights=getattr(dataset, "weights", None))
    if PartialState().is_main_process:  # of many, one speaks
        trained, skipped = crop_counts(out)
        print(f"{skipped} of {trained + skipped} crops were skipped: no labelled point was inside.")
        print(f"Written to {out / 'model'}")
    return 0
