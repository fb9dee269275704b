"""`anykeypoint data check`: what there is in labels, what is wrong with them, and a mended copy."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from .. import console, options
from .paths import check_output

if TYPE_CHECKING:
    from ...forms.document import Labels
    from ...forms.faults.fault import Fault, LabelReport
    from ...forms.pictures import Pictures

LISTED = 5  # number of faults of a kind that are printed, unless --all is given


def run(
    spec: options.Labels,
    images: options.Images = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Write a mended copy, as COCO; the labels stay as they are.")
    ] = None,
    changes: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="With --fix, write each changed value, old and new, here.")
    ] = None,
    undo: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Read a mended copy, take back the changes of its table, and write that to --fix, or print it.",
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count missing pictures, and take them for no faults.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List every fault, not only the first few of a kind.")
    ] = False,
    overwrite: options.Overwrite = False,
) -> int:
    """Count what there is of each category and list what is wrong with it. Exit code 1 if anything is wrong."""
    from ...forms.copies import copies_note
    from ...forms.faults.doctor import examine_labels
    from ...forms.faults.visibilities import visibility_notes
    from ...forms.pictures import Pictures
    from ...forms.registry import label_files, load, parse, pictures_of
    from ...forms.skeletons import guess_note
    from ...io import check_new_file

    if fix is None and changes is not None:
        raise InputError("--changes lists what --fix changes; add --fix OUT.json.")
    if undo is not None:
        return _undo(spec, images, undo, fix, overwrite)
    for out in (fix, changes):
        if out is not None:
            check_output(out, spec, pictures_of(spec, images))
            check_new_file(out, overwrite)
    labels = load(spec, images)
    if images is not None and not images.is_dir() and not allow_missing:
        raise InputError(f"There is no folder {images} with the pictures; check --images, or give --allow-missing.")
    pictures = Pictures(pictures_of(spec, images))
    _read_headers(labels.document(), pictures)
    report = examine_labels(labels, pictures, allow_missing, label_files(spec))
    print(_sums(report))
    document = labels.document()
    notes = [guess_note(document, parse(spec)[2]), *visibility_notes(document)]
    notes += [copies_note(document, pictures, None if everything else LISTED)]
    for note in (*labels.all_notes(), *notes):
        if note is not None:
            print(note)
    for reason, count in report.left_out.items():
        print(f"left out by readers: {count} {reason}")
    print(_faults(report.faults, labels.document(), None if everything else LISTED))
    if fix is not None:
        _fix(labels, pictures, fix, changes)
    return 1 if report.faults else 0


def _read_headers(document: dict, pictures: "Pictures") -> None:
    """Read the headers of all pictures, with progress; `pictures` keeps them, and the check needs little time then."""
    for entry in console.track(document["images"], "reading headers"):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and pictures.has(name):
            pictures.size(pictures.path(name))


def _sums(report: "LabelReport") -> str:
    """The counts of each category and of all, as a table."""
    head = ("category", "id", "points", "pictures", "missing", "objects", "labelled", "per object", "box outside")
    rows = []
    for identity, sums in report.counts.items():
        if not sums.objects:
            continue
        share = f"{sums.visible / sums.objects:.1f}"
        rows.append((sums.name, identity, sums.points, len(sums.images), len(sums.missing), sums.objects, sums.visible))
        rows[-1] += (share, sums.outside)
    used = [sums for sums in report.counts.values() if sums.objects]
    pictures = {image for sums in used for image in sums.images}
    missing = {image for sums in used for image in sums.missing}
    totals = [sum(getattr(sums, key) for sums in used) for key in ("objects", "visible", "outside")]
    share = f"{totals[1] / totals[0]:.1f}" if totals[0] else "-"
    rows.append(("all", "", "", len(pictures), len(missing), totals[0], totals[1], share, totals[2]))
    table = [head, *([str(cell) for cell in row] for row in rows)]
    wide = [console.columns_of([row[i] for row in table], 0) for i in range(len(head))]
    lines = []
    for row in table:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], wide[1:], strict=True)]
        lines.append("  ".join([console.padded(row[0], wide[0]), *cells]))
    empty = len(report.counts) - len(used)
    return "\n".join(lines + ([f"{empty} more categories have no object"] if empty else []))


def _faults(faults: "list[Fault]", document: dict, most: int | None) -> str:
    """The faults by kind, each with its picture.

    document: the labels.
    most: number of faults of a kind that are listed one by one; None lists all, and every entry that one concerns.
    """
    from ...forms.faults.fault import KINDS
    from ...forms.faults.findings import entry_ids, pictures_of_objects

    pictures = pictures_of_objects(document)
    if not faults:
        return "Nothing is wrong."
    lines = []
    for kind in KINDS:
        found = [fault for fault in faults if fault.kind == kind]
        if not found:
            continue
        lines.append(f"\n{kind}: {len(found)}" + (f" (--fix {KINDS[kind]})" if KINDS[kind] else ""))
        for fault in found[:most]:
            name = f" ({fault.category})" if fault.category else ""
            named = f"{fault.where}{name}{':' if kind == 'known fault' else ''}"
            shown = sorted({pictures[i] for i in fault.places}) if fault.key[0] == "annotations" else []
            where = f" [{shown[0]}]" if len(shown) == 1 and shown[0] else ""
            person = "" if fault.sure or not KINDS[kind] else " (only a person can mend this one)"
            lines.append("  " + " ".join(filter(None, (named, fault.text))) + where + person)
            if most is None and len(fault.places) > 1:
                lines.append(f"    all of them: {', '.join(entry_ids(document, fault.key[0], sorted(fault.places)))}")
        if most is not None and len(found) > most:
            lines.append(f"  ... and {len(found) - most} more; --all lists them")
    return "\n".join(lines)


def _fix(labels: "Labels", pictures: "Pictures", out: Path, table: Path | None) -> None:
    """Write a copy in which all is mended that has one meaning, and say what was mended and what was not."""
    from ...forms.faults.changes import changes_text
    from ...forms.faults.fault import KINDS
    from ...forms.faults.repair import count_from_one, mend
    from ...io import write_bytes

    mended = mend(labels.placed(), pictures)
    there = {one["id"] for one in mended.document["images"] if labels.borrowed and pictures.has(one["file_name"])}
    if unknown := labels.borrowed - there:  # the file whose size was taken is another picture
        labels.unplaced |= unknown
        mended = mend(labels.placed(), pictures)
    whole = {**labels.rest, **{key: value for key, value in mended.document.items() if value != {}}}
    whole, counted = count_from_one(whole)
    write_bytes(out, _json(whole))
    print(f"\nWritten to {out}, a mended copy in COCO's form; the labels themselves are as they were.")
    if table is not None:
        made = [*mended.changes, *counted]
        write_bytes(table, changes_text(made).encode("utf-8", "backslashreplace"))
        print(f"Written to {table}: {len(made)} changed values; `data check --undo` takes them back.")
    for kind, count in mended.mended.items():
        print(f"  mended: {count} x {kind}" + (f": {KINDS[kind]}" if kind in KINDS else ""))
    left = mended.left | ({"cannot be read": len(labels.faults)} if labels.faults else {})
    for kind, count in left.items():
        print(f"  left as it is: {count} x {kind}")
    if unplaced := len(labels.annotations) - len(labels.placed()["annotations"]):
        print(f"  left out: {unplaced} objects of missing pictures, without whose size their places are not known")
    if left and not mended.mended:
        print("  nothing of what was found can be mended without a person")


def _undo(spec: str, images: Path | None, table: Path, out: Path | None, overwrite: bool) -> int:
    """Write the labels as they were before the changes of a table; print them where no file is given."""
    from ...forms.document import load_document
    from ...forms.faults.changes import read_changes, take_back
    from ...forms.registry import parse
    from ...io import check_new_file, write_bytes

    path = parse(spec)[2]
    if out is not None:
        check_output(out, spec, path.parent if images is None else images)
        check_new_file(out, overwrite)
    made = read_changes(table)
    before = _json(take_back(load_document(path), made, str(table)))
    if out is None:
        print(before.decode(), end="")
        return 0
    write_bytes(out, before)
    print(f"Written to {out}: the labels before the {len(made)} changes of {table}")
    return 0


def _json(document: dict) -> bytes:
    from ...configs.doubled_keys import dump_json

    # A name that is not UTF-8 holds lone surrogates; "backslashreplace" spells them as JSON's own \\udcXX.
    return dump_json(document).encode("utf-8", "backslashreplace") + b"\n"
