"""KptLLM's course: objects, each behind its crop with conversations of all tasks, shown places among them."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ...errors import InputError
from ...forms.dataset import Dataset, LabelledObject
from ...models.generative.capellm import CapeLLM
from ...models.generative.kptllm import KptLLM
from ...models.generative.kptllm_config import KptLLMConfig
from .. import loop
from .capellm import CapeLLMCourse, Plan
from .kptllm_config import KptTrainConfig
from .losses import digits_loss, guided_loss, point_loss, text_loss
from .sequences import MadeUp
from .tasks import OF_EXAMPLES, TaskBatch, TaskSequence, build_task_sequences, collate_tasks

PROMPT_PARTS = ("extractor", "prompt_projection", "keypoint_token")  # of the model: what `prompt_lr` is of


def train(
    model: KptLLM,
    data: Dataset,
    config: KptTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
) -> KptLLM:
    """Train what of the model is trainable, as `loop.run` says; returns it. Says on stderr what has no examples.

    With `config.shard` the returned model stays spread over the processes; load `out/model` for one to work with.
    Raises InputError when nothing is trainable or what is asked for cannot be learnt.
    """
    loop.run(KptCourse(model, data, config), out, on_step, stop_after)
    return model


def from_capellm(config: KptLLMConfig, source: CapeLLM, seed: int = 0) -> KptLLM:
    """A new KptLLM round the towers, adapters and projection of a CapeLLM, which it takes over; the rest is random.

    Prompt tokens are projected as the image's own at first, which the language model has learnt to read.
    Raises InputError unless both are described by the same towers and answers.
    """
    for key in ("vision", "language", "answer", "spaced"):
        ours, theirs = getattr(config, key), getattr(source.config, key)
        if ours != theirs:
            raise InputError(
                f"A KptLLM that starts from a CapeLLM has its {key}, which is {_plain(theirs)}, but got {_plain(ours)}."
            )
    if config.projector != "linear":
        raise InputError(f"A CapeLLM's projection is linear, but the new model's projector is {config.projector!r}.")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = KptLLM(config, source.encoder, source.language, source.tokenizer)
    model.projection = source.projection
    model.prompt_projection.load_state_dict(source.projection.state_dict())
    if source.keypoint_token is not None:
        model.keypoint_token = source.keypoint_token
    return model.eval()


class KptCourse(CapeLLMCourse):
    """See `Course`. As CapeLLM's, with conversations of several tasks."""

    def __init__(self, model: KptLLM, data: Dataset, config: KptTrainConfig) -> None:
        super().__init__(model, data.objects, config, getattr(data, "weights", None))
        check(model, config)
        self.members: dict[int, list[LabelledObject]] = {}
        for item in data.objects:
            self.members.setdefault(item.category_id, []).append(item)
        self.single = [rows[0].category.name for rows in self.members.values() if len(rows) == 1]
        if self.single and not (config.tasks.identify or config.tasks.text):
            raise InputError(
                f"Every task of the recipe needs an example, but {self.single[0]!r} has a single object; complete the "
                "data, take the category out, or train identify or text beside."
            )

    def settle(self, accelerator: Accelerator, out: Path) -> Plan:
        plan = super().settle(accelerator, out)
        if self.single and accelerator.is_main_process and any(getattr(self.config.tasks, t) for t in OF_EXAMPLES):
            print(
                f"{len(self.single)} categories have a single object and no example: {', '.join(self.single)}.",
                file=sys.stderr,
            )
        return plan

    def groups(self) -> list[dict]:
        *first, encoder = self._split()
        rates = (self.config.lr, self.config.prompt_lr, self.config.encoder_lr)
        first[0] += self.beside().values()
        groups = zip((*first, encoder), rates, strict=True)
        return [{"params": params, "lr": rate or self.config.lr} for params, rate in groups if params]

    def _split(self) -> tuple[list, list, list]:
        """What trains: the decoder's and the projection, the prompt tokens', the encoder's."""
        parts: tuple[list, list, list] = ([], [], [])
        for name, parameter in self.model.named_parameters():
            part = name.partition(".")[0]
            if parameter.requires_grad:
                parts[1 if part in PROMPT_PARTS else 2 if part == "encoder" else 0].append(parameter)
        return parts

    def parts(self, step: int) -> tuple[str, ...]:
        points = ("points", "words") if self._apart else ("answers",)
        guide = self.config.guide
        guided = [name for name, there in (("guide", guide.layers), ("read", self.readers is not None)) if there]
        return ("loss", *points, *guided)

    def built(
        self, item: LabelledObject | MadeUp, rng: np.random.Generator, answered: bool = True
    ) -> list[TaskSequence]:
        return build_task_sequences(self.model, item, self.config, rng, self.members)

    def losses(self, batch: list[TaskSequence], step: int) -> dict[str, Tensor]:
        moved = collate_tasks(batch, self.model.codec.base).to(self.model.device)
        return task_loss(self.model, moved, self.config, self.readers)

    @property
    def _apart(self) -> bool:
        return self.model.keypoint_token is not None or self.config.loss == "digits"


def check(model: KptLLM, config: KptTrainConfig) -> None:
    """InputError where the model's answers are not what the recipe's loss can learn from."""
    if config.loss == "digits" and model.keypoint_token is not None:
        raise InputError("The loss 'digits' cannot train a model that answers with <KEYPOINT>; use the loss 'text'.")


def task_loss(
    model: KptLLM, batch: TaskBatch, config: KptTrainConfig, readers: nn.ModuleDict | None = None
) -> dict[str, Tensor]:
    """One forward pass of a packed batch. Returns "loss" and its parts, each a scalar.

    With the loss "text" they are one, the mean over all answers' tokens (Eq. 6 and 8). Points and words are apart with
    <KEYPOINT> answers (Eq. 7) and with the loss "digits", whose free positions are no tokens like others.
    """

    def states() -> Tensor:
        normalise = model.encoder.normalise
        shown = None if batch.shown is None else normalise(batch.shown)
        pixels = normalise(batch.pixels)
        return model(pixels, batch.tokens, batch.sees, batch.positions, shown, batch.owners, batch.prompts)

    def answers(hidden: Tensor) -> dict[str, Tensor]:
        if model.keypoint_token is None and config.loss == "text":
            return {"answers": text_loss(model, hidden, batch.text)}
        parts = {}
        if batch.answers and model.keypoint_token is not None:
            parts["points"] = config.point * point_loss(model, hidden, batch)
        elif batch.answers:
            parts["points"] = digits_loss(model, hidden, batch)
        if len(batch.words):
            parts["words"] = config.words * text_loss(model, hidden, batch.words)
        return parts

    return guided_loss(model, batch, config.guide, states, answers, readers=readers)


def _plain(value: object) -> object:
    """A setting as a sentence can show it."""
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
