"""`anykeypoint evaluate`: read the data, load the model, measure, and say the main figures."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..data.readers import fingerprint, read
from ..evaluation.run import HEADLINE, RESULTS, Settings, evaluate


def run(
    model: str,
    data: str,
    images: Path,
    out: Path,
    *,
    protocol: str,
    max_per_category: int | None,
    seed: int,
    descriptions: str,
    strategy: str | None,
    cumulative: bool,
    image_size: int | None,
    untrained: bool,
    allow_missing: bool,
    device: str,
) -> int:
    """Measure a model on labelled objects; a stopped run goes on where it was."""
    from .. import load

    dataset = read(data, images, allow_missing=allow_missing)
    settings = Settings(
        model=model,
        data=fingerprint(data),
        protocol=protocol,
        strategy=strategy,
        descriptions=descriptions,
        cumulative=cumulative,
        image_size=image_size,
        max_per_category=max_per_category,
        seed=seed,
    )
    command = shlex.join(["anykeypoint", *sys.argv[1:]])
    loaded = load(model, device=device, image_size=image_size)
    results = evaluate(loaded, dataset, out, settings, untrained=untrained, command=command, progress=bar)
    print(summary(results))
    print(f"Written to {out / RESULTS}")
    return 0


def bar(items: Iterable, title: str) -> Iterator:
    """Go through `items` with a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, description=title)


def summary(results: dict) -> str:
    """The main figures as a small table, in percent."""
    rows = [("", *HEADLINE), ("model", *(results["category_mean"][key] for key in HEADLINE))]
    rows += [(name, *(entry[key] for key in HEADLINE)) for name, entry in results["baselines"].items()]
    width = max(len(row[0]) for row in rows)
    lines = [
        f"{row[0]:<{width}} "
        + " ".join(f"{value:>8}" if isinstance(value, str) else f"{value:8.1f}" for value in row[1:])
        for row in rows
    ]
    low, high = results["interval"]["pck@0.2"]
    lines.append(
        f"{results['objects']} objects, {results['points']} points, {results['categories']} categories; category mean, "
        f"95 % of pck@0.2 within {low:.1f} to {high:.1f}"
    )
    lines += [f"left out: {count} ({reason})" for reason, count in results["skipped"].items()]
    return "\n".join(lines)
