"""Figures with their intervals, and changes, against plain loops over draws; and what the page says of none."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from anykeypoint.density import Density
from anykeypoint.evaluation.density_comparison import LINES, DensityComparisonConfig, compare_densities
from anykeypoint.evaluation.density_comparison import RESULTS as DENSITY_RESULTS
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.gaussians import gaussian_grid
from anykeypoint.evaluation.oks_matches import FILE as MATCHES
from anykeypoint.evaluation.oks_matches import drawn_pictures
from anykeypoint.evaluation.run import PER_OBJECT, RESULTS, evaluate
from anykeypoint.forms.coco import read_coco
from anykeypoint.geometry import square_crop
from anykeypoint.pose import Pose
from anykeypoint.reproduction import figures as module
from anykeypoint.reproduction.figures import Figure, change, figure

NAMES = ("nose", "left ear", "tail")
ENDS = (0.025, 0.975)
SIZE = (200, 160)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Objects of three points and two kinds, two in each of ten pictures, some points hidden or not labelled."""
    folder, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(3)
    annotations = []
    for number in range(20):
        x, y = rng.uniform(0, 60, 2).round(1)
        points = np.column_stack(
            [rng.uniform(x, x + 100, 3), rng.uniform(y, y + 80, 3), rng.choice([0, 1, 2, 2, 2], 3)]
        )
        points[0, 2] = 2
        one = {"id": number + 1, "image_id": number // 2, "category_id": 1 + number % 3 // 2, "iscrowd": 0}
        one |= {"bbox": [x, y, 100, 80], "area": 6000.0 + 400 * number, "keypoints": points.ravel().tolist()}
        annotations.append({**one, "num_keypoints": int((points[:, 2] > 0).sum())})
    for number in range(10):
        Image.new("RGB", SIZE).save(folder / f"{number}.png")
    kinds = [{"id": i, "name": name, "keypoints": list(NAMES), "skeleton": []} for i, name in ((1, "cat"), (2, "dog"))]
    images = [{"id": i, "file_name": f"{i}.png", "width": SIZE[0], "height": SIZE[1]} for i in range(10)]
    (folder / "l.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": kinds}))
    (folder / "s.json").write_text("[0.05, 0.05, 0.05]")
    return read_coco(folder / "l.json", folder)


class Noisy:
    """Misses the labels by noise of its seed; names points and gives densities, some of them wrong."""

    prompts = ("text", "identify")

    def __init__(self, dataset, seed, noise):
        self.truth = {(item.image, item.box): item for item in dataset.objects}
        self.seed, self.noise = seed, noise

    def draws(self, box):
        return np.random.default_rng([self.seed, *(int(10 * side) for side in box)])

    def predict(self, image, category, *, box, density=False):
        rng, item = self.draws(box), self.truth[image, box]
        xy = np.nan_to_num(item.points) + rng.normal(0, self.noise, (3, 2))
        confidence = rng.uniform(0.1, 0.9, 3)
        if not density:
            return SimpleNamespace(xy=xy, confidence=confidence)
        crop = square_crop(box)
        present = np.full(3, True)
        pose = Pose(names=category.names, xy=xy, confidence=confidence, present=present, image_size=SIZE)
        grids = [gaussian_grid(crop, 12, point, crop.side / 10) for point in xy]
        found = {key: Density(crop, grid / grid.sum()) for key, grid in zip(pose.keys, grids, strict=True)}
        return Pose(**{**vars(pose), "density": found})

    def identify(self, image, points, *, box, category=None):
        rng, known = self.draws(box), np.nan_to_num(self.truth[image, box].points, nan=-99)
        right = [NAMES[int(np.argmin(np.abs(known - point).sum(axis=1)))] for point in points]
        said = [name if rng.random() > self.noise / 20 else "paw" for name in right]
        return [SimpleNamespace(name=name.replace(" ", "_"), confidence=0.5) for name in said]


