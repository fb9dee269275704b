"""Checkpoints of the released CapeLLM code: a folder that its training script wrote, read as a CapeLLM.

    config.json                 model_type "cape-llm": the base language model, the crop's side, the encoder's LoRA
    adapter_config.json         PEFT's config of the language model's LoRA
    adapter_model.safetensors   LoRA weights of the language model, `base_model.model.model.layers.*`
    vision_model.safetensors    the whole DINOv2 under Meta's names, with LoRA beside the fused qkv layers
    mm_projector.safetensors    the linear layer (Eq. 2)

Base weights and projection may be bfloat16; adapters are float32. The image encoder and the language model keep their
LoRA as adapters, so that the model can be trained further, or saved as a folder of this library. Such a folder still
takes the encoder's base weights from the released folder, and the language model's from where that one names them.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError
from ..sources.released import read_released
from ..tensors import check_tensors
from ..towers.dinov2 import load_official_dinov2
from ..towers.language import LanguageConfig, build_language
from ..towers.vision import encoder_from_model
from ..towers.vision_config import VisionConfig
from ..tuning import ROLES, LoraOptions, load_lora_state, roles_of
from .capellm import CapeLLM
from .capellm_config import CapeLLMConfig

MODEL_TYPE = "cape-llm"
VISION, PROJECTION, ADAPTERS = "vision_model.safetensors", "mm_projector.safetensors", "adapter_model.safetensors"

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
_SIZES = {384: "s", 768: "b", 1024: "l", 1536: "g"}  # DINOv2's width -> letter of its size in the encoder's name
# Options of PEFT beyond r, alpha, dropout and targets -> the values under which LoRA is the plain method.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    **dict.fromkeys(
        ("fan_in_fan_out", "use_dora", "use_rslora", "use_qalora", "use_bdlora", "lora_bias"), (None, False)
    ),
    **dict.fromkeys(("alpha_pattern", "rank_pattern"), (None, {})),
    **dict.fromkeys(("modules_to_save", "layers_to_transform", "layer_replication", "target_parameters"), (None,)),
    **dict.fromkeys(("exclude_modules", "trainable_token_indices", "alora_invocation_tokens"), (None,)),
}


def load(
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    keep_half: bool = False,
    *,
    base: str | None = None,
    tokenizer: str | None = None,
    heads: int | None = None,
) -> CapeLLM:
    """The model of a released checkpoint, in eval mode.

    folder: with the files above.
    dtype, keep_half: precision of the language model, see `build_language`; encoder and projection are float32, as in
        the released evaluation.
    base: folder or hub id of the base language model; None takes the one that the checkpoint names, relative to its
        folder.
    tokenizer: folder or hub id; None takes the checkpoint's, or else the one of the base language model's folder.
    heads: number of attention heads of the encoder; None takes width / 64, as all published DINOv2 have.

    Raises InputError for files that are missing or cannot be read, for options that this library does not have, and one
    that lists unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    released = _read_json(folder / "config.json")
    if released.get("model_type") != MODEL_TYPE:
        raise InputError(f"{folder}/config.json does not describe a {MODEL_TYPE} model; give a released checkpoint.")
    state = read_released(folder / VISION)
    vision = _vision_config(folder, released, state, heads)
    network = load_official_dinov2(
        state, heads=heads, lora="peft", alpha=vision.lora.alpha, dropout=vision.lora.dropout
    )
    encoder = encoder_from_model(network, vision)  # raises InputError for adapters that are not those of config.json
    if "num_patches" in released and released["num_patches"] != (tokens := encoder.grid(vision.image_size)[0] ** 2):
        raise InputError(
            f"{folder}/config.json speaks of {released['num_patches']} image tokens, but its crop of "
            f"{vision.image_size} pixels gives {tokens}; the checkpoint does not fit together."
        )
    config = CapeLLMConfig(vision, _language_config(folder, released, base, tokenizer), released_crop=True)
    adapters = read_released(folder / ADAPTERS) if config.language.tuning == "lora" else {}
    projection = read_released(folder / PROJECTION)
    # The language model is by far the largest part, so it is built when everything else has been read and checked.
    model = CapeLLM(config, encoder, *build_language(config.language, dtype, keep_half))
    load_lora_state(model.language, adapters)
    expected = {name: tuple(tensor.shape) for name, tensor in model.projection.state_dict().items()}
    check_tensors(expected, projection, f"The projection's weights in {folder / PROJECTION}")
    model.projection.load_state_dict(projection)
    return model.eval()


# --- options -------------------------------------------------------------------------------------------------------


