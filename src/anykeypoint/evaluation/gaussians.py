"""A model's density of one keypoint beside Gaussians of one width, as in heat-map methods (CapeLLM Sec. 4.4, Fig. 5).

For each labelled, visible keypoint three densities are compared:
    model               the model's own density
    gaussian_at_point   a Gaussian round the model's point
    gaussian_at_truth   a Gaussian round the labelled point: the training target of heat-map methods, no prediction
The metrics, all in the frame of the labelled object:
    in_box              probability inside the labelled box
    on_object           probability on the object; only objects with a `segmentation` count
    outside_crop        probability outside the crop that the model gets, which is zero by construction for the model
    outside_picture     probability outside the picture (a crop may reach beyond it)
    nll                 negative log likelihood of the labelled point, in nats per square of the box's longer side; a
                        uniform density over a square of that side has 0. None for gaussian_at_truth.
    entropy             entropy over the crop's cells in bits, given that the point lies in the crop

The probability that the model did not expand is spread evenly over the crop. The Gaussian has no borders, and its
probabilities are exact integrals.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..density import Density
from ..forms.outlines import Outline
from ..geometry import Box, Crop

METHODS = ("model", "gaussian_at_point", "gaussian_at_truth")
SAMPLED = "sampled"  # a fourth one where points are drawn: the kernel density of `kernel_density`
METRICS = ("in_box", "on_object", "outside_crop", "outside_picture", "nll", "entropy")


def measure(
    density: Density,
    point: np.ndarray,
    truth: np.ndarray,
    sigma: float,
    box: Box,
    image_size: tuple[int, int],
    outline: Outline | None,
    sampled: Density | None = None,
) -> dict[str, Any]:
    """The METRICS of one keypoint by method, with what `summarise` needs besides.

    density: the model's density, with its crop.
    point, truth: (2,) the predicted and the labelled point in pixels of the picture.
    sigma: standard deviation of the Gaussians, as a fraction of the crop's side.
    box: the object's box as x, y, width, height in pixels. image_size: width and height of the picture in pixels.
    outline: the object's outline in pixels, None where the labels have none.
    sampled: the density of points that the model has drawn, of the same crop and cells; None without any.
    A metric that does not exist is None: on_object without an outline, nll where the model's density is zero.
    Besides: "distance" between the points as a fraction of the crop's side, "offset" from nats per square of that side
    to nats per square of the box's longer side, "cells" on a side of the density, and the expanded "mass".
    """
    crop, cells = density.crop, len(density.grid)
    spread = density.grid + (1 - density.mass) / cells**2
    whole = Density(crop, spread / spread.sum())
    unit = max(box[2:])
    frames = {"in_box": box, "outside_crop": (crop.x, crop.y, crop.side, crop.side)}
    frames["outside_picture"] = (0.0, 0.0, float(image_size[0]), float(image_size[1]))
    covered = None if outline is None else outline.shares(crop, cells)

    def metrics(grid: np.ndarray, inside: dict[str, float], nll: float | None) -> dict[str, float | None]:
        in_crop = float(grid.sum())
        return {
            "in_box": inside["in_box"],
            "on_object": None if covered is None else float((grid * covered).sum()),
            "outside_crop": max(0.0, 1 - inside["outside_crop"]),
            "outside_picture": max(0.0, 1 - inside["outside_picture"]),
            "nll": nll,
            "entropy": Density(crop, grid).entropy() if in_crop > 0 else None,
        }

    def of_cells(one: Density) -> dict[str, float | None]:
        inside = {key: float((one.grid * _frame_shares(crop, cells, frame)).sum()) for key, frame in frames.items()}
        likelihood = one.log_density(truth) + 2 * math.log(unit)
        nll = -likelihood if math.isfinite(likelihood) else None
        return metrics(one.grid, inside | {"outside_crop": 1.0}, nll)

    table: dict[str, Any] = {"model": of_cells(whole)}
    if sampled is not None:
        table[SAMPLED] = of_cells(sampled)
    width = sigma * crop.side
    offset = 2 * math.log(crop.side / unit)
    distance = float(np.hypot(*(np.asarray(point) - truth))) / crop.side
    for name, centre in (("gaussian_at_point", point), ("gaussian_at_truth", truth)):
        inside = {key: _gaussian_within(centre, width, frame) for key, frame in frames.items()}
        nll = gaussian_nll(distance, sigma) + offset if name == "gaussian_at_point" else None
        table[name] = metrics(gaussian_grid(crop, cells, centre, width), inside, nll)
    return {**table, "distance": distance, "offset": offset, "cells": cells, "mass": density.mass}


def gaussian_grid(crop: Crop, cells: int, centre: np.ndarray, sigma: float) -> np.ndarray:
    """The exact probability of each cell of a crop under an isotropic Gaussian: (cells, cells), row by row.

    cells: number of cells on a side. centre: (2,) and sigma: standard deviation, both in pixels of the picture.
    """
    edges = np.arange(cells + 1) / cells * crop.side
    across, down = (
        np.diff([_below((corner + edge - middle) / sigma) for edge in edges.tolist()])
        for corner, middle in ((crop.x, centre[0]), (crop.y, centre[1]))
    )
    return np.outer(down, across)


def gaussian_nll(distance: float | np.ndarray, sigma: float) -> Any:
    """Negative log of an isotropic Gaussian's density in nats, at a distance from its centre.

    distance and the standard deviation sigma are in one unit of length; the density is per square of that unit.
    """
    return distance**2 / (2 * sigma**2) + math.log(2 * math.pi * sigma**2)


def _gaussian_within(centre: np.ndarray, sigma: float, frame: Box) -> float:
    """The exact probability of a rectangle x, y, width, height under an isotropic Gaussian; all in pixels."""
    x, y, w, h = frame
    across = _below((x + w - centre[0]) / sigma) - _below((x - centre[0]) / sigma)
    return across * (_below((y + h - centre[1]) / sigma) - _below((y - centre[1]) / sigma))


def _below(deviations: float) -> float:
    """The probability of a normal variable below this number of standard deviations from its mean."""
    return math.erfc(-deviations / math.sqrt(2)) / 2


def _frame_shares(crop: Crop, cells: int, frame: Box) -> np.ndarray:
    """The share of each cell of a crop that lies in a rectangle: (cells, cells), exact.

    cells: number of cells on a side. frame: x, y, width, height in pixels of the picture.
    """
    edges = np.arange(cells + 1) / cells * crop.side
    x, y = (
        np.diff(np.clip(edges, first - corner, first - corner + extent)) / (crop.side / cells)
        for corner, first, extent in ((crop.x, frame[0], frame[2]), (crop.y, frame[1], frame[3]))
    )
    return np.outer(y, x)


# --- means over keypoints ------------------------------------------------------------------------------------------


def summarise(lines: Sequence[dict[str, Any]], labels: dict[int, str]) -> dict[str, Any]:
    """Both means of the lines' metrics by method, and the category mean of each category by itself.

    lines: one mapping for each keypoint, from `measure`, with the object's "id". labels: object id -> category label.
    A metric that is None in a line is left out of its mean; the mean is None where no line has it. Both nll are means
    over the points where the model's density is above zero (and that of the drawn points, for its own).
    """
    names = sorted(set(labels[line["id"]] for line in lines))
    by_category = {name: [line for line in lines if labels[line["id"]] == name] for name in names}
    return {
        "category_mean": _means(lines, labels, by_category=True),
        "object_mean": _means(lines, labels, by_category=False),
        "per_category": {name: _means(group, labels, by_category=False) for name, group in by_category.items()},
    }


def lines_with(lines: Sequence[dict[str, Any]], method: str, metric: str) -> list[dict[str, Any]]:
    """The lines that a metric's mean is of: see `summarise`."""
    found = [line for line in lines if line[method][metric] is not None]
    return [line for line in found if metric != "nll" or line["model"]["nll"] is not None]


