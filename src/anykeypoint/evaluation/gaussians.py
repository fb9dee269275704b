"""A model's densities beside Gaussians of one width, as heat-map methods have them (CapeLLM Sec. 4.4, Fig. 5).

For each labelled, visible keypoint three densities are compared:
    model               what the model says
    gaussian_at_point   a Gaussian round the model's own point
    gaussian_at_truth   a Gaussian round the labelled point: what heat-map methods are trained towards, no prediction
Their figures, all in the labelled object's own frame:
    in_box              probability inside the labelled box
    on_object           probability on the object; only objects with a `segmentation` count
    outside_crop        probability outside the crop that the model sees: zero by construction for the model
    outside_picture     probability outside the picture (a crop may reach beyond it)
    nll                 negative log likelihood of the labelled point, nats per square of the box's longer side; a
                        uniform density over a square of that side has 0. None for gaussian_at_truth.
    entropy             bits of the crop's cells, given that the point lies in the crop

The probability that the model did not expand is spread evenly over the crop. The Gaussian has no borders, and its
probabilities are exact integrals. OUT/density.jsonl has one line per keypoint, so that a killed run goes on.
"""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ..category import Category
from ..density import Density
from ..drawing.overlay import save_picture
from ..drawing.panels import Panel, beyond, sheet
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..forms.outlines import Outline, read_outline
from ..geometry import Box, Crop
from ..images import read_image
from ..pose import Pose
from .asking import Progress
from .records import claim, whole_lines, write_results
from .selection import NOT_DRAWN, label_objects, select

LINES, RESULTS, EXAMPLES, SETTINGS = "density.jsonl", "density.json", "examples.png", "density.settings.json"
METHODS = ("model", "gaussian_at_point", "gaussian_at_truth")
FIGURES = ("in_box", "on_object", "outside_crop", "outside_picture", "nll", "entropy")
SIGMA = 2 / 64  # of the crop: 2 cells of a 64 x 64 heat map, as POMNet and CapeFormer have it
HIDDEN, OUTSIDE, ABSENT = "hidden", "labelled outside the crop", "absent for the model"
_ROWS = 6  # of examples
_GREEN, _ORANGE = (120, 220, 130), (255, 170, 70)

Shown = dict[tuple[int, int], tuple[Density, np.ndarray] | None]  # object id, keypoint -> its density and point


class Model(Protocol):
    def predict(self, image: Path, category: Category, *, box: Box, density: bool | int) -> Pose: ...


@dataclass(frozen=True)
class Settings:
    """What decides the figures. model: its name or path; data: sha256 of the data file, where there is one."""

    model: str = ""
    data: str = ""
    max_per_category: int | None = None
    seed: int = 0
    sigma: float = SIGMA  # of the crop
    grid: int | None = None  # cells a side; as many as the model takes by itself

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"Sigma must be a share of the crop's side above 0, e.g. 0.03, but got {self.sigma}.")
        if self.grid is not None and self.grid < 1:
            raise InputError(f"The grid must have 1 or more cells a side, but got {self.grid}.")


