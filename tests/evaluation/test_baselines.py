"""Baselines: they answer without the picture, always the same, and with nothing only where nothing was shown."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.category import Category, Keypoint
from anykeypoint.data.pairs import Pair, one_each
from anykeypoint.errors import InputError
from anykeypoint.evaluation import metrics
from anykeypoint.evaluation.baselines import name_statistics, positions, registry
from anykeypoint.evaluation.baselines.name_words import content_words, readable_name
from anykeypoint.evaluation.scoring import ScoringTargets
from anykeypoint.example import Example
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import LabelledObject

NAMES = {"left hind paw": (0.2, 0.8), "right hind paw": (0.4, 0.8), "nose": (0.9, 0.2), "base of the tail": (0.1, 0.3)}


def ask(*names):
    return Category("thing", tuple(Keypoint(name) for name in names))


def test_the_image_centre_is_the_centre_of_the_box():
    answer = positions.ImageCentre().predict(None, ask("a", "b"), box=(10, 20, 4, 8))
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
    np.testing.assert_allclose(positions.MeanPosition(NAMES).position(name), NAMES[same])


def test_equally_similar_names_are_averaged():
    np.testing.assert_allclose(positions.MeanPosition(NAMES).position("hind paw"), (0.3, 0.8))


def test_a_name_like_none_takes_the_overall_mean():
    np.testing.assert_allclose(positions.MeanPosition(NAMES).position("zzz"), (0.4, 0.525))
    np.testing.assert_allclose(positions.MeanPosition(NAMES).position("of the"), (0.4, 0.525))


ANGLES = {"left hind paw": 0, "right hind paw": 0.2, "nose": 2, "base of the tail": -2, "schnauze": 1.99}


class Meaning:
    """Embeds by hand: each text has a direction in the plane."""

    def phrases(self, phrases):
        angles = np.array([ANGLES[phrase] for phrase in phrases])
        return np.column_stack([np.cos(angles), np.sin(angles)])


def test_with_a_text_encoder_names_are_weighted_by_their_cosines():
    model = positions.MeanPosition(NAMES, text_encoder=Meaning())
    np.testing.assert_allclose(model.position("schnauze"), NAMES["nose"], atol=1e-6)
    weights = {name: np.exp(np.cos(ANGLES[name]) / positions.TEMPERATURE) for name in NAMES}
    expected = sum(weights[name] * np.array(NAMES[name]) for name in NAMES) / sum(weights.values())
    np.testing.assert_allclose(model.position("left_hind_paw"), expected)
    assert 0.2 < expected[0] < 0.4  # between the two paws, which are alike
    np.testing.assert_allclose(model.position("_"), (0.4, 0.525))
    assert model.name != positions.MeanPosition(NAMES).name


@pytest.mark.parametrize(
    "label, text",
    [("L_EarBase", "left ear base"), ("R Eye", "right eye"), ("forelegR1", "foreleg r1"), ("nose", "nose"), ("__", "")],
)
def test_labels_are_read_as_one_would_say_them(label, text):
    assert readable_name(label) == text


@pytest.mark.parametrize(
    "prompt, found, missing",
    [
        ("text", ["image_centre", "mean_position"], ["mean_position_by_meaning"]),
        ("example", ["image_centre", "copy_example"], ["nearest_neighbour", "nearest_neighbour_without_prior"]),
        (
            "both",
            ["image_centre", "mean_position", "copy_example"],
            ["mean_position_by_meaning", "nearest_neighbour", "nearest_neighbour_without_prior"],
        ),
        ("identify", ["nearest_mean_position", "most_frequent_name", "random_name"], []),
    ],
)
def test_each_prompt_has_its_baselines_and_what_is_missing_says_how_to_get_it(
    prompt, found, missing, tmp_path, monkeypatch
):
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path))
    models, unmeasured = registry.baselines(prompt)
    assert [model.name for model in models] == found and list(unmeasured) == missing
    assert all("`anykeypoint weights " in reason for reason in unmeasured.values())
    assert list(tmp_path.iterdir()) == []  # nothing was fetched


@pytest.mark.parametrize("prompt", ["text", "both"])
def test_baselines_with_weights_have_the_names_they_are_missed_by(prompt, tmp_path, monkeypatch):
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path))
    expected = {model.name for model in registry.baselines(prompt)[0]} | set(registry.baselines(prompt)[1])
    for name in ("minilm-l6", "efficientnet-lite2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "complete").touch()
    monkeypatch.setattr("anykeypoint.models.towers.text.build_text_encoder", lambda config: Meaning())
    monkeypatch.setattr("anykeypoint.models.towers.vision.build_encoder", lambda config: torch.nn.Identity())
    models, unmeasured = registry.baselines(prompt)
    assert {model.name for model in models} == expected and not unmeasured


def test_reading_the_baselines_does_not_load_torch():
    code = (
        "import sys; from anykeypoint.evaluation.baselines import positions as b; "
        "b.MeanPosition.shipped(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_an_example_is_copied_by_fractions_of_its_boxs_sides():
    shown = Example(np.zeros((9, 9, 3), np.uint8), np.array([[2.0, 2.0], [4.0, 8.0], [np.nan] * 2]), (2, 2, 4, 8))
    answer = positions.CopyExample().predict(None, ask("a", "b", "c"), box=(10, 20, 8, 4), example=[shown])
    np.testing.assert_allclose(answer.xy, [[10, 20], [14, 23], [np.nan] * 2])
    np.testing.assert_allclose(answer.confidence, [1, 1, np.nan])
    whole = Example(np.zeros((10, 20, 3), np.uint8), np.array([[5.0, 5.0]]))
    answer = positions.CopyExample().predict(None, ask("a"), box=(0, 0, 4, 4), example=[whole])
    np.testing.assert_allclose(answer.xy, [[1, 2]])


coordinates = st.floats(-50, 50)
points = st.lists(st.tuples(coordinates, coordinates) | st.none(), min_size=3, max_size=3).filter(any)


@given(st.lists(points, min_size=1, max_size=4), st.randoms())
def test_several_examples_give_the_mean_of_those_that_show_the_point(all_points, order):
    tables = [np.array([point or (np.nan, np.nan) for point in points]) for points in all_points]
    examples = [Example(b"", table, (0, 0, 10, 10)) for table in tables]
    copy, category = positions.CopyExample(), ask("a", "b", "c")
    answer = copy.predict(None, category, box=(0, 0, 10, 10), example=examples)
    for k in range(3):
        seen = [table[k] for table in tables if not np.isnan(table[k]).any()]
        expected = sum(seen) / len(seen) if seen else [np.nan] * 2
        np.testing.assert_allclose(answer.xy[k], expected, atol=1e-9)
        assert answer.confidence[k] == 1 if seen else np.isnan(answer.confidence[k])
    order.shuffle(examples)
    np.testing.assert_allclose(copy.predict(None, category, box=(0, 0, 10, 10), example=examples).xy, answer.xy)


@pytest.mark.parametrize("example", [[], Example(b"", np.ones((2, 2)))])
def test_a_baseline_with_examples_needs_a_list_of_them(example):
    with pytest.raises(InputError, match="a list of one or more examples"):
        positions.CopyExample().predict(None, ask("a", "b"), box=(0, 0, 1, 1), example=example)


def test_an_example_of_another_category_is_refused():
    with pytest.raises(InputError, match="has 2 points, but 'thing' has 1"):
        shown = Example(b"", np.ones((2, 2)), (0, 0, 1, 1))
        positions.CopyExample().predict(None, ask("a"), box=(0, 0, 1, 1), example=[shown])


def test_the_pictures_left_is_not_the_own_left():
    assert content_words("image left eye") == ["imageleft", "eye"]
    assert content_words("L Eye") == ["left", "eye"] == content_words("left_eye")
    assert content_words("back of the head") != content_words("rear of the head")


def test_positions_are_fractions_of_a_square_of_one_and_a_quarter_boxes():
    answer = positions.MeanPosition({"nose": (0.0, 1.0)}).predict(None, ask("nose"), box=(0, 0, 8, 4))
    np.testing.assert_allclose(answer.xy, [[-1, 7]])


@given(st.text(max_size=20))
def test_any_name_gets_a_finite_place_and_always_the_same(name):
    first, again = (positions.MeanPosition.shipped().position(name) for _ in range(2))
    assert np.isfinite(first).all() and (first == again).all()


def test_mean_positions_weigh_categories_alike_and_leave_out_what_has_no_place():
    def item(category_id, x, name="nose"):
        points = np.array([[x, 5.0], [np.nan, np.nan]])
        category = ask(name, "tail")
        return LabelledObject(0, Path("x"), category_id, category, (0, 0, 10, 10), points, np.array([2, 0]), None)

    objects = [item(1, 0.0), item(1, 0.0), item(1, 0.0), item(2, 5.0), item(3, 1.0, "face point 3")]
    assert name_statistics.mean_positions(objects) == {"nose": (0.3, 0.5)}
    assert name_statistics.name_counts(objects) == {"nose": 4}


def test_no_positions_are_refused():
    with pytest.raises(InputError, match="got none"):
        positions.MeanPosition({})


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
        targets = ScoringTargets.from_pairs(dataset, pairs, labels, official=False)
        return metrics.pair_means(targets.score(answers), labels)["category_mean"]

    centre, mean = measured(positions.ImageCentre()), measured(positions.MeanPosition.shipped())
    assert centre["pck@0.2"] == pytest.approx(13.7, abs=0.1) and centre["pck@0.1"] == pytest.approx(1.3, abs=0.1)
    assert mean["pck@0.2"] == pytest.approx(41.7, abs=0.1) and mean["pck@0.1"] == pytest.approx(19.6, abs=0.1)


@pytest.mark.parametrize("shots, pck", [(1, (82.8, 63.8)), (5, (88.8, 67.9))])
def test_on_the_field_data_copying_is_where_it_was_measured(shared, shots, pck):
    objects = (dataset := read_coco(shared / "data" / "field_val.json", shared / "data" / "images")).objects
    examples = [Example(item.image, item.points, item.box) for item in objects]
    pairs = one_each(dataset, shots, seed=0)
    queries = [objects[pair.query] for pair in pairs]
    answers = [
        positions.CopyExample().predict(
            query.image, query.category, box=query.box, example=[examples[i] for i in pair.examples]
        )
        for query, pair in zip(queries, pairs, strict=True)
    ]
    labels = [item.category.name for item in objects]
    targets = ScoringTargets.from_pairs(dataset, pairs, labels, official=False)
    means = metrics.pair_means(targets.score([answer.xy for answer in answers]), targets.labels)["category_mean"]
    assert (means["pck@0.2"], means["pck@0.1"]) == pytest.approx(pck, abs=0.1)
