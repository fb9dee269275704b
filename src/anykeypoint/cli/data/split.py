"""`anykeypoint data split`: labels in three parts."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ...errors import InputError
from .. import options
from .paths import check_outside, make_folder


def run(
    spec: options.Labels,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="For train.json, val.json and test.json.")],
    images: options.Images = None,
    by: Annotated[
        str, typer.Option(metavar="WHAT", help="What is never divided between parts: category or group.")
    ] = "category",
    shares: Annotated[str, typer.Option(metavar="A,B,C", help="Shares of train, val and test.")] = ".7,.1,.2",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same parts.")] = 0,
) -> None:
    """Split labels into train, val and test, whole categories or groups on one side. The parts are in COCO's form."""
    from ...data.splits import NAMES, split
    from ...forms.coco import from_document
    from ...forms.registry import load, parse, pictures_of
    from ...io import write_bytes

    try:
        numbers = [float(share) for share in shares.split(",")]
    except ValueError:
        raise InputError(f"Shares must be three numbers, as in .7,.1,.2, but got {shares!r}.") from None
    images, path = pictures_of(spec, images), parse(spec)[2]
    check_outside(out, images, path)
    document = load(spec, images).document()
    dataset = from_document(document, path, images, allow_missing=True)  # refuses what is broken, knows the skeletons
    for entry in document["categories"]:
        if entry["id"] in dataset.categories:  # written from 0: a part alone may not show what its source counts from
            entry["skeleton"] = [list(edge) for edge in dataset.categories[entry["id"]].skeleton]
    parts = split(document, by, numbers, seed)
    make_folder(out)
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
