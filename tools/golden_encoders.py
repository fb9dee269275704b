"""Golden checks of the image encoders: Swin V2 stage by stage, and the map that a released checkpoint gives."""

import json
from pathlib import Path

from golden_measures import Measure, compare
from safetensors.torch import load_file

from anykeypoint.models.sources.released import read_released
from anykeypoint.models.towers.vision import encoder_from_released
from anykeypoint.models.towers.vision_config import VisionConfig


def check_swinv2(path: Path) -> list[Measure]:
    """Every stored stage of Swin V2, and the enlarged map."""
    tensors = load_file(path)
    facts = json.loads((path.parent / "swinv2.json").read_text(encoding="utf-8"))
    size = facts[path.stem.removeprefix("swinv2_")]["config"]["img_size"]
    state = {key.removeprefix("weights/"): value for key, value in tensors.items() if key.startswith("weights/")}
    encoder = encoder_from_released(state, VisionConfig("swinv2-t", image_size=size))
    pixels = tensors["in/image"].float()
    states = encoder.model(pixels, output_hidden_states=True).hidden_states
    ours = {
        "patch_embed": states[0],
        "final_norm_tokens": encoder.tokens(pixels),
        "forward_features": encoder.map(pixels),
    }
    ours |= {f"stage{i}_tokens": state for i, state in enumerate(states[1:])}
    if left := {key.removeprefix("out/") for key in tensors if key.startswith("out/")} - ours.keys():
        raise ValueError(f"there is nothing to compare {', '.join(sorted(left))} with")
    return [compare(name, value, tensors[f"out/{name}"]) for name, value in ours.items()]


def check_checkpoint(path: Path) -> list[Measure]:
    """The query's map in the end-to-end numbers, from the image encoder of the checkpoint file."""
    beside = path.with_name(path.name.replace("_ckpt.pth", "_e2e.json"))
    tensors, facts = load_file(beside.with_suffix(".safetensors")), json.loads(beside.read_text(encoding="utf-8"))
    config = VisionConfig("swinv2-t", image_size=facts["image_size"])
    encoder = encoder_from_released(read_released(path), config)
    return [
        compare(
            f"{case}/query_feature",
            encoder.map(tensors[f"in/image_{facts['cases'][case]['query']}"].float()),
            tensors[f"{case}/out/query_feature"],
        )
        for case in facts["cases"]
    ]
