"""Training of KptLLM: each sample is a picture with one conversation, or with all conversations of an object."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ...data.synthetic import SyntheticObject
from ...errors import InputError
from ...forms.dataset import Dataset, LabelledObject
from ...instructions.tasks import MISNAMED
from ...models.generative.capellm import CapeLLM
from ...models.generative.kptllm import KptLLM
from ...models.generative.kptllm_config import KptLLMConfig
from .. import loop
from ..trainer import StepPlan
from .answer_losses import digits_loss, point_loss, spread_loss, text_loss
from .generative_trainer import GenerativeTrainer, check_shared
from .guidance import guided_losses
from .kptllm_config import KptLLMTrainConfig
from .object_sampler import TrainingObject
from .task_sequences import EXAMPLE_TASKS, TaskBatch, TaskSequence, build_task_sequences, collate_tasks
from .wrong_names import has_wrong_name

ALONE = ("identify", "text", "misnamed")  # tasks that need no example
PROMPT_PARTS = ("extractor", "prompt_projection", "keypoint_token")  # modules of the model that train with prompt_lr


def train(
    model: KptLLM,
    data: Dataset,
    config: KptLLMTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> KptLLM:
    """Train a KptLLM in place, see `loop.run` for `out` and what follows it. Returns the model.

    Categories that have no example for want of a second object are named on stderr. With `config.shard` the returned
    model stays sharded, and with frozen weights in bfloat16 these stay so; load `out/model` for one that predicts.
    Raises InputError when nothing is trainable or when the data does not allow the recipe's tasks.
    """
    loop.run(KptLLMTrainer(model, data, config), out, on_step, stop_after, quiet)
    return model


def from_capellm(config: KptLLMConfig, source: CapeLLM, seed: int = 0) -> KptLLM:
    """A new KptLLM with the image encoder, language model, adapters and projection of a CapeLLM. The rest is random.

    Prompt tokens are at first projected as image tokens are, which the language model has learnt to read. Raises
    InputError unless both configs agree in encoder, language model and kind of answers.

    config: description of the new model.
    source: the trained CapeLLM; its modules are used, not copied.
    seed: seed of the random weights.
    """
    shared = ("vision", "language", "answer", "keypoint_token", "spread", "spaced")
    check_shared(config, source.config, shared, "A KptLLM that starts from a CapeLLM")
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


class KptLLMTrainer(GenerativeTrainer):
    """The trainer of a KptLLM; see `Trainer` for the methods."""

    model: KptLLM
    config: KptLLMTrainConfig

    def __init__(self, model: KptLLM, data: Dataset, config: KptLLMTrainConfig) -> None:
        """Raises InputError where the loss does not fit the model's answers, or the tasks do not fit the data."""
        super().__init__(model, data.objects, config, getattr(data, "weights", None))
        if config.loss == "digits" and model.keypoint_token is not None:
            raise InputError(
                "The loss 'digits' cannot train a model that answers with <KEYPOINT>; use the loss 'text'."
            )
        self.members: dict[int, list[LabelledObject]] = {}
        for item in data.objects:
            self.members.setdefault(item.category_id, []).append(item)
        self.single = [items[0].category.name for items in self.members.values() if len(items) == 1]
        self._check_misnamed()
        if self.single and not any(getattr(config.tasks, task) for task in ALONE):
            raise InputError(
                f"Every task of the recipe needs an example, but {self.single[0]!r} has a single object; complete the "
                "data, take the category out, or train identify or text beside."
            )

    def _check_misnamed(self) -> None:
        """InputError where the recipe has misnamed conversations, and the model's form or the data has none."""
        asked = [task for task in MISNAMED if getattr(self.config.tasks, task)]
        if not asked:
            return
        form = self.model.form
        if lacking := [task for task in asked if task not in form.tasks]:
            raise InputError(f"The task form {form.name!r} has no {lacking[0]}; add it there, or leave the task out.")
        if set(asked) == {task for task, weight in vars(self.config.tasks).items() if weight} and not any(
            has_wrong_name(item.category, 0) for item in self.objects
        ):
            raise InputError(
                "Every task of the recipe needs a wrong name, but no category has two names; train identify or text "
                "beside."
            )

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        plan = super().prepare(accelerator, out)
        with_examples = any(getattr(self.config.tasks, task) for task in EXAMPLE_TASKS)
        if self.single and with_examples and accelerator.is_main_process:
            print(
                f"{len(self.single)} categories have a single object and no example: {', '.join(self.single)}.",
                file=sys.stderr,
            )
        return plan

    def parameter_groups(self) -> list[dict]:
        language, prompt, encoder = self._split_parameters()
        language += self.auxiliary_parameters().values()
        rates = (self.config.lr, self.config.prompt_lr, self.config.encoder_lr)
        groups = zip((language, prompt, encoder), rates, strict=True)
        return [{"params": params, "lr": rate or self.config.lr} for params, rate in groups if params]

    def _split_parameters(self) -> tuple[list, list, list]:
        """What trains: language model and projection, modules of prompt tokens, image encoder."""
        language, prompt, encoder = [], [], []
        for name, parameter in self.model.named_parameters():
            part = name.partition(".")[0]
            if parameter.requires_grad:
                (prompt if part in PROMPT_PARTS else encoder if part == "encoder" else language).append(parameter)
        return language, prompt, encoder

    def loss_names(self, step: int) -> tuple[str, ...]:
        separate = self.model.keypoint_token is not None or self.config.loss == "digits"
        answers = ("points", "words", *self.spread_names()) if separate else ("answers",)
        return ("loss", *answers, *self.guidance_names())

    def groups(self, item: LabelledObject | SyntheticObject, rng: np.random.Generator) -> list[list[int]]:
        labelled = np.flatnonzero(np.isfinite(item.points).all(1)).tolist()
        return [[i] for i in labelled] * self.config.asks

    def sequences(
        self, item: TrainingObject, rng: np.random.Generator, step: int, group: list[int] | None = None
    ) -> list[TaskSequence]:
        return build_task_sequences(self.model, item, self.config, rng, self.members, group)

    def losses(self, batch: list[TaskSequence], step: int) -> dict[str, Tensor]:
        moved = collate_tasks(batch, self.model.codec.base).to(self.model.device)
        return task_losses(self.model, moved, self.config, self.readers)