@pytest.fixture(scope="module")
def measured(dataset, tmp_path_factory):
    """The folders of two models' measurements, by what was asked."""
    folder = tmp_path_factory.mktemp("measured")
    sigmas = str(next(iter(dataset.objects)).image.parent / "s.json")
    configs = {
        "text": EvaluationConfig(oks=sigmas, data="x"),
        "identify": EvaluationConfig(protocol="identify", data="x"),
    }
    found = {}
    for name, config in configs.items():
        found[name] = [folder / f"{name}-{seed}" for seed in (1, 2)]
        for seed, out in enumerate(found[name], 1):
            evaluate(Noisy(dataset, seed, 5.0 * seed), dataset, out, config)
    found["density"] = [folder / f"density-{seed}" for seed in (1, 2)]
    for seed, out in enumerate(found["density"], 1):
        compare_densities(Noisy(dataset, seed, 5.0 * seed), dataset, out, DensityComparisonConfig(data="x"))
    return found


def results_of(folder):
    path = folder / DENSITY_RESULTS if (folder / DENSITY_RESULTS).exists() else folder / RESULTS
    return json.loads(path.read_text())


# --- the plain reference -------------------------------------------------------------------------------------------


def single_values(dataset, folder, metric, mean):
    """Object id -> its value and what it weighs, from the predictions and labels alone, without the tables."""
    items = {item.id: item for item in dataset.objects}
    if "/" in metric:
        method, name = metric.split("/")
        values = {}
        for line in map(json.loads, (folder / LINES).read_text().splitlines()):
            if "left_out" not in line and line[method][name] is not None:
                values.setdefault(line["id"], []).append(line[method][name])
        return {key: (sum(own) / len(own), 1) for key, own in values.items()}
    found = {}
    for line in map(json.loads, (folder / "predictions.jsonl").read_text().splitlines()):
        item = items[line["id"]]
        asked = [k for k in range(3) if item.visibility[k] > 0]
        if metric in ("exact", "normalised"):
            said = [line["names"][k] if metric == "exact" else line["names"][k].replace("_", " ") for k in asked]
            right = [name == NAMES[k] for name, k in zip(said, asked, strict=True)]
            found[item.id] = (100 * sum(right) / len(right), len(right))
        else:
            away = [math.dist(line["points"][k], item.points[k]) / max(item.box[2:]) for k in asked]
            right = [distance < float(metric.removeprefix("pck@")) for distance in away]
            found[item.id] = (100 * (sum(right) / len(right)), len(right) if mean == "point_mean" else 1)
    return found


def plain_draws(dataset, tables, mean, rounds=2000):
    """The means of each table in every round, object after object: lists of one number for each table."""
    kinds = {item.id: item.category.name if mean == "category_mean" else "" for item in dataset.objects}
    rng, rounds_of = np.random.default_rng(0), []
    for kind in sorted(set(kinds.values())):
        ids = [key for key in tables[0] if kinds[key] == kind]
        # Objects of one kind stand in the order of their sums and weights, those of the last table first.
        sums = {key: [t[key][0] * t[key][1] for t in reversed(tables)] for key in ids}
        ids.sort(key=lambda key: sums[key] + [t[key][1] for t in reversed(tables)])
        rounds_of.append([[ids[place] for place in row] for row in rng.integers(len(ids), size=(rounds, len(ids)))])
    means = []
    for drawn in zip(*rounds_of, strict=True):
        row = []
        for table in tables:
            shares = [
                sum(table[key][0] * table[key][1] for key in of_kind) / sum(table[key][1] for key in of_kind)
                for of_kind in drawn
            ]
            row.append(sum(shares) / len(shares))
        means.append(row)
    return np.array(means)


CASES = [
    ("text", "pck@0.05", "object_mean"),
    ("text", "pck@0.1", "category_mean"),
    ("text", "pck@0.05", "point_mean"),
    ("identify", "exact", "object_mean"),
    ("identify", "normalised", "object_mean"),
    ("identify", "normalised", "category_mean"),
    ("density", "model/in_box", "object_mean"),
    ("density", "gaussian_at_point/nll", "category_mean"),
    ("density", "gaussian_at_truth/entropy", "object_mean"),
]


