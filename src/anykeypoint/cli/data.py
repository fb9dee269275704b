"""`anykeypoint data`: what data sets there are, what is wrong with one, how it looks, and turning it into another."""

import json
from collections import Counter
from pathlib import Path

from ..data.registry import KnownDataset, known_dataset, known_datasets
from ..errors import InputError
from ..forms.coco import from_document
from ..forms.dataset import Dataset
from ..forms.faults.doctor import examine
from ..forms.faults.fault import KINDS, Fault, LabelReport
from ..forms.pictures import Pictures
from ..forms.registry import FORMS, form_of, load, parse, pictures_of, read
from ..io import write_bytes

SHOWN = 5  # faults of a kind that are told one by one
_PASSES = 5  # of mending: what one mends, e.g. a box, can show another


def list_known(name: str | None) -> int:
    """Print what is known of one data set, or a line for each and the forms that can be read."""
    if name is not None:
        print(_described(known_dataset(name)))
        return 0
    wide = max(map(len, known_datasets()))
    for entry in known_datasets().values():
        print(f"{entry.name:<{wide}}  {entry.what}")
        facts = {
            "categories": entry.categories,
            "points": entry.keypoints,
            "licence": entry.licence,
            "size": entry.size,
        }
        facts["where"], facts["used by"] = entry.where, ", ".join(entry.papers)
        print(f"{'':<{wide}}  " + "; ".join(f"{key}: {value}" for key, value in facts.items()))
    print("\nforms that --data takes, as FORM:FILE; `data list NAME` tells more of a data set")
    wide = max(map(len, FORMS))
    for form in FORMS:
        entry = form_of(form)
        word = f"; {form}/WORD:FILE with {entry.word}" if entry.word else ""
        print(f"{form:<{wide}}  {entry.what}{word}")
    return 0


def _described(entry: KnownDataset) -> str:
    lines = [f"{entry.name}: {entry.what}"]
    for key in ("categories", "keypoints", "size", "licence", "where"):
        lines.append(f"  {key:<10}  {getattr(entry, key)}")
    lines.append(f"  {'read with':<10}  --data {entry.reader}:FILE")
    lines.append(f"  {'used by':<10}  {', '.join(entry.papers) or 'none of the papers'}")
    lines += [f"  known fault: {fault}" for fault in entry.faults]
    return "\n".join(lines)


# --- check ---------------------------------------------------------------------------------------------------------


def check(spec: str, images: Path | None, *, fix: Path | None, everything: bool) -> int:
    """Tell what there is and what is wrong; 1 if anything is. fix: write a mended copy there, as COCO."""
    labels = load(spec, images)
    pictures = Pictures(pictures_of(spec, images))
    if fix is not None:
        _outside(fix, pictures.folder, parse(spec)[2])
    report = examine(labels.document(), pictures)
    print(_sums(report))
    for reason, count in labels.left_out.items():
        print(f"left out by the reader: {count} {reason}")
    print(_faults(report.faults, None if everything else SHOWN))
    if fix is not None:
        _fix(labels.document(), report.faults, pictures, fix)
    return 1 if report.faults else 0


def _sums(report: LabelReport) -> str:
    head = ("category", "id", "points", "pictures", "missing", "objects", "labelled", "per object", "box outside")
    rows = []
    for identity, sums in report.sums.items():
        if not sums.objects:
            continue
        share = f"{sums.visible / sums.objects:.1f}"
        rows.append((sums.name, identity, sums.points, len(sums.images), len(sums.missing), sums.objects, sums.visible))
        rows[-1] += (share, sums.outside)
    used = [sums for sums in report.sums.values() if sums.objects]
    pictures = {image for sums in used for image in sums.images}
    missing = {image for sums in used for image in sums.missing}
    totals = [sum(getattr(sums, key) for sums in used) for key in ("objects", "visible", "outside")]
    share = f"{totals[1] / totals[0]:.1f}" if totals[0] else "-"
    rows.append(("all", "", "", len(pictures), len(missing), totals[0], totals[1], share, totals[2]))
    table = [head, *([str(cell) for cell in row] for row in rows)]
    wide = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines = []
    for row in table:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], wide[1:], strict=True)]
        lines.append("  ".join([f"{row[0]:<{wide[0]}}", *cells]))
    empty = len(report.sums) - len(used)
    return "\n".join(lines + ([f"{empty} more categories have no object"] if empty else []))


def _faults(faults: list[Fault], most: int | None) -> str:
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
            lines.append(f"  {fault.where}{name}{':' if kind == 'known fault' else ''} {fault.text}")
        if most is not None and len(found) > most:
            lines.append(f"  ... and {len(found) - most} more; --all tells them")
    return "\n".join(lines)


