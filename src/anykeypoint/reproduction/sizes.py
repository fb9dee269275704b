"""What a training at full size takes, before anything is downloaded: parameters, memory of a process, work, hours.

All follows from the config of the model, built without memory (`networks`), and from the recipe:

    weights      float32, 4 bytes each, or 2 with `frozen_precision: bf16`; with `shard` a process holds its share of
                 the language model's frozen layers
    gradients    float32, of what trains
    optimiser    two moments of AdamW in float32, of what trains, and the average where the recipe has one
    activations  what a forward pass keeps for its backward pass (`activations`), with `checkpointing` of one layer at a
                 time
    copies       copies of frozen weights in bfloat16, which automatic mixed precision makes of those in float32 and
                 keeps for as long

What CUDA itself takes, some 0.5 to 1 GiB, and what its allocator cannot use again come on top.

Work is counted in floating-point operations, two for a multiply-accumulate: a forward pass; once as much for the
gradient of the activations, in the encoder where something of it trains; once as much for the gradient of the weights,
where they train; and the forward pass of the layers once more with `checkpointing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..category import Category
from ..configs.strict import Config
from ..models.counting import count_macs, count_parameters, count_trainable
from ..models.generative.base import GenerativeModel
from ..training.generative.generative_config import GenerativeTrainConfig
from ..training.generative.memory import frozen_linears
from ..training.run_config import RunConfig
from .activations import Kept
from .devices import Device
from .items import ItemLengths, item_lengths
from .networks import empty_model
from .passes import encoder_macs, kept_of, language_macs, loss_of, match_of, prefix_length, sequence_batch, trains

GIB = 2**30
_WHOLE = 2  # layers whose shared weights are whole at a time: the one that runs, and the next


@dataclass(frozen=True)
class Memory:
    """Memory of one process in bytes; the parts are those of the module's description."""

    weights: int
    gradients: int
    optimiser: int
    activations: int
    copies: int

    @property
    def total(self) -> int:
        """All of it in bytes."""
        return self.weights + self.gradients + self.optimiser + self.activations + self.copies

    def fits(self, device: Device) -> bool:
        """Whether it fits into a device, of which a twentieth is left for what comes on top."""
        return self.total <= 0.95 * device.memory * GIB


@dataclass(frozen=True)
class TrainingSize:
    """What a training takes.

    recipe: the recipe, whose `checkpointing` and `shard` can be chosen otherwise in `memory` and `flops`.
    parameters: number of parameters, frozen ones too.
    trainable: number of those that train.
    prefix: tokens in front of a sample's text, those of the image and BOS; 0 for a matcher.
    lengths: of its samples; None for a matcher, whose samples are episodes.
    encoder_macs: multiply-accumulates of the image encoder in the forward pass of a sample.
    rest_macs: those of all else.
    encoder_trains: whether something of the image encoder trains, and whether all of it does.
    weight_macs: multiply-accumulates of the gradients of the other weights that train.
    kept: what a forward pass of the recipe's batch, of the longest samples, keeps for the backward pass.
    spread: bytes of the frozen weights of each layer of the language model; none for a matcher.
    halved: number of parameters that are kept in bfloat16.
    """

    recipe: RunConfig
    parameters: int
    trainable: int
    prefix: int
    lengths: ItemLengths | None
    encoder_macs: float
    rest_macs: float
    encoder_trains: tuple[bool, bool]
    weight_macs: float
    kept: Kept
    spread: tuple[int, ...] = ()
    halved: int = 0

    @property
    def half(self) -> bool:
        """Whether products are computed in bfloat16."""
        return self.recipe.precision == "bf16"

    @property
    def macs(self) -> float:
        """Multiply-accumulates of the forward pass of a sample."""
        return self.encoder_macs + self.rest_macs

    def flops(self, checkpointing: bool | None = None) -> float:
        """Floating-point operations of the training on a sample; None takes the recipe's `checkpointing`."""
        some, full = self.encoder_trains
        again = self._chosen("checkpointing", checkpointing)
        encoder = self.encoder_macs * (1 + some + full + (again and some))
        return 2 * (encoder + self.rest_macs * (2 + again) + self.weight_macs)

    def memory(self, processes: int = 1, checkpointing: bool | None = None, shard: bool | None = None) -> Memory:
        """Memory of one process.

        processes: number of processes, over which `shard` spreads weights.
        checkpointing, shard: None takes the recipe's.
        """
        weights, kept = 4 * self.parameters - 2 * self.halved, self.kept
        if self._chosen("shard", shard) and processes > 1:
            weights -= sum(self.spread) - sum(self.spread) // processes - _WHOLE * max(self.spread, default=0)
        whole, copies = kept.whole, kept.copies
        if self._chosen("checkpointing", checkpointing):
            whole, copies = kept.recomputed, kept.recomputed_copies
        moments = 2 + bool(self.recipe.ema)
        return Memory(weights, 4 * self.trainable, 4 * moments * self.trainable, whole - copies, copies)

    def hours(self, samples: float, device: Device, processes: int = 1) -> float:
        """The hours of the training on so many samples.

        samples: of the run over all processes, those of an epoch times the epochs.
        device: of each process.
        """
        return samples * self.flops() / (processes * device.speed(self.half)) / 3600

    def tokens_per_second(self, device: Device, processes: int = 1) -> float:
        """Tokens of the language model, the image's among them, that train in a second; 0 for a matcher."""
        if self.lengths is None:
            return 0.0
        return (self.prefix + self.lengths.text) * processes * device.speed(self.half) / self.flops()

    def _chosen(self, option: str, value: bool | None) -> bool:
        return getattr(self.recipe, option, False) if value is None else value


