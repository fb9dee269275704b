"""A matcher as an ONNX file for one picture, asked by one kind of prompt, with any number of keypoints and examples.

Inputs, float32 unless said, of a square crop of S pixels with h x w cells; what a prompt does not use is not there:

    pixels    (1, 3, S, S)      the query's crop, RGB / 255, with the backbone's mean and deviation taken out
    skeleton  (1, K, K)         1 where two keypoints are joined, in both directions; only where the head has a graph
    phrases   (1, K, D)         the text encoder's vectors of the keypoints' phrases
    examples  (1, M, C, h, w)   the output `features` of the examples' crops
    heat      (1, M, K, N, N)   their heat maps
    shown     (1, M, K) bool    which keypoints an example shows

Outputs: points (1, K, 2), fractions of the crop; similarity (1, K, h, w), the probabilities of the first guess; and
features (1, C, h, w). The answer for a keypoint that has no phrase and that no example shows means nothing. The text
encoder is not in the file: phrases are read once. The file's metadata says under `anykeypoint` (JSON) how pictures are
cut and normalised.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category
from ...errors import InputError
from ...example import Example
from ..examples import check_examples
from .inputs import encode_example
from .model import MatchingModel

OPSET = 20
MOST = 1000  # keypoints and examples that a file's dynamic sizes may have
PROMPTS = ("text", "example", "both")


class Asked(nn.Module):
    """A matcher whose inputs are the file's, in their order."""

    def __init__(self, model: MatchingModel, prompt: str) -> None:
        super().__init__()
        self.model, self.prompt = model, prompt
        self.names = input_names(model, prompt)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(self.names, inputs, strict=True))
        features = self.model.features(given.pop("pixels"))
        skeleton = given.pop("skeleton", None)
        some = given["phrases"] if "phrases" in given else given["shown"].transpose(1, 2)
        valid = torch.ones_like(some[..., 0], dtype=torch.bool)
        answer = self.model.match(features, valid, skeleton, **given)
        return answer.found, answer.chances, features


def input_names(model: MatchingModel, prompt: str) -> list[str]:
    """The inputs of a file for this prompt; InputError for one that the model does not answer to."""
    if prompt not in model.prompts:
        raise InputError(
            f"{model.config.name} answers to {' or '.join(model.prompts)}, but the prompt was {prompt!r}; choose one."
        )
    names = ["pixels", *(["skeleton"] if getattr(model.config.head, "graph", "none") != "none" else [])]
    names += ["phrases"] if prompt in ("text", "both") else []
    return names + (["examples", "heat", "shown"] if prompt in ("example", "both") else [])


@torch.inference_mode()
def prompt_inputs(
    model: MatchingModel, category: Category, example: Example | Sequence[Example] | None = None, words: bool = True
) -> dict[str, np.ndarray]:
    """All inputs of a file but the pixels, for a category, as `MatchView.predict` would ask the model."""
    examples = check_examples(example, category)
    model.check_prompt(bool(examples), words)
    inputs: dict[str, np.ndarray] = {}
    if getattr(model.config.head, "graph", "none") != "none":
        inputs["skeleton"] = np.zeros((1, len(category), len(category)), dtype=np.float32)
        for a, b in category.skeleton:
            inputs["skeleton"][0, [a, b], [b, a]] = 1
    if words:
        inputs["phrases"] = model.phrases(category)[None].float().cpu().numpy()
    if examples:
        encoded = [encode_example(one, model.config) for one in examples]
        inputs["examples"] = torch.stack([model.look_at(one) for one in encoded], dim=1).float().cpu().numpy()
        inputs["heat"] = np.stack([one.heat for one in encoded])[None]
        inputs["shown"] = np.stack([one.shown for one in encoded])[None]
    return inputs


def export(model: MatchingModel, path: str | Path, prompt: str | None = None) -> list[str]:
    """Write the ONNX file, and return the names of its inputs.

    prompt: text, example or both; None takes the fullest that the model answers to. Raises InputError for one that it
    does not, for a path that does not end in .onnx, and where the packages are missing.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise InputError(f"An exported file's name must end in .onnx, but got {path}.")
    if not path.parent.is_dir():
        raise InputError(f"Cannot write {path}: there is no folder {path.parent}; make it first.")
    prompt = prompt or next(name for name in reversed(PROMPTS) if name in model.prompts)
    if (kind := next(model.head.parameters())).device.type != "cpu" or kind.dtype != torch.float32:
        raise InputError(f"A model to export must be in float32 on the cpu, but is in {kind.dtype} on {kind.device}.")
    asked = Asked(model.eval(), prompt)
    try:
        import onnx
        import onnxscript  # noqa: F401, torch's exporter needs it
    except ImportError as error:
        raise InputError(
            f"Exporting needs the packages onnx and onnxscript ({error}); pip install 'anykeypoint[onnx]'."
        ) from error
    with _plain_attention(), _quiet(), torch.no_grad():
        program = torch.onnx.export(
            asked,
            tuple(_sample(model, name) for name in asked.names),
            dynamo=True,
            opset_version=OPSET,
            input_names=asked.names,
            output_names=["points", "similarity", "features"],
            dynamic_shapes=(tuple(_dynamic(model)[name] for name in asked.names),),
            verbose=False,
        )
    made = program.model_proto
    onnx.helper.set_model_props(made, {"anykeypoint": json.dumps(_facts(model, prompt))})
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    onnx.save(made, scratch)
    os.replace(scratch, path)
    return asked.names


def _sample(model: MatchingModel, name: str) -> Tensor:
    """An input of two examples and three keypoints: sizes of 1 would be taken for fixed."""
    config, size = model.config, model.config.backbone.image_size
    cells, examples, keypoints = size // model.backbone.stride, 2, 3
    draw = torch.Generator().manual_seed(0)
    if name == "shown":
        return torch.ones(1, examples, keypoints, dtype=torch.bool)
    shape = {
        "pixels": (1, 3, size, size),
        "skeleton": (1, keypoints, keypoints),
        "phrases": (1, keypoints, config.head.support_width if model.text is None else model.text.dim),
        "examples": (1, examples, model.backbone.channels, cells, cells),
        "heat": (1, examples, keypoints, config.cells, config.cells),
    }[name]
    return torch.rand(shape, generator=draw)


def _dynamic(model: MatchingModel) -> dict[str, dict[int, Any]]:
    """Which of an input's sizes may change."""
    head = model.config.head
    slots = head.order_slots if getattr(head, "order", "none") != "none" else MOST
    keypoints, examples = torch.export.Dim("keypoints", max=slots), torch.export.Dim("examples", max=MOST)
    return {
        "pixels": {},
        "skeleton": {1: keypoints, 2: keypoints},
        "phrases": {1: keypoints},
        "examples": {1: examples},
        "heat": {1: examples, 2: keypoints},
        "shown": {1: examples, 2: keypoints},
    }


def _facts(model: MatchingModel, prompt: str) -> dict[str, Any]:
    config, encoder = model.config, model.backbone.encoder
    return {
        "model": config.name,
        "prompt": prompt,
        "image_size": config.backbone.image_size,
        "crop_scale": config.crop_scale,
        "released_crop": config.released_crop,
        "heat_cells": config.cells,
        "heat_sigma": config.sigma,
        "mean": list(encoder.mean),
        "deviation": list(encoder.std),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its own steps, which nobody asked about."""
    was = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """torch's fused attention has no counterpart in ONNX."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
