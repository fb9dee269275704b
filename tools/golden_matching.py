"""Golden checks of the matchers: every stage of the heads, losses and gradients; the answers of checkpoints."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from golden_measures import Measure, compare
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, PreTrainedTokenizerFast

from anykeypoint.category import Category, Keypoint
from anykeypoint.geometry import Crop
from anykeypoint.models.maps import pool
from anykeypoint.models.matching.conversion import convert
from anykeypoint.models.matching.heads.base import HEATMAP_WEIGHT, Prompt
from anykeypoint.models.matching.heads.graph import GraphHead
from anykeypoint.models.matching.parts.losses import matching_losses
from anykeypoint.models.matching.parts.masks import keep_one
from anykeypoint.models.matching.parts.skeleton import adjacency
from anykeypoint.models.matching.released_keys import PREFIX, load_released_head, released_names

SIMILARITY = {"relative": 0.0, "absolute": 1e-4}
GRADIENTS = {"relative": 1e-3, "absolute": 1e-9}
PIXELS = {"relative": 0.0, "absolute": 1e-3}


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


def _run(
    head: GraphHead, facts: dict[str, Any], inputs: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The stages under the golden set's names, and the losses."""
    seen: dict[str, Any] = {}
    layers = head.matcher.decoder.layers
    parts = {
        "image": head.image_projection,
        "support": head.token_projection,
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
    match = head.locate(inputs["query_feature"], support, valid, facts["skeleton"])

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
        "output": match.layers,
    }
    if facts["skeleton"] is not None:
        links = seen["layer0"][0][0][-1]
        if links is None:  # a head without a graph makes none
            links = adjacency(facts["skeleton"], keep_one(valid))
        ours["adjacency"] = links
    labelled = valid & (inputs["target_weight_query"][..., 0] > 0)
    points = inputs["keypoints_query_px"] / facts["image_size"]
    return ours, matching_losses(
        match.proposals, match.layers, points, inputs["target_heatmap_query"], labelled, HEATMAP_WEIGHT
    )


# --- checkpoints ---------------------------------------------------------------------------------------------------


def check_end_to_end(path: Path) -> list[Measure]:
    """A released checkpoint, converted and loaded: from normalised crops to points in image pixels."""
    facts, tensors = json.loads(path.read_text(encoding="utf-8")), load_file(path.with_suffix(".safetensors"))
    tensors = {key: tensor.float() for key, tensor in tensors.items()}
    slots, edges = facts["slots"], [tuple(edge) for edge in facts["skeleton"]]
    with tempfile.TemporaryDirectory() as folder:
        text = _text_encoder(Path(folder) / "encoder", facts) if "phrases" in facts else None
        heads = facts["model"]["keypoint_head"]["transformer"]["nhead"]
        options = {"text": text, "image_size": facts["image_size"], "heads": heads}
        model = convert(path.with_name(facts["checkpoint"]), Path(folder) / "model", **options)
    measures, words = [], {}
    left = {key for key in tensors if "out/" in key and not key.endswith("/boxes")}  # boxes only pass through
    if text is not None:
        # Two of the phrases are the same: descriptions, which CapeX does not read, make them two points.
        points = tuple(Keypoint(phrase, f"number {i}") for i, phrase in enumerate(facts["phrases"]))
        found = model.phrases(Category("made up", points))
        measures.append(compare("text_cls_normalised", found, tensors["out/text_cls_normalised"]))
        left.discard("out/text_cls_normalised")
        words = {"phrases": torch.cat([found, torch.zeros(slots - len(found), found.shape[1])])[None]}
    for name, case in facts["cases"].items():
        shots, query = case["support"], case["query"]
        valid = tensors[f"{name}/in/mask_used"][..., 0] > 0
        examples = None
        prompt = Prompt(**words, skeletons=[edges])
        if not words:
            examples = torch.stack([tensors[f"in/image_{shot}"] for shot in shots], dim=1)
            heatmaps = torch.stack([tensors[f"in/target_heatmap_{shot}"] for shot in shots], dim=1)
            prompt = Prompt(heatmaps=heatmaps, skeletons=[edges])
        match = model(tensors[f"in/image_{query}"], valid, prompt, examples)
        (side, _), (x, y) = (tensors[f"in/scale_{query}"] * 200).tolist(), tensors[f"in/center_{query}"].tolist()
        pixels = Crop(x - side / 2, y - side / 2, side).to_image(match.points.numpy())
        ours = {
            "query_feature": model.features(tensors[f"in/image_{query}"]),
            "similarity_map": match.proposals.similarity,
            "proposals_for_loss": match.proposals.mean,
            "points": torch.cat([match.proposals.mean, *match.layers]),
            "output": match.layers,
            "preds_image_px": torch.from_numpy(pixels).float(),
        }
        if words:
            ours["text_tokens"] = words["phrases"] * valid[..., None]
        rules = {"similarity_map": SIMILARITY, "preds_image_px": PIXELS}
        for key, value in ours.items():
            stored = tensors[f"{name}/out/{key}"]
            left.discard(f"{name}/out/{key}")
            stored = stored[..., :2] if key == "preds_image_px" else stored  # the third is a score
            measures.append(compare(f"{name}/{key}", value, stored, **rules.get(key, {})))
    if left:
        raise ValueError(f"there is nothing to compare {', '.join(sorted(left))} with")
    return measures


def _text_encoder(folder: Path, facts: dict[str, Any]) -> str:
    """The config and tokenizer of the checkpoint's text encoder, which a released file does not hold."""
    BertConfig(**facts["text_config"]).save_pretrained(folder)
    words = {word: i for i, word in enumerate(facts["text_vocab"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(end, words[end]) for end in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return str(folder)
