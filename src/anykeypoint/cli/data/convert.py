"""`anykeypoint data convert`: labels in another form."""

from pathlib import Path
from typing import Annotated

import typer

from .. import options
from .paths import check_outside, print_left_out


def run(
    spec: options.Labels,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write, outside the data.")],
    images: options.Images = None,
    to: Annotated[str, typer.Option(metavar="FORM", help="coco, labelstudio, dlc or csv.")] = "coco",
    allow_missing: options.AllowMissing = False,
) -> None:
    """Write labels in another form, and say what that form has no room for."""
    from ...forms.registry import convert, parse, pictures_of, read
    from ...io import write_bytes

    images = pictures_of(spec, images)
    check_outside(out, images, parse(spec)[2])
    dataset = read(spec, images, allow_missing=allow_missing)
    text, lost = convert(dataset, images, to)
    write_bytes(out, text.encode("utf-8", "surrogateescape"))
    print(f"Written to {out}: {len(dataset.objects)} objects")
    print_left_out(dataset)
    for thing in lost:
        print(f"not in it, as {to} has no room: {thing}")
