"""`anykeypoint weights`: fetch what a model needs, once, so that it works offline afterwards."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from ..configs.checks import near_names
from ..errors import InputError
from . import console, options


def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A model, or packaged weights; without it all are listed.",
            autocompletion=options.complete_models,
        ),
    ] = None,
) -> None:
    """Fetch the weights that a model needs, so that it works offline afterwards. Without a name they are listed."""
    from ..models.sources.packages import PACKAGES, fetch

    if name is None:
        print(listing())
        return
    for needed in [name] if name in PACKAGES else needed_weights(name):
        with console.waiting(f"fetching {needed}"):
            folder = fetch(needed, report=console.note)
        print(f"{needed}: {folder}")


def listing() -> str:
    """The packaged weights with their sizes, and the shipped models with what each needs."""
    from ..models.loading import find
    from ..models.shipped import HELD_OUT, SHIPPED, held_out_names
    from ..models.sources.packages import PACKAGES, fetched

    lines = ["packaged weights, fetched once"]
    for name, package in PACKAGES.items():
        state = "fetched" if fetched(name) else "not fetched"
        lines.append(f"  {name:20} {package.megabytes:4} MB  {package.licence:12} {state}")
    lines.append("shipped models")
    for name, model in SHIPPED.items():
        size = sum(file.stat().st_size for file in find(name).iterdir()) / 1e6
        needed = needed_weights(name)
        megabytes = sum(PACKAGES[one].megabytes for one in needed)
        lines.append(f"  {name:20} {size:4.0f} MB  needs {' and '.join(needed)} ({megabytes} MB)")
        lines.append(f"  {'':20} {model.what}")
    if held_out := held_out_names():
        lines.append("held-out checkpoints, trained on the training data alone; for measuring")
        for name in held_out:
            same = " (the shipped weights)" if find(name) == find(name.removesuffix(HELD_OUT)) else ""
            lines.append(f"  {name}{same}")
    return "\n".join(lines)


def needed_weights(name: str) -> list[str]:
    """The packaged weights that a model's folder refers to. Raises InputError for what is no model."""
    from ..models.fewshot.fewshot_model import MODEL_TYPE as FEW_SHOT
    from ..models.folders import model_type
    from ..models.generative.capellm import CapeLLM
    from ..models.generative.kptllm import KptLLM
    from ..models.loading import find
    from ..models.matching import matcher_folder as matchers
    from ..models.shipped import SHIPPED, held_out_names
    from ..models.sources.packages import PACKAGES

    try:
        path = find(name)
        if model_type(path) == FEW_SHOT:  # everything is in the folder
            return []
        if model_type(path) == matchers.MODEL_TYPE:
            matcher = matchers.read_config(path)
            parts = [matcher.text] if matcher.text is not None and matcher.text.source is None else []
            if matchers.as_published(matcher):  # else the image encoder is in the folder
                parts.append(matcher.vision)
            return _packages(parts)
        kind = KptLLM if model_type(path) == KptLLM.model_type else CapeLLM
        config = kind.read_config(path)
    except InputError as error:
        near = near_names(name, [*SHIPPED, *held_out_names(), *PACKAGES])
        raise InputError(
            f"{name!r} is neither a model nor packaged weights{near}; shipped models are {', '.join(SHIPPED)}, "
            f"packaged weights {', '.join(PACKAGES)}."
        ) from error
    towers = ((config.language, True), (config.vision, config.vision.tuning != "full"))
    return _packages([tower for tower, base in towers if base and tower.source is None])


def _packages(towers: Iterable[Any]) -> list[str]:
    """The packages with the published weights of encoders and language models, from their configs."""
    from ..models.sources.packages import PACKAGES
    from ..models.towers.registry import IMAGE_ENCODERS, encoder_class

    needed: list[str] = []
    for tower in towers:
        if tower.name in IMAGE_ENCODERS:
            needed += encoder_class(tower.name).packages_of(tower.name)
        elif tower.name in PACKAGES:
            needed.append(tower.name)
    return needed
