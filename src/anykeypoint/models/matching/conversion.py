"""Released checkpoints of CapeFormer, GraphCape and CapeX, as mmcv writes them, become folders of this library.

backbone.*         Swin V2 or ResNet-50 under their authors' names
keypoint_head.*    the head
text_backbone.*    CapeX's text encoder, in some; its config and tokenizer are not in the file
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...configs.checks import near_names
from ...errors import InputError, first_few
from ...forms.phrases import FILE
from ..sources.hub import load_tokenizer, read_config
from ..sources.released import read_released
from ..towers.text import TEXT_ENCODERS, TextConfig, build_text_encoder
from ..towers.vision import encoder_from_released
from ..towers.vision_config import VisionConfig
from .matcher_config import MatcherConfig
from .model import MatchingModel, assemble, load
from .released_keys import PREFIX, load_released_head

MODELS = ("capeformer", "graphcape", "capex")
BACKBONE, TEXT = "backbone.", "text_backbone."
_TINY = 6  # number of blocks in the third stage of Swin V2 Tiny; Small has 18


def convert(
    checkpoint: str | Path,
    out: str | Path,
    model: str | None = None,
    *,
    text: str | None = None,
    image_size: int = 256,
    heads: int = 8,
) -> MatchingModel:
    """Write a released checkpoint as a folder of this library, and return the model as it is loaded from there.

    checkpoint: a .pth file, read without running any code of it, or a .safetensors file.
    out: the folder to write.
    model: one of MODELS; None takes the one whose tensor names the checkpoint has.
    text: CapeX's text encoder: a name of `TEXT_ENCODERS`, a folder or a hub id; None takes the published one. Where
        the checkpoint has the encoder's weights, these are taken, with the config and tokenizer of `text`.
    image_size: side of a crop in pixels, which no tensor tells; 256 in all published models.
    heads: number of attention heads of the head, which no tensor tells; 8 in all published models.

    Raises InputError for another model than `model`, and listing unknown, missing and wrongly shaped tensors.
    """
    if model is not None and model not in MODELS:
        raise InputError(
            f"A checkpoint to convert must be one of {', '.join(MODELS)}, but got {model!r}{near_names(model, MODELS)}."
        )
    state = read_released(checkpoint)
    head, kind = load_released_head(_part(state, PREFIX, keep=True), heads=heads)
    if model not in (None, kind):
        raise InputError(f"{checkpoint} holds a {kind} by the names of its tensors, but {model} was asked for.")
    known = (BACKBONE, PREFIX, TEXT) if kind == "capex" else (BACKBONE, PREFIX)
    if unknown := sorted(key for key in state if not key.startswith(known)):
        raise InputError(f"The tensors in {checkpoint} do not fit a {kind}; unknown: {first_few(unknown, 8)}.")
    if kind != "capex" and text is not None:
        raise InputError(f"A {kind} reads no words, but got the text encoder {text!r}; leave it out.")
    image_encoder = encoder_from_released(
        {key: tensor for key, tensor in state.items() if key.startswith(BACKBONE)},
        VisionConfig(_vision_name(state), image_size=image_size, tuning="full"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        text_encoder = None
        if kind == "capex":
            encoder_config = text_config(text or "gte-base-en-v1.5")
            if weights := _part(state, TEXT):
                encoder_config = _text_folder(Path(scratch), encoder_config, weights)
            text_encoder = build_text_encoder(encoder_config)
        described = None if text_encoder is None else text_encoder.config
        config = MatcherConfig(kind, image_encoder.config, described, head.config, released_crop=True)
        if kind == "capex":
            config = replace(config, phrases=FILE)  # its files of MP-100 have phrases of their own
        with torch.random.fork_rng():  # the head's random weights are overwritten
            converted = assemble(config, image_encoder, text_encoder)
        converted.head.load_state_dict(head.state_dict())
        converted.save_pretrained(out)
    return load(out)


def text_config(name: str) -> TextConfig:
    """The text encoder of a preset's name, or of a folder or hub id, whose config.json names its model type."""
    if name in TEXT_ENCODERS:
        return TextConfig(name)
    kind = read_config(name).get("model_type")
    fits = [preset for preset in ("bert", "gte-base-en-v1.5", "clip") if kind in TEXT_ENCODERS[preset].types]
    if not fits:
        raise InputError(
            f"{name} holds a model of type {kind}, which is no text encoder known here; give one of "
            f"{', '.join(TEXT_ENCODERS)}, or a folder or hub id of a BERT, GTE or CLIP."
        )
    return TextConfig(fits[0], name)


def _text_folder(folder: Path, config: TextConfig, weights: Mapping[str, Tensor]) -> TextConfig:
    """A folder with the encoder's weights and the config and tokenizer of `config`."""
    source = config.source or TEXT_ENCODERS[config.name].source
    if source is None:
        raise InputError(f"The checkpoint's text encoder is no {config.name}; give the folder or hub id of its kind.")
    load_tokenizer(source).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(read_config(source)), encoding="utf-8")
    tensors = {key: tensor.contiguous().clone() for key, tensor in weights.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return TextConfig(config.name, str(folder))


def _vision_name(state: Mapping[str, Tensor]) -> str:
    if f"{BACKBONE}layer1.0.conv1.weight" in state:
        return "resnet50"
    return "swinv2-s" if f"{BACKBONE}layers.2.blocks.{_TINY}.norm1.weight" in state else "swinv2-t"


def _part(state: Mapping[str, Tensor], prefix: str, keep: bool = False) -> dict[str, Tensor]:
    return {key if keep else key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
