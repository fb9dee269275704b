"""The training loop: one for one CPU, one GPU or many hosts (`accelerate launch`).

Everything random comes from (seed, epoch or step, place in the batch), so that nothing needs to be remembered: a
resumed run draws what the uninterrupted one would have drawn.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from safetensors.torch import load_file, save_file
from torch import nn

from ..data.coco import LabelledObject
from ..data.pairs import balanced_weights
from ..errors import InputError
from ..models.generative.capellm import CapeLLM
from .checkpoints import newest_valid, save_checkpoint, step_of
from .config import TrainConfig, from_mapping, to_mapping
from .losses import make_readers, training_loss
from .memory import idle_pass, recomputed, spread
from .report import Report
from .sequences import MadeUp, PackedSequence, build_sequences, collate, training_form


class Plan:
    """Which objects every optimiser step of one process sees.

    weights: with sampling "balanced", each source's share of the draws (see `pairs.balanced_weights`); an epoch has
    every object once, whatever it is of.
    """

    def __init__(
        self,
        objects: Sequence[LabelledObject],
        config: TrainConfig,
        processes: int = 1,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if not objects:
            raise InputError("There is no object with a labelled point to train on; check the data file.")
        self.objects, self.config, self.processes = objects, config, processes
        self.per_step = config.batch * config.accumulate * processes
        kinds = [item.category_id for item in objects]
        sources = [getattr(item, "source", "") for item in objects]
        self.weights = balanced_weights(kinds, sources, weights if config.sampling == "balanced" else None)
        self.steps = config.steps or config.epochs * math.ceil(len(objects) / self.per_step)
        self._epoch: tuple[int, np.ndarray] | None = None

    def items(self, step: int, process: int) -> list[list[tuple[LabelledObject | MadeUp, np.random.Generator]]]:
        """The step's forward passes, each a list of `batch` objects with the generator of their augmentation."""
        config = self.config
        passes = []
        for turn in range(config.accumulate):
            drawn = []
            for b in range(config.batch):
                place = ((step * config.accumulate + turn) * self.processes + process) * config.batch + b
                drawn.append((self._object(place), np.random.default_rng([config.seed, 1, place])))
            passes.append(drawn)
        return passes

    def _object(self, place: int) -> LabelledObject | MadeUp:
        if self.config.sampling == "balanced":
            rng = np.random.default_rng([self.config.seed, 2, place])
            if rng.random() < self.config.made_up:
                return MadeUp(int(rng.integers(2**62)), int(rng.integers(2**62)))
            return self.objects[rng.choice(len(self.objects), p=self.weights)]
        epoch, index = divmod(place, len(self.objects))
        if self._epoch is None or self._epoch[0] != epoch:
            order = np.random.default_rng([self.config.seed, 3, epoch]).permutation(len(self.objects))
            self._epoch = (epoch, order)
        return self.objects[self._epoch[1][index]]


def rate(step: int, steps: int, warmup: float, hold: int = 0) -> float:
    """Linear warm-up, then full for `hold` steps, then cosine; a share of the full learning rate, step from 0."""
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    fall = max(rise, hold)
    return 0.5 * (1 + math.cos(math.pi * max(step - fall, 0) / max(steps - fall, 1)))


