"""The training loop of all model families, for one CPU, one GPU or many hosts (`accelerate launch`).

All random numbers come from the seed and from the number of the sample, step or epoch. A resumed run therefore draws
what the uninterrupted run would have drawn, and checkpoints hold no state of generators.
"""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, parse_flag_from_env
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..configs.strict import Config
from ..configs.yaml_files import from_mapping
from ..errors import InputError
from ..forms.dataset import label_lines
from ..models.seen_names import SeenNames
from .checkpoints import newest_valid, remove_leftovers, save_checkpoint, step_of
from .claims import claimed
from .flips import flip_lines, say_flips
from .product_speed import slow_precision
from .progress import TrainingLog
from .trainer import MicroBatch, StepPlan, Trainer

# How long processes wait for each other. One of them validates before the training, and each computes features of its
# own objects; torch gives up after ten minutes on GPUs.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class RunState:
    """What a training run changes and a checkpoint holds: named tensors, and the state of the optimiser.

    parameters: all that train, the trainer's auxiliary ones included.
    average: their moving averages; empty where the run has none.
    statistics: running statistics of batch norms in training mode, which no gradient changes.
    optimizer: AdamW over the trainer's parameter groups.
    full_rates: full learning rate of each parameter group.
    """

    parameters: dict[str, nn.Parameter]
    average: dict[str, Tensor]
    statistics: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    full_rates: list[float]

    @classmethod
    def of(cls, trainer: Trainer) -> "RunState":
        """The state at the start of a run of a prepared trainer."""
        model, config = trainer.model, trainer.config
        groups = trainer.parameter_groups()
        full_rates = [group["lr"] for group in groups]  # the run changes those of the groups themselves
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        parameters |= trainer.auxiliary_parameters()
        average = {name: p.detach().clone() for name, p in parameters.items()} if config.ema else {}
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        return cls(parameters, average, _batch_norm_statistics(model), optimizer, full_rates)

    @property
    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The tables of tensors by the name of their file in a checkpoint; empty ones have no file."""
        tables = {"weights": self.parameters, "average": self.average, "statistics": self.statistics}
        return {name: table for name, table in tables.items() if table}

    def set_rates(self, factor: float) -> None:
        """Set all learning rates to `factor` times the full ones."""
        for group, full in zip(self.optimizer.param_groups, self.full_rates, strict=True):
            group["lr"] = full * factor

    def update_average(self, decay: float, step: int) -> None:
        """Move the averages towards the parameters after a step, counted from 0; early steps have a smaller decay."""
        for name, mean in self.average.items():
            mean.lerp_(self.parameters[name].detach(), 1 - min(decay, (step + 1) / (step + 10)))

    @torch.no_grad()
    def apply_average(self) -> None:
        """Put the averages in place of the parameters, where the run has averages."""
        for name, mean in self.average.items():
            self.parameters[name].copy_(mean)


@contextmanager
def _state_of_its_own() -> Iterator[None]:
    """Accelerate keeps the precision of a process's first `Accelerator` for all others: a run neither takes nor leaves
    one."""
    before = dict(AcceleratorState._shared_state)
    AcceleratorState._reset_state()
    try:
        yield
    finally:
        AcceleratorState._reset_state()
        AcceleratorState._shared_state.update(before)


@_state_of_its_own()
def run(
    trainer: Trainer,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> None:
    """Train the trainer's model in place. Continues from the newest valid checkpoint in `out/checkpoints`.

    Writes `out/log.jsonl` (a line per step with loss, its terms, learning rate, gradient norm and numbers of crops),
    the same as curves in `out/tensorboard` where TensorBoard is installed, `out/flips.txt` with what mirrored crops
    exchange, where the recipe flips, and at the end the model's folder `out/model`. Raises InputError when nothing is
    trainable, when another process trains in `out`, when the checkpoint was made with other options, when a name has a
    side without a partner (`flips`), or on a loss that is not finite.

    trainer: the model, its data and the options of the run.
    out: folder of the run; it is created.
    on_step: called after each step with its number, from 1, and the values of its log line.
    stop_after: number of the step after which the run ends at once, as if it had been killed.
    quiet: no progress on stderr.
    """
    if parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise InputError(
            "Accelerate's FSDP setting is not used here; turn it off and write 'shard: true' in the recipe."
        )
    model, config = trainer.model, trainer.config
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("Nothing of the model is trainable: all of it has requires_grad off; build or load it anew.")
    lines = flip_lines(trainer.categories(), config)
    with claimed(out):
        _run(trainer, out, lines, on_step, stop_after, quiet)


def _run(
    trainer: Trainer,
    out: Path,
    lines: Sequence[str],
    on_step: Callable[[int, dict[str, float]], None] | None,
    stop_after: int | None,
    quiet: bool,
) -> None:
    """See `run`; lines: what mirrored crops exchange, see `flip_lines`."""
    model, config = trainer.model, trainer.config
    patience = InitProcessGroupKwargs(timeout=_PATIENCE)
    accelerator = Accelerator(
        mixed_precision="bf16" if config.precision == "bf16" else "no", kwargs_handlers=[patience]
    )
    plan = trainer.prepare(accelerator, out)
    state = RunState.of(trainer)
    made_of = _made_of(trainer, plan)
    start = _resume(trainer, out, plan, state, made_of)
    main = accelerator.is_main_process
    if main:
        remove_leftovers(out / "checkpoints")
        for line in say_flips(lines, out):
            if not quiet:
                print(line, file=sys.stderr, flush=True)
        if not quiet and (line := slow_precision(config.precision, accelerator.device.type)):
            print(line, file=sys.stderr, flush=True)
    with trainer.context(), TrainingLog(out, plan.steps, start, main, quiet) as log:
        for step in range(start, plan.steps):
            state.set_rates(trainer.rate_factor(step))
            values = _take_step(accelerator, trainer, plan, state, step)
            state.update_average(config.ema, step)
            values["lr"] = state.optimizer.param_groups[0]["lr"]
            log.step(step + 1, values)
            if main and ((step + 1) % config.save_every == 0 or step + 1 == plan.steps):
                _save(trainer, out, step + 1, state, made_of)
            accelerator.wait_for_everyone()
            if on_step is not None:
                on_step(step + 1, values)
            if stop_after is not None and step + 1 >= stop_after:
                return
    state.apply_average()
    model.eval()
    if main:
        if hasattr(model, "seen_names"):  # models that read words
            model.seen_names = SeenNames.of(trainer.categories(), model.seen_names)
        model.save_pretrained(out / "model")


def _take_step(
    accelerator: Accelerator, trainer: Trainer, plan: StepPlan, state: RunState, step: int
) -> dict[str, float]:
    """One optimiser step. Returns the values of its log line, means over all processes.

    Gradients are averaged over the processes once a step and by hand, so that a process whose samples are all skipped
    adds zeros instead of leaving the others waiting.
    """
    trainer.model.train()
    micro_batches = plan.micro_batches(step, accelerator.process_index)
    means = dict.fromkeys(trainer.loss_names(step), 0.0)
    crops = skipped = 0
    for numbers in micro_batches:
        loaded = trainer.load(numbers, step)
        crops += loaded.crops
        skipped += loaded.skipped
        for name, value in _backward(accelerator, trainer, loaded, len(micro_batches), step).items():
            means[name] += value
    parameters = list(state.parameters.values())
    if accelerator.num_processes > 1:
        _average_gradients(accelerator, parameters)
        sums = torch.tensor([*means.values(), crops, skipped], device=accelerator.device)
        *sums, crops, skipped = accelerator.reduce(sums, "sum").tolist()
        means = {name: value / accelerator.num_processes for name, value in zip(means, sums, strict=True)}
    norm = torch.nn.utils.clip_grad_norm_(parameters, trainer.config.clip or math.inf)
    state.optimizer.step()
    state.optimizer.zero_grad()
    return {**means, "grad_norm": float(norm), "crops": int(crops), "skipped": int(skipped)}


def _average_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Set each gradient to its mean over all processes, in one exchange for each precision: hundreds cost seconds."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for dtype in sorted({parameter.dtype for parameter in parameters}, key=str):
        gradients = [parameter.grad for parameter in parameters if parameter.dtype == dtype]
        means = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
        for gradient, mean in zip(gradients, means.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def _backward(
    accelerator: Accelerator, trainer: Trainer, loaded: MicroBatch, count: int, step: int
) -> dict[str, float]:
    """Forward and backward passes of one micro-batch. Returns its weighted loss and terms.

    count: number of micro-batches of the step, which all weigh the same.
    """
    torch.manual_seed(loaded.seed)
    dummies = 0
    if trainer.collective:  # the numbers are exchanged before any forward pass, whose collectives must be in one order
        counts = accelerator.gather(torch.tensor([len(loaded.batches)], device=accelerator.device))
        dummies = int(counts.max()) - len(loaded.batches)
    sums: dict[str, float] = {}
    for batch, share in loaded.batches:
        with accelerator.autocast():
            losses = trainer.losses(batch, step)
        if not torch.isfinite(losses["loss"]):
            names = ", ".join(loaded.names)
            raise InputError(
                f"The loss became {losses['loss'].item()} at step {step + 1} on objects {names}; lower the rate."
            )
        weight = share / count
        (losses["loss"] * weight).backward()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item() * weight
    for _ in range(dummies):
        with accelerator.autocast():
            trainer.dummy_pass()
    return sums


def _batch_norm_statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers of batch norms that are updated in training, by name."""
    model.train()  # frozen encoders keep their batch norms in evaluation mode all the same
    kind = nn.modules.batchnorm._BatchNorm
    norms = [(name, norm) for name, norm in model.named_modules() if isinstance(norm, kind) and norm.training]
    return {f"{name}.{key}": value for name, norm in norms for key, value in norm.named_buffers(recurse=False)}


