"""Golden checks of MP-100's protocol: objects, pairs, crops, heat maps, metrics; and of OKS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_measures import Measure, compare, same
from safetensors.numpy import load_file

from anykeypoint.crops.heatmaps import heat_targets
from anykeypoint.data.pairs import episode_pairs, labelled, one_each, padded, training_pairs
from anykeypoint.evaluation.metrics import common_points, pair_means, score_pairs
from anykeypoint.evaluation.oks import oks_matrices, oks_statistics, sigmas
from anykeypoint.forms.dataset import Dataset
from anykeypoint.forms.mp100 import CAPELLM, read_mp100
from anykeypoint.geometry import CAPELLM_CROP, MATCHER_CROP, Crop, apply_matrix, crop_matrix, invert_matrix, square_crop
from anykeypoint.images import read_image, warp_pixels

PIXELS, STATISTIC = 1e-3, 1e-9
ALLOWED = {"NME": 1e-5, "EPE": 1e-4}  # 1e-6 for PCK and AUC
SCALE_UNIT = 200  # pixels; the reference gives a crop's side in it

Arrays = dict[str, np.ndarray]


class _Reference:
    """The reference's arrays, and which of them nothing has looked at."""

    def __init__(self, path: Path):
        self.arrays, self.used = load_file(path), set()

    def __getitem__(self, key: str) -> np.ndarray:
        self.used.add(key)
        return self.arrays[key]

    @property
    def left(self) -> list[str]:
        return sorted(self.arrays.keys() - self.used)


def check_protocol(path: Path) -> list[Measure]:
    """mp100_protocol.json with the two files of arrays and the two synthetic annotation files beside it."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    arrays = _Reference(path.with_suffix(".safetensors"))
    scores = _Reference(path.with_suffix(".metrics.safetensors"))
    measures: list[Measure] = []
    files = {name.removesuffix(".json"): read_mp100(path.parent / name, official=True) for name in facts["files"]}
    for name, data in files.items():
        protocol = facts["protocols"][f"{name}.json"]
        measures += _objects(name, data, protocol["kept"], MATCHER_CROP[0])
        seen = labelled(data)
        width = seen.shape[1]
        shown = arrays[f"{name}/joints_visible"][:, :width] > 0
        measures.append(same(f"{name}: visible", seen.tolist(), shown.tolist()))
        points = padded([item.points for item in data.objects], np.nan)
        measures.append(_close(f"{name}: points", points[seen], arrays[f"{name}/joints"][:, :width][seen]))
        for shots in (1, 5):
            key = f"pairs_{shots}shot"
            ours = [[*pair.examples, pair.query] for pair in episode_pairs(data, shots, facts["num_episodes"])]
            measures.append(same(f"{name}: {key}", ours, arrays[f"{name}/{key}"].tolist()))
            if f"metrics_{shots}shot" in protocol:
                measures += _pairs(name, data, shots, protocol[f"metrics_{shots}shot"], np.array(ours), scores)
    first, second = files.values()
    capellm = read_mp100(path.parent / facts["capellm"]["file"], official=True, rules=CAPELLM)
    measures += _objects("capellm", capellm, facts["capellm"]["kept"], CAPELLM_CROP[0])
    measures += _query_only(capellm, facts["capellm"]["metrics"], scores["capellm/predictions"])
    train = facts["train"]
    groups = training_pairs(second, 1, train["seed_python_and_numpy"], train["official_draws_per_category"])
    ours = [[*pair.examples, pair.query] for pair in groups]
    measures.append(same("train: pairs", ours, arrays["train/pairs_all_images"].tolist()))
    measures += _crops(arrays, "affine256", MATCHER_CROP, first)
    measures += _crops(arrays, "affine224", CAPELLM_CROP, capellm)
    measures += [*_heat_maps(arrays), *_warps(arrays, facts["warp"]), *_edge(facts["metric_edge"])]
    if left := arrays.left + scores.left:
        raise ValueError(f"there is nothing to compare {', '.join(left)} with")
    return measures


def check_oks(path: Path) -> list[Measure]:
    """oks.json: the ten statistics and some matrices, with the sigmas that we ship."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    measures = [_close(f"sigmas {name}", sigmas(name), values, 1e-12) for name, values in facts["sigmas"].items()]
    for name, case in facts["cases"].items():
        files = [path.parent / case[key] for key in ("gt", "pred")]
        labels, detections = (json.loads(file.read_text(encoding="utf-8")) for file in files)
        ours = oks_statistics(labels, detections, sigmas(case["sigmas"]))
        measures += [_close(f"{name} {key}", ours[key], value, STATISTIC) for key, value in case["stats"].items()]
        matrices = oks_matrices(labels, detections, sigmas(case["sigmas"]))
        for key, matrix in case.get("oks_matrices_image_comma_category", {}).items():
            image, category = map(int, key.split(","))
            measures.append(_close(f"{name} OKS of {key}", matrices[image, category], matrix, STATISTIC))
    return measures


