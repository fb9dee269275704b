"""`anykeypoint identify`: which keypoints are at these points of a picture?"""

import json as json_format
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..configs.typed import printable, split_commas
from ..errors import InputError
from . import console, options

if TYPE_CHECKING:
    import numpy as np

    from ..category import Category
    from ..geometry import Box
    from ..pose import Identified

GUESSING = "kptllm-small"
WARNING = (
    "note: do not rely on these names: out of a category's names, of kinds of object that it was not trained on, "
    f"{GUESSING} picks the right one for 40.2 % of the points, a guess by the position in the box for 26.5 %, and its "
    f"own words are worse; better give --category and leave {GUESSING} out."
)


def run(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="x,y", help="A point to name, in pixels; may be repeated."),
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="x,y,w,h", help="The object's box in pixels; else the whole picture.")
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Choose among this category's names; else the name is in the model's own words, as a KptLLM has them.",
            autocompletion=options.complete_categories,
        ),
    ] = None,
    called: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What you take the points for, right or wrong; for a model that was trained with the task misnamed.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A KptLLM or, with --category, a matcher that reads words: name, folder or hub id; by default "
            "accurate with --category, else kptllm-small.",
            autocompletion=options.complete_models,
        ),
    ] = None,
    max_pixels: options.MaxPixels = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the answers here too, as JSON.")] = None,
) -> int:
    """Name the keypoint at a point of a picture, out of a category's names.

    On 15 kinds of object that it was not trained on, accurate picks the right one of a category's names for 47.6 % of
    the points, a guess by the position in the box for 23.6 %. Without a category kptllm-small writes a name of its own,
    which is seldom right: that is there for models that you train yourself.
    """
    import numpy as np

    from ..geometry import check_box
    from ..images import read_picture
    from ..images.limits import check_max_pixels
    from ..io import write_bytes
    from ..library.lookup import category as named_category
    from ..models.loading import find
    from .choice import check_model, default_model, load_model

    check_max_pixels(max_pixels)
    if not at:
        raise InputError("identify needs a point; give one or more as --at x,y.")
    points = np.array([_numbers(text, 2, "A point", "--at 120,83") for text in at])
    where = None if box is None else check_box(_numbers(box, 4, "A box", "--box 10,20,200,150"))
    choice = None if category is None else named_category(category)
    if Path(image).is_dir():
        raise InputError(f"identify takes one picture, but {image} is a folder; name a picture in it.")
    if not Path(image).is_file():
        raise InputError(f"There is no file {image}; check the path.")
    for what, file in (("picture", image), ("category's file", category)):
        if json is not None and file is not None and json.resolve() == Path(file).resolve():
            raise InputError(f"The output {json} would overwrite the {what}; choose another place.")
    if json is not None and not json.parent.is_dir():
        raise InputError(f"Cannot write {json}: there is no folder {json.parent}; make it first.")
    needed = ["identify", *(["own_words"] if choice is None else []), *(["called"] if called is not None else [])]
    if model is None:
        model = default_model(needed)
    else:
        check_model(model, needed)

    loaded = load_model(model, device, dtype)
    given = {} if called is None else {"called": called}
    answers = loaded.identify(read_picture(image, max_pixels), points, box=where, category=choice, **given)
    print(text_table(points, answers))
    if json is not None:
        written = as_json(Path(image).name, where, choice, points, answers)  # as `predict` names a single picture
        write_bytes(json, (json_format.dumps(written, indent=1) + "\n").encode())
        console.note(f"Written to {json}: {len(points)} point{'' if len(points) == 1 else 's'}.")
    if find(model) == find(GUESSING):
        console.note(WARNING)
    return 0


def text_table(points: "np.ndarray", answers: "Sequence[Identified]") -> str:
    """A line for each point: place, confidence and name; of a category's names the next likeliest two as well."""
    lines = [f"{'x':>8}  {'y':>8}  confidence  name"]
    for (x, y), answer in zip(points.tolist(), answers, strict=True):
        others = sorted((answer.probabilities or {}).items(), key=lambda item: -item[1])[1:3]
        beside = f"  ({', '.join(f'{printable(name)} {share:.2f}' for name, share in others)})" if others else ""
        lines.append(f"{x:>8.1f}  {y:>8.1f}  {answer.confidence:>10.2f}  {printable(answer.name)}{beside}")
    return "\n".join(lines)


def as_json(
    image: str, box: "Box | None", category: "Category | None", points: "np.ndarray", answers: "Sequence[Identified]"
) -> dict[str, Any]:
    """What --json writes; coordinates are in pixels of the picture."""
    rows = [
        {
            "point": point,
            "name": answer.name,
            "confidence": answer.confidence,
            "probabilities": None if answer.probabilities is None else dict(answer.probabilities),
        }
        for point, answer in zip(points.tolist(), answers, strict=True)
    ]
    return {"image": image, "box": box, "category": None if category is None else category.name, "points": rows}


def _numbers(text: str, count: int, what: str, like: str) -> tuple[float, ...]:
    """The finite numbers of "x,y" or "x,y,w,h"; InputError where there are not `count` of them."""
    try:
        values = tuple(float(part) for part in split_commas(text))
    except ValueError:
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise InputError(f"{what} must be {count} numbers in pixels, as in {like}, but got {text!r}.")
    return values
