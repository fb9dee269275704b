"""Compare our models with a folder of golden reference numbers.

    python tools/golden.py DIR

prints one line per file: its largest error beside the tolerance for it, or the reason why it has no check. Exits 1
where an error exceeds its tolerance, a file cannot be read, a file has neither a check nor a listed reason, or no file
has a check.
"""

import argparse
import json
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import golden_capellm
import golden_encoders
import golden_matching
import golden_mp100
import torch
from golden_measures import Measure, compare
from safetensors.torch import load_file
from torch import Tensor

from anykeypoint.models.towers.dinov2 import load_official_dinov2
from anykeypoint.models.towers.vision import encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig


def check_dinov2(path: Path) -> list[Measure]:
    """DINOv2 with and without registers: positions, tokens with the adapters merged and as PEFT layers, and without."""
    tensors = load_file(path)
    configs = json.loads((path.parent / "dinov2.json").read_text(encoding="utf-8"))
    config = configs[path.name.removesuffix(".safetensors")]["config"]
    state = {key.removeprefix("weights/"): value for key, value in tensors.items() if key.startswith("weights/")}
    plain = {key: value for key, value in state.items() if ".lora_" not in key}
    options = {"heads": config["num_heads"], "alpha": config["lora"]["alpha"]}
    models = {
        "": load_official_dinov2(state, lora="merge", **options),
        "peft_": load_official_dinov2(state, lora="peft", **options),
        "no_lora_": load_official_dinov2(plain, heads=config["num_heads"]),
    }
    name = "dinov2-reg-l" if config["num_register_tokens"] else "dinov2-l"
    encoders = {kind: encoder_from_model(model, VisionConfig(name)) for kind, model in models.items()}

    measures, left = [], {key for key in tensors if key.startswith("out/")}
    for key in sorted(key for key in tensors if key.startswith("in/image_")):
        size = key.removeprefix("in/image_")
        pixels = tensors[key].float()
        for kind, encoder in encoders.items():
            ours = _dinov2_outputs(encoder, pixels, config["num_register_tokens"])
            for output, value in ours.items():
                # The reference has one set with adapters, whichever way we apply them.
                golden = f"out/{kind.replace('peft_', '')}{output}_{size}"
                left.discard(golden)
                if golden in tensors:
                    measures.append(compare(f"{kind}{output}_{size}", value, tensors[golden]))
    if left:
        raise ValueError(f"there is nothing to compare {', '.join(sorted(left))} with")
    return measures


def _dinov2_outputs(encoder: torch.nn.Module, pixels: Tensor, registers: int) -> dict[str, Tensor]:
    states = encoder.model(pixels).last_hidden_state
    patches = states[:, 1 + registers :]
    return {
        "pos_embed_interpolated": encoder.model.embeddings.interpolate_pos_encoding(patches, *pixels.shape[2:]),
        "x_norm_clstoken": states[:, 0],
        "x_norm_regtokens": states[:, 1 : 1 + registers],
        "x_norm_patchtokens": encoder(pixels),
    }


# Pattern of a file's name -> its check.
CHECKS: dict[str, Callable[[Path], list[Measure]]] = {
    "dinov2.safetensors": check_dinov2,
    "dinov2_reg*.safetensors": check_dinov2,
    "swinv2_*.safetensors": golden_encoders.check_swinv2,
    "*_ckpt.pth": golden_encoders.check_checkpoint,
    "capellm_forward.io.safetensors": golden_capellm.check_forward,
    "capellm_ckpt/config.json": golden_capellm.check_checkpoint,
    "capellm_text.json": golden_capellm.check_text,
    "capellm_text.safetensors": golden_capellm.check_scores,
    "graphcape_head.json": golden_matching.check_head,
    "capex_head.json": golden_matching.check_head,
    "capeformer_head.json": golden_matching.check_head,
    "graphcape_e2e.json": golden_matching.check_end_to_end,
    "capex_e2e.json": golden_matching.check_end_to_end,
    "graphcape_variants.json": golden_matching.check_variants,
    "mp100_protocol.json": golden_mp100.check_protocol,
    "oks.json": golden_mp100.check_oks,
}
# Patterns of files that a check of another file reads.
BESIDE = (
    "README.md",
    "SHA256SUMS",
    "dinov2.json",
    "swinv2.json",
    "capellm_forward.json",
    "capellm_forward.weights.safetensors",
    "capellm_ckpt/base_llm/*",
    "capellm_ckpt/adapter_*",
    "capellm_ckpt/vision_model.safetensors",
    "capellm_ckpt/mm_projector.safetensors",
    "graphcape_head*.safetensors",
    "capex_head.*.safetensors",
    "capeformer_head.*.safetensors",
    "graphcape_variants.safetensors",
    "*_e2e.safetensors",
    "mp100_protocol.*safetensors",
    "mp100_synth_*.json",
    "oks_*.json",
)
# Pattern of a file's name -> the reason why it has no check.
UNCHECKED = {
    "gkdt*": "GKDT is a model that is still to come",
}


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 0 where every file is within its tolerance or has a reason not to be checked, else 1."""
    parser = argparse.ArgumentParser(description="Compare our models with a folder of golden reference numbers.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args(arguments).folder
    if not folder.is_dir():
        print(f"There is no folder {folder}; give the one with the golden numbers.", file=sys.stderr)
        return 1
    checked, failed = 0, 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        check = next((check for pattern, check in CHECKS.items() if fnmatch(name, pattern)), None)
        if check is not None:
            checked += 1
            failed += not _report(name, path, check)
        elif reason := next((reason for pattern, reason in UNCHECKED.items() if fnmatch(name, pattern)), ""):
            print(f"{name}: not checked ({reason})")
        elif not any(fnmatch(name, pattern) for pattern in BESIDE):
            failed += 1
            print(f"{name}: NO CHECK; write one, or list the reason for none in UNCHECKED")
    if not checked:
        print(
            f"There is no file in {folder} that has a check; give the folder with the golden numbers.", file=sys.stderr
        )
    return 1 if failed or not checked else 0


def _report(name: str, path: Path, check: Callable[[Path], list[Measure]]) -> bool:
    """Run one check and print its line; True where all is within tolerance."""
    try:
        with torch.no_grad():
            measures = check(path)
        if not measures:
            raise ValueError("it holds nothing to compare")
    except Exception as error:  # a problem with one file must not keep the others from being checked
        reason = (str(error).splitlines() or [""])[0]
        print(f"{name}: CANNOT BE CHECKED ({type(error).__name__}: {reason})")
        return False
    worst = max(measures, key=lambda measure: measure.share)
    verdict = "ok" if all(measure.ok for measure in measures) else "FAILED"
    print(
        f"{name}: {verdict}, largest error {worst.error:.1e} of {worst.tolerance:.1e} allowed in {worst.what} "
        f"({len(measures)} comparisons)"
    )
    return verdict == "ok"


if __name__ == "__main__":
    sys.exit(main())
