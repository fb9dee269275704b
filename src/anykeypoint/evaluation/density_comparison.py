"""Compare a model's densities with Gaussians on all labelled, visible keypoints of a data set (see `gaussians`).

The folder of a run holds density.settings.json (the config), density.jsonl (one line for each keypoint, so that a
killed run goes on), density.json (the results) and examples.png, a picture of a few densities.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np
from PIL import Image

from ..category import Category
from ..configs.checks import check_positive, check_whole
from ..configs.strict import Config
from ..density import Density
from ..drawing.overlay import save_picture
from ..drawing.panels import Panel, beyond, sheet
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..forms.outlines import Outline, read_outlines
from ..forms.phrases import LIBRARY, whose_words
from ..geometry import Box
from ..images import read_picture
from ..pose import Pose
from .gaussians import METHODS, SAMPLED, gaussian_grid, measure, summarise
from .kernel_density import kernel_density
from .run_folder import SCHEMA_VERSION, Progress, check_entry, claim, no_progress, whole_lines, write_results
from .selection import NOT_DRAWN, category_labels, in_picture, select, with_box

LINES, RESULTS, EXAMPLES, SETTINGS = "density.jsonl", "density.json", "examples.png", "density.settings.json"
SIGMA = 2 / 64  # fraction of the crop's side: 2 cells of a heat map of 64 x 64 cells, as in POMNet and CapeFormer
HIDDEN, OUTSIDE, ABSENT = "hidden", "labelled outside the crop", "absent for the model"
_ROWS = 6  # number of rows of examples.png
_MARGIN = 0.15  # fraction of the crop's side that examples.png has round the crop
_GREEN, _ORANGE = (120, 220, 130), (255, 170, 70)

KeypointKey = tuple[int, int]  # object id, index of the keypoint
# -> the model's density, its point, and the density of the points that it draws
DrawnDensities = dict[KeypointKey, tuple[Density, np.ndarray, Density | None] | None]


class DensityModel(Protocol):
    """A model whose `predict` gives a pose with densities."""

    def predict(self, image: Path, category: Category, *, box: Box, density: bool | int) -> Pose:
        """The pose of the object in a box. density: number of cells on a side; True takes the model's own."""


class DrawingView(Protocol):
    """An object that a model has encoded once, and that draws points besides."""

    def predict(self, category: Category, *, density: bool | int) -> Pose:
        """The pose, as of `DensityModel`."""

    def draw_points(self, category: Category, seeds: Sequence[int]) -> np.ndarray:
        """Points that are drawn with each of N seeds, N K 2 in image pixels."""


class DrawingModel(DensityModel, Protocol):
    """A model that also draws points."""

    def encode(self, image: Path, box: Box) -> DrawingView:
        """The object in a box."""


@dataclass(frozen=True)
class DensityComparisonConfig(Config):
    """What decides the results of a comparison.

    model: name or path of the model.
    data: sha256 of the data, where they come from a file.
    max_per_category: number of objects of each category at most; None takes all.
    seed: decides which objects and examples are drawn.
    sigma: standard deviation of the Gaussians, as a fraction of the crop's side.
    grid: number of cells on a side of the density; None takes the model's own.
    sampled: number of points that are drawn of each keypoint for a kernel density beside the exact one, as in Fig. 5;
        None draws none.
    dtype: precision that the model is loaded in, see `anykeypoint.load`.
    """

    called: ClassVar[str] = "The settings of a density comparison"
    later: ClassVar[frozenset[str]] = frozenset({"dtype"})  # options that version 0.1.0 did not have

    model: str = ""
    data: str = ""
    max_per_category: int | None = None
    seed: int = 0
    sigma: float = SIGMA
    grid: int | None = None
    sampled: int | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_positive(self.sigma, "Sigma, a fraction of the crop's side such as 0.03,")
        if self.grid is not None:
            check_whole(self.grid, "The number of cells on a side of the grid")
        if self.sampled is not None:
            check_whole(self.sampled, "The number of points that are drawn", least=2)