def compare(
    model: Model,
    dataset: Dataset,
    out: str | Path,
    settings: Settings | None = None,
    *,
    command: str = "",
    progress: Progress | None = None,
) -> dict:
    """Compare on every object of `dataset`, write the three files to the folder `out` and return the results.

    Figures stand under `category_mean` and `object_mean`: means over the points of an object, then over objects, and
    before that over those of a category. Both have for the Gaussian at the model's point the `best_sigma` (of the
    crop) and its `best_nll`: the best that any one width could reach on these very points.
    Raises InputError for a model without densities or confidences and for folders and files that cannot be used.
    """
    out, settings = Path(out), settings or Settings()
    objects = select(dataset.objects, settings.max_per_category, settings.seed)
    seen = [item for item in objects if (item.visibility == 2).any()]
    if not seen:
        raise InputError("There is no object with a visible point (v = 2) to compare on; check the data file.")
    outlines = {item.id: read_outline(item.segmentation, f"Annotation {item.id}") for item in seen}
    asked = {key: dataset.categories[key] for key in {item.category_id for item in seen}}
    claim(out, settings, seen, asked, (LINES, RESULTS, EXAMPLES), SETTINGS)
    shown: Shown = dict.fromkeys(_choose_examples(seen, settings.seed))
    lines = _measure_all(model, seen, outlines, out / LINES, settings, shown, progress or (lambda items, title: items))
    used = [line for line in lines if "left_out" not in line]
    if not used:
        raise InputError("No labelled point lies in the crop that the model sees, so there is nothing to compare.")
    for item in seen:  # those of an earlier run are not at hand
        if absent := [key for key, value in shown.items() if key[0] == item.id and value is None]:
            _show(_ask(model, item, settings), absent, shown)
    if any(shown.values()):
        save_picture(_draw_examples(seen, shown, settings), out / EXAMPLES)
    names = label_objects(dataset, seen)
    labels = {item.id: name for item, name in zip(seen, names, strict=True)}
    left_out = dict(dataset.skipped)
    left_out |= {reason: sum(line.get("left_out") == reason for line in lines) for reason in (OUTSIDE, ABSENT)}
    left_out[HIDDEN] = sum(int((item.visibility == 1).sum()) for item in objects)
    left_out[NOT_DRAWN] = len(dataset.objects) - len(objects)
    results = {
        **summarise(used, labels),
        "objects": len({line["id"] for line in used}),
        "objects_with_outline": sum(outlines[key] is not None for key in {line["id"] for line in used}),
        "points": len(used),
        "points_of_zero_density": sum(line["model"]["nll"] is None for line in used),
        "categories": len({labels[line["id"]] for line in used}),
        "cells": sorted({line["cells"] for line in used}),
        "mass_expanded": float(np.mean([line["mass"] for line in used])),
        "left_out": {reason: count for reason, count in left_out.items() if count},
    }
    return write_results(out / RESULTS, results, settings, command)


# --- one keypoint --------------------------------------------------------------------------------------------------


def measure(
    density: Density,
    point: np.ndarray,
    truth: np.ndarray,
    sigma: float,
    box: Box,
    image_size: tuple[int, int],
    outline: Outline | None,
) -> dict[str, Any]:
    """The figures of one keypoint by method, and what `summarise` needs besides.

    point, truth: [2] image pixels of the model's and the labelled point. sigma: of the crop's side. box: x, y, w, h.
    A figure that does not exist is None: on_object without an outline, nll where the model's density is zero.
    """
    crop, cells = density.crop, len(density.grid)
    spread = density.grid + (1 - density.mass) / cells**2
    whole = Density(crop, spread / spread.sum())
    unit = max(box[2:])
    frames = {"in_box": box, "outside_crop": (crop.x, crop.y, crop.side, crop.side)}
    frames["outside_picture"] = (0.0, 0.0, float(image_size[0]), float(image_size[1]))
    covered = None if outline is None else outline.shares(crop, cells)

    def figures(grid: np.ndarray, inside: dict[str, float], nll: float | None) -> dict[str, float | None]:
        in_crop = float(grid.sum())
        return {
            "in_box": inside["in_box"],
            "on_object": None if covered is None else float((grid * covered).sum()),
            "outside_crop": max(0.0, 1 - inside["outside_crop"]),
            "outside_picture": max(0.0, 1 - inside["outside_picture"]),
            "nll": nll,
            "entropy": Density(crop, grid).entropy() if in_crop > 0 else None,
        }

    held = {key: float((whole.grid * _frame_shares(crop, cells, frame)).sum()) for key, frame in frames.items()}
    held["outside_crop"] = 1.0
    likelihood = whole.log_density(truth) + 2 * math.log(unit)
    found: dict[str, Any] = {"model": figures(whole.grid, held, -likelihood if math.isfinite(likelihood) else None)}
    width = sigma * crop.side
    offset = 2 * math.log(crop.side / unit)
    distance = float(np.hypot(*(np.asarray(point) - truth))) / crop.side
    for name, centre in (("gaussian_at_point", point), ("gaussian_at_truth", truth)):
        inside = {key: _gaussian_within(centre, width, frame) for key, frame in frames.items()}
        nll = gaussian_nll(distance, sigma) + offset if name == "gaussian_at_point" else None
        found[name] = figures(gaussian_grid(crop, cells, centre, width), inside, nll)
    return {**found, "distance": distance, "offset": offset, "cells": cells, "mass": density.mass}


def gaussian_grid(crop: Crop, cells: int, centre: np.ndarray, sigma: float) -> np.ndarray:
    """The exact probability of each cell [cells, cells] under an isotropic Gaussian; centre, sigma in image pixels."""
    edges = np.arange(cells + 1) / cells * crop.side
    across, down = (
        np.diff([_below((corner + edge - middle) / sigma) for edge in edges.tolist()])
        for corner, middle in ((crop.x, centre[0]), (crop.y, centre[1]))
    )
    return np.outer(down, across)


