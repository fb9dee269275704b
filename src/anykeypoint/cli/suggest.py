"""`anykeypoint suggest`: a folder of pictures in; those that are worth labelling first out, one a line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from . import console, options

if TYPE_CHECKING:
    from ..category import Category


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of pictures.")],
    count: Annotated[int, typer.Option(metavar="N", help="How many pictures are suggested.")] = 20,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also take the pictures in subfolders.")] = False,
    features: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder to keep features in, so that they are computed once; a new one."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A matcher's name, a folder or a hub id.", autocompletion=options.complete_models
        ),
    ] = "fast",  # of many pictures, which are only compared with one another
    category: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A category that the pictures show: of pictures that look different, those where the model is unsure.",
            autocompletion=options.complete_categories,
        ),
    ] = None,
    keypoints: Annotated[str | None, typer.Option(metavar="NAMES", help="The same, as 'nose; left eye; ...'.")] = None,
    noun: Annotated[str | None, typer.Option(metavar="WORD", help="What the object is called.")] = None,
    device: options.Device = "auto",
) -> int:
    """Name the pictures of a folder that are worth labelling first, the best one first.

    They are far from one another in what they look like, so that no two are nearly the same. With --category or
    --keypoints, three times as many are answered by the model, and those are named of which it is the least sure.
    """
    from ..configs.checks import check_whole
    from ..images import list_pictures
    from ..labelling.looks import LooksEncoder, looks_of
    from ..labelling.suggest import POOL, most_unsure, spread
    from ..models.matching.model import MatchingModel
    from .choice import load_model
    from .predict import choose_category

    check_whole(count, "--count")
    if noun is not None and category is None and keypoints is None:
        raise InputError(
            "--noun is a word for the object of --category or --keypoints; give one of them, or leave it out."
        )
    chosen = None if category is None and keypoints is None else choose_category(category, keypoints, noun)
    found = list_pictures(folder, recursive)
    if not found.pictures:
        besides = f" ({found.passed_over})" if found.passed_over else ""
        raise InputError(f"{folder} holds no pictures{besides}; give a folder that does, or --recursive.")
    if found.passed_over:
        console.note(f"{folder}: {found.passed_over}")
    loaded = load_model(model, device)
    if not isinstance(loaded, MatchingModel):
        raise InputError(f"Pictures are compared by a matcher's image encoder, but {model} is none; give one, as fast.")
    if chosen is not None:
        loaded.check_prompt(False, True)  # refuses a matcher that reads no words, before anything is computed
    with console.counting(len(found.pictures), "features") as (_, advance):
        looks = looks_of(found.pictures, LooksEncoder(loaded), features, advance)
    for sentence in looks.faults.values():
        console.error(sentence)
    if not looks.paths:
        raise InputError(f"None of the {len(found.pictures)} pictures of {folder} can be read; give others.")
    numbers = spread(looks.vectors, count if chosen is None else POOL * count)
    if chosen is not None:
        doubts = _doubts(model, device, chosen, [looks.paths[number] for number in numbers])
        numbers = most_unsure(numbers, doubts, count)
    for number in numbers:
        print(looks.paths[number])
    if len(numbers) < min(count, len(looks.paths)):
        console.note(f"{len(numbers)} pictures differ; each of the others is nearly the same as one of these.")
    return 1 if looks.faults else 0


def _doubts(model: str, device: str, category: "Category", paths: list[Path]) -> list[float]:
    """How unsure the model is of each picture; one that it cannot answer is the most unsure."""
    from ..labelling.doubt import doubt
    from .choice import load_model

    loaded = load_model(model, device)  # anew, as the other one sees small pictures
    doubts = []
    for path in console.track(paths, "answers"):
        try:
            doubts.append(doubt(loaded.predict(path, category)))
        except InputError:
            doubts.append(1.0)
    return doubts
