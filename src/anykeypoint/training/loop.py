"""The training loop: one for one CPU, one GPU or many hosts (`accelerate launch`), whatever a `Course` teaches.

Everything random comes from (seed, epoch or step, place in the batch), so that nothing needs to be remembered: a
resumed run draws what the uninterrupted one would have drawn.
"""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import InputError
from .checkpoints import newest_valid, save_checkpoint, step_of
from .course import Course, Plan
from .generative.capellm_config import from_mapping, to_mapping
from .progress import Report


def run(
    course: Course,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
) -> None:
    """Train the course's model in place; resumes from the newest valid checkpoint in `out/checkpoints`.

    Writes `out/log.jsonl` (one line per step: loss, parts, learning rate, gradient norm, crops, skipped crops), the
    same as curves in `out/tensorboard` where TensorBoard is installed, and at the end the model's folder `out/model`.
    `stop_after` ends the run after so many steps, as a kill would.
    Raises InputError when nothing is trainable, when the checkpoint was made with other settings, or on a NaN loss.
    """
    if parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise InputError(
            "Accelerate's FSDP setting is not used here; turn it off and write 'shard: true' in the recipe."
        )
    model, config = course.model, course.config
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("Nothing of the model is trainable: all of it has requires_grad off; build or load it anew.")
    accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no")
    plan = course.settle(accelerator, out)
    groups = course.groups()
    full_rates = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)  # without decay it is Adam
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad} | course.beside()
    average = {name: p.detach().clone() for name, p in trained.items()} if config.ema else {}
    state = {"weights": trained, "average": average, "statistics": _statistics(model)}
    start = _resume(course, out, plan, state, optimizer)
    main = accelerator.is_main_process
    with course.running(), Report(out, plan.steps, start, main) as report:
        for step in range(start, plan.steps):
            for group, full in zip(optimizer.param_groups, full_rates, strict=True):
                group["lr"] = full * course.rate(step)
            figures = _one_step(accelerator, course, optimizer, plan, step, list(trained.values()))
            for name, kept in average.items():
                kept.lerp_(trained[name].detach(), 1 - min(config.ema, (step + 1) / (step + 10)))
            figures["lr"] = optimizer.param_groups[0]["lr"]
            report.step(step + 1, figures)
            if main and ((step + 1) % config.save_every == 0 or step + 1 == plan.steps):
                _save(course, out, step + 1, plan, state, optimizer)
            accelerator.wait_for_everyone()
            if on_step is not None:
                on_step(step + 1, figures)
            if stop_after is not None and step + 1 >= stop_after:
                return
    with torch.no_grad():
        for name, kept in average.items():
            trained[name].copy_(kept)
    model.eval()
    if main:
        model.save_pretrained(out / "model")


def _one_step(
    accelerator: Accelerator,
    course: Course,
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    step: int,
    parameters: list[nn.Parameter],
) -> dict[str, float]:
    """One optimiser step; returns the figures of the log, means over all processes.

    Gradients are averaged once a step, by hand: a process whose objects are all skipped then simply adds nothing.
    """
    course.model.train()
    passes = plan.items(step, accelerator.process_index)
    sums = dict.fromkeys(course.parts(step), 0.0)
    crops = skipped = 0
    for items in passes:
        opened = course.opened(items, step)
        crops += opened.crops
        skipped += opened.skipped
        torch.manual_seed(opened.seed)
        idle = 0
        if course.together:  # before any process runs the model: what they do together must be in one order
            counts = accelerator.gather(torch.tensor([len(opened.batches)], device=accelerator.device))
            idle = int(counts.max()) - len(opened.batches)
        for batch, share in opened.batches:
            with accelerator.autocast():
                parts = course.losses(batch, step)
            if not torch.isfinite(parts["loss"]):
                names = ", ".join(opened.names)
                raise InputError(
                    f"The loss became {parts['loss'].item()} at step {step + 1} on objects {names}; lower the rate."
                )
            weight = share / len(passes)
            (parts["loss"] * weight).backward()
            for name, value in parts.items():
                sums[name] += value.item() * weight
        for _ in range(idle):
            with accelerator.autocast():
                course.idle()
    if accelerator.num_processes > 1:
        for parameter in parameters:
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = accelerator.reduce(grad, "mean")
        figures = torch.tensor([*sums.values(), crops, skipped], device=accelerator.device)
        *means, crops, skipped = accelerator.reduce(figures, "sum").tolist()
        sums = {name: value / accelerator.num_processes for name, value in zip(sums, means, strict=True)}
    norm = torch.nn.utils.clip_grad_norm_(parameters, course.config.clip or math.inf)
    optimizer.step()
    optimizer.zero_grad()
    return {**sums, "grad_norm": float(norm), "crops": int(crops), "skipped": int(skipped)}


def _statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    """What batch norms remember of the batches they see in training, which no gradient changes."""
    model.train()  # those of a backbone stay as they are
    kind = nn.modules.batchnorm._BatchNorm
    norms = [(name, norm) for name, norm in model.named_modules() if isinstance(norm, kind) and norm.training]
    return {f"{name}.{key}": value for name, norm in norms for key, value in norm.named_buffers(recurse=False)}


def _save(course: Course, out: Path, step: int, plan: Plan, state: dict, optimizer: torch.optim.Optimizer) -> None:
    def write(folder: Path) -> None:
        for name, table in state.items():
            if table:
                save_file({key: t.detach().contiguous() for key, t in table.items()}, folder / f"{name}.safetensors")
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")  # read back with weights_only
        (folder / "config.json").write_text(json.dumps(to_mapping(course.config)))
        (folder / "plan.json").write_text(json.dumps({"images_per_step": plan.per_step}))

    save_checkpoint(out / "checkpoints", step, write, course.config.keep)


def _resume(course: Course, out: Path, plan: Plan, state: dict, optimizer: torch.optim.Optimizer) -> int:
    """Load the newest valid checkpoint; returns the step to go on with."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = newest_valid(out / "checkpoints")
    if checkpoint is None:
        return 0
    _check_settings(course, out, checkpoint, plan)
    with torch.no_grad():
        for name, table in state.items():
            if table:
                found = load_file(checkpoint / f"{name}.safetensors")
                if {key: t.shape for key, t in found.items()} != {key: t.shape for key, t in table.items()}:
                    raise InputError(f"{checkpoint} holds the weights of another model; give another output folder.")
                for key, tensor in found.items():
                    table[key].copy_(tensor)
    optimizer.load_state_dict(torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True))
    return step_of(checkpoint)


def _check_settings(course: Course, out: Path, checkpoint: Path, plan: Plan) -> None:
    """InputError unless the run in `out` is this one. What changes nothing of what is learnt may differ.

    So may the number of processes, if `accumulate` makes up for it: the plan deals out the same images then.
    """
    path = checkpoint / "config.json"
    found = from_mapping(type(course.config), json.loads(path.read_text()), str(path))  # an older one lacks newer keys
    free = [*course.free]
    if (checkpoint / "plan.json").exists():  # an older one has none
        free.append("accumulate")
        images = json.loads((checkpoint / "plan.json").read_text())["images_per_step"]
        if images != plan.per_step:
            raise InputError(
                f"{out} holds a run with {images} images to a step, but batch x accumulate x processes is "
                f"{plan.per_step} now; set accumulate so that it is the same, or give another output folder."
            )
    if replace(found, **{name: getattr(course.config, name) for name in free}) != course.config:
        raise InputError(
            f"{out} holds a run with other settings; give another output folder or the settings of that run."
        )