def _objects(name: str, data: Dataset, kept: list[dict], scale: float) -> Iterator[Measure]:
    objects = data.objects
    yield same(f"{name}: kept", [item.id for item in objects], [entry["annotation_id"] for entry in kept])
    yield same(f"{name}: categories", [item.category_id for item in objects], [entry["category_id"] for entry in kept])
    yield same(f"{name}: clean_bbox", [list(item.box) for item in objects], [entry["clean_bbox"] for entry in kept])
    visible = [int((item.visibility > 0).sum()) for item in objects]
    yield same(f"{name}: visible points", visible, [entry["visible"] for entry in kept])
    solid = [i for i, item in enumerate(objects) if min(item.box[2:]) > 0]  # a box without an area has no crop
    crops = [square_crop(objects[i].box, scale) for i in solid]
    centres = [crop.to_image([0.5, 0.5]) for crop in crops]
    yield _close(f"{name}: center", centres, [kept[i]["center"] for i in solid])
    sides = [[crop.side / SCALE_UNIT] * 2 for crop in crops]
    yield _close(f"{name}: scale", sides, [kept[i]["scale"] for i in solid], PIXELS / SCALE_UNIT)


def _pairs(
    name: str, data: Dataset, shots: int, facts: dict, pairs: np.ndarray, scores: _Reference
) -> Iterator[Measure]:
    queries = pairs[:, -1]
    points = padded([item.points for item in data.objects], np.nan)
    sides = np.array([max(item.box[2:]) for item in data.objects])
    predicted = scores[f"{name}/predictions_{shots}shot"][:, : points.shape[1]]
    mask = common_points(labelled(data), pairs)
    labels = [data.objects[i].category_id for i in queries]
    for official, means in ((True, facts["official"]), (False, facts["excluding_empty_pairs"])):
        found = score_pairs(predicted, points[queries], mask, sides[queries], official=official)
        ours = pair_means(found, labels)
        yield from _means(f"{name} {shots}-shot, official {official}", ours["object_mean"], means)
        yield same(f"{name} {shots}-shot: empty", ours["empty"], facts["pairs_without_common_visible"])
    found = score_pairs(predicted, points[queries], mask, sides[queries], official=True)
    for key, values in _by_pair(found).items():
        reference = scores[f"{name}/per_pair_{shots}shot/{key}"]
        yield _close(f"{name} {shots}-shot, pair by pair: {key}", values, reference, ALLOWED.get(key, 1e-6))


def _by_pair(found: Any) -> Arrays:
    pck = {f"PCK@{threshold:g}": found.pck[:, t] for t, threshold in enumerate((0.05, 0.1, 0.15, 0.2, 0.25))}
    return pck | {"AUC": found.auc, "NME": found.nme, "EPE": found.epe, "common_visible": found.points}


def _means(name: str, ours: dict[str, float], reference: dict[str, float]) -> Iterator[Measure]:
    for key, value in reference.items():
        unit = 1 if key in ALLOWED else 100
        yield _close(f"{name}: {key}", ours[key.lower()] / unit, value, ALLOWED.get(key, 1e-6))


def _query_only(data: Dataset, reference: dict, predicted: np.ndarray) -> Iterator[Measure]:
    rows = [pair.query for pair in one_each(data, shots=0, seed=0)]
    points = padded([data.objects[i].points for i in rows], np.nan)
    sides = [max(data.objects[i].box[2:]) for i in rows]
    found = score_pairs(predicted[:, : points.shape[1]], points, labelled(data)[rows], sides, official=True)
    ours = pair_means(found, [data.objects[i].category_id for i in rows])["object_mean"]
    yield from _means("capellm", ours, {key: value for key, value in reference.items() if "PCK" in key})


