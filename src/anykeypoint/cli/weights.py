"""`anykeypoint weights`: fetch what a model needs, once, so that it works offline afterwards."""

from typing import Annotated

import typer

from . import console, options


def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A model, or packaged weights; without it all are listed.",
            autocompletion=options.complete_models,
        ),
    ] = None,
) -> None:
    """Fetch the weights that a model needs, so that it works offline afterwards. Without a name they are listed."""
    from ..models.needed_weights import needed_weights
    from ..models.sources.packages import PACKAGES, fetch

    if name is None:
        print(listing())
        return
    for needed in [name] if name in PACKAGES else needed_weights(name):
        with console.waiting(f"fetching {needed}"):
            folder = fetch(needed, report=console.note)
        print(f"{needed}: {folder}")


def listing() -> str:
    """The packaged weights with their sizes, and the shipped models with what each needs."""
    from ..models.loading import find
    from ..models.needed_weights import needed_weights
    from ..models.shipped import HELD_OUT, SHIPPED, held_out_names
    from ..models.sources.packages import PACKAGES, fetched

    lines = ["packaged weights, fetched once"]
    for name, package in PACKAGES.items():
        state = "fetched" if fetched(name) else "not fetched"
        lines.append(f"  {name:20} {package.megabytes:4} MB  {package.licence:12} {state}")
    lines.append("shipped models")
    for name, model in SHIPPED.items():
        size = sum(file.stat().st_size for file in find(name).iterdir()) / 1e6
        needed = needed_weights(name)
        megabytes = sum(PACKAGES[one].megabytes for one in needed)
        lines.append(f"  {name:20} {size:4.0f} MB  needs {' and '.join(needed)} ({megabytes} MB)")
        lines.append(f"  {'':20} {model.what}")
    if held_out := held_out_names():
        lines.append("held-out checkpoints, trained on the training data alone; for measuring")
        for name in held_out:
            same = " (the shipped weights)" if find(name) == find(name.removesuffix(HELD_OUT)) else ""
            lines.append(f"  {name}{same}")
    return "\n".join(lines)