def _vision_config(folder: Path, released: dict[str, Any], state: dict[str, Tensor], heads: int | None) -> VisionConfig:
    """The encoder's config; InputError where config.json and the encoder's weights contradict each other."""
    adapted = any(".attn.lora_" in key for key in state)
    if adapted != bool(_option(released, "lora_vision_enable", folder)):
        raise InputError(
            f"{folder}/{VISION} has {'' if adapted else 'no '}LoRA weights, but lora_vision_enable in config.json says "
            "otherwise; use files of one training run."
        )
    registers = "register_tokens" in state
    if registers != ("_reg4" in str(released.get("vision_path", "_reg4" if registers else ""))):
        raise InputError(
            f"{folder}/{VISION} has {'' if registers else 'no '}register tokens, but vision_path in config.json says "
            "otherwise; use files of one training run."
        )
    lora = LoraOptions()
    if adapted:
        r, alpha, dropout = (_option(released, f"lora_vision_{name}", folder) for name in ("r", "alpha", "dropout"))
        lora = LoraOptions(r, alpha, dropout, ("q", "v"))
    width = state["norm.weight"].shape[0] if "norm.weight" in state else None
    family = "dinov2-reg-" if registers else "dinov2-"
    return VisionConfig(
        family + _SIZES.get(width, "l"),  # the letter is of no consequence for other widths
        source=str((folder / VISION).resolve()),
        heads=heads,
        image_size=_option(released, "crop_size", folder),
        tuning="lora" if adapted else "frozen",
        lora=lora,
    )


def _language_config(folder: Path, released: dict[str, Any], base: str | None, tokenizer: str | None) -> LanguageConfig:
    """The language model's config; InputError where config.json and the adapter files contradict each other."""
    source = _base(folder, released) if base is None else base
    if tokenizer is None:
        tokenizer = _tokenizer(folder, source)
    if not _option(released, "lora_llm_enable", folder):
        if (folder / ADAPTERS).exists():
            raise InputError(
                f"{folder} has {ADAPTERS}, but lora_llm_enable in config.json is false; remove one of them."
            )
        return LanguageConfig(source, source, tokenizer=tokenizer)
    # lora_llm_* of config.json are defaults that the released script never sets; PEFT's file has what was trained.
    lora = _lora_options(folder / "adapter_config.json")
    return LanguageConfig(source, source, tuning="lora", lora=lora, tokenizer=tokenizer)


def _base(folder: Path, released: dict[str, Any]) -> str:
    """The folder or hub id of the base language model that the checkpoint names."""
    named = _option(released, "llm_path", folder)
    if not isinstance(named, str) or not named:
        raise InputError(
            f"llm_path in {folder}/config.json must be text, but got {named!r}; pass the base model as base."
        )
    if (folder / named).is_dir():  # joined to the folder, an absolute path stays absolute
        return str((folder / named).resolve())
    if named.count("/") == 1 and not named.startswith((".", "/", "~")):
        return named
    raise InputError(
        f"{folder}/config.json names the base language model {named!r}, which is no folder here and no hub id; "
        "put it there, or pass its folder or hub id as base to released_capellm.load."
    )


def _tokenizer(folder: Path, base: str) -> str | None:
    """The checkpoint's folder where it has a tokenizer; None where the base language model has one."""

    def has_one(place: Path) -> bool:
        return any((place / name).is_file() for name in _TOKENIZER_FILES)

    if has_one(folder):
        return str(folder.resolve())
    if Path(base).is_dir() and not has_one(Path(base)):
        raise InputError(
            f"Neither {folder} nor its base language model {base} has a tokenizer; copy the tokenizer files of the "
            "base model there, or pass their folder or hub id as tokenizer to released_capellm.load."
        )
    return None


def _lora_options(path: Path) -> LoraOptions:
    """The LoRA of the language model, from PEFT's file; InputError for what is not plain LoRA."""
    released = _read_json(path)
    for name, plain in _PLAIN.items():
        if name in released and released[name] not in plain:
            raise InputError(
                f"{path} asks for {name} = {released[name]!r}, which this library has not; use plain LoRA."
            )
    targets = released.get("target_modules")
    roles = [roles_of(name) for name in targets] if isinstance(targets, list) and targets else [()]
    if not all(len(role) == 1 for role in roles):
        raise InputError(
            f"{path} adapts the layers {targets!r}, but only lists of the layers that play {', '.join(ROLES)} are "
            "known, such as ['q_proj', 'v_proj']."
        )
    present = {role for (role,) in roles}
    r, alpha, dropout = (_option(released, name, path) for name in ("r", "lora_alpha", "lora_dropout"))
    return LoraOptions(r, alpha, dropout, tuple(role for role in ROLES if role in present))


# --- files ---------------------------------------------------------------------------------------------------------


def _option(released: dict[str, Any], name: str, where: Path) -> Any:
    """The option of this name; InputError, which names the file or folder `where`, if it is missing."""
    if name not in released:
        raise InputError(f"The settings in {where} lack {name}; use the file that the released training script wrote.")
    return released[name]


def _read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; InputError where it cannot be read or holds no mapping."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}: {str(error).splitlines()[0]}; a checkpoint needs it.") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold settings by name, but got {type(data).__name__}; use the checkpoint's own.")
    return data