# --- checkpoints ----------------------------------------------------------------------------------------------------


def _save(trainer: Trainer, out: Path, step: int, state: RunState, made_of: Mapping[str, Any]) -> None:
    def write(folder: Path) -> None:
        for name, table in state.tensors.items():
            save_file({key: t.detach().contiguous() for key, t in table.items()}, folder / f"{name}.safetensors")
        torch.save(state.optimizer.state_dict(), folder / "optimizer.pt")  # is read with weights_only
        (folder / "config.json").write_text(json.dumps(trainer.config.to_dict()))
        (folder / "plan.json").write_text(json.dumps(made_of))

    save_checkpoint(out / "checkpoints", step, write, trainer.config.keep)


def _made_of(trainer: Trainer, plan: StepPlan) -> dict[str, Any]:
    """What decides a run beside its recipe, as checkpoints note it: the samples of a step, the model's description
    without the places that its weights come from, and a hash of the labels."""
    digest, objects = hashlib.sha256(), trainer.trained_on()
    for line in label_lines(objects, {item.category_id: item.category for item in objects}):
        digest.update(line)
    for item in objects:
        digest.update(bytes(item.visibility.tolist()))
    described = trainer.model.config.to_dict() if isinstance(getattr(trainer.model, "config", None), Config) else {}
    model = json.loads(json.dumps(_without_sources(described)))
    return {"images_per_step": plan.samples_per_step, "model": model, "labels": digest.hexdigest()}


