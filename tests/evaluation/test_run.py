"""An evaluation: what it measures, that it resumes, and that it refuses to mix settings."""

import csv
import dataclasses
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import anykeypoint
from anykeypoint import cli
from anykeypoint.cli.evaluate_summary import summary
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import metrics, run, selection
from anykeypoint.evaluation.baselines.positions import ImageCentre
from anykeypoint.evaluation.calibration import BINS
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.evaluation.queries import Query, predict_query
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.registry import fingerprint, parse
from anykeypoint.images import read_picture
from anykeypoint.library.lookup import category as library_category
from anykeypoint.models.folders import model_digest
from anykeypoint.models.loading import find


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 12, seed=1, size=64)
    return folder


@pytest.fixture(scope="module")
def dataset(source):
    return read_coco(source / ANNOTATIONS, source / IMAGES)


class Oracle:
    """Knows the labels, shifted by `off` of the box's longer side; counts how often it is asked."""

    def __init__(self, dataset, off=0.0, limit=None):
        self.truth = {item.image: item for item in dataset.objects}
        self.off, self.limit, self.asked = off, limit, []

    def predict(self, image, category, *, box, strategy="greedy", density=False, describe="detailed"):
        if self.limit is not None and len(self.asked) >= self.limit:
            raise KeyboardInterrupt
        self.asked.append((image, category, box, strategy, describe))
        item = self.truth[image]
        xy = item.points + np.array([self.off * max(item.box[2:]), 0])
        return SimpleNamespace(xy=xy, confidence=np.ones(len(xy)))

    def untrained(self):
        return Oracle_at_zero(self)


class Oracle_at_zero:
    def __init__(self, model):
        self.model = model

    def predict(self, image, category, **_):
        return SimpleNamespace(xy=np.full((len(category), 2), -1e4), confidence=np.zeros(len(category)))


class Blind:
    def predict(self, image, category, **_):
        return SimpleNamespace(xy=np.full((len(category), 2), np.nan), confidence=np.full(len(category), np.nan))


def test_a_perfect_model_has_a_hundred_percent_and_a_shifted_one_its_thresholds(dataset, tmp_path):
    perfect = run.evaluate(Oracle(dataset), dataset, tmp_path / "a")["category_mean"]
    assert perfect == pytest.approx({**dict.fromkeys(metrics.KEYS, 100), "auc": 95, "nme": 0, "epe": 0})
    shifted = run.evaluate(Oracle(dataset, off=0.12), dataset, tmp_path / "b")["object_mean"]
    shares = {"pck@0.05": 0, "pck@0.1": 0, "pck@0.15": 100, "pck@0.2": 100, "pck@0.25": 100, "mpck": 60}
    assert {key: shifted[key] for key in shares} == shares
    assert shifted["nme"] == pytest.approx(0.12) and shifted["auc"] == pytest.approx(85)
    longer = [max(item.box[2:]) for item in dataset.objects]
    assert shifted["epe"] == pytest.approx(0.12 * np.mean(longer))


def test_both_means_are_printed_by_name_at_every_threshold_of_the_papers(dataset, tmp_path):
    uneven = dataclasses.replace(dataset, objects=dataset.objects[1:])  # so that the two means differ

    class OneKind(Oracle):
        """Right about the objects of the first category alone."""

        def predict(self, image, category, **more):
            answer = super().predict(image, category, **more)
            return answer if category == dataset.objects[0].category else Blind().predict(image, category)

    results = run.evaluate(OneKind(dataset), uneven, tmp_path)
    rows = summary(results).splitlines()
    assert rows[0].split() == ["pck@0.05", "pck@0.1", "pck@0.15", "pck@0.2", "pck@0.25", "mpck"]
    (model,) = [row for row in rows if row.startswith("model ")]
    (objects,) = [row for row in rows if row.startswith("model, object mean")]
    means = [f"{results[key]['pck@0.2']:.1f}" for key in ("category_mean", "object_mean")]
    assert means[0] != means[1] and (model.split()[4], objects.split()[6]) == tuple(means)
    assert f"The mean over objects is {means[1]} %." in (tmp_path / "report.html").read_text()


def test_a_model_that_finds_nothing_has_zero_and_null_in_its_lines(dataset, tmp_path):
    assert run.evaluate(Blind(), dataset, tmp_path)["category_mean"]["pck@0.25"] == 0
    line = json.loads((tmp_path / run.PREDICTIONS).read_text().splitlines()[0])
    assert line["points"][0] == [None, None] and line["confidences"][0] is None
    assert run.evaluate(Oracle(dataset), dataset, tmp_path)["category_mean"]["pck@0.25"] == 0  # read back as absent


