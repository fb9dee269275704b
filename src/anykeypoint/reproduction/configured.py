"""The settings of a row as configs: of the model, its trainings and its measurement, each read strictly."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from ..configs.yaml_files import from_mapping
from ..errors import InputError
from ..evaluation.density_comparison import DensityComparisonConfig
from ..evaluation.evaluation_config import EvaluationConfig
from ..models.fewshot.fewshot_model import FewShotConfig
from ..models.generative.capellm_config import CapeLLMConfig
from ..models.generative.image_text_config import ImageTextConfig
from ..models.matching.matcher_config import MatcherConfig
from ..training.episode_config import EpisodeTrainConfig
from ..training.generative.generative_config import GenerativeTrainConfig
from ..training.run_config import RunConfig
from ..training.trainable import Family, family_of
from .settings import Setting


@dataclass(frozen=True)
class Length:
    """What a user changes of the trainings.

    items: number of training items at field scale; None takes the table's.
    epochs: number of passes over the data; None takes the table's.
    seed: of the trainings; None takes the recipe's.
    """

    items: int | None = None
    epochs: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Configured:
    """The configs of a setting.

    family: the kind of the model.
    model: its config.
    recipe: the training, whose length is still that of the recipe where there are `items`.
    pretrain: the training before; None where there is none.
    items: number of training items; 0 where the recipe says how long.
    processes: number of processes that the recipe's `accumulate` is for.
    """

    family: Family
    model: Any
    recipe: RunConfig
    pretrain: RunConfig | None
    items: int
    processes: int = 1

    @property
    def kind(self) -> str:
        """What the model is called in names of folders."""
        if isinstance(self.model, MatcherConfig):
            return self.model.name
        if isinstance(self.model, FewShotConfig):
            return self.model.method
        return {CapeLLMConfig: "capellm", ImageTextConfig: "image-text"}.get(type(self.model), "kptllm")


def configured(setting: Setting, what: str, length: Length = Length()) -> Configured:
    """The configs of a setting's training. Raises InputError for what does not fit.

    what: subject of its sentence.
    length: what is changed of the trainings.
    """
    family = family_of(dict(setting.model), f"{what}: model")
    try:
        model = family.described(_plain(setting.model), f"{what}: model")
        recipe = _recipe(family, setting.recipe, f"{what}: recipe", length)
        pretrain = None
        if setting.pretrain:
            pretrain = _recipe(family, setting.pretrain, f"{what}: pretrain", replace(length, epochs=None))
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(what) else f"{what}: {error}") from error
    items = setting.items if length.items is None else length.items
    items = 0 if length.epochs is not None else items
    return Configured(family, model, recipe, pretrain, items, setting.processes)


def asked(setting: Setting, what: str) -> EvaluationConfig | DensityComparisonConfig:
    """The config of a setting's measurement; InputError for what does not fit. what: subject of its sentence."""
    kind = DensityComparisonConfig if setting.measure == "density" else EvaluationConfig
    return from_mapping(kind, dict(setting.ask), f"{what}: ask")


def steps_of(config: RunConfig, items: float, processes: int = 1) -> int:
    """The number of optimiser steps in which so many items are drawn."""
    return ceil(items / samples_per_step(config, processes))


def samples_per_step(config: RunConfig, processes: int = 1) -> int:
    """The number of samples of an optimiser step."""
    return config.batch * config.accumulate * processes


def for_processes(config: RunConfig, meant: int, processes: int) -> RunConfig:
    """The recipe for another number of processes: a step has the same samples.

    meant: number of processes that its `accumulate` is for.
    Raises InputError where these cannot be shared evenly.
    """
    passes = config.accumulate * meant
    if passes % processes:
        raise InputError(
            f"A step of {passes * config.batch} samples, {config.batch} to a forward pass, cannot be shared evenly by "
            f"{processes} processes; take a number of processes that divides {passes}."
        )
    return replace(config, accumulate=passes // processes)


def with_items(config: RunConfig, items: int, objects: float, processes: int = 1) -> RunConfig:
    """The training on so many items; what the recipe counts in steps keeps its share of the run.

    items: number of them; 0 leaves the recipe as it is.
    objects: number of items in an epoch.
    processes: number of processes that share each step.
    """
    if not items:
        return config
    steps = steps_of(config, items, processes)
    per_step = samples_per_step(config, processes)
    share = steps / (config.steps or max(1, ceil(config.epochs * objects / per_step)))
    changes: dict[str, Any] = {"steps": steps, "save_every": min(config.save_every, max(1, steps // 10))}
    if isinstance(config, EpisodeTrainConfig):
        changes["warmup"] = _scaled(config.warmup, share, steps)
    if isinstance(config, GenerativeTrainConfig) and config.guide.alone:
        changes["guide"] = replace(config.guide, alone=_scaled(config.guide.alone, share, steps))
    return replace(config, **changes)


def _scaled(count: int, share: float, steps: int) -> int:
    """A number of steps as the same share of a run of another length, which is longer than it."""
    return min(max(1, round(count * share)), steps - 1) if count else 0


def _recipe(family: Family, given: Any, what: str, length: Length) -> RunConfig:
    config = from_mapping(family.recipe, _plain(given), what)
    if length.epochs is not None:
        if config.sampling == "balanced":
            raise InputError(f"{what} draws its samples {config.sampling!r} and has no epochs; leave out --epochs.")
        config = replace(config, epochs=length.epochs, steps=0)
    return config if length.seed is None else replace(config, seed=length.seed)


def _plain(given: Any) -> dict[str, Any]:
    return {key: _plain(value) if isinstance(value, dict) else value for key, value in given.items()}
