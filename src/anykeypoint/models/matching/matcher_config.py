"""The config of one whole matcher: image encoder, text encoder, head, and how pictures are cut for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from ...configs.checks import check_flag, check_positive, check_whole, near_names
from ...configs.strict import Config
from ...crops.heatmaps import STRIDE
from ...density.presence import Presence
from ...density.temperature import Temperature
from ...errors import InputError
from ...geometry import MATCHER_CROP
from ..towers.text import TextConfig
from ..towers.vision_config import VisionConfig
from .heads.registry import HEADS, head_class
from .look_config import SecondLook

_WORDS = ("described", "noun", "broader", "place_words")


@dataclass(frozen=True)
class MatcherConfig(Config):
    """Everything that makes one matcher. What is left out is as the head of that name says, as published.

    name: name of the head, one of `heads.registry.HEADS`.
    vision: the image encoder; one that is read without a `tuning` is tuned fully.
    text: the text encoder; None where the head takes no text.
    head: config of the head; None takes the published one, fitted to the encoders.
    crop_scale: side of a crop over the longer side of the box.
    released_crop: cut pictures and mark examples as MP-100's released code does (`images.warp_pixels`), for weights
        that were trained so.
    sigma: standard deviation, in cells, of the Gaussians in an example's heat maps.
    cells: number of cells on a side of an example's heat maps; None takes one cell for 4 pixels.
    described: whether a keypoint's phrase is its name and description; else it is the name alone, as in CapeX.
    noun: whether the object's noun is part of a phrase, "left ear of a sheep"; see `phrasing`.
    broader: whether the object's broader kind is, "left ear of a four-legged animal"; with noun, both are.
    place_words: whether the position words of a name are a vector of their own beside the text encoder's; see
        `towers.place_words`.
    phrases: whose words it was trained in: "library", "file" (those of the label file, as CapeX's) or the file of
        phrases; None where that is not known. `evaluate` asks in them by default.
    own_example_encoder: whether examples have an image encoder of their own, of the same kind.
    fine: whether a prompt with examples takes a second look at each point where the caller does not say.
    look: how the second look is taken, see `second_look.SecondLook`.
    temperature: of its distributions by each kind of prompt, see `density.temperature`.
    presence: whether a point is there, by each kind of prompt, see `density.presence`.
    """

    called = "The options of a matcher"
    former_keys: ClassVar[Mapping[str, str]] = {"backbone": "vision", "own_example_backbone": "own_example_encoder"}

    name: str
    vision: VisionConfig | None = None
    text: TextConfig | None = None
    head: Config | None = None
    crop_scale: float = MATCHER_CROP[0]
    released_crop: bool = False
    sigma: int | None = None
    cells: int | None = None
    described: bool = False
    noun: bool = False
    broader: bool = False
    place_words: bool = False
    phrases: str | None = None
    own_example_encoder: bool | None = None
    fine: bool = False
    look: SecondLook = field(default_factory=SecondLook)
    temperature: Temperature = field(default_factory=Temperature)
    presence: Presence = field(default_factory=Presence)

    def __post_init__(self) -> None:
        head = head_class(self.name)
        takes_text = "text" in head.prompts
        if self.text is not None and not takes_text:
            raise InputError(f"{self.name} is asked by examples and has no text encoder; leave text out.")
        vision = self.vision or head.vision()
        defaults = {
            "vision": vision,
            "text": TextConfig(head.text) if takes_text else None,
            "sigma": head.sigma,
            "cells": max(1, round(vision.image_size / STRIDE)),
            "own_example_encoder": head.own_example_encoder,
        }
        for key, value in defaults.items():
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)
        kind = head.config_class
        if self.head is not None and not isinstance(self.head, kind):
            raise InputError(f"The head of {self.name} must be a {kind.__name__}, but got {self.head!r}.")
        check_whole(self.sigma, "A matcher's sigma")
        check_whole(self.cells, "A matcher's cells")
        check_positive(self.crop_scale, "A matcher's crop_scale")
        for key in ("released_crop", *_WORDS, "own_example_encoder", "fine"):
            check_flag(getattr(self, key), f"A matcher's {key}")
        if not takes_text and (given := [key for key in _WORDS[1:] if getattr(self, key)]):
            raise InputError(f"{self.name} is asked by examples and reads no phrases; leave {given[0]} out.")
        if self.phrases is not None and (not takes_text or not isinstance(self.phrases, str)):
            raise InputError(
                f"A matcher's phrases must be library, file or a file's path, and of one that reads text, but got "
                f"{self.phrases!r} for {self.name}."
            )
        self.temperature.check(self.prompts)
        self.presence.check(self.prompts, head.has_scores)
        if self.fine and not self.takes_examples:
            raise InputError(f"{self.name} looks at no example and takes no second look; leave fine out.")
        if self.own_example_encoder and not self.takes_examples:
            raise InputError(f"{self.name} looks at no example and has no image encoder for one; leave it out.")

    @property
    def image_encoder(self) -> VisionConfig:
        """`vision`, which is there once the config is made."""
        assert self.vision is not None
        return self.vision

    @property
    def side(self) -> int:
        """Side of a crop in pixels."""
        assert self.image_encoder.image_size is not None
        return self.image_encoder.image_size

    @property
    def prompts(self) -> tuple[str, ...]:
        """The kinds of prompt that the matcher takes, of "text", "example", "both"."""
        return head_class(self.name).prompts

    @property
    def takes_text(self) -> bool:
        """Whether a prompt may have text."""
        return "text" in self.prompts

    @property
    def takes_examples(self) -> bool:
        """Whether a prompt may have examples."""
        return "example" in self.prompts

    @property
    def form(self) -> str:
        """The form in which keypoints are read, one of `phrasing.FORMS`."""
        if self.broader:
            return "both" if self.noun else "broader"
        return "noun" if self.noun else "name"

    @classmethod
    def keys(cls) -> frozenset[str]:
        """All keys that `from_dict` reads, those of version 0.1.0 among them."""
        return super().keys() | {"fusion"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the form of `to_dict`, or of version 0.1.0; unknown keys are refused.

        What a head leaves out is as published for the name, or as the encoders need it (`MatchingHead.fitted`).
        """
        if isinstance(data, Mapping):
            if (name := data.get("name")) not in HEADS:
                raise InputError(
                    f"{cls.called} must have a name of {', '.join(HEADS)}, but got {name!r}{near_names(name, HEADS)}."
                )
            data = _without_fusion(data)
            kind = head_class(name).config_class
            if "backbone" in data and kind.former_values:  # what version 0.1.0 wrote answers as it did
                data["head"] = {**kind.former_values, **(data.get("head") or {})}
            for key in ("vision", "backbone"):
                if isinstance(data.get(key), Mapping):
                    data[key] = VisionConfig.from_dict(data[key], tuning="full")
            if isinstance(given := data.get("head"), Mapping):
                head = head_class(name)
                data["head"] = head.config_class.from_dict(_merged(head.published(), head.fitted, given))
        return super().from_dict(data)

    def resized(self, image_size: int) -> Self:
        """The same matcher for crops of so many pixels a side; heat maps keep the size of their cells."""
        cells = max(1, round(self.cells * image_size / self.vision.image_size))
        return replace(self, vision=replace(self.vision, image_size=image_size), cells=cells)


def _merged(published: Config, fitted: Sequence[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The published config as a mapping, with some values changed; those that are fitted to the encoders are None."""
    changes = {type(published).former_keys.get(key, key): value for key, value in changes.items()}
    return {**published.to_dict(), **dict.fromkeys(fitted), **changes}


def _without_fusion(data: Mapping[str, Any]) -> dict[str, Any]:
    """A matcher's options with what version 0.1.0 kept under `fusion` in the options of the head.

    There the head of flf and dlf was the graph head inside, and `fusion` held the rest.
    """
    values = dict(data)
    kind = head_class(values["name"]).config_class
    own, inner = {one.name for one in fields(kind)}, "graph_head"
    fusion, head = values.pop("fusion", None), values.get("head")
    if inner not in own:
        if fusion is not None:
            raise InputError(f"{values['name']} has no fusion; leave it out, or choose flf or dlf.")
        return values
    if isinstance(head, Mapping) and head and not head.keys() & kind.keys():
        head = {inner: head}
    if fusion is not None:
        if not isinstance(fusion, Mapping):
            raise InputError(f"A matcher's fusion must be a mapping, but got {fusion!r}.")
        head = {**fusion, **(head or {})}
    if head is not None:
        values["head"] = head
    return values