def test_the_results_say_everything_that_was_asked(dataset, tmp_path):
    settings = run.EvaluationConfig(model="oracle", seed=4)
    results = run.evaluate(
        Oracle(dataset),
        dataset,
        tmp_path,
        settings,
        baselines=[ImageCentre()],
        unmeasured={"neighbours": "no weights"},
        command="evaluate x",
    )
    assert json.loads((tmp_path / run.RESULTS).read_text()) == json.loads(json.dumps(results))
    assert set(results["category_mean"]) == set(results["object_mean"]) == set(metrics.PAIR_KEYS)
    assert list(results["baselines"]) == ["image_centre"] and results["baselines_unmeasured"]["neighbours"]
    centre = results["baselines"]["image_centre"]
    assert 0 <= centre["category_mean"]["mpck"] < 100 and set(centre["object_mean"]) == set(metrics.PAIR_KEYS)
    curve = results["curve"]
    assert curve["model"][0] == 0 and set(curve["model"][1:]) == {100} and len(curve["thresholds"]) == 51
    assert curve["baselines"]["image_centre"][20] == pytest.approx(centre["category_mean"]["pck@0.2"])
    calibration = results["calibration"]
    assert calibration["count"] == [0] * (BINS - 1) + [results["points"]] and calibration["ece"] == 0
    assert calibration["ause"] is None  # all errors are 0
    assert results["groups"] is results["names"] is results["oks"] is results["semantics"] is None
    assert {key: entry["objects"] for key, entry in results["per_category"].items()} == {
        category.name: 4 for category in dataset.categories.values()
    }
    assert results["interval"]["pck@0.2"] == [100, 100]
    assert (results["objects"], results["pairs"], results["categories"]) == (12, 12, 3)
    assert (results["skipped"], results["missing"], results["empty"], results["unanswered"]) == ({}, [], 0, 0)
    assert results["points"] == sum(len(item.points) for item in dataset.objects)
    assert results["settings"]["seed"] == 4 and results["settings"]["model"] == "oracle"
    assert results["command"] == "evaluate x" and results["versions"]["numpy"] == np.__version__


