"""A trained CapeX or GraphCape inside a new FLF or DLF: "plug-and-play" (fusion paper, Sec. 3.2.1)."""

from dataclasses import replace

import torch

from ...errors import InputError
from ..towers.image_encoder import ImageEncoder
from ..towers.text import build_text_encoder
from ..towers.vision_config import VisionConfig
from .heads.dlf import DecisionFusion
from .heads.flf import FeatureFusion
from .heads.fusion import FusionHead
from .heads.graph import GraphHead
from .heads.registry import head_class
from .matcher_config import MatcherConfig
from .matcher_folder import as_published
from .model import MatchingModel, assemble


def plug_in(config: MatcherConfig, start: MatchingModel, seed: int = 0) -> MatchingModel:
    """A new FLF or DLF with the encoders and head of a trained matcher. The rest is random, and gamma as configured.

    A matcher that reads text becomes the text side, its tokens the host's in FLF; one that takes examples becomes the
    image side. With `frozen` in the head's config all that came from it stays as it is, its image encoder too: FLF then
    trains gamma, and the projection of the guest's tokens, which no trained matcher has; DLF trains its other matcher.

    config: description of the new model. Where it says nothing else, the graph head is the trained one's.
    start: a CapeX, GraphCape or CapeFormer; its encoders are used, not copied.
    seed: of the random weights.

    Raises InputError for another kind of model, and where both differ in encoders, crops or the graph head's sizes.
    """
    if not issubclass(head_class(config.name), FusionHead) or not isinstance(start.head, GraphHead):
        raise InputError(
            f"A trained capex or graphcape can be plugged into flf and dlf, but got a {start.config.name} for "
            f"{config.name}; leave the new model's description out to train a saved model further."
        )
    _check_alike(config, start)
    host = "text" if start.config.takes_text else "image"
    text_encoder = start.text_encoder or build_text_encoder(config.text)
    head = replace(config.head or head_class(config.name).published(), host=host)
    if host == "text" or config.name == "flf":
        graph_head = start.head.config
    else:  # DLF's graph head is the text side
        graph_head = replace(start.head.config, token_width=text_encoder.dim)
    if head.graph_head not in (None, graph_head):
        raise InputError(f"The new {config.name} has another graph head than the {start.config.name}; leave it out.")
    if config.name == "flf" and head.frozen and head.direction != (leading := _LEADING[host]):
        raise InputError(
            f"A frozen {start.config.name} must lead in the fusion, which is direction: {leading}, but got "
            f"{head.direction}."
        )
    encoder = _encoder(config.vision, start, head.frozen)
    whole = replace(config, vision=encoder.config, text=text_encoder.config, head=replace(head, graph_head=graph_head))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = assemble(whole, encoder, text_encoder)
    like = next(start.head.parameters())
    model.head.to(like.device, like.dtype)
    _fill(model.head, start.head, host)
    return model.eval()


_LEADING = {"text": "image_to_text", "image": "text_to_image"}


def _check_alike(config: MatcherConfig, start: MatchingModel) -> None:
    theirs = start.config
    pairs = {
        "image encoder": (config.vision.name, theirs.vision.name),
        "image_size": (config.vision.image_size, theirs.vision.image_size),
        "crop_scale": (config.crop_scale, theirs.crop_scale),
        "released_crop": (config.released_crop, theirs.released_crop),
    }
    if theirs.takes_text:
        pairs |= {
            "text encoder": (config.text.name, theirs.text.name),
            "described": (config.described, theirs.described),
        }
    else:
        pairs |= {"sigma": (config.sigma, theirs.sigma), "cells": (config.cells, theirs.cells)}
    for what, (new, old) in pairs.items():
        if new != old:
            raise InputError(
                f"A {config.name} that starts from a {theirs.name} has its {what}, which is {old}, but got {new}."
            )


def _encoder(vision: VisionConfig, start: MatchingModel, frozen: bool) -> ImageEncoder:
    """The trained image encoder, tuned as the new model says, or frozen."""
    known = start.config.vision if as_published(start.config) else start.encoder.saved_config()
    tuning = "frozen" if frozen else vision.tuning
    if known.tuning == "lora" and tuning != "lora":
        raise InputError(f"The image encoder to start from has LoRA adapters, so it cannot be {tuning}; choose lora.")
    if known.tuning != "lora":
        known = replace(known, tuning=tuning, lora=vision.lora)
    return type(start.encoder).from_model(start.encoder.model, known)


def _fill(head: FusionHead, start: GraphHead, host: str) -> None:
    """Copy a trained head into its side of a fusion, in place."""
    if isinstance(head, FeatureFusion) or host == "text":
        head.head.load_state_dict(start.state_dict())
        return
    assert isinstance(head, DecisionFusion)
    for name, part in head.image_side().items():
        part.load_state_dict(getattr(start, name).state_dict())
