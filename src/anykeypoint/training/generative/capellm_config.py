"""Everything a training run is told, as frozen dataclasses that load strictly from YAML."""

import types
import typing
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from ...crops.augment import AugmentConfig
from ...errors import InputError
from ...instructions import Instruction, instruction_setting
from .rounds import GROUPINGS


@dataclass(frozen=True)
class GuideConfig:
    """Attention guidance: some heads are taught to look where the keypoint is (ours, not the papers')."""

    layers: tuple[int, ...] = ()  # decoder layers; none switches it off
    groups: int = 1  # key-value groups per layer whose heads are guided
    weight: float = 1.0  # of its loss beside the answers' loss
    sigma: float = 0.05  # of the crop: spread of the target heat map
    read: float = 0.0  # weight of reading the point off the answer's hidden states behind each guided layer
    alone: int = 0  # so many steps first train the first guided layer's guidance only, on questions without answers


@dataclass(frozen=True)
class TrainConfig:
    """One run. The defaults are CapeLLM's recipe (Sec. 4.1) with 4 processes: 128 images to a step.

    A conversation is an item of its own in the paper, and all of an object's are behind one image here: see
    `data.rounds` for what that changes. What `pack` leaves out of a sequence follows in further ones behind the same
    crop; with sampling "balanced", where an object has no turn of its own, it is left for another visit.
    """

    grouping: str = "fixed"  # "fixed", "dynamic" (Sec. 3.3) or "locllm": which questions share a conversation
    rounds: int = 4  # k, questions to a conversation; "dynamic" draws their number
    pack: int = 64  # questions behind one image at most; conversations do not see each other
    loss: str = "text"  # "text": all tokens of the answer; "digits": only its free positions, among the allowed ids
    sigma: float = 0.0  # of the crop, with loss "digits": spread of the target distribution; 0 is one value
    instruction: str | Instruction = ""  # form of the conversations: a name or a YAML file; "" is the model's own
    train_only: str = ""  # "projection": all else is frozen (supplement C); "" is what the model's tuning says
    describe: float = 1.0  # share of questions asked with a description
    descriptions: str = "detailed"  # which ones: "detailed", or "vague" (Table 5)
    replace: float = 0.0  # share of those whose description is replaced by the words that there is none (Table 7)
    noun: float = 1.0  # share of questions that name the object, else "object" (forms with {noun})
    sampling: str = "epoch"  # "epoch": every object once; "balanced": categories by the square root of their objects
    made_up: float = 0.0  # share of drawn objects (data/synthetic), with sampling "balanced"
    epochs: int = 12
    steps: int = 0  # optimiser steps; 0 takes `epochs`, and so does sampling "epoch"
    batch: int = 1  # images in one forward pass of one process
    accumulate: int = 32  # forward passes to an optimiser step
    lr: float = 5e-4
    encoder_lr: float = 0.0  # for a fully trained encoder; 0 takes lr
    weight_decay: float = 0.01
    warmup: float = 0.03  # share of the steps
    clip: float = 1.0  # gradient norm; 0 switches clipping off
    ema: float = 0.0  # decay of the averaged weights that are saved; 0 saves the last ones
    precision: str = "bf16"  # "bf16" or "fp32"
    checkpointing: bool = False  # keep only each layer's input and compute the rest anew in the backward pass
    shard: bool = False  # spread the frozen weights of the language model's layers over all processes
    seed: int = 42
    save_every: int = 200  # steps
    keep: int = 2  # checkpoints
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    guide: GuideConfig = field(default_factory=GuideConfig)

    def __post_init__(self) -> None:
        if self.instruction:
            object.__setattr__(self, "instruction", instruction_setting(self.instruction))
        check_choices(self, grouping=GROUPINGS, train_only=("", "projection"), **CHOICES)
        check_counts(self, "rounds", "pack", "epochs", "batch", "accumulate", "save_every", "keep")
        check_shares(self, "describe", "replace")
        if self.pack < self.rounds:
            raise InputError(f"pack must be at least rounds ({self.rounds}), but got {self.pack}.")
        if self.guide.alone and not self.guide.layers:
            raise InputError("guide.alone needs guide.layers: name the decoder layers to guide.")
        check_combinations(self)

    @classmethod
    def from_file(cls, path: str | Path) -> "TrainConfig":
        """Read a YAML file; unknown keys and wrong types are refused by name."""
        return load_config(cls, path)