def gaussian_nll(distance: float | np.ndarray, sigma: float) -> Any:
    """-log of an isotropic Gaussian's density at a distance from its middle; nats, both in one unit of length."""
    return distance**2 / (2 * sigma**2) + math.log(2 * math.pi * sigma**2)


def _gaussian_within(centre: np.ndarray, sigma: float, frame: Box) -> float:
    x, y, w, h = frame
    across = _below((x + w - centre[0]) / sigma) - _below((x - centre[0]) / sigma)
    return across * (_below((y + h - centre[1]) / sigma) - _below((y - centre[1]) / sigma))


def _below(deviations: float) -> float:
    """The probability below so many standard deviations from the mean."""
    return math.erfc(-deviations / math.sqrt(2)) / 2


def _frame_shares(crop: Crop, cells: int, frame: Box) -> np.ndarray:
    """How much of each cell of a crop lies in a rectangle x, y, w, h: [cells, cells], exact."""
    edges = np.arange(cells + 1) / cells * crop.side
    x, y = (
        np.diff(np.clip(edges, first - corner, first - corner + extent)) / (crop.side / cells)
        for corner, first, extent in ((crop.x, frame[0], frame[2]), (crop.y, frame[1], frame[3]))
    )
    return np.outer(y, x)


# --- all keypoints -------------------------------------------------------------------------------------------------


def summarise(lines: Sequence[dict[str, Any]], labels: dict[int, str]) -> dict[str, Any]:
    """Both means of the lines' figures by method, and the category mean of each category by itself.

    labels: the category of each object's id. A figure that is None in a line is left out of its mean, and its mean is
    None where no line has it; nll is taken over the points where the model's density is above zero, for both methods.
    """
    names = sorted(set(labels[line["id"]] for line in lines))
    by_category = {name: [line for line in lines if labels[line["id"]] == name] for name in names}
    return {
        "category_mean": _means(lines, labels, by_category=True),
        "object_mean": _means(lines, labels, by_category=False),
        "per_category": {name: _means(group, labels, by_category=False) for name, group in by_category.items()},
    }


def _means(lines: Sequence[dict[str, Any]], labels: dict[int, str], by_category: bool) -> dict[str, Any]:
    found: dict[str, Any] = {method: dict.fromkeys(FIGURES) for method in METHODS}
    for method in METHODS:
        for figure in FIGURES:
            having = [line for line in lines if line[method][figure] is not None]
            if figure == "nll":
                having = [line for line in having if line["model"]["nll"] is not None]
            if having:
                values = np.array([line[method][figure] for line in having])
                found[method][figure] = float(_weights(having, labels, by_category) @ values)
    likely = [line for line in lines if line["model"]["nll"] is not None]
    found["gaussian_at_point"] |= {"best_sigma": None, "best_nll": None}
    if likely:
        weights = _weights(likely, labels, by_category)
        squares = np.array([line["distance"] ** 2 for line in likely])
        best = math.sqrt(max(float(weights @ squares) / 2, 1e-12))  # where the derivative of the mean nll is zero
        nll = weights @ [gaussian_nll(line["distance"], best) + line["offset"] for line in likely]
        found["gaussian_at_point"] |= {"best_sigma": best, "best_nll": float(nll)}
    return found


def _weights(lines: Sequence[dict[str, Any]], labels: dict[int, str], by_category: bool) -> np.ndarray:
    """The share of each point in the mean over objects, or over categories of that: [M], sum 1."""
    points: dict[int, int] = {}
    for line in lines:
        points[line["id"]] = points.get(line["id"], 0) + 1
    objects: dict[str, int] = {}
    for key in points:
        group = labels[key] if by_category else ""
        objects[group] = objects.get(group, 0) + 1
    each = [points[line["id"]] * objects[labels[line["id"]] if by_category else ""] for line in lines]
    return 1 / (np.array(each, dtype=np.float64) * len(objects))


