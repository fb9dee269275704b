"""Matchers name touched points out of a category's names: the rule itself, and tiny random matchers that follow it."""

import json

import numpy as np
import pytest
import tiny_matchers
from PIL import Image
from tiny_matchers import FISH

from anykeypoint import cli
from anykeypoint.category import Category
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import run
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.matching.naming import log_likelihoods, named

BOX = (10.0, 8.0, 60.0, 50.0)
POINTS = np.array([[20.0, 15.0], [40.5, 30.25], [66.0, 50.0], [1.0, 69.0]])  # the last lies outside the box's crop


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("naming")


@pytest.fixture(scope="module")
def model(folder):
    return tiny_matchers.matcher("evidence", folder)


def shares(answer):
    return np.array([answer.probabilities[name] for name in FISH.names])


# --- the rule --------------------------------------------------------------------------------------------------------


def peaks(*cells, size=10, rest=0.0):
    """[K, size, size]: each keypoint at one cell (column, row), and `rest` spread over all cells."""
    grids = np.full((len(cells), size, size), rest / size**2)
    for grid, (column, row) in zip(grids, cells, strict=True):
        grid[row, column] += 1 - rest
    return grids


def test_a_point_has_the_name_whose_distribution_lies_there():
    grids = peaks((2, 7), (8, 1), (5, 5))
    for name, point in (("a", (0.25, 0.75)), ("b", (0.85, 0.15)), ("c", (0.55, 0.55)), ("c", (0.56, 0.52))):
        answer = named(grids, ["a", "b", "c"], np.array(point))
        assert answer.name == name and answer.confidence == answer.probabilities[name] > 0.99


def test_the_probabilities_are_those_of_bayes_rule_with_equal_priors():
    """At a cell where one name has three times the density of the other, and nothing else lies near."""
    grids = np.zeros((2, 40, 40))
    grids[0, 10:31, 10:31], grids[1, 10:31, 10:31] = 0.003 / 4, 0.001 / 4
    grids[0, 0, 0], grids[1, 0, 0] = 1 - grids[0].sum(), 1 - grids[1].sum()
    answer = named(grids, ["a", "b"], np.array([20.5, 20.5]) / 40)
    assert answer.probabilities == pytest.approx({"a": 0.75, "b": 0.25}, abs=1e-6)


def test_the_nearer_of_two_distributions_wins_even_far_outside_the_crop():
    for x in (0.5, 1.2, 9.0, 400.0):
        answer = named(peaks((8, 5), (2, 5)), ["right", "left"], np.array([x + 0.1, 0.55]))
        assert answer.name == "right" and np.isfinite(list(answer.probabilities.values())).all()
        assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_keypoints_of_one_name_are_one_name_with_the_mean_of_their_distributions():
    grids = peaks((2, 2), (7, 7), (2, 7), rest=0.3)
    for cell in ((2, 2), (7, 7)):
        answer = named(grids, ["wheel", "wheel", "door"], (np.array(cell) + 0.5) / 10)
        assert answer.name == "wheel" and list(answer.probabilities) == ["wheel", "door"]
    (wheels, door) = log_likelihoods(np.stack([grids[:2].mean(axis=0), grids[2]]), np.array([0.6, 0.4]))
    expected = np.exp([wheels, door]) / np.exp([wheels, door]).sum()
    answer = named(grids, ["wheel", "wheel", "door"], np.array([0.6, 0.4]))
    assert list(answer.probabilities.values()) == pytest.approx(expected)


# --- a matcher -------------------------------------------------------------------------------------------------------


def test_the_names_of_a_category_are_weighed(model):
    for answer in model.identify(tiny_matchers.picture(), POINTS, box=BOX, category=FISH):
        assert sum(answer.probabilities.values()) == pytest.approx(1) and list(answer.probabilities) == FISH.names
        assert answer.confidence == answer.probabilities[answer.name] == max(answer.probabilities.values())
    assert model.identify(tiny_matchers.picture(), POINTS[:0], box=BOX, category=FISH) == []


def test_they_are_weighed_by_the_densities_that_predict_gives(model):
    """Also at the temperature of the model."""
    for temperature in (1.0, 2.5):
        object.__setattr__(model.config.temperature, "text", temperature)
        view = model.encode(tiny_matchers.picture(), BOX)
        densities = view.predict(FISH, density=True).density
        grids = np.stack([densities[name].grid for name in FISH.names])
        logs = log_likelihoods(grids, view.crop.normalise(POINTS[1:2])[0])
        expected = np.exp(logs) / np.exp(logs).sum()
        assert shares(view.identify(POINTS[1:2], FISH)[0]) == pytest.approx(expected, abs=1e-9)
    object.__setattr__(model.config.temperature, "text", 1.0)


def test_the_answer_for_a_point_does_not_depend_on_the_others(model):
    picture = tiny_matchers.picture()
    together = model.identify(picture, POINTS, box=BOX, category=FISH)
    assert together == [model.identify(picture, tuple(point), box=BOX, category=FISH) for point in POINTS]
    assert together[::-1] == model.identify(picture, POINTS[::-1], box=BOX, category=FISH)
    again = model.identify(picture, np.concatenate([POINTS, POINTS[:1]]), box=BOX, category=FISH)
    assert again[:-1] == together and again[-1] == together[0]


