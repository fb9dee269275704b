"""Visible and hidden points measured apart, as CapeLLM's Fig. 4 shows objects that are covered in part."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import run
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.forms.coco import read_coco


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve objects, of which every third has its first labelled point hidden."""
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 12, seed=1, size=64)
    data = read_coco(folder / ANNOTATIONS, folder / IMAGES)
    objects = []
    for number, item in enumerate(data.objects):
        visibility = np.where(item.visibility > 0, 2, 0)
        if number % 3 == 0:
            visibility[np.flatnonzero(visibility)[0]] = 1
        objects.append(replace(item, visibility=visibility))
    return replace(data, objects=objects)


class SeesVisible:
    """Finds visible points, and no hidden one; counts its objects."""

    def __init__(self, dataset):
        self.items, self.asked = {item.image: item for item in dataset.objects}, 0

    def predict(self, image, category, *, box):
        self.asked += 1
        item = self.items[image]
        wrong = item.points + max(item.box[2:])
        xy = np.where((item.visibility == 2)[:, None], item.points, wrong)
        return SimpleNamespace(xy=xy, confidence=np.ones(len(xy)))


def measured(dataset, out, **settings):
    model = SeesVisible(dataset)
    return model, run.evaluate(model, dataset, out, EvaluationConfig(**settings))


def test_visible_and_hidden_points_have_figures_of_their_own(dataset, tmp_path):
    labelled = sum(int((item.visibility > 0).sum()) for item in dataset.objects)
    _, every = measured(dataset, tmp_path / "all")
    _, visible = measured(dataset, tmp_path / "visible", points="visible")
    _, hidden = measured(dataset, tmp_path / "hidden", points="hidden")
    assert [found["points"] for found in (every, visible, hidden)] == [labelled, labelled - 4, 4]
    assert visible["object_mean"]["mpck"] == 100 and hidden["object_mean"]["mpck"] == 0
    assert 0 < every["object_mean"]["mpck"] < 100


def test_objects_without_a_point_that_counts_are_not_asked_and_are_counted(dataset, tmp_path):
    model, results = measured(dataset, tmp_path, points="hidden")
    assert model.asked == results["objects"] == 4 and results["skipped"]["no hidden point"] == 8
    with (tmp_path / "per_object.csv").open() as file:
        assert [row["points"] for row in csv.DictReader(file)] == ["1"] * 4


def test_a_maximum_for_each_category_is_drawn_before(dataset, tmp_path):
    _, every = measured(dataset, tmp_path / "all", max_per_category=1)
    chosen = {item.id for item in run.select(dataset.objects, 1)}
    hidden = sum(1 in item.visibility for item in dataset.objects if item.id in chosen)
    assert 0 < hidden < every["objects"] == len(chosen)
    assert measured(dataset, tmp_path / "hidden", max_per_category=1, points="hidden")[1]["objects"] == hidden


def test_what_cannot_be_measured_is_said(dataset, tmp_path):
    with pytest.raises(InputError, match=r"one of labelled, visible, hidden, but got 'hiden' \(near: hidden\)"):
        measured(dataset, tmp_path / "a", points="hiden")
    seen = replace(dataset, objects=[item for item in dataset.objects if 1 not in item.visibility])
    with pytest.raises(InputError, match="no hidden point to measure on: no label has v = 1; leave out"):
        measured(seen, tmp_path / "b", points="hidden")
    naming = SimpleNamespace(prompts=("identify",))
    with pytest.raises(InputError, match="'identify-names' names all labelled points; leave out which points count"):
        run.evaluate(naming, dataset, tmp_path / "c", EvaluationConfig(protocol="identify-names", points="visible"))


@pytest.mark.parametrize(("option", "says"), [({"oks": "coco"}, "OKS"), ({"attention": True}, "Attention")])
@pytest.mark.parametrize("points", ["visible", "hidden"])
def test_what_is_of_all_labelled_points_is_refused_for_a_part_of_them(dataset, tmp_path, option, says, points):
    model = SeesVisible(dataset)
    model.explain = model.predict
    with pytest.raises(InputError, match=f"{says} is of all labelled points, but got the points '{points}'; leave"):
        run.evaluate(model, dataset, tmp_path, EvaluationConfig(points=points, **option))
    assert model.asked == 0
