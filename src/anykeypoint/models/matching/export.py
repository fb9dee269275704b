"""A matcher as an ONNX file for one picture and one kind of prompt, with any number of keypoints and examples.

Inputs, float32 unless noted, of a square crop of S pixels with h x w cells; an input that the prompt does not need is
not in the file:

    pixels    (1, 3, S, S)      the query's crop: RGB / 255, minus the encoder's mean, over its deviation
    skeleton  (1, K, K)         1 where two keypoints are joined, in both directions; only where the head has a graph
    phrases   (1, K, D)         the text encoder's vectors of the keypoints' phrases
    examples  (1, M, C, h, w)   the output `features` for the examples' crops
    heat      (1, M, K, N, N)   their heat maps
    shown     (1, M, K) bool    the keypoints that an example has

Outputs: points (1, K, 2), fractions of the crop; similarity (1, K, h, w), probabilities of the first guess at the
model's temperature for the prompt, as `predict` gives them; and features (1, C, h, w). The point of a keypoint that has
no phrase and that no example shows means nothing. The text encoder is not in the file: phrases are encoded beforehand.
The points are those of the first answer: a second look (`fine`) and the mirrored picture are not in the file.
The file's metadata has under `anykeypoint` (JSON) how pictures are cropped and normalised, and the temperature.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...category import Category
from ...density.temperature import tempered
from ...errors import InputError
from ...example import Example
from ..scratch import remove_killed, scratch_of
from .answering import prompt_for
from .heads.base import Prompt
from .model import MatchingModel

OPSET = 20
MOST = 1000  # largest number of keypoints, and of examples, that a file takes
PROMPTS = ("text", "example", "both")
_PROMPT_FIELDS = {  # name of an input -> field of `Prompt`
    "skeleton": "skeletons",
    "phrases": "phrases",
    "examples": "example_features",
    "heat": "heatmaps",
    "shown": "example_visible",
}


class ExportedMatcher(nn.Module):
    """A matcher whose inputs are those of the file, in their order."""

    def __init__(self, model: MatchingModel, prompt: str) -> None:
        super().__init__()
        self.model, self.prompt = model, prompt
        self.names = input_names(model, prompt)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The file's outputs: points, probabilities of the first guess, and the query's features."""
        given = dict(zip(self.names, inputs, strict=True))
        features = self.model.features(given["pixels"])
        prompt = Prompt(**{field: given[name] for name, field in _PROMPT_FIELDS.items() if name in given})
        slots = prompt.phrases if prompt.phrases is not None else prompt.example_visible.transpose(1, 2)
        valid = torch.ones_like(slots[..., 0], dtype=torch.bool)
        output = self.model.match(features, valid, prompt)
        temperature = self.model.config.temperature.of(self.prompt)
        return output.points, tempered(output.probabilities, temperature, dims=2), features


def input_names(model: MatchingModel, prompt: str) -> list[str]:
    """The inputs of a file for a kind of prompt; InputError for one that the model does not take."""
    known = model.config.prompts
    if prompt not in known:
        raise InputError(
            f"{model.config.name} answers to {' or '.join(known)}, but the prompt was {prompt!r}; choose one."
        )
    names = ["pixels", *(["skeleton"] if model.head.uses_skeleton else [])]
    names += ["phrases"] if prompt in ("text", "both") else []
    return names + (["examples", "heat", "shown"] if prompt in ("example", "both") else [])


@torch.inference_mode()
def prompt_inputs(
    model: MatchingModel, category: Category, example: Example | Sequence[Example] | None = None, words: bool = True
) -> dict[str, np.ndarray]:
    """All inputs of a file but the pixels, for a category; the arguments are those of `MatchView.predict`."""
    prompt, _ = prompt_for(model, category, example, words)
    inputs: dict[str, np.ndarray] = {}
    if model.head.uses_skeleton:
        inputs["skeleton"] = np.zeros((1, len(category), len(category)), dtype=np.float32)
        for a, b in category.skeleton:
            inputs["skeleton"][0, [a, b], [b, a]] = 1
    if prompt.phrases is not None:
        inputs["phrases"] = prompt.phrases.float().cpu().numpy()
    if prompt.example_features is not None:
        inputs["examples"] = prompt.example_features.float().cpu().numpy()
        inputs["heat"] = prompt.heatmaps.cpu().numpy()
        inputs["shown"] = prompt.example_visible.cpu().numpy()
    return inputs


