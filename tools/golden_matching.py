"""Golden checks of the matchers' heads: every stage, the losses and their gradients."""

import json
from pathlib import Path
from typing import Any

import torch
from golden_measures import Measure, compare
from safetensors.torch import load_file
from torch import Tensor

from anykeypoint.models.matching.graph import adjacency
from anykeypoint.models.matching.head import Head, something
from anykeypoint.models.matching.losses import matching_losses
from anykeypoint.models.matching.released import PREFIX, load_released_head, released_names
from anykeypoint.models.matching.support import pool

SIMILARITY = {"relative": 0.0, "absolute": 1e-4}
GRADIENTS = {"relative": 1e-3, "absolute": 1e-9}


def check_head(path: Path) -> list[Measure]:
    """One head's one-shot case: NAME.inputs, NAME.outputs and NAME.weights beside NAME.json."""
    name = path.name.removesuffix(".json")
    facts = json.loads(path.read_text(encoding="utf-8"))
    weights = load_file(path.with_name(f"{name}.weights.safetensors"))
    measures = []
    for key, case in facts.items():
        if not key.startswith("case"):
            continue
        files = name if key in ("case", "case_1shot") else f"{name}_{key.removeprefix('case_')}"
        inputs, outputs = (load_file(path.with_name(f"{files}.{kind}.safetensors")) for kind in ("inputs", "outputs"))
        what = f"{key}: " if files != name else ""
        measures += _case(what, weights, facts["config"], case, inputs, outputs)
    return measures


def check_variants(path: Path) -> list[Measure]:
    """The heads with the skeleton nowhere, in the second layer, and in both."""
    facts, tensors = json.loads(path.read_text(encoding="utf-8")), load_file(path.with_suffix(".safetensors"))
    measures = []
    for name, case in facts["variants"].items():
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "in": {}, "out": {}}
        for key, tensor in tensors.items():
            variant, kind, rest = key.split("/", 2)
            if variant == name:
                parts[kind][rest] = tensor
        measures += _case(f"{name}: ", parts["weights"], case["config"], case, parts["in"], parts["out"])
    return measures


def _case(
    what: str,
    weights: dict[str, Tensor],
    config: dict[str, Any],
    facts: dict[str, Any],
    inputs: dict[str, Tensor],
    outputs: dict[str, Tensor],
) -> list[Measure]:
    """Everything that is stored of one case; all that is stored must find something of ours to be compared with."""
    head, model = load_released_head(weights, heads=config["transformer"]["nhead"], slots=facts["slots"])
    with torch.enable_grad():
        ours, losses = _run(head, facts, {key: tensor.float() for key, tensor in inputs.items()})
        total = torch.stack(list(losses.values())).sum()
        total.backward()
    if left := sorted(set(outputs) - set(ours)):
        raise ValueError(f"there is nothing to compare {', '.join(left)} with")
    measures = []
    for key, reference in outputs.items():
        rule = SIMILARITY if key == "similarity_map" else {}
        measures.append(compare(what + key, ours[key].detach(), reference, **rule))

    stored = {"total": total, "heatmap_loss": losses["heat"], "proposal_loss": losses["proposals"]}
    stored |= {f"l1_loss_{name.replace('_', '')}": part for name, part in losses.items() if name.startswith("layer_")}
    for key, reference in facts["losses"].items():
        measures.append(compare(what + key, stored[key].detach(), torch.tensor(reference)))

    names = {theirs.removeprefix(PREFIX): own for own, theirs in released_names(head, model).items()}
    parameters = dict(head.named_parameters())
    if len(facts["grad_norms"]) != len(parameters):
        raise ValueError(f"{what}there are {len(facts['grad_norms'])} gradients for {len(parameters)} parameters")
    for key, norm in facts["grad_norms"].items():
        gradient = parameters[names[key]].grad
        measures.append(compare(f"{what}gradient of {key}", gradient.norm(), torch.tensor(norm), **GRADIENTS))
    return measures


def _run(head: Head, facts: dict[str, Any], inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The stages under the golden set's names, and the losses."""
    seen: dict[str, Any] = {}
    layers = head.matcher.decoder.layers
    parts = {
        "image": head.image_projection,
        "support": head.support_projection,
        "encoder": head.matcher.encoder,
        "norms": head.matcher.decoder.norm,
        **{f"layer{i}": layer for i, layer in enumerate(layers)},
    }
    for name, part in parts.items():
        part.register_forward_hook(lambda _, given, made, name=name: seen.setdefault(name, []).append((given, made)))
    shots = sum(key.startswith("support_feature_") for key in inputs)
    if "text_tokens" in inputs:
        support = inputs["text_tokens"]
    else:
        features, heat_maps = (
            torch.stack([inputs[f"{kind}_{shot}"] for shot in range(shots)], dim=1)
            for kind in ("support_feature", "target_heatmap_support")
        )
        support = pool(features, heat_maps)
    valid = inputs["mask"][..., 0] > 0
    match = head(inputs["query_feature"], support, valid, facts["skeleton"])

    image, tokens = seen["encoder"][0][1]
    ours = {
        "src_after_input_proj": seen["image"][0][1],
        "support_tokens_after_proj": seen["support"][0][1],
        "encoder_image_tokens": image,
        "encoder_support_tokens": tokens,
        "similarity_map": match.proposals.similarity,
        "proposals_for_loss": match.proposals.mean,
        "initial_proposals": match.proposals.peak,
        **{f"decoder_layer{i}": seen[f"layer{i}"][0][1] for i in range(len(layers))},
        "decoder_normed": torch.stack([made for _, made in seen["norms"]]),
        "decoder_points": match.path,
        "output": match.points,
    }
    if facts["skeleton"] is not None:
        links = seen["layer0"][0][0][-1]
        if links is None:  # a head without a graph makes none
            links = adjacency(facts["skeleton"], something(valid))
        ours["adjacency"] = links
    labelled = valid & (inputs["target_weight_query"][..., 0] > 0)
    points = inputs["keypoints_query_px"] / facts["image_size"]
    return ours, matching_losses(match, points, inputs["target_heatmap_query"], labelled)