def _crops(arrays: _Reference, name: str, kind: tuple[float, int], data: Dataset) -> Iterator[Measure]:
    scale, size = kind
    reference = {
        key: arrays[f"{name}/{key}"]
        for key in ("object_index", "rotation", "center", "scale", "matrix", "inverse_matrix", "joints_in", "visible")
    }
    there, back = arrays[f"{name}/joints_{size}"], arrays[f"{name}/transform_preds_back"]
    for i, index in enumerate(reference["object_index"]):
        crop = square_crop(data.objects[index].box, scale)
        matrix = crop_matrix(crop, size, reference["rotation"][i])
        shown = reference["visible"][i] > 0
        yield _close(f"{name} {i}: center", crop.to_image([0.5, 0.5]), reference["center"][i])
        yield _close(f"{name} {i}: scale", [crop.side / SCALE_UNIT] * 2, reference["scale"][i], PIXELS / SCALE_UNIT)
        yield _close(f"{name} {i}: matrix", matrix, reference["matrix"][i])
        yield _close(f"{name} {i}: inverse", invert_matrix(matrix), reference["inverse_matrix"][i])
        moved = apply_matrix(matrix, reference["joints_in"][i][shown])
        yield _close(f"{name} {i}: points", moved, there[i][shown])
        yield _close(f"{name} {i}: points back", crop.to_image(there[i][shown] / size), back[i][shown])


def _heat_maps(arrays: _Reference) -> Iterator[Measure]:
    for sigma in (1, 2):
        for name in ("obj0", "obj1"):
            key = f"heatmap/{name}"
            maps, weights = heat_targets(arrays[f"{key}/joints_256"], arrays[f"{key}/visible"], sigma)
            key = f"{key}/sigma{sigma}"
            yield _close(key, maps, arrays[f"{key}/target"], 1e-6)
            yield same(f"{key}: weight", weights.tolist(), arrays[f"{key}/weight"][:, 0].tolist())
        points, key = arrays["heatmap/edge/joints_256"], f"heatmap/edge/sigma{sigma}"
        maps, weights = heat_targets(points, np.ones(len(points)), sigma)
        flat = maps.reshape(len(maps), -1)
        yield _close(f"{key}: sum", flat.sum(axis=1), arrays[f"{key}/sum"], 1e-5)
        yield _close(f"{key}: max", flat.max(axis=1), arrays[f"{key}/max"], 1e-6)
        rows, columns = np.divmod(flat.argmax(axis=1), maps.shape[2])
        yield same(f"{key}: argmax", np.stack([columns, rows], axis=1).tolist(), arrays[f"{key}/argmax_xy"].tolist())
        yield same(f"{key}: weight", weights.tolist(), arrays[f"{key}/weight"][:, 0].tolist())


def _warps(arrays: _Reference, facts: dict) -> Iterator[Measure]:
    image = read_image(arrays["warp/image"])
    side = facts["scale"][0] * SCALE_UNIT
    crop = Crop(facts["center"][0] - side / 2, facts["center"][1] - side / 2, side)
    for name, size, degrees, every in (("224_rot0", 224, 0, 1), ("256_rot0", 256, 0, 2), ("256_rot20", 256, 20, 2)):
        matrix = crop_matrix(crop, size, degrees)
        yield _close(f"warp {name}: matrix", matrix, arrays[f"warp/{name}/matrix"])
        ours = warp_pixels(image, matrix, size)[::every, ::every].astype(int)
        yield _close(f"warp {name}: grey levels", ours, arrays[f"warp/{name}/image"].astype(int), 1.0)


def _edge(facts: dict) -> Iterator[Measure]:
    points = [np.array([facts[key]]) for key in ("pred", "gt")]
    for official in (True, False):
        mask = np.ones((1, points[0].shape[1]), dtype=bool)
        ours = pair_means(score_pairs(*points, mask, [facts["bbox"]], official=official), [0])["object_mean"]
        reference = {f"PCK@{key}": value for key, value in facts["pck"].items()}
        reference |= {key.upper(): facts[key] for key in ("nme", "epe", "auc")}
        yield from _means(f"on the thresholds, official {official}", ours, reference)


def _close(what: str, ours: Any, reference: Any, absolute: float = PIXELS) -> Measure:
    """A comparison within an absolute tolerance."""
    tensors = (torch.from_numpy(np.asarray(values, dtype=np.float64)) for values in (ours, reference))
    return compare(what, *tensors, relative=0, absolute=absolute)
