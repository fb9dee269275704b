"""`anykeypoint evaluate`: read the data, load the model, measure, and say the main figures; or compare two reports."""

import os
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..evaluation.asking import Workers
from ..evaluation.baselines.registry import baselines
from ..evaluation.compare import compare, table, write_comparison
from ..evaluation.protocols import Protocol
from ..evaluation.run import HEADLINE, Settings, evaluate
from ..forms.registry import fingerprint, form_of, parse, read


def run(
    model: str,
    data: str,
    images: Path | None,
    out: Path,
    *,
    protocol: str,
    episodes: int | None,
    official: bool,
    oks: str | None,
    max_per_category: int | None,
    seed: int,
    descriptions: str,
    strategy: str | None,
    cumulative: bool,
    image_size: int | None,
    trained_on: str | None,
    untrained: bool,
    with_baselines: bool,
    allow_missing: bool,
    device: str,
) -> int:
    """Measure a model on labelled objects; a stopped run goes on where it was."""
    from .. import load

    asked = Protocol.parse(protocol)
    dataset = read(data, images, allow_missing=allow_missing, official=official)
    settings = Settings(
        model=model,
        data=fingerprint(data),
        protocol=protocol,
        episodes=episodes,
        official=official,
        oks=oks,
        strategy=strategy,
        descriptions=descriptions,
        cumulative=cumulative,
        image_size=image_size,
        max_per_category=max_per_category,
        seed=seed,
    )
    command = shlex.join(["anykeypoint", *sys.argv[1:]])
    workers = _workers()
    loaded = load(model, device=_device(device, workers), image_size=image_size)
    found, unmeasured = baselines(asked.prompt) if with_baselines and workers.rank == 0 else ([], {})
    results = evaluate(
        loaded,
        dataset,
        out,
        settings,
        baselines=found,
        unmeasured=unmeasured,
        known_names=_known_names(data, trained_on),
        untrained=untrained,
        command=command,
        progress=bar,
        workers=workers,
    )
    if results is not None:
        print(summary(results))
        print(f"Written to {out}; open {out / 'report.html'} for the whole report")
    return 0


def run_comparison(first: Path, second: Path, out: Path | None, seed: int) -> int:
    """Put two reports side by side."""
    result = compare(first, second, seed=seed)
    print(table(result))
    if out is not None:
        write_comparison(out, result)
        print(f"Written to {out}")
    return 0


def _known_names(data: str, trained_on: str | None) -> Collection[str] | None:
    """The keypoints' names in training data, if it is known which these are."""
    form, _, path = parse(data)
    if trained_on is None and form != "field":
        return None
    spec = trained_on or f"field/train:{path}"
    form = parse(spec)[0]
    # No picture is looked at: a form that does not know where they are may be told any folder.
    placed = form == "joint" or form_of(form).pictures is not None
    known = read(spec, None if placed else Path(), allow_missing=True)
    return {name for category in known.categories.values() for name in category.names}


def _workers() -> Workers:
    """This process among those of `accelerate launch`. They meet through gloo, on a CPU, whatever the model runs on."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Workers()
    from datetime import timedelta

    from accelerate import PartialState

    # The first process may have minutes of work left when the others are done, or hours on a slow disk.
    state = PartialState(cpu=True, timeout=timedelta(days=7))
    return Workers(state.process_index, state.num_processes, state.wait_for_everyone)


def _device(device: str, workers: Workers) -> str:
    """With several processes on "auto" each takes a GPU of its own."""
    import torch

    if workers.count == 1 or device != "auto" or not torch.cuda.is_available():
        return device
    return f"cuda:{int(os.environ.get('LOCAL_RANK', workers.rank)) % torch.cuda.device_count()}"


def bar(items: Iterable, title: str) -> Iterator:
    """Go through `items` with a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, description=title)


def summary(results: dict[str, Any]) -> str:
    """The main figures as a small table, in percent."""
    said = results["semantics"]
    if said is not None:
        keys = ("exact", "normalised")
        rows = [("", *keys), ("model", *(said["category_mean"][key] for key in keys))]
        rows += [(name, *(entry["category_mean"][key] for key in keys)) for name, entry in said["baselines"].items()]
        last = (
            f"{results['objects']} objects, {said['points']} points, {results['categories']} categories; category mean"
        )
    else:
        rows = [("", *HEADLINE), ("model", *(results["category_mean"][key] for key in HEADLINE))]
        for name, entry in results["baselines"].items():
            rows.append((name, *(entry["category_mean"][key] for key in HEADLINE)))
        low, high = results["interval"]["pck@0.2"]
        asked = "objects" if results["pairs"] == results["objects"] else "pairs"
        last = (
            f"{results['pairs']} {asked}, {results['points']} points, {results['categories']} categories; "
            f"category mean, 95 % of pck@0.2 within {low:.1f} to {high:.1f}"
        )
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}} " + " ".join(f"{_cell(value):>10}" for value in row[1:]) for row in rows]
    lines.append(last)
    for key in ("groups", "names"):
        for part, entry in (results[key] or {}).items():
            mean = entry["category_mean"]
            at = [] if mean is None else [f"{mean[name]:.1f} {name}" for name in ("pck@0.2", "pck@0.1")]
            counts = f"{entry['categories']} categories, {entry['pairs']} pairs"
            lines.append(f"{part}: {', '.join(at) or 'no point to score'} ({counts})")
    lines += [f"not measured: {name} ({why})" for name, why in results["baselines_unmeasured"].items()]
    lines += [f"left out: {count} ({reason})" for reason, count in results["skipped"].items()]
    if results.get("empty"):
        lines.append(f"without a point to score on: {results['empty']}")
    return "\n".join(lines)


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.1f}"
