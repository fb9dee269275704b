"""Tiny random LLaVA-1.5 checkpoints, written under the names of the published files."""

import json
import re
from pathlib import Path

import tiny
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

SIDE = 42  # pixels of a picture: 9 patches of 14
TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] + ' ' }}"
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
# Names in the network of transformers -> names in the published files of both layouts.
PUBLISHED = {
    "transformers": (
        (r"^model\.vision_tower\.", "vision_tower.vision_model."),
        (r"^model\.multi_modal_projector\.", "multi_modal_projector."),
        (r"^model\.language_model\.", "language_model.model."),
        (r"^lm_head\.", "language_model.lm_head."),
    ),
    "original": (
        (r"^model\.vision_tower\.", "model.vision_tower.vision_tower.vision_model."),
        (r"^model\.multi_modal_projector\.linear_1\.", "model.mm_projector.0."),
        (r"^model\.multi_modal_projector\.linear_2\.", "model.mm_projector.2."),
        (r"^model\.language_model\.", "model."),
    ),
}


def network(vocabulary: int, image_token: int, seed: int = 0) -> LlavaForConditionalGeneration:
    """A random LLaVA whose weights are large enough that its answers differ between pictures."""
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        patch_size=14,
        image_size=SIDE,
        initializer_range=0.4,
        initializer_factor=8.0,
    )
    text = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.4,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=image_token)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlavaForConditionalGeneration(config).eval()


def processor() -> LlavaProcessor:
    """The processor of such a model; its tokenizer has <image> as a token."""
    tokenizer = tiny.tokenizer("sentencepiece")
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("<image>", special=True)]})
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, do_convert_rgb=True
    )
    return LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
        image_token="<image>",
    )


def write(folder: Path, layout: str = "transformers", seed: int = 0) -> LlavaForConditionalGeneration:
    """Write a checkpoint in one of the layouts of PUBLISHED, in two files; returns the network that it holds.

    The original layout names the CLIP tower `folder`/clip, which is written too, from another seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processed = processor()
    tokens = len(processed.tokenizer)
    model = network(tokens, processed.tokenizer.convert_tokens_to_ids("<image>"), seed)
    named = {published(layout, name): tensor.contiguous() for name, tensor in model.state_dict().items()}
    half = len(named) // 2
    for number, part in enumerate((list(named)[:half], list(named)[half:]), 1):
        save_file({name: named[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    index = {name: f"model-0000{1 + (i >= half)}-of-00002.safetensors" for i, name in enumerate(named)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    if layout == "transformers":
        model.config.save_pretrained(folder)
        processed.save_pretrained(folder)
        return model
    processed.tokenizer.save_pretrained(folder)
    own = network(tokens, 0, seed + 1).model.vision_tower
    own.save_pretrained(folder / "clip")
    text = {key: value for key, value in model.config.text_config.to_dict().items() if key != "rope_parameters"}
    settings = {
        **text,
        "model_type": "llava",
        "architectures": ["LlavaLlamaForCausalLM"],
        "rope_theta": 10000.0,
        "mm_vision_tower": str(folder / "clip"),
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_hidden_size": 16,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return model


def published(layout: str, name: str) -> str:
    """The name of a tensor of the network in the published files."""
    for pattern, beginning in PUBLISHED[layout]:
        name = re.sub(pattern, beginning, name)
    return name
