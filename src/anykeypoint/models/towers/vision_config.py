"""Which image encoder a model has: its name, where its weights come from, and how it is tuned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ...configs.checks import check_positive, check_rate, check_text, check_whole, near_names
from ...configs.strict import Config
from ...errors import InputError
from ..tuning import LoraOptions, check_tuning
from .registry import encoder_class

RANDOM = "random"  # the `source` of weights that are drawn instead of read


@dataclass(frozen=True)
class VisionConfig(Config):
    """The options of an image encoder.

    name: one of `registry.IMAGE_ENCODERS`.
    source: where the weights come from: None for the published ones, a hub id, a folder, a file under their authors'
        names (.safetensors, .pth or .pt; also of a whole released model, where they stand under `backbone.`), or
        "random" for weights drawn from torch's generator.
    image_size: side of the square crops in pixels; None takes the side that the published weights were trained at.
    tuning: frozen, lora or full.
    lora: the adapters, where tuning is lora.
    heads: attention heads of a DINOv2 file under Meta's names, whose tensors do not tell it; None takes width / 64,
        which all published DINOv2 have.
    drop_path: probability with which training leaves out the last block (stochastic depth), in encoders that have it;
        None takes the encoder's own.
    sizes: sizes that differ from the named network's. Any of them with random weights, else only those that no weight
        depends on (Swin V2's `window_size`) or that take a part of the layers (`num_hidden_layers` of clip-vit-b16).

    After construction no option is None but source and heads.
    """

    called: ClassVar[str] = "The options of an image encoder"

    name: str
    source: str | None = None
    image_size: int | None = None
    tuning: str = "frozen"
    lora: LoraOptions = field(default_factory=LoraOptions)
    heads: int | None = None
    drop_path: float | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        encoder = encoder_class(self.name)
        published = encoder.published[self.name]
        if self.source is not None:
            check_text(self.source, "The source of an image encoder (a hub id, folder, file or 'random')")
        if self.image_size is None:
            object.__setattr__(self, "image_size", published.image_size)
        check_whole(self.image_size, "The image size of an encoder, in pixels,")
        check_tuning(self.tuning)
        if not isinstance(self.lora, LoraOptions):
            raise InputError(f"The lora field must be LoraOptions, but got {self.lora!r}.")
        if self.heads is not None:
            check_whole(self.heads, "The number of attention heads")
        if self.drop_path is None:
            object.__setattr__(self, "drop_path", published.drop_path)
        check_rate(self.drop_path, "drop_path")
        if self.drop_path and not encoder.has_drop_path:
            raise InputError(f"{self.name} has no drop_path; leave it out, or choose a Swin V2.")
        sizes = self._checked_sizes(encoder.adjustable, published.sizes)
        object.__setattr__(self, "sizes", {key: published.sizes[key] for key in encoder.stated} | sizes)

    def _checked_sizes(self, adjustable: tuple[str, ...], usual: Mapping[str, Any]) -> dict[str, Any]:
        """`sizes` with tuples in place of lists; InputError for a size that cannot be chosen or is of another kind."""
        if not isinstance(self.sizes, Mapping):
            raise InputError(f"The sizes of an image encoder must be a mapping, but got {self.sizes!r}.")
        known = [key for key in usual if self.source == RANDOM or key in adjustable]
        if unknown := [key for key in self.sizes if key not in known]:
            raise InputError(
                f"{self.name} with {'random' if self.source == RANDOM else 'given'} weights has no size "
                f"{unknown[0]!r} to choose{near_names(unknown[0], known)}; known are {', '.join(known) or 'none'}."
            )
        for key, value in self.sizes.items():
            _check_size(key, value, usual[key])
        return {key: tuple(value) if isinstance(value, list) else value for key, value in self.sizes.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], **defaults: Any) -> Self:
        """Read the form of `to_dict`, or that of version 0.1.0.

        defaults: options for keys that `data` does not have, where a family has others than the class.

        Version 0.1.0 wrote the encoders of matchers with `weights` in place of `source`: "published" there is None
        here, and null there is "random" here. Raises InputError as `Config.from_dict`.
        """
        if isinstance(data, Mapping) and "weights" in data:
            if "source" in data:
                raise InputError(f"{cls.called} have both 'weights' and 'source'; give 'source' alone.")
            former = data["weights"]
            data = {key: value for key, value in data.items() if key != "weights"}
            data["source"] = RANDOM if former is None else None if former == "published" else former
        return super().from_dict({**defaults, **data} if isinstance(data, Mapping) else data)


def _check_size(key: str, value: Any, usual: Any) -> None:
    """InputError unless `value` is of the kind of `usual`: a bool, a factor, a whole number, or so many of these."""
    if isinstance(usual, bool):
        if not isinstance(value, bool):
            raise InputError(f"The size {key} of an image encoder must be true or false, but got {value!r}.")
        return
    if isinstance(usual, float):
        check_positive(value, f"The size {key} of an image encoder")
        return
    least = 0 if key == "pretrained_window_sizes" else 1
    several = isinstance(usual, tuple)
    given = value if several else [value]
    fits = isinstance(given, list | tuple) and len(given) == (len(usual) if several else 1)
    if not fits or not all(type(number) is int and number >= least for number in given):
        kind = f"{len(usual)} whole numbers" if several else "a whole number"
        raise InputError(f"The size {key} of an image encoder must be {kind} from {least}, but got {value!r}.")
