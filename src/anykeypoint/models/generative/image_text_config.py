"""The config of an image-text model that names marked places (KptLLM++, Table 1: "LLaVA" and "LLaVA*")."""

from dataclasses import dataclass, field
from typing import ClassVar

from ...configs.checks import check_choice, check_positive, check_text, check_whole
from ...configs.strict import Config
from ...drawing.marking import RED
from ...errors import InputError
from ..tuning import ROLES, LoraOptions

TUNING_MODES = ("frozen", "lora")
QUESTION = "What is the name of the keypoint inside the red circle in the image? Answer with its name alone."
_LORA = LoraOptions(r=128, alpha=256, targets=ROLES)


@dataclass(frozen=True)
class ImageTextConfig(Config):
    """Which model is asked, how a place is marked for it, and what the question is.

    The paper highlights the keypoint's area and asks with "the task instruction", and gives neither; ring and question
    are ours.

    source: hub id or folder of an image-text model of transformers, with its processor.
    image_size: side in pixels of the crop that is marked; the model's processor resizes it to its own size.
    crop_scale: side of the crop over the longer side of the box.
    radius: radius of the ring, a share of the crop's side.
    width: width of the ring's line, a share of the crop's side.
    colour: red, green and blue of the ring, 0 to 255.
    question: the question that follows the marked picture.
    tuning: frozen, or lora (of the language model alone).
    lora: the adapters, where tuning is lora; those of KptLLM.
    """

    called: ClassVar[str] = "The options of an image-text model"

    source: str
    image_size: int = 336
    crop_scale: float = 1.0
    radius: float = 0.05
    width: float = 0.01
    colour: tuple[int, int, int] = RED
    question: str = QUESTION
    tuning: str = "frozen"
    lora: LoraOptions = field(default_factory=lambda: _LORA)

    def __post_init__(self) -> None:
        check_text(self.source, "The source of an image-text model (a hub id or folder)")
        check_text(self.question, "The question of an image-text model")
        check_whole(self.image_size, "The image size of an image-text model")
        for key in ("crop_scale", "radius", "width"):
            check_positive(getattr(self, key), f"An image-text model's {key}")
        check_choice(self.tuning, "The tuning mode of an image-text model", TUNING_MODES)
        colour = tuple(self.colour) if isinstance(self.colour, list | tuple) else ()
        if len(colour) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in colour):
            raise InputError(f"The ring's colour must be three whole numbers from 0 to 255, but got {self.colour!r}.")
        object.__setattr__(self, "colour", colour)
