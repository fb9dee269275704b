"""Tiny random matchers, made in the test: heads that are not silent, on tiny encoders of images and text."""

from pathlib import Path

import numpy as np
import tiny_encoders
import torch
from kept_files import write_again
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from anykeypoint.category import Category
from anykeypoint.example import Example
from anykeypoint.models.matching.heads.evidence import EvidenceConfig
from anykeypoint.models.matching.heads.graph import GraphConfig
from anykeypoint.models.matching.heads.pomnet import POMNetConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import MatchingModel, build
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

NAMES = ("pomnet", "capeformer", "graphcape", "capex", "flf", "dlf", "evidence")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "left", "right", "ear", "nose", "tip", "of", "the", "rear", "paw", "tail"]
FISH = Category.from_text("nose; left ear; right ear; tail tip; rear paw", name="fish", noun="fish")
SIDE = 64
FUSIONS = {"flf": {"guest_width": 20, "gamma": 2.0}, "dlf": {"example_width": 20, "answer": "mean"}}


def text_encoder(folder: Path, width: int = 24) -> str:
    """A folder with a random BERT and its tokenizer of WORDS."""
    if not folder.exists():
        write_again(folder, _make_text_encoder, width)
    return str(folder)


def _make_text_encoder(folder: Path, width: int) -> None:
    sizes = {"vocab_size": len(WORDS), "hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(BertConfig(**sizes, intermediate_size=32, initializer_range=0.3))
    model.save_pretrained(folder)
    tok = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tok.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tok, **special).save_pretrained(folder)


def config(name: str, folder: Path, **options) -> MatcherConfig:
    sizes = {"embedding_size": 8, "hidden_sizes": (8, 12, 16, 20), "depths": (1, 1, 1, 1)}
    text = TextConfig("bert", text_encoder(folder / "encoder")) if name in ("capex", "flf", "dlf", "evidence") else None
    head = GraphConfig(
        image_width=20,
        token_width=20 if text is None else 24,
        width=16,
        heads=2,
        hidden=24,
        gate=8,
        encoder_layers=1,
        decoder_layers=2,
        graph="none" if name == "capeformer" else "pre",
        order="fixed" if name == "capeformer" else "none",
    )
    if name == "evidence":
        head = EvidenceConfig(20, 24, (8, 12), members=2, width=16, heads=2, layers=2, blocks=1, likeness=4)
    if name == "pomnet":
        head = POMNetConfig(20, 20, width=16, heads=2, hidden=24, encoder_layers=1, decoder_layers=1)
    if name in FUSIONS:
        options = {**options, "head": {**FUSIONS[name], "graph_head": head.to_dict(), **options.get("head", {})}}
    given = {
        "name": name,
        "vision": VisionConfig("resnet50", RANDOM, SIDE, "full", sizes=sizes).to_dict(),
        "text": None if text is None else text.to_dict(),
        "head": head.to_dict(),
        **options,
    }
    return MatcherConfig.from_dict(given)


def matcher(name: str, folder: Path, seed: int = 0, **options) -> MatchingModel:
    """Random in all its parts; its answers depend on picture, example, words and skeleton."""
    model = build(config(name, folder, **options), seed)
    shake(model, seed)
    return model


def shake(model: MatchingModel, seed: int = 0) -> None:
    """Make an untrained matcher's answers depend on all that it is given."""
    tiny_encoders.loud(model.encoder)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draw)


def picture(seed: int = 0, width: int = 90, height: int = 70) -> np.ndarray:
    """Smooth coloured noise, H W 3 uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((10, 10, 1), dtype=np.uint8))[:height, :width]


def example(seed: int = 1, hidden: tuple[int, ...] = (), category: Category | None = FISH, **options) -> Example:
    """A picture with the points of a fish."""
    points = np.random.default_rng(seed).uniform([10, 10], [80, 60], (len(FISH), 2))
    points[list(hidden)] = np.nan
    return Example(picture(seed), points, category=category, **options)
