"""`anykeypoint data convert`: labels in another form."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import console, options
from ..left_out import print_left_out
from .paths import check_output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...forms.form import Content
    from ...forms.together import LabelFiles

LISTED = 5  # number of files of a folder that are named
NOTHING = "; nothing was written"  # what --dry-run adds


def run(
    specs: Annotated[
        list[str],
        typer.Argument(
            metavar="FORM:FILE",
            help="The labels; `data list` shows the forms. Several become one, as does a list of them (joint:FILE).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where to write: a new file, or a new folder for a form that is one.",
        ),
    ],
    images: options.Images = None,
    to: Annotated[
        str, typer.Option(metavar="FORM", help="A form that `data list` calls written, such as cvat, dlc or csv.")
    ] = "coco",
    allow_missing: options.AllowMissing = False,
    strict: options.Strict = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written and what would be lost; write nothing.")
    ] = False,
    renumber: Annotated[
        bool, typer.Option("--renumber", help="Count the ids of categories and objects from 1, without gaps.")
    ] = False,
    picture_prefix: Annotated[
        str,
        typer.Option(
            "--picture-prefix",
            metavar="TEXT",
            help="With labelstudio, what stands before the names of pictures, as in '/data/local-files/?d=photos/'.",
        ),
    ] = "",
    overwrite: options.Overwrite = False,
) -> None:
    """Write labels in another form, and say what that form has no room for. Several label files become one."""
    from ...forms.registry import convert, form_of
    from ...forms.renumber import renumber as renumbered
    from ...forms.together import label_files_of
    from ...forms.writing import check_free, save

    files = label_files_of(specs, images)
    _check_outputs([out], files)
    dataset = files.read(allow_missing, strict)
    if renumber:
        dataset, ids = renumbered(dataset)
        for old, new in ids.items():
            print(f"category {old} ({dataset.categories[new].name}) is now {new}")
    content, lost = convert(dataset, files.images, to, picture_prefix)
    form = form_of(to)
    beside = {} if form.beside is None else {out.with_suffix(end): text for end, text in form.beside(dataset).items()}
    _check_outputs(beside, files)
    for path, text in {out: content, **beside}.items():
        check_free(text, path, overwrite)
    done = "Would be written" if dry_run else "Written"
    if not dry_run:
        save(content, out, overwrite)
        for path, text in beside.items():
            save(text, path, overwrite)
    print(f"{done} to {out}: {len(dataset.objects)} objects{_files(content)}{NOTHING if dry_run else ''}")
    for path in beside:
        print(f"{done} beside it: {path}")
    if len(files.specs) > 1:
        console.note(f"Names of pictures start at {files.images} (--images {files.images}).")
    if form.suffix and out.suffix.lower() != form.suffix:
        console.note(
            f"Files of the form {to} end in {form.suffix}, and some programs look for that; {out.name} does not."
        )
    if not dry_run and form.advice:
        console.note(form.advice)
    print_left_out(dataset)
    for thing in lost:
        print(f"not in it, as {to} has no room: {thing}")


def _check_outputs(paths: "Iterable[Path]", files: "LabelFiles") -> None:
    """Refuse each place to write to that `check_output` refuses for one of the label files."""
    for path in paths:
        for spec in files.specs:
            check_output(path, spec, files.images)


def _files(content: "Content") -> str:
    """What a folder of labels holds: the number of its files, how many of them are copies of pictures, their names."""
    if isinstance(content, str):
        return ""
    copies = [one for one in content.values() if isinstance(one, Path)]
    size = sum(path.stat().st_size for path in copies) / 1e6
    copied = f", and copies of the pictures ({len(copies)}, {size:.1f} MB)" if copies else ""
    names = [name for name, one in content.items() if isinstance(one, str)]
    more = f" ... ({len(names)} files)" if len(names) > LISTED else ""
    return f" in {', '.join(names[:LISTED])}{more}{copied}"
