"""Options that several verbs of the command line take."""

from pathlib import Path
from typing import Annotated

import typer

STRATEGIES = (
    "How points are read off the model: greedy, sampling, temperature-T, top-K, nucleus-P, contrastive-A, expected, "
    "mode or mode-R; else the model's own way."
)
DATA = "The labels: coco:FILE, mp100:FILE, field, labelstudio:FILE, dlc:FILE, ...; `data list` shows all forms."
DESCRIPTIONS = "How the points' descriptions are given: detailed (as known), removed, replaced or vague."

# Options that several verbs take.
Data = Annotated[str, typer.Option(metavar="FORM:FILE", help=DATA)]
Images = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder that the labels' file names start from, where they do not say."),
]
Asked = Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, a folder or a hub id.")]
Most = Annotated[int | None, typer.Option(metavar="N", help="At most this many objects of each category.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Leave out objects whose picture is missing.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")]