def _measure_all(
    model: Model,
    objects: list[LabelledObject],
    outlines: dict[int, Outline | None],
    path: Path,
    settings: Settings,
    shown: Shown,
    bar: Progress,
) -> list[dict[str, Any]]:
    """One line per visible point of every object, from the file where it has them, else from the model."""
    wanted = {item.id: np.flatnonzero(item.visibility == 2).tolist() for item in objects}
    done = _read_lines(path, wanted)
    missing = [item for item in objects if any((item.id, index) not in done for index in wanted[item.id])]
    for item in bar(missing, "densities"):
        pose = _ask(model, item, settings)
        _show(pose, [key for key in shown if key[0] == item.id], shown)
        for index in wanted[item.id]:
            if (item.id, index) in done:
                continue
            line = {"id": item.id, "keypoint": index, "name": item.category.names[index]}
            truth = item.points[index]
            if not pose.present[index]:
                line["left_out"] = ABSENT
            else:
                density = (pose.density or {})[pose.keys[index]]
                place = density.crop.normalise(truth)
                if (place < 0).any() or (place > 1).any():
                    line["left_out"] = OUTSIDE
                else:
                    line |= measure(
                        density, pose.xy[index], truth, settings.sigma, item.box, pose.image_size, outlines[item.id]
                    )
            done[item.id, index] = line
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
    return [done[item.id, index] for item in objects for index in wanted[item.id]]


def _read_lines(path: Path, wanted: dict[int, list[int]]) -> dict[tuple[int, int], dict[str, Any]]:
    done = {}
    for number, text in enumerate(whole_lines(path), 1):
        try:
            line = json.loads(text)
            if line["keypoint"] not in wanted[line["id"]] or not ("left_out" in line or set(METHODS) <= set(line)):
                raise ValueError("another run's")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}, is no figure of this run; remove the folder.") from error
        done[line["id"], line["keypoint"]] = line
    return done


def _ask(model: Model, item: LabelledObject, settings: Settings) -> Pose:
    try:
        pose = model.predict(item.image, item.category, box=item.box, density=settings.grid or True)
    except InputError as error:
        raise InputError(f"Object {item.id} ({item.image}): {error}") from error
    there = [key for key, present in zip(pose.keys, pose.present.tolist(), strict=True) if present]
    if not pose.density or any(key not in pose.density for key in there):
        raise InputError("This model gives no probability densities, so it cannot be compared; use one that does.")
    if np.isnan(pose.confidence[pose.present]).any():
        raise InputError("This model does not say how sure it is, so it cannot be compared; use one that does.")
    return pose


# --- examples ------------------------------------------------------------------------------------------------------


def _choose_examples(objects: Sequence[LabelledObject], seed: int) -> list[tuple[int, int]]:
    """(object id, keypoint) of one point inside its box from each of a few categories, drawn by the seed alone."""
    chosen, draw = [], random.Random(seed)
    categories = sorted({item.category_id for item in objects})
    for key in sorted(draw.sample(categories, min(_ROWS, len(categories)))):
        choices = []
        for item in sorted((item for item in objects if item.category_id == key), key=lambda item: item.id):
            x, y, w, h = item.box
            with np.errstate(invalid="ignore"):
                inside = ((item.points >= (x, y)) & (item.points <= (x + w, y + h))).all(axis=1)
            choices += [(item.id, index) for index in np.flatnonzero(inside & (item.visibility == 2)).tolist()]
        if choices:
            chosen.append(draw.choice(choices))
    return chosen


def _show(pose: Pose, keys: Sequence[tuple[int, int]], shown: Shown) -> None:
    """Keep the densities and points of an object's examples."""
    for key in keys:
        if pose.present[key[1]]:
            shown[key] = (pose.density or {})[pose.keys[key[1]]], pose.xy[key[1]]


def _draw_examples(objects: Sequence[LabelledObject], shown: Shown, settings: Settings) -> Image.Image:
    """Rows of picture, Gaussian round the truth and model; the crop is framed, the truth a cross."""
    by_id = {item.id: item for item in objects}
    panels = []
    for (identity, index), example in shown.items():
        if example is None:
            continue
        density, point = example
        item, cells = by_id[identity], len(density.grid)
        picture, window = read_image(item.image), beyond(density.crop, 0.15)
        truth, name = item.points[index], item.category.names[index]
        grid = gaussian_grid(window, cells, truth, settings.sigma * density.crop.side)
        bits = f"{density.entropy():.1f} bits"
        shared = {"image": picture, "view": window, "truth": truth, "frame": density.crop}
        panels += [
            Panel(**shared, colour=_GREEN, lines=(item.category.name, name)),
            Panel(**shared, colour=_GREEN, lines=("Gaussian round the truth",), density=Density(window, grid)),
            Panel(**shared, colour=_ORANGE, lines=("model", bits), density=density, point=point),
        ]
    return sheet(panels, 3, 300)
