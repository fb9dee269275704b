"""`anykeypoint data prepare`: MP-100's folders, put together from the data sets they come from."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError
from .. import console
from .paths import check_outside


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set to put together: mp100.")],
    sources: Annotated[Path, typer.Option(metavar="DIR", help="The data sets you have and MP-100's label files.")],
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="For the folders and missing.tsv.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy pictures; else they are linked.")] = False,
) -> int:
    """Build MP-100's folders from the data sets they come from. What is missing is listed, and the exit code is 1."""
    from ...data.mp100_pictures import build, plan
    from ...data.registry import known_dataset
    from ...io import made_folder, write_bytes

    if name != "mp100":
        raise InputError(f"Only mp100 is put together from other data sets, but got {name!r}; write mp100.")
    if not sources.is_dir():
        raise InputError(f"There is no folder {sources}; give the one with the downloaded data sets.")
    check_outside(out, sources)
    folders = plan(sources)
    made_folder(out, "The output folder")
    count = build(console.track(folders, "copying" if copy else "linking"), out, copy)
    print(f"{'folder':<26} {'source':<13} {'needed':>7} {'found':>7} {'missing':>8}")
    for folder in folders:
        needed = len(folder.found) + len(folder.missing)
        where = f"{folder.name or '(none)':<26} {folder.source or 'unknown':<13}"
        print(f"{where} {needed:>7} {len(folder.found):>7} {len(folder.missing):>8}")
    missing = [(name, why) for folder in folders for name, why in folder.missing.items()]
    for why, many in Counter(why for _, why in missing).items():
        print(f"missing: {many} ({why})")
    empty = sorted({folder.source for folder in folders if folder.source and not folder.found})
    for source in empty:
        known = known_dataset(source)
        print(f"nothing of {source}: {known.where}" + "".join(f"; {fault}" for fault in known.faults))
    lines = [f"{name}\t{why}\n" for name, why in missing]
    write_bytes(out / "missing.tsv", "".join(lines).encode("utf-8", "surrogateescape"))
    done = "copied" if copy else "linked"
    print(f"{count} pictures {done} into {out}; missing.tsv there names the {len(missing)} that are missing")
    return 1 if missing else 0
