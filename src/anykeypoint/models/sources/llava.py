"""LLaVA-1.5 checkpoints (Liu et al. 2023) as the source of a language model, a CLIP tower and a projector.

Two layouts are read, and both in the names that transformers writes today as well as in those of the published files:

    part         transformers (llava-hf/llava-1.5-7b-hf)     original code (liuhaotian/llava-v1.5-7b)
    language     language_model.model.*, .lm_head            model.embed_tokens, model.layers.*, model.norm, lm_head
    CLIP tower   vision_tower.vision_model.*                 model.vision_tower.vision_tower.vision_model.*, or absent
    projector    multi_modal_projector.linear_1, linear_2    model.mm_projector.0, model.mm_projector.2

An original checkpoint without a tower names the one that it was trained on (`mm_vision_tower`). Every tensor of the
files must be one of these: a newer LLaVA has others, and cuts pictures in another way.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..tensors import check_tensors
from .hub import COMPUTED, load_config, load_model, load_state, open_tensors, read_config, weight_files

MODEL_TYPES = ("llava", "llava_llama")  # `model_type` of such a checkpoint's config.json

# Part -> (pattern of the whole name in a file, our name). The first pattern that matches decides.
_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "projector": (
        (r"(?:model\.)?multi_modal_projector\.linear_1\.(weight|bias)", r"0.\1"),
        (r"(?:model\.)?multi_modal_projector\.linear_2\.(weight|bias)", r"2.\1"),
        (r"model\.mm_projector\.([02]\.(?:weight|bias))", r"\1"),
    ),
    "vision": ((r"(?:model\.)?vision_tower\.(?:vision_tower\.)?(?:vision_model\.)?(.+)", r"\1"),),
    "language": (
        (r"language_model\.(model\..+|lm_head\.weight)", r"\1"),
        (r"model\.language_model\.(.+)", r"model.\1"),
        (r"(model\.(?:embed_tokens|layers|norm)\..+|lm_head\.weight)", r"\1"),
    ),
}


@dataclass(frozen=True)
class LlavaCheckpoint:
    """One checkpoint.

    source: its hub id or folder.
    settings: its config.json.
    """

    source: str
    settings: Mapping[str, Any]

    @classmethod
    def at(cls, source: str) -> Self | None:
        """The checkpoint of a hub id or folder; None where it holds a model of another type.

        Raises InputError where the source cannot be had, and for a LLaVA whose parts are joined otherwise than in
        LLaVA-1.5.
        """
        settings = read_config(source)
        if settings.get("model_type") not in MODEL_TYPES:
            return None
        checkpoint = cls(source, settings)
        checkpoint._check_version()
        return checkpoint

    @property
    def original(self) -> bool:
        """Whether config.json is of the original code, which describes the language model beside LLaVA's options."""
        return "text_config" not in self.settings

    def language_config(self) -> Any:
        """The language model's transformers config."""
        from transformers import LlamaConfig, LlavaConfig

        if not self.original:
            return LlavaConfig.from_dict(dict(self.settings)).text_config
        known = {*LlamaConfig().to_dict(), "rope_theta", "rope_scaling"} - {"model_type", "architectures"}
        return LlamaConfig.from_dict({key: value for key, value in self.settings.items() if key in known})

    def language(self, config: Any, dtype: torch.dtype) -> nn.Module:
        """The language model.

        config: that of `language_config`; it may have fewer layers, which are then the first ones.
        dtype: precision of the weights.

        Raises InputError that lists unknown, missing and wrongly shaped tensors.
        """
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        state = self._part("language")
        count, whole = config.num_hidden_layers, self.language_config().num_hidden_layers
        cut = tuple(f"model.layers.{i}." for i in range(count, whole))
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(cut)}
        return self._filled(empty, config, kept, dtype, "language model")

    def vision(self, dtype: torch.dtype) -> nn.Module:
        """The CLIP tower; of an original checkpoint without one, the tower that it names.

        dtype: precision of the weights.

        Raises InputError that lists unknown, missing and wrongly shaped tensors, and where there is no tower.
        """
        from transformers import CLIPVisionModel, LlavaConfig

        state, named = self._part("vision"), self.settings.get("mm_vision_tower")
        if not self.original:
            config = LlavaConfig.from_dict(dict(self.settings)).vision_config
        elif not isinstance(named, str):
            raise InputError(
                f"{self.source} names no mm_vision_tower in its config.json; add the id of its CLIP tower."
            )
        elif not state:
            return load_model(CLIPVisionModel, named, dtype)
        else:
            config = load_config(named)
            config = getattr(config, "vision_config", config)
        if config.model_type != "clip_vision_model":
            raise InputError(
                f"{self.source} has a vision tower of type {config.model_type}, but LLaVA-1.5 has one of CLIP; choose "
                "another checkpoint."
            )
        with torch.device("meta"):
            empty = CLIPVisionModel(config)
        return self._filled(empty, config, state, dtype, "vision tower")

    def fill_projector(self, projection: nn.Module) -> None:
        """Copy the projector's two layers into a model's projection, in place.

        projection: Linear, GELU and Linear in a row; its tensors are 0.weight, 0.bias, 2.weight and 2.bias.

        Raises InputError that lists unknown, missing and wrongly shaped tensors.
        """
        own, given = projection.state_dict(), self._part("projector")
        shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
        check_tensors(shapes, given, f"The projector's weights in {self.source}")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(given[name])

    # --- files ---------------------------------------------------------------------------------------------------

    @cached_property
    def _places(self) -> dict[str, dict[str, tuple[Path, str]]]:
        """Part -> our name of each tensor -> its file and its name there; InputError for a tensor of no part."""
        places: dict[str, dict[str, tuple[Path, str]]] = {part: {} for part in _NAMES}
        for file in weight_files(self.source):
            with open_tensors(file) as tensors:
                for name in tensors.keys():  # noqa: SIM118 - the reader of safetensors is no mapping
                    if not name.endswith(COMPUTED):
                        part, ours = self._ours(name)
                        places[part][ours] = (file, name)
        return places

    def _ours(self, name: str) -> tuple[str, str]:
        """The part that a tensor of the files belongs to, and our name of it there."""
        for part, patterns in _NAMES.items():
            for pattern, ours in patterns:
                if match := re.fullmatch(pattern, name):
                    return part, match.expand(ours)
        raise InputError(f"{self.source} has a tensor {name}, which LLaVA-1.5 has not; choose a LLaVA-1.5 checkpoint.")

    def _part(self, part: str) -> dict[str, Tensor]:
        """The tensors of one part under our names."""
        places, state = self._places[part], {}
        for file in dict.fromkeys(file for file, _ in places.values()):
            with open_tensors(file) as tensors:
                state |= {ours: tensors.get_tensor(name) for ours, (at, name) in places.items() if at == file}
        return state

    def _filled(
        self, empty: nn.Module, config: Any, state: dict[str, Tensor], dtype: torch.dtype, what: str
    ) -> nn.Module:
        """A network of the class of `empty` with the tensors of `state`, which must fit it exactly."""
        shapes = {name: tuple(tensor.shape) for name, tensor in empty.state_dict().items()}
        check_tensors(shapes, state, f"The {what}'s weights in {self.source}")
        return load_state(type(empty), config, state, dtype, self.source)

    def _check_version(self) -> None:
        """InputError unless projector and features are those of LLaVA-1.5."""
        wanted = (
            {"mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2}
            if self.original
            else {
                "projector_hidden_act": "gelu",
                "vision_feature_layer": -2,
                "vision_feature_select_strategy": "default",
            }
        )
        defaults = {} if self.original else wanted  # the original code's own defaults are those of the first LLaVA
        for key, value in wanted.items():
            if (found := self.settings.get(key, defaults.get(key))) != value:
                raise InputError(
                    f"{self.source} has {key} {found!r}, but LLaVA-1.5 has {value!r}; choose a LLaVA-1.5 checkpoint."
                )
