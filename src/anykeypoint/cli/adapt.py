"""`anykeypoint adapt`: a matcher and some dozens of labelled pictures of one category in; a model of its points out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..models.shipped import DEFAULT
from . import console, options
from .left_out import check_left, print_left_out

if TYPE_CHECKING:
    from ..forms.dataset import Dataset, LabelledObject
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
    from ..forms.registry import read
    from ..io import check_folder
    from ..models.folders import model_type
    from ..models.loading import find
    from ..training.adapting.adapt import adapt, write
    from ..training.adapting.adapt_config import AdaptConfig
    from .choice import load_model

    config = AdaptConfig() if recipe is None else read_config(AdaptConfig, recipe)
    if seed is not None:
        config = replace(config, seed=seed)
    if (out / "config.json").exists():
        raise InputError(f"{out} holds a model already; give another folder, or remove it.")
    check_folder(out)
    if (kind := model_type(find(start))) not in (None, "matcher"):
        raise InputError(
            f"Adapting starts from a matcher, such as {DEFAULT}, but {start} is of type {kind}; give another."
        )
    dataset = read(data, images, allow_missing=allow_missing, strict=strict)
    print_left_out(dataset)
    check_left(dataset, data, "to adapt to")
    objects = _of_category(dataset, category)
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


def _of_category(dataset: "Dataset", name: str | None) -> "list[LabelledObject]":
    """The objects of the category that is wanted; InputError where its name is not the data's, or is needed.

    Categories of one name and the same points, as several label files of one animal have them, are one.
    """
    from ..category import plain_text
    from ..configs.checks import near_names

    known = {item.category_id: item.category for item in dataset.objects}
    kinds = {key: (plain_text(own.name), *map(plain_text, own.names)) for key, own in known.items()}
    first = {kind: key for key, kind in reversed(kinds.items())}  # of categories that are one, the first
    named = [own.name for own in known.values()]
    listed = ", ".join(
        known[key].name
        if len({kind for kind in kinds.values() if kind[0] == kinds[key][0]}) == 1
        # names alone do not tell these apart
        else f"{key} ({known[key].name} with the points {', '.join(known[key].names[:3])} ...)"
        for key in sorted(first.values(), key=lambda key: (known[key].name, key))[:10]
    )
    if name is None:
        chosen = set(kinds)
        if len(set(kinds.values())) > 1:
            raise InputError(
                f"A model is adapted to one category, but the data have {len(set(kinds.values()))}; give --category "
                f"with one of {listed}."
            )
    else:
        chosen = {key for key, own in known.items() if plain_text(own.name) == plain_text(name) or str(key) == name}
        if len({kinds[key] for key in chosen}) != 1:
            raise InputError(
                f"The data have {'no' if not chosen else 'several'} categories called {name!r}"
                f"{near_names(name, named)}; give one of {listed}, or its id."
            )
    wanted = {kinds[key] for key in chosen}
    objects = [item for item in dataset.objects if kinds[item.category_id] in wanted]
    return [
        replace(item, category_id=one.category_id, category=one.category) for one in objects[:1] for item in objects
    ]


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
