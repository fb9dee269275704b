"""Whether a training made a model better: its points on held-out objects of the same data, before and after."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..example import Example
from ..io import write_bytes
from ..training.held_out import THRESHOLDS, fold_numbers, shares_within
from . import console

if TYPE_CHECKING:
    from ..forms.dataset import Dataset, LabelledObject
    from ..training.run_config import RunConfig

FILE = "validation.json"  # in the run's folder
SHARE = 0.2  # of the objects, held out where a saved model is trained further
MOST = 30  # objects that are asked for before and after
_FEWEST = 10  # objects; of fewer none is held out
_PARTS = 20  # into as many parts at most the objects are dealt, so that a share is met as well as in twentieths
_LEFT = 3  # objects of a category that must be left to train on; of smaller ones none is held out
_EVEN = 0.005  # change of the mean PCK that counts as none


@dataclass(frozen=True)
class HeldOut:
    """Data in two parts, with whole groups on one side.

    data: to train on.
    objects: at most MOST held-out ones.
    examples: category id -> an object of `data` as the example for that category.
    note: a sentence about how they were held out.
    """

    data: "Dataset"
    objects: "Sequence[LabelledObject]"
    examples: "dict[int, LabelledObject]"
    note: str


def hold_out(data: "Dataset", share: float, seed: int) -> HeldOut:
    """Hold a share of the objects out, and say how; of very few objects none.

    share: from 0 to a half.
    Raises InputError for another share.
    """
    if not 0 <= share <= 0.5:
        raise InputError(f"--held-out must be a share from 0 to 0.5, but got {share}.")
    if not share or len(data.objects) < _FEWEST:
        few = f"With fewer than {_FEWEST} objects none is held out; nothing says whether the model gets better."
        if share:
            console.note(few)
        return HeldOut(data, (), {}, few if share else "")
    if share * len(data.objects) < 1:
        raise InputError(
            f"--held-out {share:g} of {len(data.objects)} objects is less than one; give a larger share, or 0 to train "
            "on all."
        )
    most = min(_PARTS, len({str(item.image) for item in data.objects}))
    part = Fraction(share).limit_denominator(most) or Fraction(1, most)
    fold_of, whole = fold_numbers(data.objects, part.denominator, seed)
    drawn_out = fold_of < part.numerator
    left = Counter(item.category_id for item, out in zip(data.objects, drawn_out, strict=True) if not out)
    is_out = [out and left[item.category_id] >= _LEFT for item, out in zip(data.objects, drawn_out, strict=True)]
    kept = [item for item, held in zip(data.objects, is_out, strict=True) if not held]
    out = [item for item, held in zip(data.objects, is_out, strict=True) if held]
    examples: dict[int, LabelledObject] = {}
    for item in kept:
        known = examples.get(item.category_id)
        if known is None or (item.visibility > 0).sum() > (known.visibility > 0).sum():
            examples[item.category_id] = item
    drawn = np.random.default_rng([seed, 13]).permutation(len(out))[:MOST]
    how = "whole groups" if whole else "of groups that are trained on too, as these are few"
    note = f"{len(out)} of {len(data.objects)} objects are held out ({how}); --held-out 0 trains on all."
    console.note(note)
    return HeldOut(replace(data, objects=kept), [out[i] for i in sorted(drawn)], examples, note)


def as_saved(model: Any, config: "RunConfig", out: Path) -> Any:
    """A trained model as it answers from now on: itself, or the one in the run's folder where the recipe leaves another
    in memory.

    Sharded weights answer only when all processes ask together, and one process validates; frozen weights in bfloat16
    are rounded, which those of the folder are not.
    """
    from ..training.trainable import saved_model

    changed = getattr(config, "shard", False) or getattr(config, "frozen_precision", "fp32") != "fp32"
    return saved_model(out / "model", config) if changed else model


def measured(model: Any, held: HeldOut) -> dict[str, list[float]]:
    """PCK at THRESHOLDS on the held-out objects, for each of the prompts "text" and "example" that the model takes."""
    results = {}
    for prompt in ("text", "example"):
        if prompt not in getattr(model, "prompts", ("text",)) or not held.objects:
            continue
        found = [_points(model, item, held.examples[item.category_id], prompt) for item in held.objects]
        each = [
            shares_within(points[None], item.points[None], np.array([max(item.box[2:])]))
            for points, item in zip(found, held.objects, strict=True)
            if np.isfinite(item.points).any()
        ]
        results[prompt] = np.mean(each, axis=0).tolist()
    return results


def _points(model: Any, item: "LabelledObject", example: "LabelledObject", prompt: str) -> np.ndarray:
    """The model's points [K, 2] of one object, from words or from the example alone; NaN where it cannot be asked for
    it, as with a box outside the picture."""
    options: dict[str, Any] = {}
    if prompt == "example":
        options["example"] = Example(example.image, example.points, example.box)
        if "text" in model.prompts:
            options["words"] = False
    try:
        return model.predict(item.image, item.category, box=item.box, **options).xy
    except InputError:
        return np.full((len(item.category), 2), np.nan)


def write(out: Path, before: dict[str, list[float]], after: dict[str, list[float]], objects: int) -> None:
    """Keep the figures in the run's folder."""
    found = {"objects": objects, "thresholds": THRESHOLDS, "before": before, "after": after}
    write_bytes(out / FILE, (json.dumps(found, indent=1) + "\n").encode())


def say(out: Path, before: dict[str, list[float]], after: dict[str, list[float]], objects: int) -> None:
    """Print the figures, and in a sentence what became of the loss and of the answers."""
    asked = {"text": "by words", "example": "by one example"}
    rows = [(f"{asked[p]}, {when}", part[p]) for p in before for when, part in (("before", before), ("after", after))]
    if rows:
        wide = console.columns_of([name for name, _ in rows], 8)
        print(f"PCK in % on {objects} held-out objects:")
        print(" " * (wide + 2) + "".join(f"{f'@{threshold:g}':>8}" for threshold in THRESHOLDS))
        for name, values in rows:
            print(f"  {name:<{wide}}" + "".join(f"{100 * value:>8.1f}" for value in values))
    changes = {p: float(np.mean(after[p]) - np.mean(before[p])) for p in before}
    words = [f"{asked[p]} the model got {_changed(change)}" for p, change in changes.items()]
    print(f"{loss_line(out)}{'; on held-out objects ' + ', '.join(words) if words else ''}.")


def loss_line(out: Path) -> str:
    """What became of the loss: the means over the first and the last tenth of the steps in the run's log."""
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    count = max(1, len(losses) // 10)
    return f"The loss went from {np.mean(losses[:count]):.3f} to {np.mean(losses[-count:]):.3f}"


def _changed(change: float) -> str:
    if abs(change) < _EVEN:
        return "neither better nor worse"
    return f"{'better' if change > 0 else 'worse'} ({100 * change:+.1f} points in the mean)"
