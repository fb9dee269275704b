"""Golden checks of CapeLLM: the forward pass and its gradients, a published checkpoint, prompts and answers as text."""

import json
import math
import re
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_measures import Measure, compare, same
from safetensors.torch import load_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from anykeypoint.category import Category, Keypoint
from anykeypoint.decoding.codec import read_answer
from anykeypoint.forms.dataset import LabelledObject
from anykeypoint.geometry import visible_in
from anykeypoint.models.generative import released_capellm
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.towers.dinov2 import load_official_dinov2, official_places
from anykeypoint.models.towers.language import LanguageConfig
from anykeypoint.models.towers.vision import encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import LoraOptions, apply_lora, load_lora_state
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.sequences import ConversationWriter

FIRST = 252  # the position from which on the golden set has logits
LOGITS = {"relative": 0.0, "absolute": 1e-4}
GRADIENTS = {"relative": 1e-3, "absolute": 1e-9}


# --- the forward pass ----------------------------------------------------------------------------------------------


def check_forward(path: Path) -> list[Measure]:
    """Features, logits, losses, greedy ids and gradient norms, without and with adapters on the language model."""
    io, facts = load_file(path), json.loads((path.parent / "capellm_forward.json").read_text(encoding="utf-8"))
    weights = load_file(path.parent / "capellm_forward.weights.safetensors")
    model = _assemble(weights, facts)
    pixels = _pixels(io)
    tokens = model.encoder(pixels)
    measures = [
        compare("vision_x_norm_patchtokens", tokens, io["out/vision_x_norm_patchtokens"]),
        compare("projected_image_features", model.visual(pixels), io["out/projected_image_features"]),
        *_answers(model, io, facts, ""),
    ]
    model.requires_grad_(True)
    measures += _training(model, io, facts, "loss", "grad_norms")
    lora = facts["llm_lora"]
    apply_lora(
        model.language, lora["r"], lora["alpha"], targets=[name.removesuffix("_proj") for name in lora["targets"]]
    )
    load_lora_state(model.language, load_file(path.parent / "capellm_ckpt" / "adapter_model.safetensors"))
    model.eval()
    return (
        measures
        + _answers(model, io, facts, "peft_")
        + _training(model, io, facts, "peft_loss", "peft_trainable_grad_norms")
    )


def _assemble(weights: dict[str, Tensor], facts: dict[str, Any]) -> CapeLLM:
    """Our CapeLLM from the whole state dict of theirs; every tensor must find its place."""
    parts: dict[str, dict[str, Tensor]] = {"vision_model": {}, "mm_projector": {}, "language": {}}
    for key, tensor in weights.items():
        head, _, rest = key.partition(".")
        parts[head if head in parts else "language"][rest if head in parts else key] = tensor
    lora = LoraOptions(facts["vision_lora"]["r"], facts["vision_lora"]["alpha"])
    vision = VisionConfig("dinov2-l", tuning="lora", lora=lora, image_size=facts["crop_size"])
    heads = facts["vision_config"]["num_heads"]
    network = load_official_dinov2(parts["vision_model"], heads=heads, lora="peft", alpha=lora.alpha)
    language = LlamaForCausalLM(LlamaConfig(**facts["llm_config"]))
    language.load_state_dict(parts["language"])
    config = CapeLLMConfig(vision, LanguageConfig("vicuna-7b"))
    model = CapeLLM(config, encoder_from_model(network, vision), language, toy_tokenizer([]))
    model.projection.load_state_dict(parts["mm_projector"])
    return model.eval()


def _pixels(io: dict[str, Tensor]) -> Tensor:
    return torch.stack([io["in/image_row0"], io["in/image_row2"]]).float()


def _answers(model: CapeLLM, io: dict[str, Tensor], facts: dict[str, Any], kind: str) -> list[Measure]:
    """Logits of the training batch where something is to be read, and the inference batch's greedy continuation."""
    mask = io["in/attention_mask"]
    valid = mask[:, FIRST:].bool()
    logits = _training_logits(model, io, facts)[:, FIRST:]
    measures = [
        compare(f"{kind}logits_from_{FIRST}", logits[valid], io[f"out/{kind}logits_from_{FIRST}"][valid], **LOGITS)
    ]
    ids, mask, both = io["in/infer_input_ids"], io["in/infer_attention_mask"], torch.tensor([True, True])
    written = io[f"out/{kind}infer_greedy_ids"]
    for step in range(written.shape[1]):
        positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
        if step == 0:
            measures.append(same("infer_position_ids", positions.tolist(), io["in/infer_position_ids"].tolist()))
        logits = model(ids, _pixels(io), facts["im_patch_token"], both, attention_mask=mask, position_ids=positions)[
            :, -1
        ]
        if step == 0:
            measures.append(compare(f"{kind}infer_first_logits", logits, io[f"out/{kind}infer_first_logits"], **LOGITS))
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    measures.append(same(f"{kind}infer_greedy_ids", ids[:, -written.shape[1] :].tolist(), written.tolist()))
    return measures


