"""Which published weights a model's folder refers to."""

from collections.abc import Iterable
from typing import Any

from ..configs.checks import near_names
from ..errors import InputError
from .fewshot.fewshot_model import MODEL_TYPE as FEW_SHOT
from .folders import model_type
from .generative.capellm import CapeLLM
from .generative.kptllm import KptLLM
from .loading import find
from .matching import matcher_folder as matchers
from .shipped import SHIPPED, held_out_names
from .sources.packages import PACKAGES
from .towers.registry import IMAGE_ENCODERS, encoder_class


def needed_weights(name: str) -> list[str]:
    """The packaged weights that a model's folder refers to. Raises InputError for what is no model."""
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
    needed: list[str] = []
    for tower in towers:
        if tower.name in IMAGE_ENCODERS:
            needed += encoder_class(tower.name).packages_of(tower.name)
        elif tower.name in PACKAGES:
            needed.append(tower.name)
    return needed