def export(model: MatchingModel, path: str | Path, prompt: str | None = None) -> list[str]:
    """Write the ONNX file, and return the names of its inputs.

    path: ends in .onnx, in a folder that exists.
    prompt: "text", "example" or "both"; None takes the last of these that the model takes.

    Raises InputError for a prompt that the model does not take, for another path, for a model with two image encoders,
    and where the packages are missing.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise InputError(f"An exported file's name must end in .onnx, but got {path}.")
    if not path.parent.is_dir():
        raise InputError(f"Cannot write {path}: there is no folder {path.parent}; make it first.")
    if model.example_encoder is not None:
        raise InputError(
            f"{model.config.name} has an image encoder of its own for examples, but a file has one for both; export a "
            "matcher with own_example_encoder: false."
        )
    prompt = prompt or next(name for name in reversed(PROMPTS) if name in model.config.prompts)
    if (kind := next(model.head.parameters())).device.type != "cpu" or kind.dtype != torch.float32:
        raise InputError(f"A model to export must be in float32 on the cpu, but is in {kind.dtype} on {kind.device}.")
    exported = ExportedMatcher(model.eval(), prompt)
    try:
        import onnx
        import onnxscript  # noqa: F401, torch's exporter imports it
    except ImportError as error:
        raise InputError(
            f"Exporting needs the packages onnx and onnxscript ({error}); pip install 'anykeypoint[onnx]'."
        ) from error
    with _without_fused_attention(), _without_warnings(), torch.no_grad():
        program = torch.onnx.export(
            exported,
            tuple(_sample(model, name) for name in exported.names),
            dynamo=True,
            opset_version=OPSET,
            input_names=exported.names,
            output_names=["points", "similarity", "features"],
            dynamic_shapes=(tuple(_dynamic(model)[name] for name in exported.names),),
            verbose=False,
        )
    made = program.model_proto
    onnx.helper.set_model_props(made, {"anykeypoint": json.dumps(_facts(model, prompt))})
    scratch = scratch_of(path)
    remove_killed(path.parent, re.escape(path.name))
    try:
        onnx.save(made, scratch)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    return exported.names


def _sample(model: MatchingModel, name: str) -> Tensor:
    """An input with two examples and three keypoints: the exporter takes sizes of 1 for fixed."""
    config, size = model.config, model.config.vision.image_size
    cells, examples, keypoints = size // model.encoder.map_stride, 2, 3
    draw = torch.Generator().manual_seed(0)
    if name == "shown":
        return torch.ones(1, examples, keypoints, dtype=torch.bool)
    shape = {
        "pixels": (1, 3, size, size),
        "skeleton": (1, keypoints, keypoints),
        "phrases": (1, keypoints, model.head.phrase_width),
        "examples": (1, examples, model.encoder.channels, cells, cells),
        "heat": (1, examples, keypoints, config.cells, config.cells),
    }[name]
    return torch.rand(shape, generator=draw)


def _dynamic(model: MatchingModel) -> dict[str, dict[int, Any]]:
    """The sizes of each input that may differ from call to call."""
    keypoints = torch.export.Dim("keypoints", max=model.head.most_keypoints or MOST)
    examples = torch.export.Dim("examples", max=MOST)
    return {
        "pixels": {},
        "skeleton": {1: keypoints, 2: keypoints},
        "phrases": {1: keypoints},
        "examples": {1: examples},
        "heat": {1: examples, 2: keypoints},
        "shown": {1: examples, 2: keypoints},
    }


def _facts(model: MatchingModel, prompt: str) -> dict[str, Any]:
    config, encoder = model.config, model.encoder
    return {
        "model": config.name,
        "prompt": prompt,
        "image_size": config.vision.image_size,
        "crop_scale": config.crop_scale,
        "released_crop": config.released_crop,
        "heat_cells": config.cells,
        "heat_sigma": config.sigma,
        "temperature": config.temperature.of(prompt),
        "mean": list(encoder.mean),
        "deviation": list(encoder.std),
    }


@contextmanager
def _without_warnings() -> Iterator[None]:
    """A context without the exporter's log messages and warnings about its own steps."""
    was = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """A context without torch's fused attention, which has no counterpart in ONNX."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
