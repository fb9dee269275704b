"""Baselines: they answer without the picture, always the same, and never with nothing."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.category import Category, Keypoint
from anykeypoint.data.coco import LabelledObject, read_coco
from anykeypoint.data.pairs import Pair
from anykeypoint.errors import InputError
from anykeypoint.evaluation import baselines, metrics
from anykeypoint.evaluation.scoring import Scored

NAMES = {"left hind paw": (0.2, 0.8), "right hind paw": (0.4, 0.8), "nose": (0.9, 0.2), "base of the tail": (0.1, 0.3)}


def ask(*names):
    return Category("thing", tuple(Keypoint(name) for name in names))


def test_the_image_centre_is_the_centre_of_the_box():
    answer = baselines.ImageCentre().predict(None, ask("a", "b"), box=(10, 20, 4, 8))
    assert answer.xy.tolist() == [[12, 24], [12, 24]] and answer.confidence.tolist() == [1, 1]


@pytest.mark.parametrize(
    "name, same",
    [
        ("left hind paw", "left hind paw"),
        ("left rear foot", "left hind paw"),
        ("left back paw", "left hind paw"),
        ("paws of the LEFT hind leg", "left hind paw"),
        ("tailRoot", "base of the tail"),
        ("snout", "nose"),
    ],
)
def test_a_name_takes_the_place_of_the_most_similar_known_name(name, same):
    np.testing.assert_allclose(baselines.MeanPosition(NAMES).position(name), NAMES[same])


def test_equally_similar_names_are_averaged():
    np.testing.assert_allclose(baselines.MeanPosition(NAMES).position("hind paw"), (0.3, 0.8))


def test_a_name_like_none_takes_the_overall_mean():
    np.testing.assert_allclose(baselines.MeanPosition(NAMES).position("zzz"), (0.4, 0.525))
    np.testing.assert_allclose(baselines.MeanPosition(NAMES).position("of the"), (0.4, 0.525))


def test_the_pictures_left_is_not_the_own_left():
    assert baselines.words("image left eye") == ["imageleft", "eye"]
    assert baselines.words("L Eye") == ["left", "eye"] == baselines.words("left_eye")
    assert baselines.words("back of the head") != baselines.words("rear of the head")


def test_positions_are_fractions_of_a_square_of_one_and_a_quarter_boxes():
    answer = baselines.MeanPosition({"nose": (0.0, 1.0)}).predict(None, ask("nose"), box=(0, 0, 8, 4))
    np.testing.assert_allclose(answer.xy, [[-1, 7]])


@given(st.text(max_size=20))
def test_any_name_gets_a_finite_place_and_always_the_same(name):
    first, again = (baselines.MeanPosition.shipped().position(name) for _ in range(2))
    assert np.isfinite(first).all() and (first == again).all()


def test_mean_positions_weigh_categories_alike_and_leave_out_what_has_no_place():
    def item(category_id, x, name="nose"):
        points = np.array([[x, 5.0], [np.nan, np.nan]])
        category = ask(name, "tail")
        return LabelledObject(0, Path("x"), category_id, category, (0, 0, 10, 10), points, np.array([2, 0]), None)

    objects = [item(1, 0.0), item(1, 0.0), item(1, 0.0), item(2, 5.0), item(3, 1.0, "face point 3")]
    assert baselines.mean_positions(objects) == {"nose": (0.3, 0.5)}


def test_no_positions_and_malformed_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="got none"):
        baselines.MeanPosition({})
    path = tmp_path / "means.json"
    for text in ("{", "[]", '{"positions": {"nose": [1]}}', '{"positions": {"nose": ["a", 1]}}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"means\.json"):
            baselines.read_positions(path)
    path.write_text(json.dumps({"positions": NAMES}))
    assert baselines.read_positions(path) == NAMES
    with pytest.raises(InputError, match=r"none\.json"):
        baselines.read_positions(tmp_path / "none.json")


def test_on_the_field_data_the_baselines_are_where_they_were_measured(shared):
    dataset = read_coco(shared / "data" / "field_val.json", shared / "data" / "images")
    labels = [item.category.name for item in dataset.objects]

    def measured(model):
        answers = []
        for item in dataset.objects:
            # By the data's own labels, so that the library's wording does not enter.
            names = tuple(Keypoint(point.label or point.name) for point in item.category.keypoints)
            category = dataclasses.replace(item.category, keypoints=names)
            answers.append(model.predict(item.image, category, item.box).xy)
        pairs = [Pair((), row) for row in range(len(answers))]
        scored = Scored.of(dataset.objects, pairs, labels, official=False)
        return metrics.pair_means(scored.score(answers), labels)["category_mean"]

    centre, mean = measured(baselines.ImageCentre()), measured(baselines.MeanPosition.shipped())
    assert centre["pck@0.2"] == pytest.approx(13.7, abs=0.1) and centre["pck@0.1"] == pytest.approx(1.3, abs=0.1)
    assert mean["pck@0.2"] == pytest.approx(41.7, abs=0.1) and mean["pck@0.1"] == pytest.approx(19.6, abs=0.1)