def compare_densities(
    model: DensityModel,
    dataset: Dataset,
    out: str | Path,
    config: DensityComparisonConfig | None = None,
    *,
    command: str = "",
    progress: Progress | None = None,
    weights: str = "",
) -> dict:
    """Compare on every object of a data set, write the files of the folder `out` and return the results.

    model: a `DrawingModel` where points are drawn.
    config: its defaults where None. command: the command line, for the results.
    progress: shows a bar over the objects. weights: as of `run.evaluate`.
    Objects without a box that the picture shows a part of are left out and counted.
    "category_mean" and "object_mean" hold the METRICS by method: means over the points of an object, then over objects,
    and for the former over those of each category first. For the Gaussian at the model's point both hold "best_sigma",
    a fraction of the crop's side, and "best_nll": the best that one width could reach on these very points.
    An object whose outline cannot be read is measured as one without; "outline_faults" has a sentence for each.
    Raises InputError for a model without densities or confidences and for folders and files that cannot be used.
    """
    out, config, progress = Path(out), config or DensityComparisonConfig(), progress or no_progress
    if "text" not in (prompts := getattr(model, "prompts", ("text",))):
        raise InputError(
            f"Densities are compared by words, but this model answers to {', '.join(prompts)}; take another."
        )
    dataset = in_picture(with_box(dataset))
    objects = select(dataset.objects, config.max_per_category, config.seed)
    visible = [item for item in objects if (item.visibility == 2).any()]
    if not visible:
        raise InputError("There is no object with a visible point (v = 2) to compare on; check the data file.")
    outlines, outline_faults = read_outlines(visible)
    categories = {key: dataset.categories[key] for key in {item.category_id for item in visible}}
    claim(out, config, visible, categories, (LINES, RESULTS, EXAMPLES), SETTINGS, weights)
    drawn: DrawnDensities = dict.fromkeys(_choose_examples(visible, config.seed))
    labels = dict(zip([item.id for item in visible], category_labels(dataset, visible), strict=True))
    lines = _measure_all(model, visible, labels, outlines, out / LINES, config, drawn, progress)
    used = [line for line in lines if "left_out" not in line]
    if not used:
        raise InputError("No labelled point lies in the crop that the model sees, so there is nothing to compare.")
    _draw_examples(model, visible, drawn, config, out / EXAMPLES)
    left_out = dict(dataset.skipped)
    left_out |= {reason: sum(line.get("left_out") == reason for line in lines) for reason in (OUTSIDE, ABSENT)}
    left_out[HIDDEN] = sum(int((item.visibility == 1).sum()) for item in objects)
    left_out[NOT_DRAWN] = len(dataset.objects) - len(objects)
    results = _results(used, labels, outlines)
    results["words"] = {labels[item.id]: whose_words(item.category, LIBRARY) for item in visible}
    results["left_out"] = {reason: count for reason, count in left_out.items() if count}
    results["outline_faults"] = outline_faults
    return write_results(out / RESULTS, results, config, command)


def _results(
    lines: Sequence[dict[str, Any]], labels: dict[int, str], outlines: dict[int, Outline | None]
) -> dict[str, Any]:
    """The means of the measured lines and the numbers of what they are means of."""
    measured = {line["id"] for line in lines}
    return {
        **summarise(lines, labels),
        "objects": len(measured),
        "objects_with_outline": sum(outlines[key] is not None for key in measured),
        "points": len(lines),
        "points_of_zero_density": sum(line["model"]["nll"] is None for line in lines),
        "categories": len({labels[key] for key in measured}),
        "cells": sorted({line["cells"] for line in lines}),
        "mass_expanded": float(np.mean([line["mass"] for line in lines])),
    }


# --- keypoints -------------------------------------------------------------------------------------------------------


def _measure_all(
    model: DensityModel,
    objects: list[LabelledObject],
    labels: dict[int, str],
    outlines: dict[int, Outline | None],
    path: Path,
    config: DensityComparisonConfig,
    drawn: DrawnDensities,
    progress: Progress,
) -> list[dict[str, Any]]:
    """One line for each visible keypoint of every object: from the file where it has one, else from the model.

    labels: object id -> category label, which the lines keep for means over categories.
    """
    wanted = {item.id: np.flatnonzero(item.visibility == 2).tolist() for item in objects}
    done = _read_lines(path, wanted, config)
    missing = [item for item in objects if any((item.id, index) not in done for index in wanted[item.id])]
    for item in progress(missing, "densities"):
        pose, points = _ask(model, item, config)
        _keep_drawn(pose, [key for key in drawn if key[0] == item.id], drawn, points)
        for index in wanted[item.id]:
            if (item.id, index) not in done:
                line = _measure_keypoint(pose, item, index, outlines[item.id], config, points)
                line = {**line, "category": labels[item.id]}
                done[item.id, index] = line
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line, allow_nan=False) + "\n")
    return [done[item.id, index] for item in objects for index in wanted[item.id]]


def _measure_keypoint(
    pose: Pose,
    item: LabelledObject,
    index: int,
    outline: Outline | None,
    config: DensityComparisonConfig,
    points: np.ndarray | None = None,
) -> dict[str, Any]:
    """The line of one keypoint, with the reason under "left_out" where there is nothing to measure."""
    line = {"schema_version": SCHEMA_VERSION, "id": item.id, "keypoint": index, "name": item.category.names[index]}
    if np.isnan(pose.xy[index]).any():
        return {**line, "left_out": ABSENT}
    density = (pose.density or {})[pose.keys[index]]
    truth = item.points[index]
    in_crop = density.crop.normalise(truth)
    if (in_crop < 0).any() or (in_crop > 1).any():
        return {**line, "left_out": OUTSIDE}
    sampled = None if points is None else kernel_density(points[:, index], density.crop, len(density.grid))
    return line | measure(density, pose.xy[index], truth, config.sigma, item.box, pose.image_size, outline, sampled)


