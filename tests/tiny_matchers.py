"""Tiny random matchers with tiny text encoders, made in the test."""

from pathlib import Path

import tiny
import torch
from tiny_backbones import TINY
from transformers import BertConfig, BertModel

from anykeypoint.models.backbones import BackboneConfig
from anykeypoint.models.matching.config import HeadConfig
from anykeypoint.models.matching.fusion import DecisionFusionConfig, FeatureFusionConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import MatchingModel, build
from anykeypoint.models.text import TextConfig

PIXELS, CHANNELS, PHRASE = 64, 64, 24


def text(folder: Path) -> TextConfig:
    """A random encoder, in a folder of its own."""
    target = folder / "text_encoder"
    if not target.exists():
        tok = tiny.tokenizer()
        sizes = {"vocab_size": len(tok), "hidden_size": PHRASE, "num_hidden_layers": 1, "num_attention_heads": 2}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            BertModel(BertConfig(**sizes, intermediate_size=32, initializer_range=0.5)).save_pretrained(target)
        tok.save_pretrained(target)
    return TextConfig("minilm-l6", str(target))


def config(name: str, folder: Path, tuning: str = "frozen", dropout: float = 0.0, **options: object) -> MatcherConfig:
    """A matcher on crops of 64 pixels (4 x 4 cells)."""
    reads = name in ("capex", "flf", "dlf")
    head = HeadConfig(
        image_width=CHANNELS,
        support_width=PHRASE if reads else CHANNELS,
        width=32,
        heads=4,
        hidden=32,
        gate=16,
        encoder_layers=1,
        decoder_layers=2,
        dropout=dropout,
        graph="none" if name == "capeformer" else "pre",
        order="fixed" if name == "capeformer" else "none",
    )
    fusion = {
        "flf": FeatureFusionConfig(guest_width=CHANNELS, gamma=0.5),
        "dlf": DecisionFusionConfig(image_support_width=CHANNELS),
    }
    backbone = BackboneConfig(
        "swinv2-t", weights=None, image_size=PIXELS, tuning=tuning, drop_path=dropout, sizes=TINY["swinv2-t"]
    )
    return MatcherConfig(
        name, backbone, text(folder) if reads else None, head, options.pop("fusion", fusion.get(name)), **options
    )


def matcher(name: str, folder: Path, tuning: str = "frozen", seed: int = 0, **options: object) -> MatchingModel:
    return build(config(name, folder, tuning, **options), seed)
