"""`anykeypoint evaluate`: read the data, load the model, measure, and say the main figures."""

import hashlib
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..data.coco import read_coco
from ..errors import InputError
from .run import HEADLINE, RESULTS, Settings, evaluate


def evaluate_command(
    model: Annotated[str, typer.Argument(help="A model's folder or name.")],
    data: Annotated[str, typer.Option(help="The labels: coco:FILE.json.")],
    images: Annotated[Path, typer.Option(help="The folder that the labels' file names are relative to.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for results.json and predictions.jsonl.")],
    protocol: Annotated[str, typer.Option(help="How points are asked: text.")] = "text",
    max_per_category: Annotated[int | None, typer.Option(help="At most this many objects of each category.")] = None,
    seed: Annotated[int, typer.Option(help="For the choice of objects and the interval.")] = 0,
    descriptions: Annotated[bool, typer.Option(help="Ask with the library's descriptions, where known.")] = True,
    strategy: Annotated[str, typer.Option(help="How a point is read off the model.")] = "greedy",
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Measure the untrained model too; as slow again.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out objects without a picture.")
    ] = False,
) -> None:
    """Measure a model on labelled objects: PCK per category and baselines on the same objects.

    A stopped run goes on where it was when started again with the same settings.
    """
    # Here, as the package's face loads the models, which this module's other users do not need.
    from anykeypoint import load

    path = data_file(data)
    dataset = read_coco(path, images, allow_missing=allow_missing)
    settings = Settings(
        model=model,
        data=sha256(path),
        protocol=protocol,
        strategy=strategy,
        descriptions=descriptions,
        max_per_category=max_per_category,
        seed=seed,
    )
    command = shlex.join(["anykeypoint", *sys.argv[1:]])
    results = evaluate(load(model), dataset, out, settings, untrained=untrained, command=command, progress=bar)
    typer.echo(summary(results))
    typer.echo(f"Written to {out / RESULTS}")


def data_file(data: str) -> Path:
    """`coco:FILE.json` -> the path."""
    form, _, path = data.partition(":")
    if form != "coco" or not path:
        raise InputError(f"The data must be given as coco:FILE.json, but got {data!r}.")
    return Path(path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
