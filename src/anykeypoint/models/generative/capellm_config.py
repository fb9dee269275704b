"""The config of CapeLLM."""

from dataclasses import dataclass, field

from ...configs.checks import check_choice, check_flag
from ...configs.strict import Config
from ...density.presence import Presence
from ...density.temperature import Temperature
from ...errors import InputError
from ...instructions import Instruction, instruction, instruction_setting
from ..towers.language import LanguageConfig
from ..towers.vision_config import VisionConfig
from .keypoint_token import check_token

FIRST_ROUNDS = ("given", "written")  # whose the answers of a form's first rounds are in prediction


@dataclass(frozen=True)
class CapeLLMConfig(Config):
    """Everything that makes one CapeLLM; the defaults are the paper's.

    vision: the image encoder.
    language: the language model.
    instruction: the conversation form: a name of the library, or a YAML file, whose content is kept.
    first_rounds: whose the answers of the form's first rounds, such as the object's noun, are in prediction: "given",
        the true ones, or "written", the model's own (Sec. B.1). Training always has the true ones.
    answer: "text" writes coordinates as digits; "token" answers <KEYPOINT>, whose point a decoder reads.
    keypoint_token: whether a <KEYPOINT> answer is "given", or "written" by the model, which then learns to write it
        (Sec. B.2).
    spread: estimate how far off the point of a <KEYPOINT> answer is, as its confidence; not from the paper.
    spaced: True writes "[0.123, 0.456]" as printed in the paper, False "[0.123,0.456]" as the released code does.
    crop_scale: side of the crop over the longer side of the box.
    released_crop: sample the pixels as CapeLLM's released code does (`images.warp_pixels`), for weights that were
        trained on such crops.
    strategy: how numbers are chosen when the caller names no strategy, see `decoding.Strategy`.
    temperature: of its distributions by words, see `density.temperature`.
    presence: whether a point is there, by each kind of prompt, see `density.presence`.
    """

    called = "The options of a CapeLLM model"

    vision: VisionConfig = field(default_factory=lambda: VisionConfig("dinov2-l", tuning="lora"))
    language: LanguageConfig = field(default_factory=lambda: LanguageConfig("llama-3.1-8b", tuning="lora"))
    instruction: str | Instruction = "base"
    first_rounds: str = "given"
    answer: str = "text"
    keypoint_token: str = "given"
    spread: bool = False
    spaced: bool = False
    crop_scale: float = 1.0
    released_crop: bool = False
    strategy: str = "greedy"
    temperature: Temperature = field(default_factory=Temperature)
    presence: Presence = field(default_factory=Presence)

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", instruction_setting(self.instruction))
        check_flag(self.released_crop, "A model's released_crop")
        check_token(self)
        self.temperature.check(("text",) if self.answer == "text" else ())
        self.presence.check(("text",) if self.answer == "text" else ())
        check_choice(self.first_rounds, "A model's first_rounds", FIRST_ROUNDS)
        form = instruction(self.instruction)
        if self.answer == "token" and not form.answers_points:
            raise InputError("A <KEYPOINT> answer is a place, but this model's instruction form asks for words.")
        if self.first_rounds == "written" and not (form.first and form.ending):
            raise InputError(
                f"first_rounds 'written' needs an instruction form with first rounds and an ending, but {form.name!r} "
                "lacks them; leave it out."
            )