def _means(lines: Sequence[dict[str, Any]], labels: dict[int, str], by_category: bool) -> dict[str, Any]:
    methods = [method for method in (*METHODS, SAMPLED) if method in lines[0]]
    means: dict[str, Any] = {method: dict.fromkeys(METRICS) for method in methods}
    for method in methods:
        for metric in METRICS:
            if having := lines_with(lines, method, metric):
                values = np.array([line[method][metric] for line in having])
                means[method][metric] = float(_weights(having, labels, by_category) @ values)
    likely = [line for line in lines if line["model"]["nll"] is not None]
    means["gaussian_at_point"] |= {"best_sigma": None, "best_nll": None}
    if likely:
        weights = _weights(likely, labels, by_category)
        squares = np.array([line["distance"] ** 2 for line in likely])
        best = math.sqrt(
            max(float(weights @ squares) / 2, 1e-12)
        )  # the sigma at which the derivative of the mean nll is zero
        nll = weights @ [gaussian_nll(line["distance"], best) + line["offset"] for line in likely]
        means["gaussian_at_point"] |= {"best_sigma": best, "best_nll": float(nll)}
    return means


def _weights(lines: Sequence[dict[str, Any]], labels: dict[int, str], by_category: bool) -> np.ndarray:
    """The weight of each point (M,), with sum 1, in the mean over objects or, of that, over categories.

    Points of one object weigh the same, as do objects (of one category) and, with `by_category`, categories.
    """
    points: dict[int, int] = {}
    for line in lines:
        points[line["id"]] = points.get(line["id"], 0) + 1
    objects: dict[str, int] = {}
    for key in points:
        group = labels[key] if by_category else ""
        objects[group] = objects.get(group, 0) + 1
    each = [points[line["id"]] * objects[labels[line["id"]] if by_category else ""] for line in lines]
    return 1 / (np.array(each, dtype=np.float64) * len(objects))
