"""`anykeypoint data draw`: a data set of made-up objects."""

from pathlib import Path
from typing import Annotated

import typer

from .. import console


def run(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty; for the pictures and annotations.json.")],
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", help="Number of objects, one a picture.")],
    poses: Annotated[int, typer.Option(metavar="N", help="Number of objects of each kind.")] = 4,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the pictures.")] = 256,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Draw a data set of made-up objects with named points, in COCO's form.

    They are more kinds of object to train on, to which nobody else has rights.
    """
    from ...data.synthetic import IMAGES, write_dataset

    path = write_dataset(out, count, seed, poses, size, progress=console.track)
    print(f"{count} objects of {-(-count // poses)} kinds: --data coco:{path} --images {out / IMAGES}")
