"""The config of KptLLM and KptLLM++."""

from dataclasses import dataclass, field, replace
from typing import Any

from ...configs.checks import check_choice, check_flag, check_positive, check_text, check_whole
from ...configs.strict import Config
from ...density.presence import Presence
from ...density.temperature import Temperature
from ...errors import InputError
from ...instructions.tasks import TaskForm, task_form_setting
from ..towers.language import LanguageConfig
from ..towers.vision_config import VisionConfig
from ..tuning import ROLES, LoraOptions
from .keypoint_token import check_token

PROJECTORS, EXTRACTORS = ("linear", "mlp"), ("attention", "pool")
NAMINGS = ("written", "found")
VICUNAS = ("vicuna-7b", "vicuna-13b")  # what the language model of a LLaVA-1.5 may be called

_LORA = LoraOptions(r=128, alpha=256, targets=ROLES)
_VISION_LORA = LoraOptions(r=128, alpha=256, targets=("q", "k", "v", "o", "up", "down"))  # an MLP in a ViT has no gate


@dataclass(frozen=True)
class KptLLMConfig(Config):
    """Everything that makes one model; KptLLM++ by default.

    vision: the image encoder.
    language: the language model.
    projector: how image tokens of the query are projected: "linear", or "mlp", the two layers of LLaVA-1.5.
    extractor: how prompt tokens are made: "attention", or "pool", the mean of the features around the point (Table 14).
    layers: number of cross-attention layers of the extractor.
    heads: number of attention heads in each of these layers; the paper does not say.
    frequencies: number of frequencies of the extractor's position embedding, in x and in y.
    sigma: standard deviation of the Gaussian of the extractor "pool", a share of the crop; the default is POMNet's.
    instruction: the task form: a name of the library, or a YAML file, whose content is kept.
    answer: "text" writes coordinates as digits; "token" answers <KEYPOINT>, whose point a decoder reads (KptLLM).
    keypoint_token: whether a <KEYPOINT> answer is "given", or "written" by the model, which then learns to write it.
    spread: estimate how far off the point of a <KEYPOINT> answer is, as its confidence; not from the paper.
    identify_first: an answer gives the keypoint's name, then its point.
    naming: how a touched point gets one of a category's names: "written", by how likely the model writes each of them;
        "found", by where it finds each of them (`models.found_names`), which asks more of the digits than of the names.
    spaced: True writes "[0.123, 0.456]", False "[0.123,0.456]".
    crop_scale: side of the crop over the longer side of the box.
    released_crop: sample the pixels as CapeLLM's released code does (`images.warp_pixels`), for weights that were
        trained on such crops.
    strategy: how numbers are chosen when the caller names no strategy, see `decoding.Strategy`.
    temperature: of its distributions by words, by examples and by both, see `density.temperature`.
    presence: whether a point is there, by each kind of prompt, see `density.presence`.
    llava: hub id or folder of the LLaVA-1.5 that a new model starts from (Sec. 4.1.3): language model, CLIP tower and
        projector are its own. Both towers then have it as their source. None starts from the towers' own weights, with
        a random projection.
    """

    called = "The options of a KptLLM"

    vision: VisionConfig = field(
        default_factory=lambda: VisionConfig("dinov2-l", image_size=224, tuning="lora", lora=_VISION_LORA)
    )
    language: LanguageConfig = field(default_factory=lambda: LanguageConfig("vicuna-7b", tuning="lora", lora=_LORA))
    projector: str = "linear"
    extractor: str = "attention"
    layers: int = 2
    heads: int = 8
    frequencies: int = 64
    sigma: float = 2 / 64
    instruction: str | TaskForm = "kptllm"
    answer: str = "text"
    keypoint_token: str = "given"
    spread: bool = False
    identify_first: bool = True
    naming: str = "written"
    spaced: bool = False
    crop_scale: float = 1.0
    released_crop: bool = False
    strategy: str = "greedy"
    temperature: Temperature = field(default_factory=Temperature)
    presence: Presence = field(default_factory=Presence)
    llava: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", task_form_setting(self.instruction))
        check_token(self)
        self.temperature.check(("text", "example", "both") if self.answer == "text" else ())
        self.presence.check(("text", "example", "both") if self.answer == "text" else ())
        for key, known in (("projector", PROJECTORS), ("extractor", EXTRACTORS), ("naming", NAMINGS)):
            check_choice(getattr(self, key), f"A model's {key}", known)
        for key in ("layers", "heads", "frequencies"):
            check_whole(getattr(self, key), f"A model's {key}")
        for key in ("sigma", "crop_scale"):
            check_positive(getattr(self, key), f"A model's {key}")
        for key in ("identify_first", "spaced", "released_crop"):
            check_flag(getattr(self, key), f"A model's {key}")
        if self.naming == "found" and self.answer == "token":
            raise InputError(
                "naming 'found' needs answer 'text', as <KEYPOINT> answers have no distribution; use 'written'."
            )
        if self.llava is not None:
            self._take_towers(self.llava)

    def _take_towers(self, llava: str) -> None:
        """Make a LLaVA-1.5 the source of both towers; InputError for options that it does not have."""
        check_text(llava, "The LLaVA-1.5 that a KptLLM starts from (a hub id or folder)")
        wanted = (
            ("projector", self.projector, self.projector == "mlp", "mlp"),
            ("vision.name", self.vision.name, self.vision.name.startswith("clip-"), "clip-vit-l-336"),
            ("language.name", self.language.name, self.language.name in VICUNAS, " or ".join(VICUNAS)),
        )
        for option, given, fits, known in wanted:
            if not fits:
                raise InputError(
                    f"A KptLLM that starts from a LLaVA-1.5 has the {option} {known}, but got {given!r}; write it so, "
                    "or llava: null."
                )
        for key in ("vision", "language"):
            tower = getattr(self, key)
            if tower.source not in (None, llava):
                raise InputError(
                    f"The towers come from the LLaVA-1.5 {llava}, but {key}.source is {tower.source!r}; leave it out, "
                    "or write llava: null."
                )
            object.__setattr__(self, key, replace(tower, source=llava))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "KptLLMConfig":
        """Read the form of `to_dict`; unknown keys are refused.

        A key `preset` names one of PRESETS, which the options that are left out are taken from; without it they are
        those of KptLLM++.
        """
        data = dict(data)
        preset = check_choice(data.pop("preset", "kptllm++"), "The preset of a KptLLM", PRESETS)
        base, own = PRESETS[preset], {}
        if "llava" in data:
            own["llava"] = data.pop("llava")
            # The preset's towers would still have the preset's LLaVA as their source.
            bare = {key: replace(getattr(base, key), source=None) for key in ("vision", "language")}
            base = replace(base, llava=None, **bare)
        return super().from_dict({**base.to_dict(), **data, **own})


# The paper's sizes (Sec. 4.1.3). Its KptLLM starts from LLaVA-1.5-7B; Table 16 has LLaVA-1.5-13B in its place.
PRESETS = {
    "kptllm": KptLLMConfig(
        vision=VisionConfig("clip-vit-l-336", image_size=336, tuning="full"),
        projector="mlp",
        answer="token",
        llava="llava-hf/llava-1.5-7b-hf",
    ),
    "kptllm++": KptLLMConfig(),
}