def task_losses(
    model: KptLLM, batch: TaskBatch, config: KptLLMTrainConfig, readers: nn.ModuleDict | None = None
) -> dict[str, Tensor]:
    """One forward pass of KptLLM. Returns scalars: "loss", and its terms without gradient.

    With the loss "text" there is one term, "answers", the mean over all answers' tokens (Eq. 6 and 8). With the loss
    "digits" and with <KEYPOINT> answers there are two, "points" and "words", with the weights of the recipe (Eq. 7).
    The words are the names, and where the model writes <KEYPOINT> itself all tokens of the answers.

    model: the model that is trained.
    batch: sequences that were built for it.
    config: the options of the run.
    readers: the modules of `guidance.make_readers`, where the recipe has any.
    """

    def states() -> Tensor:
        normalise = model.encoder.normalise
        examples = None if batch.examples is None else normalise(batch.examples)
        pixels = normalise(batch.pixels)
        return model(pixels, batch.tokens, batch.mask, batch.positions, examples, batch.prompt_crops, batch.prompts)

    def answers(hidden: Tensor) -> dict[str, Tensor]:
        if model.keypoint_token is None and config.loss == "text":
            return {"answers": text_loss(model, hidden, batch.text_targets)}
        terms = {}
        if batch.answers and model.keypoint_token is not None:
            terms["points"] = config.point * point_loss(model, hidden, batch)
        elif batch.answers:
            terms["points"] = digits_loss(model, hidden, batch)
        words = batch.text_targets if model.writes_token else batch.word_targets
        if len(words):
            terms["words"] = config.words * text_loss(model, hidden, words)
        return terms | spread_loss(model, hidden, batch)

    return guided_losses(model, batch, config.guide, states, answers, readers=readers)
