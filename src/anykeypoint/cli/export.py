"""`anykeypoint export`: a matcher as an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from . import console, options


def run(
    model: options.ModelArgument,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write, .onnx.")],
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The prompt that the file takes: text, example or both; by default all of the model's."
        ),
    ] = None,
) -> int:
    """Write a matcher as an ONNX file. It takes one picture and any number of keypoints and examples.

    The file gives the first answer, that of `predict --no-fine`: no second look, no mirrored picture.
    """
    from .. import load
    from ..models.matching.export import export
    from ..models.matching.model import MatchingModel

    with console.waiting(f"loading {model}"):
        loaded = load(model, device="cpu")
    if not isinstance(loaded, MatchingModel):
        raise InputError(f"Only matchers can be exported, but {model} is none; give a matcher's folder.")
    with console.waiting("exporting"):
        names = export(loaded, out, prompt)
    print(f"{loaded.config.name}: {', '.join(names)} -> points, similarity, features")
    print(f"Written to {out}")
    if loaded.config.fine:
        console.note("The file gives the first answer; predict takes a second look with an example, unless --no-fine.")
    return 0
