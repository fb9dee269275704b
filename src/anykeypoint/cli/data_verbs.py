"""`anykeypoint data`: the verbs that look after labelled data; see `cli`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AllowMissing, Images

app = typer.Typer(help="Look after labelled data.", no_args_is_help=True)

Spec = Annotated[str, typer.Argument(metavar="FORM:FILE", help="The labels; `data list` shows the forms.")]


@app.command("list")
def list_known(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Tell all that is known of this one.")] = None,
) -> None:
    """Data sets that are known by name, and the forms of labels that can be read."""
    from . import data as verb

    raise typer.Exit(verb.list_known(name))


@app.command("check")
def check(
    spec: Spec,
    images: Images = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Write a mended copy, as COCO, outside the data's folder.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Tell every fault, not the first few of a kind.")] = False,
) -> None:
    """What there is of each category and what is wrong with it; exit code 1 if anything is."""
    from . import data as verb

    raise typer.Exit(verb.check(spec, images, fix=fix, everything=everything))


@app.command("view")
def view(
    spec: Spec,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The sheet: .png, .jpg or .webp.")],
    images: Images = None,
    per_category: Annotated[int, typer.Option(metavar="N", help="Objects of each category.")] = 2,
    most: Annotated[int, typer.Option(metavar="N", help="Objects on the sheet.")] = 24,
    seed: Annotated[int, typer.Option(metavar="N", help="For the choice of objects.")] = 0,
    own_names: Annotated[
        bool, typer.Option("--own-names", help="Write the file's names of points, not the library's.")
    ] = False,
) -> None:
    """A contact sheet of labelled objects with their points and names."""
    from . import data as verb

    code = verb.view(spec, images, out, per_category=per_category, most=most, seed=seed, own_names=own_names)
    raise typer.Exit(code)


@app.command("convert")
def convert(
    spec: Spec,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write, outside the data.")],
    images: Images = None,
    to: Annotated[str, typer.Option(metavar="FORM", help="coco, labelstudio, dlc or csv.")] = "coco",
    allow_missing: AllowMissing = False,
) -> None:
    """Write labels in another form; what that has no room for is said."""
    from . import data as verb

    raise typer.Exit(verb.convert(spec, images, out, to=to, allow_missing=allow_missing))


@app.command("split")
def split(
    spec: Spec,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="For train.json, val.json and test.json.")],
    images: Images = None,
    by: Annotated[str, typer.Option(metavar="WHAT", help="What stays on one side: category or group.")] = "category",
    shares: Annotated[str, typer.Option(metavar="A,B,C", help="Of train, val and test.")] = ".7,.1,.2",
    seed: Annotated[int, typer.Option(metavar="N", help="The same gives the same parts.")] = 0,
) -> None:
    """Cut labels into train, val and test, whole categories or groups on one side."""
    from . import data as verb

    raise typer.Exit(verb.split(spec, images, out, by=by, shares=shares, seed=seed))


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set to put together: mp100.")],
    sources: Annotated[Path, typer.Option(metavar="DIR", help="The data sets you have and MP-100's label files.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="For the folders and missing.tsv.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy pictures; else they are linked.")] = False,
) -> None:
    """Build MP-100's folders from the data sets they come from; what is missing is listed."""
    from . import data as verb

    raise typer.Exit(verb.prepare(name, sources, out, copy=copy))


@app.command("draw")
def draw(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty; for the pictures and annotations.json.")],
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", help="Objects, one a picture.")],
    poses: Annotated[int, typer.Option(metavar="N", help="Objects of each kind.")] = 4,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the pictures.")] = 256,
    seed: Annotated[int, typer.Option(metavar="N", help="The same gives the same bytes.")] = 0,
) -> None:
    """Draw made-up objects with named points, COCO-style: more kinds to train on, without rights of others."""
    from . import data as verb

    raise typer.Exit(verb.draw(out, count, poses=poses, size=size, seed=seed))
