"""Options that the training runs of CapeLLM and KptLLM share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...configs.checks import check_positive, check_whole
from ...configs.strict import Config
from ...errors import InputError
from ..run_config import (
    RunConfig,
    check_choices,
    check_from_zero,
    check_frozen_precision,
    check_options,
    check_shares,
)

LOSSES = ("text", "digits")
SAMPLINGS = ("epoch", "balanced")
ITEMS = ("group", "object")
DESCRIPTIONS = ("detailed", "vague", "simplified", "sentences")


@dataclass(frozen=True)
class GuideConfig(Config):
    """Attention guidance, which is not from the papers: some attention heads are trained to attend to the keypoint.

    layers: indices of the guided decoder layers; none switches guidance off.
    groups: number of key-value groups in each of these layers whose heads are guided.
    weight: weight of the guidance loss beside the answers' loss.
    sigma: standard deviation of the target Gaussian, as a share of the crop's side.
    read: weight of the loss of a point that is predicted linearly from the hidden states behind each guided layer.
    alone: number of steps at the start that train guidance of the first guided layer only, on questions without
        answers.
    """

    called: ClassVar[str] = "The options of the guide"

    layers: tuple[int, ...] = ()
    groups: int = 1
    weight: float = 1.0
    sigma: float = 0.05
    read: float = 0.0
    alone: int = 0

    def __post_init__(self) -> None:
        for layer in self.layers:
            check_whole(layer, "Each of the guide's layers", least=0)
        check_whole(self.groups, "The guide's groups")
        check_whole(self.alone, "The guide's alone", least=0)
        check_positive(self.sigma, "The guide's sigma")
        for name in ("weight", "read"):
            check_positive(getattr(self, name), f"The guide's {name}", zero=True)


@dataclass(frozen=True)
class GenerativeTrainConfig(RunConfig):
    """A training run of a model that writes its answers. See RunConfig for the options of all runs.

    item: what a training sample is, of which `batch` and `accumulate` count. "group" is the papers' unit: one picture
        with one conversation, in a crop of its own. "object" is ours and faster by the question, as one pass of the
        image encoder serves many of them: one picture with all conversations of the object, packed behind one crop.
    sampling: "epoch" takes every item once in an epoch; "balanced" draws the category by the square root of its
        number of objects.
    pack: with the item "object", most questions in one sequence; conversations do not attend to each other. With
        sampling "epoch" an object with more questions makes several sequences, with "balanced" the rest is left out.
    loss: "text" trains all tokens of the answers; "digits" trains a point's free positions only, among the token ids
        that are allowed there.
    sigma: standard deviation of the target distribution with the loss "digits", as a share of the crop's side; 0 puts
        all probability on the true value.
    describe: share of the questions that give a description of the keypoint.
    descriptions: which descriptions: "detailed", "vague" (CapeLLM, Table 5), "simplified" (Table 6) or "sentences".
    replace: share of the described questions whose description is replaced by the statement that there is none
        (CapeLLM, Table 7).
    noun: share of the questions that name the object; the others say "object".
    made_up: share of synthetic objects among the objects drawn, with sampling "balanced".
    warmup: length of the warm-up as a share of the run.
    frozen_precision: precision in which the frozen weights of linear layers are kept; "bf16" takes half the memory and
        changes no bit of what is learnt, as the precision "bf16", which it needs, rounds them for each product anyway.
    checkpointing: keep only the input of each layer and compute the rest again in the backward pass.
    shard: shard the frozen weights of the language model's layers over all processes.
    guide: attention guidance.
    """

    earlier: ClassVar[Mapping[str, Any]] = {"item": "object"}

    item: str = "group"
    pack: int = 64
    loss: str = "text"
    sigma: float = 0.0
    describe: float = 1.0
    descriptions: str = "detailed"
    replace: float = 0.0
    noun: float = 1.0
    made_up: float = 0.0
    warmup: float = 0.03
    frozen_precision: str = "fp32"
    checkpointing: bool = False
    shard: bool = False
    guide: GuideConfig = field(default_factory=GuideConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, item=ITEMS, loss=LOSSES, sampling=SAMPLINGS, descriptions=DESCRIPTIONS)
        check_frozen_precision(self.frozen_precision, self.precision)
        check_options(self, check_whole, "pack")
        check_shares(self, "describe", "replace", "noun", "made_up", "warmup")
        check_from_zero(self, "sigma")
        if self.made_up and self.sampling != "balanced":
            raise InputError("made_up needs sampling 'balanced': an epoch is made of the data's own objects only.")
        if self.shard and self.guide.layers:
            raise InputError("guide.layers reads weights that shard spreads over processes; use one of them only.")
        if self.sigma and self.loss == "text":
            raise InputError("sigma needs loss 'digits': a spread target is a distribution over values, not a text.")