@pytest.mark.parametrize(("asked", "metric", "mean"), CASES)
def test_intervals_and_changes_are_those_of_drawing_object_after_object(dataset, measured, asked, metric, mean):
    folders = measured[asked]
    tables = [single_values(dataset, folder, metric, mean) for folder in folders]
    assert tables[0].keys() == tables[1].keys() and len(tables[0]) == 20
    for folder, table in zip(folders, tables, strict=True):
        found = figure(folder, results_of(folder), metric, mean)
        low, high = np.quantile(plain_draws(dataset, [table], mean), ENDS)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-8)
        assert found.low < found.value < found.high
    moved = change(*folders, metric, mean)
    drawn = plain_draws(dataset, tables, mean)
    low, high = np.quantile(drawn[:, 1] - drawn[:, 0], ENDS)
    assert (moved.low, moved.high) == pytest.approx((low, high), abs=1e-8)
    values = [figure(folder, results_of(folder), metric, mean).value for folder in folders]
    assert moved.value == pytest.approx(values[1] - values[0], abs=1e-8)


def test_measurements_with_other_examples_are_compared_object_by_object(tmp_path):
    """1-shot with two pairs of the first object, and 5-shot: no pair is in both."""
    asked = {
        "1-shot": [("1", "2", 0.2), ("1", "3", 0.6), ("2", "1", 0.5)],
        "5-shot": [("1", "2 3 4 5 6", 0.9), ("2", "1 3 4 5 6", 0.6)],
    }
    for name, rows in asked.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / RESULTS).write_text('{"data_sha256": "x"}')
        lines = [f"{one},{examples},cat,3,{pck}" for one, examples, pck in rows]
        (tmp_path / name / PER_OBJECT).write_text("\n".join(["id,examples,category,points,pck@0.2", *lines]) + "\n")
    moved = change(tmp_path / "1-shot", tmp_path / "5-shot", "pck@0.2", "category_mean")
    assert moved.value == pytest.approx(100 * ((0.9 - 0.4) + (0.6 - 0.5)) / 2)
    assert (moved.low, moved.high) == pytest.approx((10, 50))


# --- COCO's statistics ---------------------------------------------------------------------------------------------


def plain_average(folders, metric, times):
    """AP or AR of each folder in each draw, from the lines of matches: every detection of every copy one by one."""
    area, threshold = ("large", None) if metric.endswith("_large") else ("all", 0 if metric.endswith("50") else None)
    found = []
    for folder in folders:
        lines = [json.loads(text) for text in (folder / MATCHES).read_text().splitlines()]
        pictures = sorted({line["image"] for line in lines})
        found.append([])
        for row in times:
            of_kinds = []
            for kind in (1, 2):
                own = [line for line in lines if line["category"] == kind]
                copies = [line for line in own for _ in range(row[pictures.index(line["image"])])]
                objects = sum(line["counted"][area] for line in copies)
                if objects:
                    detections = [one for line in copies for one in line["detections"]]
                    words = [one[area] for one in sorted(detections, key=lambda one: -one["score"])]
                    each = range(10) if threshold is None else [threshold]
                    parts = [ranked_average([word[t] for word in words], objects, metric[:2]) for t in each]
                    of_kinds.append(sum(parts) / len(parts))
            found[-1].append(100 * np.mean(of_kinds) if of_kinds else math.nan)
    return np.array(found)


def ranked_average(letters, objects, kind):
    """AP or AR at one threshold from the letters of the ranked detections."""
    curve, right, wrong = [], 0, 0
    for letter in letters:
        right, wrong = right + (letter == "h"), wrong + (letter == "m")
        curve.append((right / objects, right / max(right + wrong, 1)))
    if kind == "AR":
        return right / objects
    best = [max([p for recall, p in curve if recall >= least], default=0) for least in np.linspace(0, 1, 101)]
    return sum(best) / 101


