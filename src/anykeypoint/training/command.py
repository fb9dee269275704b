"""`anykeypoint train`: a model config, a recipe and labelled data in; a model folder out."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from ..data.coco import read_coco
from ..models.generative.capellm import CapeLLMConfig
from ..models.generative.folder import build, load
from ..models.loading import find
from .config import TrainConfig, load_config
from .loop import train


def train_command(
    data: Annotated[str, typer.Option(help="The labels: coco:FILE.json.")],
    images: Annotated[Path, typer.Option(help="The folder that the labels' file names are relative to.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; a stopped run goes on from it.")],
    model: Annotated[Path | None, typer.Option(help="A YAML file that describes a new model; the paper's if none.")] = None,
    start: Annotated[str | None, typer.Option(help="Train on from this saved model instead.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A YAML file with the recipe; CapeLLM's if none.")] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Leave out objects without a picture.")] = False,
) -> None:
    """Train CapeLLM on a COCO-keypoints file. `accelerate launch -m anykeypoint train ...` uses all GPUs."""
    from ..evaluation.command import data_file
    from ..errors import InputError

    if model is not None and start is not None:
        raise InputError("Give either --model for a new model or --start for a saved one, not both.")
    config = TrainConfig() if recipe is None else TrainConfig.from_file(recipe)
    dataset = read_coco(data_file(data), images, allow_missing=allow_missing)
    for reason, count in dataset.skipped.items():
        if count:
            typer.echo(f"left out {count} objects: {reason}", err=True)
    dtype = torch.float32
    if start is not None:
        built = load(find(start), dtype)
    else:
        described = CapeLLMConfig() if model is None else load_config(CapeLLMConfig, model)
        built = build(described, config.seed, dtype)
    train(built, dataset.objects, config, out)
    typer.echo(f"Written to {out / 'model'}")
