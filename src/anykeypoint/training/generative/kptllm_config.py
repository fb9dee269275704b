"""Everything a training run of KptLLM is told."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...crops.augment import LOCLLM, AugmentConfig
from ...errors import InputError
from .capellm_config import (
    CHOICES,
    GuideConfig,
    check_choices,
    check_combinations,
    check_counts,
    check_shares,
    load_config,
)


@dataclass(frozen=True)
class TaskWeights:
    """How often each task is drawn, in any unit; one that a file does not name is not trained.

    A keypoint's task is drawn among those that are possible for it: `example` and `both` need another object of the
    category that shows it too.
    """

    identify: float = 0.0  # a shown place -> its name
    example: float = 0.0  # a place of another picture -> its name, and where it is here
    text: float = 0.0  # words -> where it is
    both: float = 0.0  # words and a place of another picture -> where it is

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not 0 <= weight < float("inf"):
                raise InputError(f"The weight of the task {name} must be finite and 0 or more, but got {weight}.")
        if not any(vars(self).values()):
            raise InputError(f"No task has a weight; give one to some of {', '.join(vars(self))}.")


@dataclass(frozen=True)
class KptTrainConfig:
    """One run. The defaults are the paper's recipe (Sec. 4.1.3) with 8 processes: 128 images to a step.

    It says AdamW, the rate, no decay and the batch. Epoch, schedule and warm-up are those of LLaVA-1.5's own
    fine-tuning with LoRA, whose every other figure it has; the crops are LocLLM's. An item of the paper is one
    conversation; here all of an object's are behind one image, see `data.rounds`.
    """

    tasks: TaskWeights = TaskWeights(identify=1, example=1, text=1)  # where a file gives some, the others are 0
    asks: int = 1  # conversations about each keypoint of an object at a visit, each of a task of its own
    pack: int = 64  # conversations behind one image at most; they do not see each other
    loss: str = "text"  # "text": all tokens of the answer; "digits": of a point only its free positions, and the words
    sigma: float = 0.0  # of the crop, with loss "digits": spread of the target distribution; 0 is one value
    words: float = 1.0  # weight of the words' loss beside the points', with loss "digits" and with <KEYPOINT> answers
    point: float = 2.0  # weight of the points' L1 beside the words' loss, with <KEYPOINT> answers (Eq. 7)
    describe: float = 0.5  # share of questions asked in words that have a description
    descriptions: str = "detailed"  # which ones: "detailed", or "vague"
    replace: float = 0.0  # share of those whose description is replaced by the words that there is none
    noun: float = 1.0  # share of questions that name the object, else "object"
    sampling: str = "epoch"  # "epoch": every object once; "balanced": categories by the square root of their objects
    made_up: float = 0.0  # share of drawn objects (data/synthetic), with sampling "balanced"
    epochs: int = 1
    steps: int = 0  # optimiser steps; 0 takes `epochs`, and so does sampling "epoch"
    batch: int = 16  # images in one forward pass of one process, not counting the examples
    accumulate: int = 1  # forward passes to an optimiser step
    lr: float = 2e-4
    encoder_lr: float = 0.0  # of what trains of the encoder; 0 takes lr
    prompt_lr: float = 0.0  # of the prompt tokens' modules, which start at random; 0 takes lr
    weight_decay: float = 0.0
    warmup: float = 0.03  # share of the steps
    clip: float = 1.0  # gradient norm; 0 switches clipping off
    ema: float = 0.0  # decay of the averaged weights that are saved; 0 saves the last ones
    precision: str = "bf16"  # "bf16" or "fp32"
    checkpointing: bool = False  # keep only each layer's input and compute the rest anew in the backward pass
    shard: bool = False  # spread the frozen weights of the language model's layers over all processes
    seed: int = 42
    save_every: int = 200  # steps
    keep: int = 2  # checkpoints
    augment: AugmentConfig = LOCLLM  # where a file gives some of its keys, the others are AugmentConfig's own
    guide: GuideConfig = field(default_factory=GuideConfig)

    def __post_init__(self) -> None:
        check_choices(self, **CHOICES)
        check_counts(self, "asks", "pack", "epochs", "batch", "accumulate", "save_every", "keep")
        check_shares(self, "describe", "replace", "noun", "made_up")
        for name in ("words", "point", "sigma"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be finite and 0 or more, but got {getattr(self, name)}.")
        if self.guide.alone:
            raise InputError("guide.alone is CapeLLM's; start from a CapeLLM that was trained so, and leave it out.")
        check_combinations(self)

    @classmethod
    def from_file(cls, path: str | Path) -> "KptTrainConfig":
        """Read a YAML file; unknown keys and wrong types are refused by name."""
        return load_config(cls, path)


def chances(tasks: TaskWeights, possible: list[str]) -> dict[str, float]:
    """The chance of each possible task; none where no possible one has a weight."""
    weights = {task: weight for task, weight in asdict(tasks).items() if task in possible and weight}
    total = sum(weights.values())
    return {task: weight / total for task, weight in weights.items()}
