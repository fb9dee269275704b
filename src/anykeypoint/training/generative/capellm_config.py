"""Options of a training run of CapeLLM."""

from dataclasses import dataclass

from ...configs.checks import check_whole
from ...errors import InputError
from ...instructions import Instruction, instruction_setting
from ..run_config import check_choices, check_options
from .generative_config import GenerativeTrainConfig
from .rounds import GROUPINGS


@dataclass(frozen=True)
class CapeLLMTrainConfig(GenerativeTrainConfig):
    """A training run of CapeLLM. The defaults are its recipe (Sec. 4.1) with 4 processes: 128 items to a step.

    An item is one picture with one group of keypoints (Sec. 3.3); `rounds.py` says what another unit changes.

    grouping: which questions share a conversation: "fixed", "dynamic" (Sec. 3.3) or "locllm".
    rounds: k, number of questions to a conversation; "dynamic" draws the number, up to all keypoints of the object, or
        up to `pack` with the item "object".
    instruction: instruction form of the conversations, by its name or as a YAML file; "" takes the model's own.
    train_only: "projection" freezes all else (supplement C); "" trains what the model's tuning names.
    """

    grouping: str = "fixed"
    rounds: int = 4
    instruction: str | Instruction = ""
    train_only: str = ""
    epochs: int = 12
    accumulate: int = 32
    lr: float = 5e-4
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.instruction:
            object.__setattr__(self, "instruction", instruction_setting(self.instruction))
        check_choices(self, grouping=GROUPINGS, train_only=("", "projection"))
        check_options(self, check_whole, "rounds")
        if self.item == "object" and self.pack < self.rounds:
            raise InputError(f"pack must be at least rounds ({self.rounds}), but got {self.pack}.")
        if self.guide.alone and not self.guide.layers:
            raise InputError("guide.alone needs guide.layers: name the decoder layers to guide.")