@pytest.mark.parametrize("metric", ["AP", "AP50", "AR", "AP_large"])
def test_ap_and_ar_have_the_intervals_of_drawn_pictures(measured, metric, monkeypatch):
    monkeypatch.setattr(module, "_ROUNDS", 80)
    folders, times = measured["text"], drawn_pictures(10, 80)
    drawn = plain_average(folders, metric, times)
    for folder, own in zip(folders, drawn, strict=True):
        found = figure(folder, results_of(folder), metric, "object_mean")
        assert (found.low, found.high) == pytest.approx(tuple(np.nanquantile(own, ENDS)), abs=1e-8)
        assert found.value == pytest.approx(plain_average([folder], metric, np.ones((1, 10), int))[0, 0])
        assert found.low < found.value < found.high
    moved = change(*folders, metric, "object_mean")
    values = [figure(folder, results_of(folder), metric, "object_mean").value for folder in folders]
    assert moved.value == pytest.approx(values[1] - values[0])
    assert (moved.low, moved.high) == pytest.approx(tuple(np.nanquantile(drawn[1] - drawn[0], ENDS)), abs=1e-8)


def test_a_change_of_ap_is_of_the_pictures_with_the_same_objects(measured, tmp_path):
    whole, other = measured["text"]
    part = tmp_path / "part"
    part.mkdir()
    (part / RESULTS).write_text((other / RESULTS).read_text())
    lines = [json.loads(text) for text in (other / MATCHES).read_text().splitlines()]
    first = lines[0]["image"]
    kept = [{**line, "objects": line["objects"][1:]} if line["image"] == first else line for line in lines]
    (part / MATCHES).write_text("".join(json.dumps(line) + "\n" for line in kept))
    left = np.ones((1, 10), int)
    left[0, sorted({line["image"] for line in lines}).index(first)] = 0
    values = plain_average([whole, other], "AP", left)[:, 0]
    assert change(whole, part, "AP", "object_mean").value == pytest.approx(values[1] - values[0])
    (part / MATCHES).unlink()
    assert change(whole, part, "AP", "object_mean") is None
    assert figure(part, results_of(part), "AP", "object_mean") == Figure(results_of(part)["oks"]["AP"])


# --- without an interval -------------------------------------------------------------------------------------------


def test_a_figure_without_values_of_single_objects_has_no_interval(measured, tmp_path):
    results = {"attention": {"object_mean": {"attention@0.1": 30.0}}}
    assert figure(tmp_path, results, "attention@0.1", "object_mean") == Figure(30.0)
    folders = measured["density"]
    best = figure(folders[0], results_of(folders[0]), "gaussian_at_point/best_sigma", "object_mean")
    assert best.value > 0 and best.low is None
    assert change(*folders, "gaussian_at_point/best_sigma", "object_mean") is None


def test_lines_of_older_versions_have_an_interval_over_objects_alone(measured, tmp_path):
    folder = measured["density"][0]
    lines = [json.loads(text) for text in (folder / LINES).read_text().splitlines()]
    older = [{key: value for key, value in line.items() if key != "category"} for line in lines]
    (tmp_path / LINES).write_text("".join(json.dumps(line) + "\n" for line in older))
    found, results = {}, results_of(folder)
    for mean in ("object_mean", "category_mean"):
        found[mean] = figure(tmp_path, results, "model/in_box", mean)
        assert found[mean].value == results[mean]["model"]["in_box"]
    assert found["object_mean"] == figure(folder, results, "model/in_box", "object_mean")
    assert found["object_mean"].low is not None and found["category_mean"].low is None


def test_rows_of_other_labels_have_no_change(measured, tmp_path):
    for name, metric in (("text", "pck@0.2"), ("text", "AP"), ("identify", "exact")):
        first, second = measured[name]
        other = tmp_path / f"{name}-{metric}"
        other.mkdir()
        for file in second.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        assert change(first, other, metric, "object_mean") is not None
        (other / RESULTS).write_text(json.dumps({**results_of(second), "data_sha256": "y"}))
        assert change(first, other, metric, "object_mean") is None