def test_there_is_one_line_per_object_with_its_points_and_confidences(dataset, tmp_path):
    run.evaluate(Oracle(dataset), dataset, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / run.PREDICTIONS).read_text().splitlines()]
    assert [line["id"] for line in lines] == [item.id for item in dataset.objects]
    np.testing.assert_array_equal(lines[3]["points"], dataset.objects[3].points)
    assert lines[3]["category"] == dataset.objects[3].category.name
    assert len(lines[3]["confidences"]) == len(lines[3]["points"])


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(dataset, tmp_path):
    whole = run.evaluate(Oracle(dataset, 0.07), dataset, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run.evaluate(Oracle(dataset, 0.07, limit=5), dataset, tmp_path / "cut")
    assert not (tmp_path / "cut" / run.RESULTS).exists()
    with (tmp_path / "cut" / run.PREDICTIONS).open("a") as file:
        file.write('{"id": 6, "poi')  # killed in the middle of a line
    rest = Oracle(dataset, 0.07)
    assert run.evaluate(rest, dataset, tmp_path / "cut") == whole
    assert len(rest.asked) == 7
    files = [(tmp_path / name / run.PREDICTIONS).read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]


def test_pictures_that_cannot_be_read_are_named_together_after_all_others_are_answered(source, tmp_path):
    shutil.copytree(source, tmp_path / "data")
    dataset = read_coco(tmp_path / "data" / ANNOTATIONS, tmp_path / "data" / IMAGES)
    broken = sorted({item.image for item in dataset.objects})[:2]
    whole = {image: image.read_bytes() for image in broken}
    for image in broken:
        image.write_bytes(whole[image][:80])

    class Reader(Oracle):
        """Reads the picture, as any model does."""

        def predict(self, image, category, **more):
            read_picture(image)
            return super().predict(image, category, **more)

    lost = sum(item.image in broken for item in dataset.objects)
    model = Reader(dataset)
    with pytest.raises(InputError, match=rf"^2 of the pictures cannot be read \(.*{broken[0].name}.*start again"):
        run.evaluate(model, dataset, tmp_path / "out")
    assert len(model.asked) == len(dataset.objects) - lost
    for image, content in whole.items():
        image.write_bytes(content)
    model = Reader(dataset)
    assert run.evaluate(model, dataset, tmp_path / "out")["category_mean"]["pck@0.2"] == 100
    assert len(model.asked) == lost


@pytest.mark.parametrize(
    "change",
    [{"strategy": "expected"}, {"seed": 1}, {"model": "other"}, {"descriptions": "removed"}, {"dtype": "bfloat16"}],
)
def test_another_setting_in_the_same_folder_is_refused_by_name(dataset, tmp_path, change):
    run.evaluate(Oracle(dataset), dataset, tmp_path, run.EvaluationConfig())
    with pytest.raises(InputError, match=rf"other settings \({next(iter(change))} "):
        run.evaluate(Oracle(dataset), dataset, tmp_path, dataclasses.replace(run.EvaluationConfig(), **change))


def test_other_objects_in_the_same_folder_are_refused(dataset, tmp_path):
    run.evaluate(Oracle(dataset), dataset, tmp_path)
    fewer = dataclasses.replace(dataset, objects=dataset.objects[:5])
    with pytest.raises(InputError, match="other objects"):
        run.evaluate(Oracle(dataset), fewer, tmp_path)


def test_predictions_without_settings_or_of_another_run_are_refused(dataset, tmp_path):
    run.evaluate(Oracle(dataset), dataset, tmp_path)
    with (tmp_path / run.PREDICTIONS).open("a") as file:
        file.write('{"id": 999, "points": []}\n')
    with pytest.raises(InputError, match="line 13"):
        run.evaluate(Oracle(dataset), dataset, tmp_path)
    (tmp_path / run.SETTINGS).unlink()
    with pytest.raises(InputError, match="unknown settings"):
        run.evaluate(Oracle(dataset), dataset, tmp_path)


def test_at_most_n_per_category_are_drawn_by_seed_and_more_keeps_fewer(dataset, tmp_path):
    def ids(most, seed=0, objects=dataset.objects):
        return {item.id for item in selection.select(objects, most, seed)}

    assert len(ids(2)) == 6 and ids(1) < ids(2) < ids(3) < ids(None) == ids(9)
    assert ids(2) == ids(2, objects=dataset.objects[::-1])
    assert len({frozenset(ids(2, seed)) for seed in range(8)}) > 1
    results = run.evaluate(Oracle(dataset), dataset, tmp_path, run.EvaluationConfig(max_per_category=2))
    assert results["objects"] == 6 and results["skipped"] == {selection.NOT_DRAWN: 6}
    with pytest.raises(InputError, match="1 or more"):
        selection.select(dataset.objects, 0)


def test_the_model_is_asked_in_the_labelled_box_with_or_without_descriptions(dataset, tmp_path):
    items = dataset.objects[:2]
    points = tuple(dataclasses.replace(point, description="where it is") for point in items[0].category.keypoints)
    category = dataclasses.replace(items[0].category, keypoints=points)
    told = dataclasses.replace(dataset, objects=items, categories={items[0].category_id: category})
    for descriptions in ("detailed", "removed", "vague"):
        model = Oracle(dataset)
        settings = run.EvaluationConfig(descriptions=descriptions, strategy="expected")
        run.evaluate(model, told, tmp_path / descriptions, settings)
        image, asked, box, strategy, describe = model.asked[0]
        assert (image, box, strategy, describe) == (items[0].image, items[0].box, "expected", descriptions)
        assert asked.keypoints[0].description == ("" if descriptions == "removed" else "where it is")
    with pytest.raises(InputError, match="detailed, removed, replaced, vague, simplified, sentences, but got 'short'"):
        run.evaluate(Oracle(dataset), told, tmp_path / "short", run.EvaluationConfig(descriptions="short"))


def test_the_model_can_be_asked_with_simplified_names(dataset, tmp_path):
    dog = library_category("mp100/dog_body")
    item = dataclasses.replace(dataset.objects[0], category=dog, points=np.ones((17, 2)), visibility=np.full(17, 2))
    dogs = dataclasses.replace(dataset, objects=[item], categories={item.category_id: dog})
    for names, descriptions, expected in (
        ("own", "detailed", ("left front paw", dog.keypoints[7].description)),
        ("simplified", "detailed", ("left forepaw", dog.keypoints[7].description)),
        ("simplified", "removed", ("left forepaw", "")),
    ):
        model = Oracle(dogs)
        config = run.EvaluationConfig(names=names, descriptions=descriptions)
        run.evaluate(model, dogs, tmp_path / f"{names} {descriptions}", config)
        point = model.asked[0][1].keypoints[7]
        assert (point.name, point.description) == expected
    with pytest.raises(InputError, match=r"own, simplified, synonyms, .* file, but got 'short'"):
        run.evaluate(Oracle(dogs), dogs, tmp_path / "short", run.EvaluationConfig(names="short"))
    with pytest.raises(InputError, match="no simplified words for"):
        run.evaluate(Oracle(dataset), dataset, tmp_path / "made up", run.EvaluationConfig(names="simplified"))


def test_the_untrained_model_is_measured_only_when_asked_for(dataset, tmp_path):
    results = run.evaluate(Oracle(dataset), dataset, tmp_path, untrained=True)
    assert results["category_mean"]["pck@0.2"] == 100
    assert results["baselines"]["untrained"]["category_mean"]["pck@0.2"] == 0
    with pytest.raises(InputError, match="untrained"):
        run.evaluate(Blind(), dataset, tmp_path / "b", untrained=True)


def test_a_model_that_answers_with_other_points_is_refused_with_the_object(dataset, tmp_path):
    class Short:
        def predict(self, image, category, **_):
            return SimpleNamespace(xy=np.zeros((1, 2)), confidence=np.zeros(1))

    with pytest.raises(InputError, match=r"Object 1 .*\(1, 2\)"):
        run.evaluate(Short(), dataset, tmp_path)


def test_an_unknown_protocol_and_an_empty_data_set_are_refused(dataset, tmp_path):
    with pytest.raises(InputError, match=r"must be text.*'0-shot'"):
        run.evaluate(Oracle(dataset), dataset, tmp_path, run.EvaluationConfig(protocol="0-shot"))
    with pytest.raises(InputError, match="no object"):
        run.evaluate(Oracle(dataset), dataclasses.replace(dataset, objects=[]), tmp_path)


def test_two_categories_of_one_name_are_told_apart_by_id(dataset, tmp_path):
    same = {key: dataclasses.replace(category, name="face") for key, category in dataset.categories.items()}
    objects = [dataclasses.replace(item, category=same[item.category_id]) for item in dataset.objects]
    results = run.evaluate(Oracle(dataset), dataclasses.replace(dataset, objects=objects, categories=same), tmp_path)
    assert set(results["per_category"]) == {"face (1)", "face (2)", "face (3)"}


def test_the_command_writes_the_files_and_says_the_figures(source, dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(anykeypoint, "load", lambda name, device, image_size: Oracle(dataset))
    labels = source / ANNOTATIONS
    arguments = ["fast", "--data", f"coco:{labels}", "--images", str(source / IMAGES), "--max-per-category", "2"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/anykeypoint", "evaluate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", *arguments, "-o", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    assert "image_centre" in printed.out and "6 objects" in printed.out and "left out: 6" in printed.out
    assert printed.out.splitlines()[-1].startswith(f"Written to {tmp_path / 'out'}")
    assert (tmp_path / "out" / "report.html").is_file()
    results = json.loads((tmp_path / "out" / run.RESULTS).read_text())
    assert results["data_sha256"] == fingerprint(f"coco:{labels}") and len(results["data_sha256"]) == 64
    assert results["command"].startswith("anykeypoint evaluate fast --data")
    settings = json.loads((tmp_path / "out" / run.SETTINGS).read_text())
    assert settings["weights"] == model_digest(find("fast"))


def test_categories_of_one_object_each_have_no_interval_that_looks_certain(dataset, tmp_path):
    said = {}
    for most in (1, 2):
        results = run.evaluate(Oracle(dataset), dataset, tmp_path / str(most), EvaluationConfig(max_per_category=most))
        said[most] = summary(results)
    assert "no interval, as no category has two objects" in said[1] and "95 %" not in said[1]
    assert "95 % of pck@0.2 within 100.0 to 100.0" in said[2]


def test_the_tables_have_a_line_per_category_and_per_object(dataset, tmp_path):
    results = run.evaluate(Oracle(dataset, off=0.12), dataset, tmp_path)
    with (tmp_path / run.PER_CATEGORY).open() as file:
        table = {row["category"]: row for row in csv.DictReader(file)}
    assert set(table) == set(results["per_category"])
    assert {row["pck@0.15"] for row in table.values()} == {"100.0"} and {row["objects"] for row in table.values()} == {
        "4"
    }
    with (tmp_path / run.PER_OBJECT).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == [item.id for item in dataset.objects]
    assert {(row["examples"], row["group"], row["pck@0.1"], row["pck@0.15"]) for row in rows} == {
        ("", "", "0.0", "1.0")
    }
    assert [row["image"] for row in rows] == [item.image.name for item in dataset.objects]


def test_an_object_without_labelled_points_is_asked_about_counted_and_in_no_mean(dataset, tmp_path):
    """MP-100's rules keep such objects."""
    bare = dataset.objects[0]
    bare = dataclasses.replace(bare, points=bare.points * np.nan, visibility=bare.visibility * 0)
    data = dataclasses.replace(dataset, objects=[bare, *dataset.objects[1:]])
    results = run.evaluate(Oracle(dataset, off=0.12), data, tmp_path)
    assert (results["pairs"], results["empty"]) == (12, 1) and results["object_mean"]["pck@0.15"] == 100
    official = run.evaluate(Oracle(dataset, off=0.12), data, tmp_path / "b", run.EvaluationConfig(official=True))
    assert official["object_mean"]["pck@0.15"] == pytest.approx(100 * 11 / 12)
    assert "" in (tmp_path / run.PER_OBJECT).read_text().splitlines()[1].split(",")


def test_a_box_of_one_pixel_is_counted_and_stops_nothing_and_one_without_a_width_is_measured(dataset, tmp_path):
    first, second, third = dataset.objects[:3]
    x, y, _, h = second.box
    odd = [dataclasses.replace(first, box=(5.0, 5.0, 0.0, 0.0)), dataclasses.replace(second, box=(x, y, 0.0, h)), third]
    data = dataclasses.replace(dataset, objects=odd)
    results = run.evaluate(Oracle(data), data, tmp_path, run.EvaluationConfig())
    assert results["objects"] == 2 and results["skipped"] == {selection.NO_SIDE: 1}


def test_data_of_another_form_are_refused():
    with pytest.raises(InputError, match=r"coco:FILE\.json"):
        parse("labels.json")


def test_a_model_that_was_trained_further_under_its_name_is_not_given_the_answers_of_before(dataset, tmp_path):
    before = run.evaluate(Oracle(dataset), dataset, tmp_path / "report", weights="first")
    again = Oracle(dataset)
    assert run.evaluate(again, dataset, tmp_path / "report", weights="first") == before and again.asked == []
    with pytest.raises(InputError, match="made before its files changed; give another folder or remove it"):
        run.evaluate(Oracle(dataset, off=0.3), dataset, tmp_path / "report", weights="second")
    settings = json.loads((tmp_path / "report" / run.SETTINGS).read_text())
    del settings["weights"]  # as a folder of an older version
    (tmp_path / "report" / run.SETTINGS).write_text(json.dumps(settings))
    assert run.evaluate(again, dataset, tmp_path / "report", weights="second") == before


def test_a_seed_that_is_none_is_refused_before_anything_is_asked(dataset, tmp_path):
    model = Oracle(dataset)
    with pytest.raises(InputError, match="A seed must be a whole number from 0, but got -1"):
        run.evaluate(model, dataset, tmp_path / "report", EvaluationConfig(seed=-1))
    assert model.asked == []


def test_an_example_whose_box_or_points_lie_outside_its_picture_stops_no_evaluation(dataset):
    class ByExample:
        prompts = ("example",)

        def predict(self, image, category, *, box, example, words):
            assert all(one.box[0] < 1e4 for one in example)
            return SimpleNamespace(xy=np.zeros((len(category), 2)), confidence=np.full(len(category), len(example)))

    item, shown = dataset.objects[0], dataset.objects[0]
    beside = dataclasses.replace(shown, box=(1e5, 1e5, 20.0, 20.0))
    protocol = EvaluationProtocol.parse("2-shot")
    one = predict_query(ByExample(), Query(item, (beside, shown), item.category), protocol, {})
    assert (one.confidence == 1).all() and np.isfinite(one.xy).all()
    off = dataclasses.replace(shown, points=shown.points + 1e5)
    one = predict_query(ByExample(), Query(item, (shown, off), item.category), protocol, {})
    assert (one.confidence == 1).all()
    none = predict_query(ByExample(), Query(item, (beside, off), item.category), protocol, {})
    assert np.isnan(none.xy).all() and np.isnan(none.confidence).all()
