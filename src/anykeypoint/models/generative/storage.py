"""CapeLLM and KptLLM as folders: config.json, and model.safetensors with what training may have changed.

model.safetensors holds what a model has beside its two towers, the image encoder and the language model (the
projection, the <KEYPOINT> token, the prompt extractor); and of each tower its LoRA weights (tuning "lora"), all of its
weights ("full"), or nothing ("frozen"). The towers' base weights come from the hub, a folder or a pinned package, as
the config says.

`kind` is a class of model with `model_type` and `config_class`, called with config, encoder, language and tokenizer.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...io import made_folder
from ..folders import fill, read_settings, write_folder
from ..seen_names import read_seen
from ..towers.efficientnet import EfficientNetLite2
from ..towers.image_encoder import ImageEncoder
from ..towers.language import build_language
from ..towers.vision import build_encoder, encoder_from_model
from ..towers.vision_config import RANDOM
from ..tuning import lora_state

TOWERS = ("encoder", "language")


def build(kind: Any, config: Any, seed: int = 0, dtype: torch.dtype = torch.float32, keep_half: bool = False) -> Any:
    """A model in eval mode with pretrained towers, everything else random from the seed.

    dtype, keep_half: precision of the language model, see `build_language`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = build_encoder(config.vision)
        language, tokenizer = build_language(config.language, dtype, keep_half)
        model = kind(config, encoder, language, tokenizer)
    return model.eval()


def changed_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that training may have changed, under their names in model.safetensors.

    model: a CapeLLM or KptLLM. The tensors share memory with it.
    """
    beside = {name: part for name, part in model.named_children() if name not in TOWERS}
    tensors = {f"{part}.{name}": p for part, module in beside.items() for name, p in module.state_dict().items()}
    towers = (
        ("encoder", model.encoder.model, model.config.vision.tuning),
        ("language", model.language, model.config.language.tuning),
    )
    for tower, module, tuning in towers:
        kept: dict[str, Tensor] = {}
        if tuning == "full" or (tower == "encoder" and model.config.vision.source == RANDOM):  # drawn, so not elsewhere
            kept = dict(module.state_dict())
        elif tuning == "lora":
            kept = lora_state(module)
        if tower == "encoder":
            kept |= model.encoder.kept_tensors()
        tensors |= {f"{tower}.{name}": tensor for name, tensor in kept.items()}
    return tensors


def save(model: Any, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write config.json and model.safetensors.

    dtype: precision in which floating-point tensors are stored; None keeps theirs.
    """
    folder = made_folder(folder, "A model's folder")
    write_folder(folder, model.model_type, model.config.to_dict(), changed_tensors(model), dtype)
    if model.seen_names is not None:
        model.seen_names.write(folder)


def read_config(kind: Any, folder: Path) -> Any:
    """The config of a saved model of this kind; InputError where the folder holds none."""
    return kind.config_class.from_dict(read_settings(folder, kind.model_type))


def load(kind: Any, folder: str | Path, dtype: torch.dtype = torch.float32, keep_half: bool = False) -> Any:
    """Rebuild a saved model in eval mode: the towers' base weights from where its config says, then the folder's.

    dtype, keep_half: precision of the language model, see `build_language`.

    Raises InputError for a folder of another kind, and one that lists unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    config = read_config(kind, folder)
    if config.vision.name == "efficientnet-lite2" and config.vision.tuning == "full":
        # The folder holds all weights of this encoder, so its package need not be downloaded.
        encoder: ImageEncoder = encoder_from_model(EfficientNetLite2(), config.vision)
    else:
        encoder = build_encoder(config.vision)
    language, tokenizer = build_language(config.language, dtype, keep_half)
    model = kind(config, encoder, language, tokenizer)
    fill(folder, changed_tensors(model))
    model.seen_names = read_seen(folder)
    return model.eval()
