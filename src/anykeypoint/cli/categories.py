"""`anykeypoint categories`: what the library knows by name, and what is wrong with a category."""

from typing import Annotated

import typer

from ..configs.typed import printable
from . import console, options


def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="A category of the library, a JSON/YAML file, or mp100 for a list.",
            autocompletion=options.complete_categories,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Print a line for whatever is vague, missing or inconsistent; exit code 1 if there is any."
        ),
    ] = False,
) -> int:
    """List the library's categories, or the points of one; or check them."""
    from ..library.lookup import MP100, category, library_names, mp100_categories, names_for_people

    if check:
        return _check(library_names() if name is None else [name])
    if name is None:
        _table([(entry, entry) for entry in names_for_people()])
        last = max(mp100_categories())
        print(f"{MP100}1 ... {MP100}{last}: MP-100's categories, also by name ({MP100}camel_face); `mp100` lists them")
        return 0
    if name == MP100.rstrip("/"):
        _table([(f"{MP100}{i}", f"{MP100}{i}  {entry['name']}") for i, entry in mp100_categories().items()])
        return 0
    one = category(name)
    print(f"{one.name}: {len(one)} points of {'an' if one.noun[0] in 'aeiouAEIOU' else 'a'} {one.noun}")
    wide = console.columns_of(one.names, 0)
    for i, keypoint in enumerate(one.keypoints):
        print(f"{i + 1:>4}  {console.padded(keypoint.name, wide)}  {printable(keypoint.description)}".rstrip())
    return 0


def _table(entries: list[tuple[str, str]]) -> None:
    """Print a line for each category with its number of points and its noun.

    entries: for each category its name in the library and the text that stands for it in the line.
    """
    from ..library.lookup import category

    wide = max((len(text) for _, text in entries), default=0)
    for name, text in entries:
        one = category(name)
        print(f"{text:<{wide}}  {len(one):>3} points  {one.noun}")


def _check(names: list[str]) -> int:
    """Print a line for everything that is to be mended in these categories; 1 if there is anything, else 0."""
    from ..library.check import check
    from ..library.lookup import category

    findings = [finding for name in names for finding in check(category(name))]
    for finding in findings:
        print(finding)
    if not findings:
        points = sum(len(category(name)) for name in names)
        print(f"Nothing to mend in {len(names)} {'category' if len(names) == 1 else 'categories'}, {points} points.")
    return 1 if findings else 0
