"""Options that several verbs take. A verb's own options stand in its function's signature."""

from pathlib import Path
from typing import Annotated

import typer


def complete_models(incomplete: str) -> list[str]:
    """Names of models and held-out checkpoints that begin with what was typed so far, for the shell."""
    from ..models.shipped import SHIPPED, held_out_names

    return [name for name in (*SHIPPED, *held_out_names()) if name.startswith(incomplete)]


def complete_categories(incomplete: str) -> list[str]:
    """Names of the library's categories that begin with what was typed so far, for the shell."""
    from ..library.lookup import library_names

    return [name for name in library_names() if name.startswith(incomplete)]


# --- data ----------------------------------------------------------------------------------------------------------

DATA_HELP = "The labels: coco:FILE, mp100:FILE, field, labelstudio:FILE, dlc:FILE, ...; `data list` shows all forms."
Data = Annotated[str, typer.Option(metavar="FORM:FILE", help=DATA_HELP)]
OptionalData = Annotated[str | None, typer.Option(metavar="FORM:FILE", help=DATA_HELP)]
Labels = Annotated[str, typer.Argument(metavar="FORM:FILE", help="The labels; `data list` shows the forms.")]
Images = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="The folder that file names in the labels are relative to, if the labels do not say it."
    ),
]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Leave out objects whose picture is missing.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse labels with a fault; else these cost their objects.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
MaxPerCategory = Annotated[int | None, typer.Option(metavar="N", help="At most this many objects of each category.")]

# --- models --------------------------------------------------------------------------------------------------------

ModelArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A model's name, a folder or a hub id.", autocompletion=complete_models),
]
OptionalModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A model's name, a folder or a hub id.",
        show_default=False,
        autocompletion=complete_models,
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")]
Dtype = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="float32, bfloat16 or float16: half precision takes less memory and, on a GPU, less time.",
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How a language model's points are decoded: greedy, sampling, temperature-T, top-K, nucleus-P, "
        "contrastive-A, expected, mode or mode-R; the model's own by default.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="A picture of more pixels is read shrunk, its points stay those of the file; 40000000 by default. "
        "None of more than 800000000 is read.",
    ),
]
Descriptions = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Which descriptions of keypoints a model reads: detailed (as in the category) or removed; of a language "
        "model also replaced, vague, simplified or sentences.",
    ),
]
Cumulative = Annotated[
    bool,
    typer.Option(
        "--cumulative", help="Predict the keypoints in one conversation, in which earlier answers stay in the context."
    ),
]

Phrases = Annotated[
    str | None,
    typer.Option(
        metavar="WHOSE",
        help="Whose words a matcher's text encoder reads for the points: library, file (the labels themselves, as "
        "MP-100's files of CapeX have them) or a YAML or JSON file; by default those that the model was trained in.",
    ),
]

Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror",
        help="Of a matcher: ask about the mirrored picture too and answer with the mean, left and right exchanged on "
        "the way back; takes as long again.",
    ),
]

Fine = Annotated[
    bool | None,
    typer.Option(
        "--fine/--no-fine",
        help="Of a matcher, with --example: look at each point once more in a small square round it, or not; by "
        "default as the model's config says.",
        show_default=False,
    ),
]

# --- every verb ----------------------------------------------------------------------------------------------------

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print details and warnings of libraries too.")]
