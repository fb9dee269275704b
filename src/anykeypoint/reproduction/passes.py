"""One training sample's way through a model at full size, on torch's device "meta": its products, and what it keeps.

Letters: B samples of a forward pass, S side of a crop in pixels, P tokens of the image prefix, T text tokens, K
keypoints, R prompt tokens, E pictures of examples.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as meta

from ..models.counting import count_macs, count_parameters
from ..models.fewshot.fewshot_model import FewShotModel
from ..models.generative.base import GenerativeModel
from ..models.generative.capellm import CapeLLM
from ..models.matching.heads.base import Prompt
from ..models.matching.model import MatchingModel
from ..training.generative.answer_losses import training_losses
from ..training.generative.generative_config import GenerativeTrainConfig
from ..training.generative.kptllm_trainer import task_losses
from ..training.generative.memory import recomputable
from ..training.generative.sequence_batch import SequenceBatch
from ..training.generative.task_sequences import TaskBatch
from .activations import Kept, kept

HEATMAP_CELLS = 64  # cells on a side of a matcher's heat maps


def sequence_batch(model: GenerativeModel, count: int, text: int, answers: int, examples: int = 0) -> SequenceBatch:
    """A batch of `count` samples on "meta", each with a crop, T text tokens and the tokens of its answers at the end.

    examples: number of the samples that have an example's picture; of a KptLLM alone.
    """
    size = model.config.vision.image_size
    pixels = torch.zeros(count, size, size, 3, dtype=torch.uint8)
    places = torch.zeros(count * answers, 3, dtype=torch.long)
    points = places[: 2 * count, :2]
    values: dict[str, Any] = {
        "pixels": pixels,
        "tokens": torch.zeros(count, text, dtype=torch.long),
        "positions": torch.zeros(count, text, dtype=torch.long),
        "mask": torch.zeros(count, text, text, dtype=torch.bool),
        "text_targets": places,
        "word_targets": places,
        "lead_targets": (points, torch.zeros(len(points), 2)),
        "digit_targets": (points, torch.zeros(len(points), model.codec.base)),
        "point_targets": (points, torch.zeros(len(points), 2)),
        "answers": count,
    }
    if isinstance(model, CapeLLM):
        return SequenceBatch(**values)
    crops, prompts = torch.zeros(count, dtype=torch.long), torch.zeros(count, 2)
    shown = torch.zeros(examples, size, size, 3, dtype=torch.uint8) if examples else None
    return TaskBatch(**values, examples=shown, prompt_crops=crops, prompts=prompts)


def loss_of(model: GenerativeModel, batch: SequenceBatch, recipe: GenerativeTrainConfig) -> Callable[[], Any]:
    """What runs the forward pass of a training on a batch, up to its loss."""
    if isinstance(model, CapeLLM):
        return lambda: training_losses(model, batch, recipe)["loss"]
    return lambda: task_losses(model, batch, recipe)["loss"]


def match_of(
    model: MatchingModel | FewShotModel, count: int, shots: int, keypoints: int, encoded: bool = False
) -> Callable[[], Any]:
    """What runs the forward pass of a matcher or a few-shot baseline on `count` episodes.

    A few-shot baseline's method takes steps of its own on the examples, which are left out.

    encoded: whether the features of the crops are there already, so that the image encoder does not run.
    """
    size = model.config.vision.image_size

    def features(*shape: int, examples: bool = False) -> Tensor:
        if encoded:
            side = size // model.encoder.map_stride
            return torch.zeros(*shape, model.encoder.channels, side, side)
        pixels = torch.zeros(*shape, 3, size, size)
        if isinstance(model, FewShotModel):
            return model.encoder.map(pixels.flatten(0, -4))
        return model.features(pixels, examples)

    def run() -> Any:
        if isinstance(model, FewShotModel):
            return features(count), features(count, shots)
        given: dict[str, Any] = {}
        if model.config.takes_examples:
            given["example_features"] = features(count, shots, examples=True)
            given["heatmaps"] = torch.zeros(count, shots, keypoints, HEATMAP_CELLS, HEATMAP_CELLS)
            if model.head.reads_points:
                given["example_points"] = torch.zeros(count, shots, keypoints, 2)
        if model.config.takes_text:
            given["phrases"] = torch.zeros(count, keypoints, model.phrase_width)
        with meta.patch(meta_nonzero_assume_all_nonzero=True):  # for POMNet, which asks which keypoints are valid
            return model.match(features(count), torch.ones(count, keypoints, dtype=torch.bool), Prompt(**given))

    return run


def encoder_macs(model: nn.Module) -> int:
    """The multiply-accumulates of the image encoder for one crop."""
    size = model.config.vision.image_size
    pixels = torch.zeros(1, 3, size, size)
    return count_macs(lambda: model.encoder.tokens(pixels))


def language_macs(model: GenerativeModel, tokens: float, answers: float) -> float:
    """The multiply-accumulates behind the image encoder for one sample: each weight of a linear layer once a token, the
    two products of attention, and the output layer where something is learnt.

    tokens: P + T. answers: number of tokens that are learnt.
    """
    settings, decoder = model.language.config, model.language.base_model
    rows, columns = model.encoder.grid(model.config.vision.image_size)
    each = sum(part.weight.numel() for part in decoder.layers.modules() if type(part) is nn.Linear)
    attention = 2 * settings.num_hidden_layers * settings.num_attention_heads * decoder.layers[0].self_attn.head_dim
    head = settings.vocab_size * settings.hidden_size
    return tokens * each + tokens**2 * attention + answers * head + rows * columns * count_parameters(model.projection)


def prefix_length(model: GenerativeModel) -> int:
    """P: BOS, what the instruction form has in front of the image, and the image's tokens."""
    rows, columns = model.encoder.grid(model.config.vision.image_size)
    form = model.instruction if isinstance(model, CapeLLM) else model.form.text
    return rows * columns + (model.tokenizer.bos_token_id is not None) + len(model.tokenize([form.before])[0])


def kept_of(model: nn.Module, call: Callable[[], Any], half: bool) -> Kept:
    """What a forward pass in training mode keeps for its backward pass; the model is in eval mode afterwards."""
    layers: Sequence[nn.Module] = recomputable(model) if isinstance(model, GenerativeModel) else []
    model.train()
    try:
        return kept(call, model, layers, half)
    finally:
        model.eval()


def trains(part: nn.Module) -> tuple[bool, bool]:
    """Whether some parameter of a part trains, and whether all that the tuning "full" has do."""
    names = [(name, parameter.requires_grad) for name, parameter in part.named_parameters()]
    some = any(flag for _, flag in names)
    return some, some and not any(".lora_" in name for name, flag in names if flag)