# --- checks that runs of several kinds share: a config and names of its fields --------------------------------------

CHOICES = {
    "loss": ("text", "digits"),
    "sampling": ("epoch", "balanced"),
    "precision": ("bf16", "fp32"),
    "descriptions": ("detailed", "vague"),
}


def check_choices(config: Any, **choices: tuple[str, ...]) -> None:
    """InputError for a field that is none of its choices."""
    for name, known in choices.items():
        if getattr(config, name) not in known:
            words = ", ".join(choice or "''" for choice in known)
            raise InputError(f"{name} must be one of {words}, but got {getattr(config, name)!r}.")


def check_counts(config: Any, *names: str) -> None:
    """InputError for a field below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise InputError(f"{name} must be at least 1, but got {getattr(config, name)}.")


def check_shares(config: Any, *names: str) -> None:
    """InputError for a field that is not from 0 to 1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise InputError(f"{name} is a share and must be from 0 to 1, but got {getattr(config, name)}.")


def check_combinations(config: Any) -> None:
    """InputError for settings of a generative model's run that do not go together."""
    if config.sampling == "balanced" and config.steps < 1:
        raise InputError("sampling 'balanced' has no epochs; say how many optimiser steps with 'steps'.")
    if config.made_up and config.sampling != "balanced":
        raise InputError("made_up needs sampling 'balanced': an epoch is made of the data's own objects only.")
    if config.shard and config.guide.layers:
        raise InputError("guide.layers reads weights that shard spreads over processes; use one of them only.")
    if config.sigma and config.loss == "text":
        raise InputError("sigma needs loss 'digits': a spread target is a distribution over values, not a text.")


# --- files ----------------------------------------------------------------------------------------------------------


def load_config(kind: type, path: str | Path) -> Any:
    """A YAML file as a frozen dataclass; InputError names the file and the key that does not fit."""
    return from_mapping(kind, load_yaml(path), str(path))


def load_yaml(path: str | Path) -> Any:
    """What a YAML file holds, an empty one {}; InputError names the file that cannot be read."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"Cannot read the config {path}: {str(error).splitlines()[0]}.") from error


def from_mapping(kind: type, data: Any, origin: str) -> Any:
    """A mapping as a frozen dataclass, checked field by field."""
    if not isinstance(data, dict):
        raise InputError(f"{origin} must be a mapping of settings, but got {data!r}.")
    known = {f.name: f for f in fields(kind)}
    if unknown := [key for key in data if key not in known]:
        raise InputError(f"{origin} has the unknown key {unknown[0]!r}; known are {', '.join(known)}.")
    hints = typing.get_type_hints(kind)
    missing = [n for n, f in known.items() if n not in data and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise InputError(f"{origin} lacks the key {missing[0]!r}.")
    return kind(**{key: _value(hints[key], value, f"{origin}: {key}") for key, value in data.items()})


def _value(hint: Any, value: Any, origin: str) -> Any:
    if is_dataclass(hint):
        return from_mapping(hint, value, origin)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{origin} must be a list, but got {value!r}.")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, item, origin) for item in value)
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) not in allowed:
        names = " or ".join(getattr(t, "__name__", str(t)) for t in allowed)
        raise InputError(f"{origin} must be of type {names}, but got {value!r}.")
    return value


def to_mapping(config: Any) -> dict[str, Any]:
    """The form that `from_mapping` reads: plain dicts, lists and scalars."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    return plain(asdict(config))