def _training_logits(model: CapeLLM, io: dict[str, Tensor], facts: dict[str, Any]) -> Tensor:
    has_image = torch.tensor(facts["has_images"])
    return model(
        io["in/input_ids"], _pixels(io), facts["im_patch_token"], has_image, attention_mask=io["in/attention_mask"]
    )


def _training(
    model: CapeLLM, io: dict[str, Tensor], facts: dict[str, Any], loss_key: str, norms_key: str
) -> list[Measure]:
    """The loss of the training batch and the norm of its gradient in every parameter that the reference names."""
    with torch.enable_grad():
        logits = _training_logits(model, io, facts)
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), io["in/labels"][:, 1:].flatten())
        model.zero_grad()
        loss.backward()
    measures = [compare(loss_key, loss.detach(), torch.tensor(facts[loss_key]))]
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    places = official_places(model.encoder.model)
    for name, norm in facts[norms_key].items():
        parts = [gradients[part] for part in _own_names(name, places, gradients)]
        if norm is None:
            measures.append(same(f"{norms_key} {name}", [part for part in parts if part is not None], []))
        else:
            ours = torch.tensor(math.hypot(*(float(part.norm()) for part in parts)))
            measures.append(compare(f"{norms_key} {name}", ours, torch.tensor(norm), **GRADIENTS))
    return measures


def _own_names(name: str, places: dict[str, tuple[str, ...]], known: dict[str, Any]) -> list[str]:
    """The parameters of our CapeLLM that the reference keeps under one name; a fused qkv is three of ours."""
    head, _, rest = name.partition(".")
    if head == "mm_projector":
        return [f"projection.{rest}"]
    if head != "vision_model":
        names = [f"language.{name}"]
    elif adapter := re.fullmatch(r"blocks\.(\d+)\.attn\.lora_([AB])_([qv])", rest):
        names = [
            f"encoder.model.encoder.layer.{adapter[1]}.attention.{adapter[3]}_proj.lora_{adapter[2]}.default.weight"
        ]
    else:
        names = [f"encoder.model.{place}" for place in places[rest]]
    # An adapted layer is kept by PEFT inside its adapter.
    return [own if own in known else re.sub(r"\.(weight|bias)$", r".base_layer.\1", own) for own in names]


# --- the checkpoint ------------------------------------------------------------------------------------------------


def check_checkpoint(path: Path) -> list[Measure]:
    """The published folder, read by the library, and the same model saved and read as a folder of ours."""
    golden = path.parents[1]
    io, facts = (
        load_file(golden / "capellm_forward.io.safetensors"),
        json.loads((golden / "capellm_forward.json").read_text()),
    )
    with tempfile.TemporaryDirectory() as scratch:
        toy_tokenizer([]).save_pretrained(f"{scratch}/tokenizer")  # the checkpoint has none
        heads = facts["vision_config"]["num_heads"]
        model = released_capellm.load(path.parent, tokenizer=f"{scratch}/tokenizer", heads=heads)
        model.save_pretrained(f"{scratch}/ours")
        again = CapeLLM.from_pretrained(f"{scratch}/ours")
    measures = []
    for what, loaded in (("", model), ("saved again: ", again)):
        found = _answers(loaded, io, facts, "peft_")
        measures += [Measure(what + measure.what, measure.error, measure.tolerance) for measure in found]
        tunings = (loaded.config.vision.tuning, loaded.config.language.tuning)
        measures.append(same(f"{what}LoRA is kept as adapters", tunings, ("lora", "lora")))
    return measures


# --- text ----------------------------------------------------------------------------------------------------------


