"""`anykeypoint adapt`: a matcher and some dozens of labelled pictures of one category in; a model of its points out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..models.shipped import DEFAULT
from . import console, options

if TYPE_CHECKING:
    from ..training.adapting.adapt import AdaptReport

_PARTS = 100  # of the whole work, for the bar


def run(
    data: options.Data,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the new model.")],
    images: options.Images = None,
    start: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The matcher to start from: a shipped one, a folder or a hub id.",
            autocompletion=options.complete_models,
        ),
    ] = DEFAULT,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which category of the data, where these have several.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="YAML", help="How to adapt, see docs/recipes.md; by default what is there.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of all random numbers; 0 by default.")] = None,
    allow_missing: options.AllowMissing = False,
    strict: options.Strict = False,
    device: options.Device = "auto",
) -> None:
    """Adapt a matcher to a new kind of object with 20 to 50 labelled pictures, in minutes.

    The new model answers from the names of its points alone. How near it comes on left-out pictures is printed, beside
    the matcher that it started from with five of the pictures as examples.
    """
    from ..configs.yaml_files import read_config
    from ..training.adapting.adapt import adapt, write
    from ..training.adapting.adapt_config import AdaptConfig
    from ..training.adapting.beforehand import objects_for
    from .choice import load_model

    config = AdaptConfig() if recipe is None else read_config(AdaptConfig, recipe)
    if seed is not None:
        config = replace(config, seed=seed)
    objects = objects_for(data, out, start, console.note, images, category, allow_missing, strict)
    with console.counting(_PARTS, "adapt") as (_, advance):
        model, report = adapt(load_model(start, device), objects, config, _Progress(advance))
    write(model, report, out)
    print(report_text(report, f"{start} with {config.examples} examples"))
    print(f"Written to {out}; anykeypoint predict PICTURE --model {out} finds its points")


class _Progress:
    """Progress of `adapt` as parts of the whole work; features take about three of ten."""

    def __init__(self, advance: "Callable[[], None]") -> None:
        self.advance, self.done = advance, 0

    def __call__(self, what: str, step: int, total: int) -> None:
        reached = int(_PARTS * (0.3 * step / total if what == "features" else 0.3 + 0.7 * step / total))
        while self.done < reached:
            self.advance()
            self.done += 1


def report_text(report: "AdaptReport", before: str) -> str:
    """What was measured, as lines. before: what the first line of figures is of."""
    wide = max(len(before), 14)
    rows = [(before, report.before), ("adapted", report.after)]
    lines = [f"PCK in % on {report.objects} objects, each by parts of the model that have not learnt from it:"]
    lines.append(" " * (wide + 2) + "".join(f"{f'@{threshold:g}':>8}" for threshold in report.thresholds))
    lines += [f"  {name:<{wide}}" + "".join(f"{100 * value:>8.1f}" for value in values) for name, values in rows]
    if report.start_share == 1:
        lines.append("The pictures taught nothing that the matcher with examples lacks; the model is the matcher.")
    if report.unlabelled:
        lines.append(
            f"No object labels {', '.join(map(repr, report.unlabelled))}: the model still answers there, which means "
            "nothing; label them in some pictures, or do not ask for them."
        )
    if not report.whole_groups:
        lines.append(
            "The pictures are of too few groups (videos, individuals, places) to hold whole ones out: on new ones the "
            "model will do worse than this."
        )
    return "\n".join(lines)