def train(
    model: CapeLLM,
    objects: Sequence[LabelledObject],
    config: TrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> CapeLLM:
    """Train what of the model is trainable; resumes from the newest valid checkpoint in `out/checkpoints`.

    Writes `out/log.jsonl` (one line per step: loss, parts, learning rate, gradient norm, crops, skipped crops), the
    same as curves in `out/tensorboard` where TensorBoard is installed, and at the end the model's folder `out/model`.
    `stop_after` ends the run after so many steps, as a kill would. With `config.shard` the returned model stays spread
    over the processes; load `out/model` for one to work with. `weights` are of `Plan`.
    Raises InputError when nothing is trainable, when the checkpoint was made with other settings, or on a NaN loss.
    """
    training_form(model, config)  # refuses what cannot be learnt before anything is written
    with _only(model, config.train_only):
        return _train(model, objects, config, out, on_step, stop_after, weights)


@contextmanager
def _only(model: CapeLLM, part: str) -> Iterator[None]:
    """All but a part of the model frozen for a while; "" leaves it as it is."""
    frozen = [p for name, p in model.named_parameters() if p.requires_grad and part and not name.startswith(f"{part}.")]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def _train(
    model: CapeLLM,
    objects: Sequence[LabelledObject],
    config: TrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None,
    stop_after: int | None,
    weights: Mapping[str, float] | None,
) -> CapeLLM:
    if parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise InputError(
            "Accelerate's FSDP setting is not used here; turn it off and write 'shard: true' in the recipe."
        )
    accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no")
    if config.shard:
        spread(model, accelerator)
    model.to(accelerator.device)
    plan = Plan(objects, config, accelerator.num_processes, weights)
    groups = _parameter_groups(model, config)
    readers = make_readers(model, config.guide)
    if readers is not None:
        groups[0]["params"] += readers.to(accelerator.device).parameters()
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if readers is not None:
        trained |= {f"readers.{name}": p for name, p in readers.named_parameters()}
    average = {name: p.detach().clone() for name, p in trained.items()} if config.ema else {}
    start = _resume(out, plan, trained, average, optimizer)
    full_rates = [group["lr"] for group in groups]
    layers = recomputed(model) if config.checkpointing else nullcontext()
    main = accelerator.is_main_process
    with layers, Report(out, plan.steps, start, main) as report:
        for step in range(start, plan.steps):
            for group, full in zip(optimizer.param_groups, full_rates, strict=True):
                group["lr"] = full * rate(step, plan.steps, config.warmup, config.guide.alone)
            figures = _one_step(accelerator, model, readers, optimizer, plan, step, config, list(trained.values()))
            for name, kept in average.items():
                kept.lerp_(trained[name].detach(), 1 - min(config.ema, (step + 1) / (step + 10)))
            figures["lr"] = optimizer.param_groups[0]["lr"]
            report.step(step + 1, figures)
            if main and ((step + 1) % config.save_every == 0 or step + 1 == plan.steps):
                _save(out, step + 1, plan, trained, average, optimizer)
            accelerator.wait_for_everyone()
            if on_step is not None:
                on_step(step + 1, figures)
            if stop_after is not None and step + 1 >= stop_after:
                return model
    with torch.no_grad():
        for name, kept in average.items():
            trained[name].copy_(kept)
    model.eval()
    if main:
        model.save_pretrained(out / "model")
    return model


def _one_step(
    accelerator: Accelerator,
    model: CapeLLM,
    readers: nn.ModuleDict | None,
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    step: int,
    config: TrainConfig,
    parameters: list[nn.Parameter],
) -> dict[str, float]:
    """One optimiser step; returns the figures of the log, means over all processes.

    Gradients are averaged once a step, by hand: a process whose objects are all skipped then simply adds nothing.
    """
    model.train()
    answered = step >= config.guide.alone
    passes = plan.items(step, accelerator.process_index)
    there = {"loss": True, "answers": answered, "guide": config.guide.layers, "read": answered and readers is not None}
    sums = {name: 0.0 for name, is_there in there.items() if is_there}
    crops = skipped = 0
    for drawn in passes:
        built = [build_sequences(model, item, config, rng, answered) for item, rng in drawn]
        skipped += built.count([])
        crops += len(built) - built.count([])
        sequences = [sequence for of_one in built for sequence in of_one]
        torch.manual_seed(int(drawn[0][1].integers(2**31)))  # of dropout
        batches = [sequences[i : i + config.batch] for i in range(0, len(sequences), config.batch)]
        idle = 0
        if config.shard:  # before any process runs the model: what they do together must be in one order
            counts = accelerator.gather(torch.tensor([len(batches)], device=accelerator.device))
            idle = int(counts.max()) - len(batches)
        for part in batches:
            batch = collate(part, model.codec.base).to(accelerator.device)
            with accelerator.autocast():
                parts = training_loss(model, batch, config, answered, readers)
            if not torch.isfinite(parts["loss"]):
                names = ", ".join(str(item.id) for item, _ in drawn)
                raise InputError(
                    f"The loss became {parts['loss'].item()} at step {step + 1} on objects {names}; lower the rate."
                )
            share = _questions(part) / _questions(sequences) / len(passes)
            (parts["loss"] * share).backward()
            for name, value in parts.items():
                sums[name] += value.item() * share
        for _ in range(idle):
            with accelerator.autocast():
                idle_pass(model)
    if accelerator.num_processes > 1:
        for parameter in parameters:
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = accelerator.reduce(grad, "mean")
        figures = torch.tensor([*sums.values(), crops, skipped], device=accelerator.device)
        *means, crops, skipped = accelerator.reduce(figures, "sum").tolist()
        sums = {name: value / accelerator.num_processes for name, value in zip(sums, means, strict=True)}
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip or math.inf)
    optimizer.step()
    optimizer.zero_grad()
    return {**sums, "grad_norm": float(norm), "crops": int(crops), "skipped": int(skipped)}


