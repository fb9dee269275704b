"""The command line: each verb declares its options here and hands them to its module in `commands`.

Exit codes: 0 all went right; 1 some of the work failed, each failure named on stderr; 2 the request could not start.
"""

import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from .errors import InputError

app = typer.Typer(
    name="anykeypoint",
    help="Find keypoints of any object from words.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # brackets in help texts are brackets
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments` (by default the program's own) and exit."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names need not be text
    warnings.filterwarnings("ignore", module="PIL")  # damaged metadata; damaged pictures are refused
    try:
        app(None if arguments is None else list(arguments), prog_name="anykeypoint")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


# --- asking --------------------------------------------------------------------------------------------------------


@app.command()
def predict(
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Pictures, folders of pictures, or patterns like 'a/*.jpg'."),
    ],
    category: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A category of the library (see `categories`) or a JSON/YAML file."),
    ] = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="The points in words, parted by ';': 'left ear tip; nose: the tip of the nose'."
        ),
    ] = None,
    noun: Annotated[str | None, typer.Option(metavar="TEXT", help="The word for the object, e.g. 'cat'.")] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|x,y,w,h",
            help="The object's box in pixels, or a .json/.csv file of boxes by file name; else the whole picture.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="A model's name, a folder or a hub id.")] = "default",
    strategy: Annotated[str, typer.Option(metavar="NAME", help="How a point is read off the model.")] = "greedy",
    density: Annotated[
        bool, typer.Option("--density", help="Draw and write each point's probability density.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, ...")] = "auto",
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where to write: .png (one image), .json (COCO), .csv, or a folder for all of them; may be repeated.",
        ),
    ] = None,
) -> None:
    """Find the keypoints of an object in pictures. Without -o a table is printed."""
    from .commands import predict as verb

    code = verb.run(
        images,
        category=category,
        keypoints=keypoints,
        noun=noun,
        boxes=boxes,
        model=model,
        strategy=strategy,
        density=density,
        device=device,
        outputs=output or (),
    )
    raise typer.Exit(code)


@app.command()
def categories(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A category of the library or a JSON/YAML file.")
    ] = None,
) -> None:
    """List the library's categories, or the points of one."""
    from .commands import categories as verb

    raise typer.Exit(verb.run(name))


# --- learning and measuring: train, evaluate, weights go here, each with its module in `commands` -------------------


if __name__ == "__main__":
    main()
