"""The config of CapeLLM."""

from dataclasses import dataclass, field

from ...configs.checks import check_choice, check_flag
from ...configs.strict import Config
from ...errors import InputError
from ...instructions import Instruction, instruction, instruction_setting
from ..towers.language import LanguageConfig
from ..towers.vision_config import VisionConfig
from .keypoint_token import ANSWERS


@dataclass(frozen=True)
class CapeLLMConfig(Config):
    """Everything that makes one CapeLLM; the defaults are the paper's.

    vision: the image encoder.
    language: the language model.
    instruction: the conversation form: a name of the library, or a YAML file, whose content is kept.
    answer: "text" writes coordinates as digits; "token" answers <KEYPOINT>, whose point a decoder reads.
    spaced: True writes "[0.123, 0.456]" as printed in the paper, False "[0.123,0.456]" as the released code does.
    crop_scale: side of the crop over the longer side of the box.
    released_crop: sample the pixels as CapeLLM's released code does (`images.warp_pixels`), for weights that were
        trained on such crops.
    strategy: how numbers are chosen when the caller names no strategy, see `decoding.Strategy`.
    """

    called = "The options of a CapeLLM model"

    vision: VisionConfig = field(default_factory=lambda: VisionConfig("dinov2-l", tuning="lora"))
    language: LanguageConfig = field(default_factory=lambda: LanguageConfig("llama-3.1-8b", tuning="lora"))
    instruction: str | Instruction = "base"
    answer: str = "text"
    spaced: bool = False
    crop_scale: float = 1.0
    released_crop: bool = False
    strategy: str = "greedy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", instruction_setting(self.instruction))
        check_choice(self.answer, "A model's answer", ANSWERS)
        check_flag(self.released_crop, "A model's released_crop")
        if self.answer == "token":
            if self.strategy != "greedy":
                raise InputError(f"A <KEYPOINT> answer has no strategy, but got {self.strategy!r}; leave it out.")
            if not instruction(self.instruction).answers_points:
                raise InputError("A <KEYPOINT> answer is a place, but this model's instruction form asks for words.")