def _questions(sequences: Sequence[PackedSequence]) -> int:
    return sum(sequence.questions for sequence in sequences)


def _parameter_groups(model: CapeLLM, config: TrainConfig) -> list[dict]:
    encoder = [p for p in model.encoder.parameters() if p.requires_grad]
    known = {id(p) for p in encoder}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    if not rest and not encoder:
        raise InputError("Nothing of the model is trainable: all of it has requires_grad off; build or load it anew.")
    groups = [{"params": rest, "lr": config.lr}]
    if encoder:
        groups.append({"params": encoder, "lr": config.encoder_lr or config.lr})
    return groups


def _save(out: Path, step: int, plan: Plan, trained: dict, average: dict, optimizer: object) -> None:
    def write(folder: Path) -> None:
        save_file({name: p.detach().contiguous() for name, p in trained.items()}, folder / "weights.safetensors")
        if average:
            save_file(average, folder / "average.safetensors")
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")  # read back with weights_only
        (folder / "config.json").write_text(json.dumps(to_mapping(plan.config)))
        (folder / "plan.json").write_text(json.dumps({"images_per_step": plan.per_step}))

    save_checkpoint(out / "checkpoints", step, write, plan.config.keep)


def _resume(out: Path, plan: Plan, trained: dict, average: dict, optimizer: object) -> int:
    """Load the newest valid checkpoint; returns the step to go on with."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = newest_valid(out / "checkpoints")
    if checkpoint is None:
        return 0
    _check_settings(out, checkpoint, plan)
    with torch.no_grad():
        for table, name in ((trained, "weights"), (average, "average")):
            if table:
                found = load_file(checkpoint / f"{name}.safetensors")
                if set(found) != set(table):
                    raise InputError(f"{checkpoint} holds the weights of another model; give another output folder.")
                for key, tensor in found.items():
                    table[key].copy_(tensor)
    optimizer.load_state_dict(torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True))
    return step_of(checkpoint)


def _check_settings(out: Path, checkpoint: Path, plan: Plan) -> None:
    """InputError unless the run in `out` is this one. What changes nothing of what is learnt may differ.

    So may the number of processes, if `accumulate` makes up for it: the plan deals out the same images then.
    """
    path = checkpoint / "config.json"
    found = from_mapping(TrainConfig, json.loads(path.read_text()), str(path))  # an older one lacks the newer keys
    free = ["checkpointing", "shard", "save_every", "keep"]
    if (checkpoint / "plan.json").exists():  # an older one has none
        free.append("accumulate")
        images = json.loads((checkpoint / "plan.json").read_text())["images_per_step"]
        if images != plan.per_step:
            raise InputError(
                f"{out} holds a run with {images} images to a step, but batch x accumulate x processes is "
                f"{plan.per_step} now; set accumulate so that it is the same, or give another output folder."
            )
    if replace(found, **{name: getattr(plan.config, name) for name in free}) != plan.config:
        raise InputError(
            f"{out} holds a run with other settings; give another output folder or the settings of that run."
        )
