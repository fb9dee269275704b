"""`anykeypoint data view`: a contact sheet of labelled objects."""

from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError
from .. import console, options
from ..left_out import print_faults, print_left_out
from .paths import check_output


def run(
    spec: options.Labels,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The sheet: .png, .jpg or .webp.")],
    images: options.Images = None,
    per_category: Annotated[int, typer.Option(metavar="N", help="Number of objects of each category.")] = 2,
    most: Annotated[int, typer.Option(metavar="N", help="Number of objects on the sheet.")] = 24,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of objects.")] = 0,
    own_names: Annotated[
        bool, typer.Option("--own-names", help="Write the names of points in the file, not those of the library.")
    ] = False,
) -> None:
    """Draw a contact sheet of labelled objects with their points and names.

    Objects whose picture is missing or cannot be read are left out and counted.
    """
    from ...data.contact import choose, contact_sheet, with_labels
    from ...drawing.overlay import save_picture
    from ...forms.registry import pictures_of, read

    if per_category < 1 or most < 1:
        raise InputError(f"A sheet shows at least one object, but got {min(per_category, most)}; ask for more.")
    images = pictures_of(spec, images)
    check_output(out, spec, images)
    dataset = read(spec, images, allow_missing=True)
    chosen = choose(dataset, per_category, most, seed)
    if own_names:
        chosen = [with_labels(item) for item in chosen]
    with console.waiting("drawing"):
        sheet = contact_sheet(chosen)
    save_picture(sheet.picture, out)
    print(f"Written to {out}: {len(sheet.objects)} of {len(dataset.objects)} objects")
    print_left_out(dataset)
    if sheet.faults:
        console.note(f"left out: {len(sheet.faults)} (picture cannot be read)")
        print_faults(list(dict.fromkeys(sheet.faults)))
