"""`anykeypoint convert`: a released checkpoint in, a model folder out."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="A released checkpoint, .pth or .safetensors.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The model folder to write.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="graphcape, capex or capeformer; by default what the names of its tensors say."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR", help="CapeX's text encoder: gte-base-en-v1.5, clip, minilm-l6, a folder or a hub id."
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Side in pixels of the crops that it was trained with; 256 by default."),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of attention heads of its head, which no tensor says; 8 by default."),
    ] = None,
) -> int:
    """Make a model folder of a checkpoint of the released CapeFormer, GraphCape or CapeX.

    The checkpoint is read as data, never as code.
    """
    from ..models.counting import count_parameters
    from ..models.matching.conversion import convert

    given = {"image_size": image_size, "heads": heads}
    made = convert(
        checkpoint, out, model, text=text, **{name: value for name, value in given.items() if value is not None}
    )
    config = made.config
    words = "" if config.text is None else f", words by {config.text.name}"
    print(
        f"{config.name}: {config.vision.name} at {config.vision.image_size} pixels{words}, "
        f"{count_parameters(made) / 1e6:.1f} million parameters"
    )
    print(f"Written to {out}")
    return 0
