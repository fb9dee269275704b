"""`anykeypoint identify`: which keypoints are at these points of a picture?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..geometry import Box, check_box
from ..io import write_bytes
from ..library.lookup import category as named_category
from ..pose import Identified


def run(
    image: str,
    *,
    at: Sequence[str],
    box: str | None = None,
    category: str | None = None,
    model: str = "kpt",
    device: str = "auto",
    output: Path | None = None,
) -> int:
    """Name the points, print a line for each and write them to `output`, where there is one.

    Raises InputError, before the model is loaded where that can be known, if the request cannot be carried out.
    """
    if not at:
        raise InputError("identify needs a point; give one or more as --at x,y.")
    points = np.array([_numbers(text, 2, "A point", "--at 120,83") for text in at])
    where = None if box is None else check_box(_numbers(box, 4, "A box", "--box 10,20,200,150"))
    choice = None if category is None else named_category(category)
    if not Path(image).is_file():
        raise InputError(f"There is no file {image}; check the path.")
    if output is not None and output.resolve() == Path(image).resolve():
        raise InputError(f"The output {output} would overwrite the picture; choose another place.")
    if output is not None and not output.parent.is_dir():
        raise InputError(f"Cannot write {output}: there is no folder {output.parent}; make it first.")

    from .. import load

    loaded = load(model, device=device)
    if "identify" not in getattr(loaded, "prompts", ()):
        raise InputError(f"The model {model!r} cannot name points; give a KptLLM as --model.")
    answers = loaded.identify(image, points, box=where, category=choice)
    print(text_table(points, answers))
    if output is not None:
        found = as_json(image, where, choice, points, answers)
        write_bytes(output, (json.dumps(found, indent=1) + "\n").encode())
    return 0


def text_table(points: np.ndarray, answers: Sequence[Identified]) -> str:
    """A line for each point: where, how sure, and the name; of a category's names the next likeliest two as well."""
    lines = [f"{'x':>8}  {'y':>8}  confidence  name"]
    for (x, y), answer in zip(points.tolist(), answers, strict=True):
        others = sorted((answer.probabilities or {}).items(), key=lambda item: -item[1])[1:3]
        beside = f"  ({', '.join(f'{name} {share:.2f}' for name, share in others)})" if others else ""
        lines.append(f"{x:>8.1f}  {y:>8.1f}  {answer.confidence:>10.2f}  {answer.name}{beside}")
    return "\n".join(lines)


def as_json(
    image: str, box: Box | None, category: Category | None, points: np.ndarray, answers: Sequence[Identified]
) -> dict[str, Any]:
    """What --json writes: coordinates in pixels of the picture."""
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
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"{what} must be {count} numbers in pixels, as in {like}, but got {text!r}.")
    return values