def training_size(config: Config, recipe: RunConfig, objects: Mapping[Category, int]) -> TrainingSize:
    """What a training takes; it is found in some seconds and without memory.

    config: of the model, see `networks.empty_model`.
    recipe: of the same family.
    objects: the number of objects of each category that is trained on.

    Raises InputError for a model whose size is not known.
    """
    with torch.device("meta"):
        model = empty_model(config)
        if isinstance(model, GenerativeModel):
            return _generative_size(model, recipe, objects)
        return _matching_size(model, recipe, objects)


def _generative_size(
    model: GenerativeModel, recipe: GenerativeTrainConfig, objects: Mapping[Category, int]
) -> TrainingSize:
    if only := getattr(recipe, "train_only", ""):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name.startswith(f"{only}."))
    halved = 0
    if recipe.frozen_precision == "bf16":
        for layer in frozen_linears(model):
            halved += count_parameters(layer.to(torch.bfloat16))
    lengths, prefix = item_lengths(model, recipe, objects), prefix_length(model)
    answers = max(1, round(lengths.answers))
    examples = recipe.batch if lengths.crops > 1 else 0
    batch = sequence_batch(model, recipe.batch, lengths.longest, answers, examples)
    trained = count_trainable(model.language)
    layers = model.language.base_model.layers
    return TrainingSize(
        recipe=recipe,
        parameters=count_parameters(model),
        trainable=count_trainable(model),
        prefix=prefix,
        lengths=lengths,
        encoder_macs=encoder_macs(model) * lengths.crops,
        rest_macs=language_macs(model, prefix + lengths.text, lengths.answers),
        encoder_trains=trains(model.encoder),
        weight_macs=trained * (prefix + lengths.text),
        kept=kept_of(model, loss_of(model, batch, recipe), recipe.precision == "bf16"),
        spread=tuple(sum(p.nbytes for n, p in one.named_parameters() if ".lora_" not in n) for one in layers),
        halved=halved,
    )


def _matching_size(model: nn.Module, recipe: RunConfig, objects: Mapping[Category, int]) -> TrainingSize:
    most = getattr(recipe, "most_keypoints", 0) or max(map(len, objects))
    lengths = {kind: min(len(kind), most) for kind in objects}  # an episode's keypoints
    keypoints = round(sum(lengths[kind] * count for kind, count in objects.items()) / sum(objects.values()))
    shots, by_example = recipe.shots, getattr(model.config, "takes_examples", True)
    head = count_macs(match_of(model, 1, shots, keypoints, encoded=True))
    kept = kept_of(model, match_of(model, recipe.batch, shots, max(lengths.values())), recipe.precision == "bf16")
    return TrainingSize(
        recipe=recipe,
        parameters=count_parameters(model),
        trainable=count_trainable(model),
        prefix=0,
        lengths=None,
        encoder_macs=encoder_macs(model) * (1 + shots * by_example),
        rest_macs=head,
        encoder_trains=trains(model.encoder),
        weight_macs=head,
        kept=kept,
    )