def _fix(document: dict, faults: list[Fault], pictures: Pictures, out: Path) -> None:
    from ..forms.faults.repair import repair

    mended: Counter = Counter()
    for _ in range(_PASSES):
        document, done, left = repair(document, faults)
        mended.update(done)
        faults = examine(document, pictures).faults
        if not done:
            break
    write_bytes(out, json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    print(f"\nWritten to {out}, a mended copy in COCO's form; the labels themselves are as they were.")
    for kind, count in mended.items():
        print(f"  mended: {count} x {kind}" + (f": {KINDS[kind]}" if kind in KINDS else ""))
    for kind, count in left.items():
        print(f"  left as it is: {count} x {kind}")
    if not mended:
        print("  nothing of what was found can be mended without a person")


def _outside(out: Path, *sources: Path) -> None:
    """Refuse to write into the user's data."""
    target = out.resolve()
    for source in sources:
        folder = source.resolve()
        folder = folder if folder.is_dir() else folder.parent
        if target == source.resolve() or (source.is_dir() and target.is_relative_to(folder)):
            raise InputError(f"{out} is inside the data ({source}), which are never changed; write somewhere else.")


# --- view ----------------------------------------------------------------------------------------------------------


def view(spec: str, images: Path | None, out: Path, *, per_category: int, most: int, seed: int, own_names: bool) -> int:
    """Write a contact sheet of labelled objects; those with missing pictures are left out and counted."""
    from ..data.contact import choose, contact_sheet, with_labels
    from ..drawing.overlay import save_picture

    if per_category < 1 or most < 1:
        raise InputError(f"A sheet shows at least one object, but got {min(per_category, most)}; ask for more.")
    images = pictures_of(spec, images)
    _outside(out, images, parse(spec)[2])
    dataset = read(spec, images, allow_missing=True)
    chosen = choose(dataset, per_category, most, seed)
    if own_names:
        chosen = [with_labels(item) for item in chosen]
    save_picture(contact_sheet(chosen), out)
    print(f"Written to {out}: {len(chosen)} of {len(dataset.objects)} objects")
    _left_out(dataset)
    return 0


def _left_out(dataset: Dataset) -> None:
    for reason, count in dataset.skipped.items():
        print(f"left out: {count} ({reason})")


# --- writing other files -------------------------------------------------------------------------------------------


def convert(spec: str, images: Path | None, out: Path, *, to: str, allow_missing: bool) -> int:
    """Write labels in another form and say what it has no room for."""
    from ..forms.registry import convert as write

    images = pictures_of(spec, images)
    _outside(out, images, parse(spec)[2])
    dataset = read(spec, images, allow_missing=allow_missing)
    text, lost = write(dataset, images, to)
    write_bytes(out, text.encode("utf-8", "surrogateescape"))
    print(f"Written to {out}: {len(dataset.objects)} objects")
    _left_out(dataset)
    for thing in lost:
        print(f"not in it, as {to} has no room: {thing}")
    return 0


def split(spec: str, images: Path | None, out: Path, *, by: str, shares: str, seed: int) -> int:
    """Write train.json, val.json and test.json, in COCO's form, into a folder."""
    from ..data.splits import NAMES
    from ..data.splits import split as cut

    try:
        numbers = [float(share) for share in shares.split(",")]
    except ValueError:
        raise InputError(f"Shares must be three numbers, as in .7,.1,.2, but got {shares!r}.") from None
    images, path = pictures_of(spec, images), parse(spec)[2]
    _outside(out, images, path)
    document = load(spec, images).document()
    dataset = from_document(document, path, images, allow_missing=True)  # refuses what is broken, knows the skeletons
    for entry in document["categories"]:
        if entry["id"] in dataset.categories:  # counted from 0: a part alone might not tell what it counts from
            entry["skeleton"] = [list(edge) for edge in dataset.categories[entry["id"]].skeleton]
    parts = cut(document, by, numbers, seed)
    _make_folder(out)
    for name, part in zip(NAMES, parts, strict=True):
        write_bytes(out / f"{name}.json", json.dumps(part, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        kinds = len({entry["category_id"] for entry in part["annotations"]})
        print(
            f"{name:<5}  {len(part['annotations']):>7} objects of {kinds} categories in {len(part['images'])} pictures"
        )
    if by == "group":
        alone = sum(entry.get("group") is None for entry in document["images"])
        if alone:
            print(f"{alone} of {len(document['images'])} pictures have no group; each was taken as one by itself")
    print(f"Written to {out}")
    return 0


def draw(out: Path, count: int, *, poses: int, size: int, seed: int) -> int:
    """Write a data set of made-up objects."""
    from ..data.synthetic import IMAGES, write_dataset

    path = write_dataset(out, count, seed, poses, size)
    print(f"{count} objects of {-(-count // poses)} kinds: --data coco:{path} --images {out / IMAGES}")
    return 0


def prepare(name: str, sources: Path, out: Path, *, copy: bool) -> int:
    """Build MP-100's folders from the source data sets; 1 if anything is missing."""
    from ..data.mp100_folders import build, plan

    if name != "mp100":
        raise InputError(f"Only mp100 is put together from other data sets, but got {name!r}.")
    if not sources.is_dir():
        raise InputError(f"There is no folder {sources}; give the one with the downloaded data sets.")
    _outside(out, sources)
    folders = plan(sources)
    _make_folder(out)
    count = build(folders, out, copy)
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


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {out}: {error.strerror or error}.") from error
