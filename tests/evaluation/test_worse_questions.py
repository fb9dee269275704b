"""Boxes off the labels, and names in other words: what they change, and what they leave."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from anykeypoint.category import Category, Keypoint
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import run
from anykeypoint.evaluation.changed_boxes import changed_box
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.forms.coco import read_coco


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 6, seed=1, size=64)
    return read_coco(folder / ANNOTATIONS, folder / IMAGES)


class Recorder:
    """Answers with the labels, and keeps what it was given."""

    prompts = ("text", "example", "both", "identify")

    def __init__(self, dataset):
        self.truth, self.boxes, self.names = {item.image: item for item in dataset.objects}, [], []

    def predict(self, image, category, *, box, **_):
        self.boxes.append(box)
        self.names.append([(point.name, point.phrase) for point in category.keypoints])
        item = self.truth[image]
        return SimpleNamespace(xy=item.points, confidence=np.ones(len(item.points)))


def measured(dataset, out, **settings):
    model = Recorder(dataset)
    return model, run.evaluate(model, dataset, out, EvaluationConfig(**settings))


def test_a_moved_box_is_as_large_and_a_share_of_its_longer_side_away():
    box = (10.0, 20.0, 40.0, 30.0)
    found = [changed_box(box, EvaluationConfig(box_shift=0.25), number) for number in range(50)]
    moves = [(x - 10, y - 20) for x, y, w, h in found if (w, h) == (40, 30)]
    assert len(moves) == 50 and all(math.hypot(*move) == pytest.approx(10) for move in moves)
    quarters = {(x > 0, y > 0) for x, y in moves}
    assert len(quarters) == 4 and found[7] == changed_box(box, EvaluationConfig(box_shift=0.25), 7)
    assert found[7] != changed_box(box, EvaluationConfig(box_shift=0.25, seed=1), 7)


def test_a_scaled_box_keeps_its_centre():
    assert changed_box((10.0, 20.0, 40.0, 30.0), EvaluationConfig(box_scale=0.5), 3) == (20, 27.5, 20, 15)
    assert changed_box((10.0, 20.0, 40.0, 30.0), EvaluationConfig(), 3) == (10, 20, 40, 30)


def test_the_model_gets_the_changed_box_and_the_labels_stay(dataset, tmp_path):
    model, results = measured(dataset, tmp_path / "a", box_shift=0.3, box_scale=1.2)
    plain, own = measured(dataset, tmp_path / "b")
    expected = [
        changed_box(box, EvaluationConfig(box_shift=0.3, box_scale=1.2), item.id)
        for box, item in zip(plain.boxes, dataset.objects, strict=True)
    ]
    assert model.boxes == expected and plain.boxes == [item.box for item in dataset.objects]
    assert results["category_mean"] == own["category_mean"]  # the side of the labelled box measures the distances
    assert (results["settings"]["box_shift"], results["settings"]["box_scale"]) == (0.3, 1.2)


@pytest.mark.parametrize(("settings", "says"), [
    ({"box_shift": -0.1}, "shift of the boxes must be a number from 0"),
    ({"box_scale": 0.0}, "scale of the boxes must be a number above 0"),
    ({"names": "synonims"}, "names can be .*'synonims' .near: synonyms"),
    ({"names": "synonyms", "protocol": "1-shot"}, "asks by examples alone"),
    ({"names": "typos", "protocol": "identify-names"}, "measures the data's own names"),
    ({"points": "occluded"}, "must be one of labelled, visible, hidden"),
    ({"points": "hidden", "protocol": "identify"}, "names all labelled points"),
    ({"mirror": True, "protocol": "identify-names"}, "mirror changes nothing"),
    ({"fine": False, "protocol": "identify-names"}, "fine changes nothing"),
    ({"descriptions": "removed", "protocol": "identify"}, "descriptions changes nothing"),
    ({"strategy": "sampling", "protocol": "identify"}, "strategy changes nothing"),
    ({"names": "no_such_words.yaml"}, "no_such_words.yaml"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(dataset, tmp_path, settings, says):
    with pytest.raises(InputError, match=says):
        measured(dataset, tmp_path, **settings)


def named(dataset, *points):
    """The data set with one object of a category of these points."""
    category = Category("thing", points)
    count = len(points)
    item = dataclasses.replace(
        dataset.objects[0], category=category, points=np.full((count, 2), 9.0), visibility=np.full(count, 2)
    )
    return dataclasses.replace(dataset, objects=[item], categories={item.category_id: category})


def test_names_and_phrases_are_asked_in_other_words_and_counted(dataset, tmp_path):
    one = named(dataset, Keypoint("left ear"), Keypoint("zygon"), Keypoint("tail", phrase="the tail"))
    model, results = measured(one, tmp_path, names="german")
    assert model.names == [[("linkes Ohr", ""), ("zygon", ""), ("Schwanz", "dem Schwanz")]]
    assert results["renamed"] == {"points": 3, "renamed": 2} and results["settings"]["names"] == "german"
    assert measured(one, tmp_path / "own")[1]["renamed"] is None


def test_names_of_ones_own_are_a_file(dataset, tmp_path):
    one = named(dataset, Keypoint("left ear"), Keypoint("tail", phrase="the tail"))
    for content in (["lug", "back string"], {"tail": "back string", "Left Ear": "lug"}):
        path = tmp_path / "words.json"
        path.write_text(json.dumps({"Thing": content}))
        out = tmp_path / type(content).__name__
        assert measured(one, out, names=str(path))[0].names == [[("lug", ""), ("back string", "back string")]]
    path.write_text(json.dumps({"thing": ["lug"]}))
    with pytest.raises(InputError, match="a name for each of the 2 points of 'thing'"):
        measured(one, tmp_path / "short", names=str(path))
    path.write_text(json.dumps({"other": ["lug"]}))
    with pytest.raises(InputError, match="no phrases for 'thing'"):
        measured(one, tmp_path / "other", names=str(path))


def test_the_seed_draws_the_typos(dataset, tmp_path):
    one = named(dataset, Keypoint("left front paw"), Keypoint("tail tip"))
    first, second = (measured(one, tmp_path / str(seed), names="typos", seed=seed)[0].names for seed in (0, 1))
    assert first != second and [name for name, _ in first[0]] != ["left front paw", "tail tip"]
