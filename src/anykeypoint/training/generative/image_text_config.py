"""Options of a training run of an image-text model that names marked places."""

from dataclasses import dataclass
from typing import ClassVar

from ...crops.augment import LOCLLM, AugmentConfig
from ..run_config import RunConfig, check_choices, check_frozen_precision, check_shares


@dataclass(frozen=True)
class ImageTextTrainConfig(RunConfig):
    """A training run of "LLaVA*" (KptLLM++, Table 1). The paper says "fine-tuned using LoRA" and no more.

    All defaults are those of KptLLM's own run (`KptLLMTrainConfig`), so that the two rows differ in the model alone. A
    sample is one marked point; an epoch is every labelled point once.

    sampling: "epoch".
    batch: number of marked crops in one forward pass of one process.
    warmup: length of the warm-up as a share of the run.
    frozen_precision: precision in which the frozen weights of linear layers are kept; "bf16" takes half the memory and
        changes no bit of what is learnt, as the precision "bf16", which it needs, rounds them for each product anyway.
    checkpointing: keep only the input of each layer and compute the rest again in the backward pass.
    """

    called: ClassVar[str] = "The options of a training run"

    batch: int = 16
    lr: float = 2e-4
    warmup: float = 0.03
    frozen_precision: str = "fp32"
    checkpointing: bool = False
    augment: AugmentConfig = LOCLLM

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, sampling=("epoch",))
        check_frozen_precision(self.frozen_precision, self.precision)
        check_shares(self, "warmup")
