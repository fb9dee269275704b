"""`anykeypoint data split`: labels in parts."""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...configs.typed import split_commas
from ...errors import InputError
from .. import console, options
from ..left_out import print_faults
from .paths import check_output

if TYPE_CHECKING:
    from collections.abc import Mapping

    Part = Mapping[str, list]


def run(
    spec: Annotated[
        list[str],
        typer.Argument(
            metavar="FORM:FILE",
            help="The labels; several files of one data set, as MP-100's train, val and test, are one.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="For the parts: train.json, test.json, ...")
    ],
    images: options.Images = None,
    by: Annotated[
        str, typer.Option(metavar="WHAT", help="What is never divided between parts: category or group.")
    ] = "category",
    shares: Annotated[str, typer.Option(metavar="A,B,C", help="Shares of train, val and test.")] = ".7,.1,.2",
    hold_out: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Instead: for each supercategory NAME_train.json without it and NAME_test.json with it alone; A+B "
            "holds out two at once.",
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(metavar="S", help="Instead: part.json with this share of the objects, rest.json with the others."),
    ] = None,
    per_category: Annotated[
        bool, typer.Option("--per-category", help="With --share: that share of each category's objects.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same parts.")] = 0,
    overwrite: options.Overwrite = False,
) -> None:
    """Split labels into train, val and test, whole categories or groups on one side. The parts are in COCO's form."""
    from ...data.parts import take_share
    from ...data.splits import split
    from ...forms.registry import pictures_of
    from ...io import check_new_file

    if hold_out is not None and share is not None:
        raise InputError("Labels are split by --hold-out or by --share, but got both; split the parts of one again.")
    if per_category and share is None:
        raise InputError("--per-category says how --share is taken, but there is no --share; give it, as in 0.5.")
    numbers = _numbers(shares)
    names = _names(hold_out, share)
    for one, name in itertools.product(spec, names):
        check_output(_place(out, name), one, pictures_of(one, images))
    for name in names:  # all of them, before any is written: parts of two splits have objects in common
        check_new_file(_place(out, name), overwrite)
    document = _document(spec, images)
    if hold_out is not None:
        divided = _held_out(document, hold_out, spec)
    elif share is not None:
        divided = take_share(document, share, seed, per_category)
    else:
        divided = split(document, by, numbers, seed)
    parts = dict(zip(names, divided, strict=True))
    _write(parts, out)
    _tell_shared(
        list(parts.values()), 2 if hold_out is not None else len(parts), {pictures_of(one, images) for one in spec}
    )
    if by == "group" and hold_out is None and share is None:
        alone = sum(entry.get("group") is None for entry in document["images"])
        if alone:
            print(f"{alone} of {len(document['images'])} pictures have no group; each was taken as one by itself")
    print(f"Written to {out}")


def _numbers(shares: str) -> list[float]:
    try:
        return [float(share) for share in split_commas(shares)]
    except ValueError:
        raise InputError(f"Shares must be three numbers, as in .7,.1,.2, but got {shares!r}.") from None


def _names(hold_out: str | None, share: float | None) -> list[str]:
    """The names of the parts."""
    from ...data.splits import NAMES

    if hold_out is not None:
        return [f"{'+'.join(chosen)}_{side}" for chosen in _chosen(hold_out) for side in ("train", "test")]
    return ["part", "rest"] if share is not None else list(NAMES)


def _chosen(names: str) -> list[list[str]]:
    """The supercategories of --hold-out, those that are held out together in one list."""
    return [[part.strip() for part in name.split("+")] for name in names.split(",")]


def _document(specs: list[str], images: Path | None) -> dict[str, list]:
    """The labels of all specifications as one document that has been checked, with skeletons that count from 1."""
    from ...data.parts import merge
    from ...forms.coco import from_document
    from ...forms.dataset import check_faults
    from ...forms.document import with_whole_ids
    from ...forms.registry import load, parse, pictures_of
    from ...forms.skeletons import written_edges

    documents = []
    for spec in specs:
        folder, path = pictures_of(spec, images), parse(spec)[2]
        labels = load(spec, folder)
        print_faults(labels.faults)
        document = labels.document()
        dataset = from_document(document, path, folder, allow_missing=True)
        for sentence in dataset.notes:
            console.note(sentence)
        check_faults(dataset.faults, strict=True)  # a part would keep what is broken
        document = with_whole_ids(document)  # of the ids 1 and "1" one must not be taken for another category
        for entry in document["categories"]:
            if entry["id"] in dataset.categories:  # a part alone may not show what its source counts from
                entry["skeleton"] = written_edges(dataset.categories[entry["id"]].skeleton)
        documents.append(document)
    return documents[0] if len(documents) == 1 else merge(documents)


def _held_out(document: "Part", names: str, specs: list[str]) -> "list[Part]":
    """The training and the test part for each supercategory, or several of them together."""
    from ...data.parts import hold_out
    from ...forms import mp100
    from ...forms.registry import parse

    def of_file(entry: "Mapping[str, object]") -> str:
        return str(entry.get("supercategory") or "")

    supercategory = mp100.supercategory if all(parse(spec)[0] == "mp100" for spec in specs) else of_file
    return [part for chosen in _chosen(names) for part in hold_out(document, chosen, supercategory)]


def _tell_shared(parts: "list[Part]", together: int, folders: set[Path]) -> None:
    """Note pictures that are in more than one of the parts that belong together, so many after one another.

    folders: of the pictures. Where it is one, files of other names that are the same picture are told, too.
    """
    from ...data.parts import in_several
    from ...forms.copies import copies
    from ...forms.pictures import Pictures

    groups = [parts[start : start + together] for start in range(0, len(parts), together)]
    shared = [in_several(group) for group in groups]
    if most := max(shared):
        console.note(
            f"Pictures with objects in more than one part: {most}. A model is then measured on pictures that it has "
            "seen; --by group keeps each picture whole."
        )
    names = {str(entry["file_name"]): None for one in parts for entry in one["images"]}
    same = copies(sorted(names), Pictures(folders.pop())) if len(folders) == 1 else {}
    if (copied := max(in_several(group, same) - known for group, known in zip(groups, shared, strict=True))) > 0:
        console.note(
            f"Pictures with a copy in another part, byte for byte, under another name: {copied}. A model is then "
            "measured on pictures that it has seen; `data check --all` names them, so that one of two can be left out."
        )


def _place(out: Path, name: str) -> Path:
    """The file of a part."""
    return out / f"{name}.json"


def _write(parts: "dict[str, Part]", out: Path) -> None:
    """Write each part as NAME.json and say what is in it."""
    from ...forms.skeletons import with_base
    from ...io import made_folder, write_bytes

    made_folder(out, "The output folder")
    wide = max(5, *map(len, parts))
    for name, part in parts.items():
        write_bytes(
            _place(out, name),
            json.dumps({"info": with_base({}), **part}, ensure_ascii=False, allow_nan=False).encode(
                "utf-8", "backslashreplace"
            )
            + b"\n",
        )
        kinds = len({entry["category_id"] for entry in part["annotations"]})
        pictures = len(part["images"])
        print(f"{name:<{wide}}  {len(part['annotations']):>7} objects of {kinds} categories in {pictures} pictures")