def _without_sources(described: Any) -> Any:
    if not isinstance(described, Mapping):
        return described
    return {key: _without_sources(value) for key, value in described.items() if key != "source"}


def _resume(trainer: Trainer, out: Path, plan: StepPlan, state: RunState, made_of: Mapping[str, Any]) -> int:
    """Load the newest valid checkpoint into the state. Returns the number of steps that it has behind it."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = newest_valid(out / "checkpoints")
    if checkpoint is None:
        return 0
    _check_same_run(trainer, out, checkpoint, plan, made_of)
    with torch.no_grad():
        for name, table in state.tensors.items():
            saved = load_file(checkpoint / f"{name}.safetensors")
            if {key: t.shape for key, t in saved.items()} != {key: t.shape for key, t in table.items()}:
                raise InputError(f"{checkpoint} holds the weights of another model; give another output folder.")
            for key, tensor in saved.items():
                table[key].copy_(tensor)
    optimizer = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
    state.optimizer.load_state_dict(optimizer)
    return step_of(checkpoint)


def _check_same_run(trainer: Trainer, out: Path, checkpoint: Path, plan: StepPlan, made_of: Mapping[str, Any]) -> None:
    """Raise InputError unless the checkpoint is of this run. Options that change nothing of what is learnt may differ.

    So may the number of processes, if `accumulate` makes up for it: a step then takes the same samples. Checkpoints of
    earlier versions do not say what their run is made of.
    """
    path = checkpoint / "config.json"
    config = type(trainer.config)
    written = {**config.earlier, **json.loads(path.read_text())}
    saved = from_mapping(config, written, str(path))  # keys that it lacks take their defaults
    changeable = [*trainer.changeable, "allow_unpaired"]
    theirs = json.loads((checkpoint / "plan.json").read_text()) if (checkpoint / "plan.json").exists() else {}
    if theirs:
        changeable.append("accumulate")
        images = theirs["images_per_step"]
        if images != plan.samples_per_step:
            raise InputError(
                f"{out} holds a run with {images} images to a step, but batch x accumulate x processes is "
                f"{plan.samples_per_step} now; set accumulate so that it is the same, or give another output folder."
            )
    before, now = saved.to_dict(), trainer.config.to_dict()
    if changed := _changed(before, now, changeable):
        raise InputError(
            f"{out} holds a run with other settings ({changed}); give another output folder or the settings of that "
            "run."
        )
    if changed := _changed(theirs.get("model", made_of["model"]), made_of["model"]):
        raise InputError(
            f"{out} holds a run of another model ({changed}); give another output folder or the model of that run."
        )
    if theirs.get("labels", made_of["labels"]) != made_of["labels"]:
        raise InputError(
            f"{out} holds a run on other objects or labels; give another output folder or the data of that run."
        )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], but: Collection[str] = ()) -> str:
    """The keys whose values differ, with both values; "" where none does."""
    keys = [key for key in dict.fromkeys([*before, *now]) if key not in but and before.get(key) != now.get(key)]
    return ", ".join(f"{key} {before.get(key)!r} there, {now.get(key)!r} here" for key in keys)
