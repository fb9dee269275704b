"""Tiny random models and tokenizers, made in the test."""

import string
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from kept_files import write_again
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.models.generative import base
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.generative.kptllm import KptLLM
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.models.towers.language import LanguageConfig
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import LoraOptions

_WORDS = [
    "User",
    "Reference",
    "Assistant",
    "Where",
    "object",
    "image",
    "left",
    "right",
    "ear",
    "nose",
    "tip",
    "coordinates",
]
VISION, LANGUAGE = "base_vision", "base_language"  # names of folders
_LLAMA3 = r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+| ?\p{L}+|\s+"


def tokenizer(kind: str = "digits") -> PreTrainedTokenizerFast:
    """A byte-level tokenizer. kind: "digits" spells one token per digit, "triples" one per three (Llama-3),
    "pairs" merges some digits only (no fixed spelling), "sentencepiece" puts U+2581 for blanks (Vicuna, Mistral)."""
    if kind == "sentencepiece":
        return _sentencepiece()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)}
    merges = []

    def merge(left: str, right: str) -> str:
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append((left, right))
        return left + right

    for word in _WORDS:
        for start in ("", "Ġ"):
            whole = start or word[0]
            for letter in word if start else word[1:]:
                whole = merge(whole, letter)
    merge("Ġ", "[")
    if kind in ("triples", "pairs"):
        for first in string.digits:
            for second in string.digits if kind == "triples" else "0246":
                merge(first, second)
    if kind == "triples":
        for pair in [a + b for a in string.digits for b in string.digits]:
            for third in string.digits:
                merge(pair, third)
    split = (
        pre_tokenizers.Digits(individual_digits=True)
        if kind == "digits"
        else pre_tokenizers.Split(Regex(_LLAMA3), "isolated")
    )
    tok = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=kind == "triples"))
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tok.decoder = decoders.ByteLevel()
    return _finished(tok)


def _sentencepiece() -> PreTrainedTokenizerFast:
    letters = ["<unk>", "▁", "\n", "▁[", *string.punctuation, *string.digits, *string.ascii_letters]
    letters += [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {letter: i for i, letter in enumerate(dict.fromkeys(letters))}
    tok = Tokenizer(models.BPE(vocabulary, [("▁", "[")], unk_token="<unk>", byte_fallback=True))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return _finished(tok)


def _finished(tok: Tokenizer) -> PreTrainedTokenizerFast:
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<s>", "</s>", "<im_patch>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<s>", eos_token="</s>", pad_token="</s>", extra_special_tokens=["<im_patch>"]
    )


def llama(vocabulary: int, seed: int = 0, layers: int = 2, width: int = 32, spread: float = 0.4) -> LlamaForCausalLM:
    """A random Llama whose weights are large enough that its answers differ between questions."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def dinov2(seed: int = 0, registers: bool = False, width: int = 16, heads: int = 2) -> torch.nn.Module:
    """A random DINOv2 with patches of 14 pixels."""
    sizes = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": heads, "mlp_ratio": 2}
    sizes |= {"image_size": 56, "patch_size": 14}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if registers:
            return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**sizes, initializer_range=0.2)).eval()
        return Dinov2Model(Dinov2Config(**sizes, initializer_range=0.2)).eval()


def bases(folder: Path, kind: str = "digits") -> tuple[Path, Path]:
    """Folders of a tiny DINOv2 and of a tiny Llama with its tokenizer, as the hub would hold them."""
    vision, language = folder / VISION, folder / LANGUAGE
    if not vision.exists():
        write_again(folder, _make_bases, kind)
    return vision, language


def _make_bases(folder: Path, kind: str) -> None:
    dinov2().save_pretrained(folder / VISION)
    tok = tokenizer(kind)
    llama(len(tok)).save_pretrained(folder / LANGUAGE)
    tok.save_pretrained(folder / LANGUAGE)


def _learn_once(tokenizer: PreTrainedTokenizerFast, spaced: bool = False) -> CoordinateCodec:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return CoordinateCodec.learn(tokenizer, spaced)
    key = (backend.to_str(), spaced)
    if key not in _LEARNT:
        _LEARNT[key] = CoordinateCodec.learn(tokenizer, spaced)
    return _LEARNT[key]


_LEARNT: dict[tuple[str, bool], CoordinateCodec] = {}
# A model tokenises 3,000 numbers when it is built, which is half of the time that building a tiny one takes.
base.CoordinateCodec = SimpleNamespace(learn=_learn_once)


def capellm(folder: Path, tuning: str = "frozen", kind: str = "digits", seed: int = 0, **options: object) -> CapeLLM:
    """A complete tiny CapeLLM on crops of 42 pixels (9 image tokens) whose answers depend on picture and question.

    folder: where its base weights are written, in folders of their own. tuning: of both towers; whatever it lets train
    is moved away from where it starts. options: of `CapeLLMConfig`.
    """
    return moved(CapeLLM.build(CapeLLMConfig(*towers(folder, tuning, kind), **options), seed), seed)


def kptllm(folder: Path, tuning: str = "frozen", kind: str = "digits", seed: int = 0, **options: object) -> KptLLM:
    """The same of KptLLM, whose prompt tokens differ from place to place; options are those of `KptLLMConfig`."""
    options = {"heads": 2, "frequencies": 4, **options}
    model = moved(KptLLM.build(KptLLMConfig(*towers(folder, tuning, kind), **options), seed), seed)
    with torch.no_grad():
        for parameter in model.extractor.parameters():
            if parameter.ndim > 1:
                parameter *= 3
        model.prompt_projection.weight *= 8
    return model


def towers(folder: Path, tuning: str, kind: str) -> tuple[VisionConfig, LanguageConfig]:
    vision, language = bases(folder, kind)
    lora = LoraOptions(r=2, alpha=4)
    return (
        VisionConfig("dinov2-l", str(vision), image_size=42, tuning=tuning, lora=lora),
        LanguageConfig("vicuna-7b", str(language), tuning=tuning, lora=lora),
    )


def moved(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """A model with all that trains moved away from where it starts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def picture(width: int = 42, height: int = 42, seed: int = 0) -> np.ndarray:
    """Coloured noise, H W 3 uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