def _read_lines(
    path: Path, wanted: dict[int, list[int]], config: DensityComparisonConfig
) -> dict[KeypointKey, dict[str, Any]]:
    """The file's whole lines. wanted: object id -> indices of the keypoints to measure.

    Raises InputError, with the line's number, for a line of a newer schema and for one that fits none of the keypoints.
    """
    done = {}
    methods = {*METHODS} if config.sampled is None else {*METHODS, SAMPLED}
    for number, text in enumerate(whole_lines(path), 1):
        try:
            line = json.loads(text)
            check_entry(line, f"{path}, line {number},")
            if line["keypoint"] not in wanted[line["id"]] or not ("left_out" in line or methods <= set(line)):
                raise ValueError("the line belongs to another run")
        except InputError:
            raise  # a newer schema, which the other errors must not hide
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number}, is no figure of this run; remove the folder.") from error
        done[line["id"], line["keypoint"]] = line
    return done


def _ask(
    model: DensityModel | DrawingModel, item: LabelledObject, config: DensityComparisonConfig
) -> tuple[Pose, np.ndarray | None]:
    """The model's pose of an object, and the points N K 2 in image pixels that it draws, or None.

    Draw i has the seed of the config plus i, so that a run that goes on draws the same points.
    Raises InputError where the model has no densities or no confidences, or does not draw.
    """
    cells, points = config.grid or True, None
    try:
        if config.sampled is None:
            pose = model.predict(item.image, item.category, box=item.box, density=cells)
        else:
            view = cast(DrawingModel, model).encode(item.image, item.box)
            if not hasattr(view, "draw_points"):
                raise InputError("This model does not draw points; compare without, or choose another model.")
            pose = view.predict(item.category, density=cells)
            points = view.draw_points(item.category, range(config.seed, config.seed + config.sampled))
    except InputError as error:
        raise InputError(f"Object {item.id} ({item.image}): {error}") from error
    asked = [key for key, placed in zip(pose.keys, np.isfinite(pose.xy).all(axis=1), strict=True) if placed]
    if not pose.density or any(key not in pose.density for key in asked):
        raise InputError("This model gives no probability densities, so it cannot be compared; use one that does.")
    if np.isnan(pose.confidence[np.isfinite(pose.xy).all(axis=1)]).any():
        raise InputError("This model does not say how sure it is, so it cannot be compared; use one that does.")
    return pose, points


# --- examples.png ----------------------------------------------------------------------------------------------------


def _choose_examples(objects: Sequence[LabelledObject], seed: int) -> list[KeypointKey]:
    """One keypoint inside its object's box from each of a few categories, drawn by the seed alone."""
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


def _keep_drawn(
    pose: Pose, keys: Sequence[KeypointKey], drawn: DrawnDensities, points: np.ndarray | None = None
) -> None:
    """Keep the densities and points of those keypoints of one object that are drawn. points: of `_ask`."""
    for key in keys:
        if np.isfinite(pose.xy[key[1]]).all():
            density = (pose.density or {})[pose.keys[key[1]]]
            sampled = None
            if points is not None:
                sampled = kernel_density(points[:, key[1]], density.crop, len(density.grid))
            drawn[key] = density, pose.xy[key[1]], sampled


def _draw_examples(
    model: DensityModel,
    objects: Sequence[LabelledObject],
    drawn: DrawnDensities,
    config: DensityComparisonConfig,
    path: Path,
) -> None:
    """Write the picture of the drawn keypoints, where the model has any of them."""
    for item in objects:  # objects that an earlier run has measured are predicted again
        if missing := [key for key, density in drawn.items() if key[0] == item.id and density is None]:
            pose, points = _ask(model, item, config)
            _keep_drawn(pose, missing, drawn, points)
    if any(drawn.values()):
        save_picture(_example_sheet(objects, drawn, config), path)


def _example_sheet(
    objects: Sequence[LabelledObject], drawn: DrawnDensities, config: DensityComparisonConfig
) -> Image.Image:
    """A row for each keypoint: picture, Gaussian round the true point, and model. The true point is a cross."""
    by_id = {item.id: item for item in objects}
    panels = []
    for (object_id, index), example in drawn.items():
        if example is None:
            continue
        density, point, sampled = example
        item, cells = by_id[object_id], len(density.grid)
        picture, view = read_picture(item.image), beyond(density.crop, _MARGIN)
        truth, name = item.points[index], item.category.names[index]
        grid = gaussian_grid(view, cells, truth, config.sigma * density.crop.side)
        bits = f"{density.entropy():.1f} bits"
        shared = {"image": picture, "view": view, "truth": truth, "frame": density.crop}
        panels += [
            Panel(**shared, colour=_GREEN, lines=(item.category.name, name)),
            Panel(**shared, colour=_GREEN, lines=("Gaussian round the truth",), density=Density(view, grid)),
            Panel(**shared, colour=_ORANGE, lines=("model", bits), density=density, point=point),
        ]
        if sampled is not None:
            panels.append(Panel(**shared, colour=_ORANGE, lines=(f"{config.sampled} points drawn",), density=sampled))
    return sheet(panels, 3 if config.sampled is None else 4, 300)
