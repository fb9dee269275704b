"""Densities beside Gaussians: the figures against plain references, and a run that resumes."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.density import Density
from anykeypoint.errors import InputError
from anykeypoint.evaluation import density_comparison as module
from anykeypoint.evaluation.density_comparison import DensityComparisonConfig, compare_densities
from anykeypoint.evaluation.gaussians import METHODS, METRICS, gaussian_grid, gaussian_nll, measure, summarise
from anykeypoint.evaluation.kernel_density import kernel_density
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.outlines import Outline
from anykeypoint.geometry import Crop, square_crop
from anykeypoint.images import read_image
from anykeypoint.pose import Pose

CROP = Crop(10, 20, 100)
BOX = (10.0, 20.0, 100.0, 50.0)  # the upper half of the crop
SIZE = (200, 100)  # the crop's lowest fifth lies below the picture


def uniform(n: int = 20, crop: Crop = CROP) -> Density:
    return Density(crop, np.full((n, n), 1 / n**2))


def one_hot(row: int, column: int, n: int = 20) -> Density:
    grid = np.zeros((n, n))
    grid[row, column] = 1
    return Density(CROP, grid)


# --- one keypoint --------------------------------------------------------------------------------------------------


@given(st.floats(-40, 200), st.floats(-40, 200), st.floats(2, 60))
def test_a_gaussians_cells_are_what_points_drawn_densely_say(x, y, sigma):
    grid = gaussian_grid(CROP, 10, np.array([x, y]), sigma)
    steps = np.arange(2000) / 20 + 0.025  # 20 points a pixel
    across, down = (
        (np.exp(-(((corner + steps - middle) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi)) / 20)
        for corner, middle in ((CROP.x, x), (CROP.y, y))
    )
    expected = np.outer(down.reshape(10, -1).sum(1), across.reshape(10, -1).sum(1))
    np.testing.assert_allclose(grid, expected, atol=5e-5)


def test_a_uniform_density_has_the_shares_of_areas_and_a_likelihood_known_beforehand():
    found = measure(uniform(), np.array([60, 45]), np.array([60, 45]), 0.05, BOX, SIZE, None)["model"]
    assert found["in_box"] == pytest.approx(0.5) and found["outside_crop"] == 0
    assert found["outside_picture"] == pytest.approx(0.2) and found["on_object"] is None
    assert found["nll"] == pytest.approx(0)  # the crop's side is the box's longer side
    assert found["entropy"] == pytest.approx(math.log2(400))
    wide = measure(uniform(20, Crop(-15, -5, 150)), np.array([60, 45]), np.array([60, 45]), 0.05, BOX, SIZE, None)
    assert wide["model"]["nll"] == pytest.approx(2 * math.log(1.5))


def test_on_object_is_the_probability_on_the_outline():
    left = Outline((np.array([[10, 20], [60, 20], [60, 120], [10, 120]]),))
    point = np.array([60.0, 70.0])
    found = measure(uniform(), point, point, 0.05, BOX, SIZE, left)
    assert found["model"]["on_object"] == pytest.approx(0.5, abs=0.01)
    assert found["gaussian_at_truth"]["on_object"] == pytest.approx(0.5, abs=0.01)
    assert measure(one_hot(3, 2), point, point, 0.05, BOX, SIZE, left)["model"]["on_object"] == pytest.approx(1)
    assert measure(one_hot(3, 15), point, point, 0.05, BOX, SIZE, left)["model"]["on_object"] == 0


def test_a_gaussian_at_the_edge_leaves_the_crop_and_the_picture_by_half_and_the_model_never_leaves_the_crop():
    edge = np.array([110.0, 70.0])  # the crop's right edge, far from the picture's
    found = measure(one_hot(10, 19), edge, edge, 0.02, BOX, SIZE, None)
    assert found["gaussian_at_truth"]["outside_crop"] == pytest.approx(0.5)
    assert found["gaussian_at_truth"]["outside_picture"] == pytest.approx(0, abs=1e-9)
    assert found["model"]["outside_crop"] == 0
    below = np.array([60.0, 100.0])  # the picture's lower edge
    assert measure(uniform(), below, below, 0.02, BOX, SIZE, None)["gaussian_at_point"][
        "outside_picture"
    ] == pytest.approx(0.5)


def test_each_gaussian_has_its_own_middle_and_only_the_prediction_has_a_likelihood():
    point, truth = np.array([30.0, 40.0]), np.array([60.0, 80.0])
    found = measure(uniform(), point, truth, 0.1, BOX, SIZE, None)
    assert found["distance"] == pytest.approx(0.5)
    assert found["gaussian_at_point"]["nll"] == pytest.approx(12.5 + math.log(2 * math.pi * 0.01))
    assert found["gaussian_at_truth"]["nll"] is None
    assert found["gaussian_at_point"]["in_box"] > 0.9 > 0.2 > found["gaussian_at_truth"]["in_box"]


def test_what_was_not_expanded_is_spread_evenly():
    grid = np.zeros((10, 10))
    grid[0, 0] = 0.5
    truth = np.array([100.0, 110.0])  # far from the only cell
    found = measure(Density(CROP, grid), truth, truth, 0.1, BOX, SIZE, None)
    assert found["model"]["nll"] == pytest.approx(-math.log(0.5)) and found["mass"] == 0.5
    assert found["model"]["in_box"] == pytest.approx(0.5 + 0.25)


def test_a_density_of_zero_at_the_truth_has_no_likelihood():
    truth = np.array([100.0, 110.0])
    found = measure(one_hot(0, 0), truth, truth, 0.1, BOX, SIZE, None)
    assert found["model"]["nll"] is None and json.dumps(found, allow_nan=False)


def test_a_gaussian_far_outside_the_crop_has_no_entropy():
    found = measure(uniform(), np.array([1e6, 1e6]), np.array([50.0, 50.0]), 0.01, BOX, SIZE, None)
    assert found["gaussian_at_point"]["entropy"] is None and found["gaussian_at_point"]["outside_crop"] == 1


# --- points that are drawn -----------------------------------------------------------------------------------------


def test_a_kernel_density_is_as_wide_as_scotts_rule_makes_the_points():
    rng = np.random.default_rng(0)
    spread = np.array([[36.0, 12.0], [12.0, 16.0]])
    points = rng.multivariate_normal([60, 70], spread, size=64)
    found = kernel_density(points, CROP, 100)
    assert found.mass == pytest.approx(1) and found.mean() == pytest.approx(points.mean(axis=0), abs=0.01)
    kernels = np.cov(points.T) * 64 ** (-1 / 3)  # a mixture's covariance: that of its centres and that of its kernels
    assert found.covariance() == pytest.approx(np.cov(points.T, bias=True) + kernels, abs=0.5)


def test_points_that_are_all_the_same_have_the_density_of_a_cell():
    found = kernel_density(np.full((5, 2), [12.5, 22.5]), CROP, 20)  # the centre of the first cell
    assert found.grid[0, 0] > 0.97 and found.mode() == pytest.approx([12.5, 22.5])
    beside = kernel_density(np.array([[12.5, 22.5], [np.nan, np.nan]]), CROP, 20)
    np.testing.assert_allclose(beside.grid, found.grid, rtol=0, atol=1e-12)
    with pytest.raises(InputError, match="no draw gave one"):
        kernel_density(np.full((3, 2), np.nan), CROP, 20)


def test_the_drawn_points_are_measured_as_the_model_is():
    truth = np.array([60.0, 70.0])
    narrow = kernel_density(truth + np.array([[0, 0], [1, 1], [-1, 1]]), CROP, 20)
    found = measure(uniform(), truth, truth, 0.05, BOX, SIZE, None, narrow)
    assert found["sampled"]["nll"] < found["model"]["nll"] and found["sampled"]["entropy"] < found["model"]["entropy"]
    assert found["sampled"]["outside_crop"] == 0 and set(found["sampled"]) == set(METRICS)
    assert "sampled" not in measure(uniform(), truth, truth, 0.05, BOX, SIZE, None)


# --- means ---------------------------------------------------------------------------------------------------------


def line(identity: int, **figures) -> dict:
    entry = dict.fromkeys(METRICS, 0.0)
    methods = {method: {**entry, **figures.get(method, {})} for method in METHODS}
    return {"id": identity, "distance": 0.1, "offset": 0.0, **methods, **figures.get("plain", {})}


def test_means_weigh_points_within_objects_and_objects_within_categories():
    labels = {1: "a", 2: "a", 3: "b"}
    values = [(1, 1.0), (1, 3.0), (2, 8.0), (3, 5.0)]
    found = summarise([line(identity, model={"in_box": value}) for identity, value in values], labels)
    assert found["object_mean"]["model"]["in_box"] == pytest.approx((2 + 8 + 5) / 3)
    assert found["category_mean"]["model"]["in_box"] == pytest.approx(((2 + 8) / 2 + 5) / 2)
    assert found["per_category"]["a"]["model"]["in_box"] == pytest.approx(5)


def test_objects_without_a_figure_are_left_out_of_its_mean_and_none_means_nobody_had_it():
    lines = [line(1, model={"on_object": None}), line(2, model={"on_object": 0.5})]
    for entry in lines:
        entry["gaussian_at_truth"]["nll"] = None
    found = summarise(lines, {1: "a", 2: "b"})["category_mean"]
    assert found["model"]["on_object"] == 0.5 and found["gaussian_at_truth"]["nll"] is None


def test_likelihoods_are_compared_on_the_same_points():
    lines = [line(1, gaussian_at_point={"nll": 9.0}), line(2, model={"nll": None}, gaussian_at_point={"nll": 1.0})]
    found = summarise(lines, {1: "a", 2: "b"})["category_mean"]
    assert found["gaussian_at_point"]["nll"] == 9.0


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0.001, 0.9)), min_size=1, max_size=12))
def test_no_other_sigma_has_a_better_mean_likelihood_than_the_best(points):
    labels = {1: "a", 2: "a", 3: "b", 4: "b", 5: "c"}
    lines = [line(identity, plain={"distance": distance}) for identity, distance in points]
    found = summarise(lines, labels)["category_mean"]["gaussian_at_point"]

    def mean(sigma: float) -> float:
        by_object = {i: [gaussian_nll(d, sigma) for j, d in points if j == i] for i, _ in points}
        by_category: dict = {}
        for i, values in by_object.items():
            by_category.setdefault(labels[i], []).append(np.mean(values))
        return float(np.mean([np.mean(values) for values in by_category.values()]))

    assert found["best_nll"] == pytest.approx(mean(found["best_sigma"]))
    for factor in (0.5, 0.9, 1.1, 2):
        assert found["best_nll"] <= mean(found["best_sigma"] * factor) + 1e-9


# --- a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 6, seed=1, size=64)
    path = folder / ANNOTATIONS
    labels = json.loads(path.read_text())
    first = labels["annotations"][0]
    x, y, w, h = first["bbox"]
    first["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    labels["annotations"][1]["keypoints"][2] = 1  # hidden
    path.write_text(json.dumps(labels))
    return read_coco(path, folder / IMAGES)


class Blurred:
    """Knows the labels; its densities are Gaussians round them of a tenth of the crop."""

    def __init__(self, dataset, limit=None, **changes):
        self.truth = {(item.image, item.box): item for item in dataset.objects}
        self.limit, self.changes, self.asked = limit, changes, 0

    def predict(self, image, category, *, box, density):
        if self.limit is not None and self.asked >= self.limit:
            raise KeyboardInterrupt
        self.asked += 1
        xy = np.nan_to_num(self.truth[image, box].points, nan=0.0)
        crop = square_crop(box)
        cells = 20 if density is True else density
        grids = [np.maximum(gaussian_grid(crop, cells, point, 0.1 * crop.side), 1e-9) for point in xy]
        fields = {
            "names": category.names,
            "xy": xy,
            "confidence": np.full(len(xy), 0.5),
            "present": np.full(len(xy), True),
            "image_size": read_image(image).size,
        }
        pose = Pose(**fields)
        found = {key: Density(crop, grid) for key, grid in zip(pose.keys, grids, strict=True)}
        return dataclasses.replace(pose, **{"density": found, **self.changes})


class Drawing(Blurred):
    """Also draws points, a twentieth of the crop from the truth on each axis."""

    def encode(self, image, box):
        return DrawingObject(self, image, box)


@dataclasses.dataclass
class DrawingObject:
    model: Drawing
    image: Path
    box: tuple

    def predict(self, category, *, density):
        return self.model.predict(self.image, category, box=self.box, density=density)

    def draw_points(self, category, seeds):
        points = np.nan_to_num(self.model.truth[self.image, self.box].points, nan=0.0)
        noise = np.stack([np.random.default_rng(seed).normal(size=points.shape) for seed in seeds])
        return points + noise * square_crop(self.box).side / 20


def test_points_are_drawn_and_compared_beside_the_exact_density(dataset, tmp_path):
    config = DensityComparisonConfig(sampled=16)
    model = Drawing(dataset)
    results = compare_densities(model, dataset, tmp_path / "a", config)
    assert model.asked == len(dataset.objects) and results["settings"]["sampled"] == 16
    means = results["category_mean"]
    assert set(means) == {*METHODS, "sampled"} and means["sampled"]["entropy"] < means["model"]["entropy"]
    with Image.open(tmp_path / "a" / module.EXAMPLES) as four:
        width = four.width
    with pytest.raises(KeyboardInterrupt):
        compare_densities(Drawing(dataset, limit=2), dataset, tmp_path / "b", config)
    again = compare_densities(Drawing(dataset), dataset, tmp_path / "b", config)
    assert again["category_mean"] == means  # the run that goes on draws the same points
    plain = compare_densities(Blurred(dataset), dataset, tmp_path / "c")
    assert set(plain["category_mean"]) == set(METHODS) and plain["settings"]["sampled"] is None
    with Image.open(tmp_path / "c" / module.EXAMPLES) as three:
        assert width > three.width
    with pytest.raises(InputError, match="drawn must be a whole number from 2"):
        DensityComparisonConfig(sampled=1)
    model.encode = lambda image, box: None  # an object that draws nothing, as a matcher's
    with pytest.raises(InputError, match="does not draw points"):
        compare_densities(model, dataset, tmp_path / "d", config)


def test_a_model_that_words_cannot_ask_is_refused_before_it_is_asked(dataset, tmp_path):
    model = Drawing(dataset)
    model.prompts = ("example",)
    with pytest.raises(InputError, match="compared by words, but this model answers to example; take another"):
        compare_densities(model, dataset, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_language_model_encodes_each_object_once_for_its_density_and_all_points_drawn(dataset, tmp_path, monkeypatch):
    model, encoded = tiny.capellm(tmp_path / "model"), []
    draw_one = [model.predict(one.image, one.category, one.box, strategy="sampling", seed=3) for one in dataset.objects]
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda image, box: encoded.append(image) or encode(image, box))
    drawn = []
    monkeypatch.setattr(module, "kernel_density", lambda points, crop, cells: drawn.append(points) or uniform(10, crop))
    compare_densities(model, dataset, tmp_path / "run", DensityComparisonConfig(seed=1, sampled=3, grid=10))
    assert encoded == [one.image for one in dataset.objects]
    third = {tuple(points[2]) for points in drawn}
    assert third <= {tuple(point) for pose in draw_one for point in pose.xy} and len(third) > 6


def test_a_model_that_knows_the_truth_beats_the_gaussian_of_another_width(dataset, tmp_path):
    results = compare_densities(
        Blurred(dataset), dataset, tmp_path, DensityComparisonConfig(sigma=0.01), command="density x"
    )
    assert json.loads((tmp_path / module.RESULTS).read_text()) == results
    assert results["words"] and set(results["words"].values()) == {"file"}  # the library does not know these kinds
    means = results["category_mean"]
    assert set(means) == set(METHODS) and set(means["model"]) == set(METRICS)
    assert means["model"]["outside_crop"] == 0 and means["model"]["entropy"] > means["gaussian_at_truth"]["entropy"]
    assert results["objects_with_outline"] == 1 and means["model"]["on_object"] > 0.5
    visible = sum(int((item.visibility == 2).sum()) for item in dataset.objects)
    lines = [json.loads(text) for text in (tmp_path / module.LINES).read_text().splitlines()]
    assert len(lines) == visible == results["points"] + results["left_out"].get(module.OUTSIDE, 0)
    assert results["left_out"][module.HIDDEN] == 1 and results["cells"] == [20]
    assert results["command"] == "density x" and results["settings"]["sigma"] == 0.01
    assert Image.open(tmp_path / module.EXAMPLES).height > 300 * results["categories"]


def test_an_object_whose_outline_cannot_be_read_is_measured_as_one_without(dataset, tmp_path):
    (first, *others) = dataset.objects
    broken = dataclasses.replace(first, segmentation=[[30, 30, 130, 110]])
    changed = dataclasses.replace(dataset, objects=[broken, *others])
    results = compare_densities(Blurred(changed), changed, tmp_path)
    plain = compare_densities(Blurred(dataset), dataset, tmp_path / "plain")
    assert results["points"] == plain["points"] and plain["outline_faults"] == []
    (sentence,) = results["outline_faults"]
    assert sentence.startswith(f"Annotation {first.id}, key 'segmentation'")


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(dataset, tmp_path):
    whole = compare_densities(Blurred(dataset), dataset, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        compare_densities(Blurred(dataset, limit=3), dataset, tmp_path / "cut")
    path = tmp_path / "cut" / module.LINES
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # killed in the middle of a line
    assert compare_densities(Blurred(dataset), dataset, tmp_path / "cut") == whole
    for name in (module.LINES, module.EXAMPLES, module.RESULTS):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = Blurred(dataset)
    assert compare_densities(again, dataset, tmp_path / "whole") == whole
    assert again.asked == whole["categories"]  # for the examples alone


def test_a_folder_of_other_settings_or_with_foreign_lines_is_refused(dataset, tmp_path):
    compare_densities(Blurred(dataset), dataset, tmp_path)
    with pytest.raises(InputError, match=r"other settings \(sigma "):
        compare_densities(Blurred(dataset), dataset, tmp_path, DensityComparisonConfig(sigma=0.5))
    with (tmp_path / module.LINES).open("a") as file:
        file.write('{"id": 999, "keypoint": 0}\n')
    with pytest.raises(InputError, match=r"is no figure of this run"):
        compare_densities(Blurred(dataset), dataset, tmp_path)


def test_the_model_is_asked_for_as_many_cells_as_are_wanted(dataset, tmp_path):
    assert compare_densities(Blurred(dataset), dataset, tmp_path, DensityComparisonConfig(grid=7))["cells"] == [7]


def test_models_without_densities_or_confidences_are_refused_in_one_sentence_and_leave_the_folder_usable(
    dataset, tmp_path
):
    class Unsure(Blurred):
        def predict(self, image, category, *, box, density):
            pose = super().predict(image, category, box=box, density=density)
            return SimpleNamespace(**{**vars(pose), "keys": pose.keys, "confidence": np.full(len(pose), np.nan)})

    for model, word in ((Blurred(dataset, density=None), "no probability densities"), (Unsure(dataset), "how sure")):
        with pytest.raises(InputError, match=word) as caught:
            compare_densities(model, dataset, tmp_path, DensityComparisonConfig(model="no"))
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert compare_densities(Blurred(dataset), dataset, tmp_path, DensityComparisonConfig(model="yes"))["points"] > 0


def test_points_labelled_outside_the_crop_are_counted_not_measured(dataset, tmp_path):
    far = [dataclasses.replace(item, points=item.points.copy()) for item in dataset.objects]
    far[0].points[0] = (-500, -500)
    results = compare_densities(Blurred(dataset), dataclasses.replace(dataset, objects=far), tmp_path / "far")
    before = compare_densities(Blurred(dataset), dataset, tmp_path / "before")
    assert results["left_out"][module.OUTSIDE] == before["left_out"].get(module.OUTSIDE, 0) + 1
    assert results["points"] == before["points"] - 1


@pytest.mark.parametrize(
    ("changes", "word"), [({"sigma": 0}, "Sigma"), ({"sigma": math.nan}, "Sigma"), ({"grid": 0}, "grid")]
)
def test_settings_without_sense_are_refused(changes, word):
    with pytest.raises(InputError, match=word):
        DensityComparisonConfig(**changes)


def test_data_without_a_visible_point_are_refused(dataset, tmp_path):
    hidden = [dataclasses.replace(item, visibility=np.minimum(item.visibility, 1)) for item in dataset.objects]
    with pytest.raises(InputError, match="visible"):
        compare_densities(Blurred(dataset), dataclasses.replace(dataset, objects=hidden), tmp_path)


def test_an_object_whose_box_the_picture_does_not_show_is_counted_and_costs_no_other(dataset, tmp_path):
    whole = compare_densities(Blurred(dataset), dataset, tmp_path / "whole")
    beside = dataclasses.replace(dataset.objects[0], id=999, box=(1e5, 1e5, 20.0, 20.0))
    flat = dataclasses.replace(dataset.objects[0], id=998, box=(5.0, 5.0, 0.0, 0.0))
    more = dataclasses.replace(dataset, objects=[*dataset.objects, beside, flat])
    found = compare_densities(Blurred(dataset), more, tmp_path / "more")
    assert found["category_mean"] == whole["category_mean"] and found["objects"] == whole["objects"]
    assert found["left_out"]["a box outside the picture"] == 1
    assert found["left_out"]["a box of a single pixel, which makes no crop"] == 1


def test_densities_of_a_model_that_was_trained_further_are_not_those_of_before(dataset, tmp_path):
    compare_densities(Blurred(dataset), dataset, tmp_path, weights="first")
    with pytest.raises(InputError, match="made before its files changed"):
        compare_densities(Blurred(dataset), dataset, tmp_path, weights="second")