def check_text(path: Path) -> list[Measure]:
    """Prompts of training and inference to the letter, supervised spans to the token, and answers read back."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    categories = {entry["id"]: _category(entry) for entry in facts["categories"]}
    model = _toy_model(facts)
    measures = []
    for i, case in enumerate(facts["train_prompts"]):
        measures += _training_prompt(
            f"train_prompts {i}", model, case, categories[case["category_id"]], facts["crop_size"]
        )
    for i, case in enumerate(facts["inference_prompts"]):
        category = categories[case["category_id"]]
        questions = model.questions(category)
        question = model.tokenizer.decode(questions[category.names.index(case["keypoint"])])
        measures.append(same(f"inference_prompts {i}", question, case["text_after_image_tokens"]))
        measures.append(same(f"inference_prompts {i}: image tokens", _image_tokens(model), case["image_tokens"]))
    for case in facts["decode_cases"]:
        if case["asserted"]:
            expected = None if case["correct_missing"] else tuple(case["correct_normalised"])
            measures.append(same(f"decode_cases {case['text']!r}", read_answer(case["text"]), expected))
    return measures


def check_scores(path: Path) -> list[Measure]:
    """The reference's scores of its answers, computed from the logits of its decoding steps.

    Its score of a number is the mean, over the number's characters, of the largest probability of the step of that
    index: it takes character offsets in the answer for steps. The score of an answer is half the sum over its first
    two numbers; a number beyond the stored steps has the score NaN. The library's own confidence is another thing, the
    probability near the point.
    """
    facts = json.loads((path.parent / "capellm_text.json").read_text(encoding="utf-8"))
    logits = load_file(path)["decode/output_scores"]  # steps, cases, vocabulary
    largest = logits.softmax(-1).amax(-1)
    if largest.shape[1] != len(facts["decode_cases"]):
        raise ValueError(f"it has {largest.shape[1]} answers, but capellm_text.json has {len(facts['decode_cases'])}")
    measures = []
    for i, case in enumerate(facts["decode_cases"]):
        numbers = re.findall(facts["regex"], case["text"])[:2]
        starts = [case["text"].find(number) for number in numbers]  # of two equal numbers, the first one's twice
        scores = [largest[start : start + len(number), i].mean() for start, number in zip(starts, numbers, strict=True)]
        score = sum(scores, torch.zeros(())) / 2
        what, expected = f"official_score {case['text']!r}", case["official_score"]
        if expected is None:
            measures.append(same(what, bool(score.isnan()), True))
        else:
            measures.append(compare(what, score, torch.tensor(expected)))
    return measures


def _training_prompt(what: str, model: CapeLLM, case: dict[str, Any], category: Category, side: int) -> list[Measure]:
    points = np.array(case["keypoints_crop_px"]) / side
    points[np.array(case["visible"]) < 1] = np.nan
    inside = visible_in(points)
    group = [i for i in case["keypoint_ids"] if inside[i]]
    if not case["used"] or not group:
        return [same(f"{what}: used", bool(group), case["used"])]
    writer = ConversationWriter(model, CapeLLMTrainConfig(rounds=case["n_rounds_setting"]), np.random.default_rng(0))
    box, visibility = (0.0, 0.0, float(side), float(side)), np.where(np.isnan(points[:, 0]), 0, 2)
    writer.converse(LabelledObject(0, Path(), 0, category, box, points * side, visibility, None), group, points)
    ids, before = writer.tokens, 1 + _image_tokens(model)  # BOS and the image
    spans = []
    for answer in writer.answers:
        start, stop = answer.text[0][0] + 1, answer.text[-1][0] + 2
        targets = [token for _, token in answer.text]
        spans.append([before + start, before + stop, model.tokenizer.decode(targets)])
        if targets != ids[start:stop]:
            raise ValueError(f"{what}: the targets are not the tokens that follow")
    return [
        same(what, model.tokenizer.decode(ids), case["text_after_image_tokens"]),
        same(f"{what}: tokens", before + len(ids), case["token_count"]),
        same(f"{what}: supervised spans", spans, case["supervised_spans"]),
    ]


def _category(entry: dict[str, Any]) -> Category:
    keypoints = map(Keypoint, entry["keypoints"], entry["descriptions"])
    return Category(entry["name"], tuple(keypoints), noun=entry["name"])


def _image_tokens(model: CapeLLM) -> int:
    rows, columns = model.encoder.grid(model.config.vision.image_size)
    return rows * columns


def _toy_model(facts: dict[str, Any]) -> CapeLLM:
    """The smallest CapeLLM with the golden set's tokenizer; its weights are of no matter."""
    from transformers import Dinov2Config, Dinov2Model

    tokenizer = toy_tokenizer([case["text_after_image_tokens"] for case in facts["inference_prompts"]])
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    vision = VisionConfig("dinov2-l", image_size=facts["crop_size"])
    encoder = encoder_from_model(Dinov2Model(Dinov2Config(**sizes, image_size=28, mlp_ratio=1)), vision)
    language = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), intermediate_size=8, **sizes))
    return CapeLLM(CapeLLMConfig(vision, LanguageConfig("vicuna-7b")), encoder, language, tokenizer)


def toy_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """One token per character (ASCII and what the texts hold), and one for each of <s>, </s> and <im_patch>."""
    characters = sorted({*string.printable, *"".join(texts)})
    vocabulary = {character: i for i, character in enumerate(["<unk>", *characters])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in ("<s>", "</s>", "<im_patch>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=["<im_patch>"],
    )