def test_nor_on_the_order_of_the_names(model):
    turned = Category("fish", [FISH.keypoints[k] for k in (3, 0, 4, 2, 1)], noun="fish")
    for one, other in zip(
        *(model.identify(tiny_matchers.picture(), POINTS, box=BOX, category=c) for c in (FISH, turned)), strict=True
    ):
        assert one.name == other.name and shares(one) == pytest.approx(shares(other), abs=1e-5)


def test_nor_on_where_the_object_lies_in_a_larger_picture(model):
    """The crop lies inside the picture, so that it has the same pixels in the larger one."""
    picture, box = tiny_matchers.picture(), (20.0, 15.0, 40.0, 40.0)
    larger = np.pad(picture, ((13, 5), (21, 8), (0, 0)), mode="edge")
    here = model.identify(picture, POINTS[:3], box=box, category=FISH)
    there = model.identify(larger, POINTS[:3] + np.array([21, 13]), box=(41.0, 28.0, 40.0, 40.0), category=FISH)
    for one, other in zip(here, there, strict=True):
        assert one.name == other.name and shares(one) == pytest.approx(shares(other), abs=1e-6)


def test_a_point_outside_the_picture_is_refused_as_a_kptllm_refuses_it(model):
    words = r"The point \(95, 3\) lies outside the picture of 90 x 70 pixels; give points inside"
    with pytest.raises(InputError, match=words):
        model.identify(tiny_matchers.picture(), np.array([[5, 5], [95, 3]]), category=FISH)
    on_the_edge = model.identify(tiny_matchers.picture(), (90.5, 70.5), category=FISH)  # labels are often rounded
    assert on_the_edge.name in FISH.names


def test_without_a_category_or_without_words_it_says_why(model, folder):
    with pytest.raises(InputError, match="A matcher has no words of its own for a point; give a category, or take a"):
        model.identify(tiny_matchers.picture(), (5, 5))
    with pytest.raises(InputError, match="A matcher cannot be told what a point is called; leave called out"):
        model.identify(tiny_matchers.picture(), (5, 5), category=FISH, called="nose")
    reads_nothing = tiny_matchers.matcher("capeformer", folder)
    with pytest.raises(InputError, match="capeformer reads no words and cannot name points"):
        reads_nothing.identify(tiny_matchers.picture(), (5, 5), category=FISH)
    assert "identify" in model.prompts and "identify" not in reads_nothing.prompts


@pytest.mark.parametrize("name", ["capex", "flf", "dlf"])
def test_every_matcher_that_reads_words_names_points(folder, name):
    model = tiny_matchers.matcher(name, folder)
    answer = model.identify(tiny_matchers.picture(), (20, 15), box=BOX, category=FISH)
    assert "identify" in model.prompts and sum(answer.probabilities.values()) == pytest.approx(1)


# --- verbs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(model, folder):
    model.save_pretrained(folder / "model")
    write_dataset(folder / "data", 4, seed=4, per_category=2, size=64)
    Image.fromarray(tiny_matchers.picture()).save(folder / "fish.png")
    (folder / "fish.json").write_text(json.dumps({"name": "fish", "keypoints": [{"name": n} for n in FISH.names]}))
    return folder


def call(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_the_verb_identify_names_points_with_a_matcher(saved, model, capsys, tmp_path):
    asked = ["identify", saved / "fish.png", "--at", "20,15", "--box", "10,8,60,50", "--model", saved / "model"]
    code, out, err = call(capsys, *asked, "--category", saved / "fish.json", "--json", tmp_path / "out.json", "-q")
    (row,) = json.loads((tmp_path / "out.json").read_text())["points"]
    answer = model.identify(saved / "fish.png", (20, 15), box=BOX, category=saved / "fish.json")
    assert code == 0 and err == "" and answer.name in out
    assert row["name"] == answer.name and row["probabilities"] == pytest.approx(dict(answer.probabilities))
    code, out, err = call(capsys, *asked)
    assert code == 2 and out == "" and len(err.splitlines()) == 1
    assert "has no words of its own for a point; give --category" in err
    code, out, err = call(capsys, *asked, "--category", saved / "fish.json", "--called", "tail tip")
    assert code == 2 and out == "" and "takes no --called; leave it out" in err


def test_evaluate_measures_a_matchers_names_and_refuses_own_words(saved, capsys, tmp_path):
    data = ["--data", f"coco:{saved / 'data' / ANNOTATIONS}", "--images", saved / "data" / IMAGES, "-o", tmp_path / "a"]
    code, out, err = call(capsys, "evaluate", saved / "model", *data, "--protocol", "identify-names")
    assert code == 0, err
    measured = json.loads((tmp_path / "a" / "results.json").read_text())["semantics"]
    assert 0 <= measured["category_mean"]["exact"] <= 100 and measured["points"] > 0
    assert set(measured["baselines"]) == {"nearest_mean_position", "most_frequent_name", "random_name"}
    missing = [*data[:-1], tmp_path / "b"]
    code, out, err = call(capsys, "evaluate", saved / "model", *missing, "--protocol", "identify")
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and "--protocol identify-names" in err
    assert not (tmp_path / "b").exists()


def test_own_words_are_refused_before_any_work_in_python_too(saved, model, tmp_path):
    data = read_coco(saved / "data" / ANNOTATIONS, saved / "data" / IMAGES)
    with pytest.raises(InputError, match=r"'identify' needs a model with words of its own .* take identify-names"):
        run.evaluate(model, data, tmp_path / "out", EvaluationConfig(protocol="identify"))
    assert not (tmp_path / "out").exists()
