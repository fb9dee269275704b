"""What a Pose and a Density hold, and what they refuse."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop
from anykeypoint.pose import Density, Pose

NAN = float("nan")


def density() -> Density:
    grid = np.full((4, 4), 0.01)
    grid[1, 2] = 0.5
    return Density(Crop(10, 20, 40), grid)


def pose(**changes) -> Pose:
    fields = {
        "names": ["nose", "left ear", "right ear"],
        "xy": [[30.5, 20.25], [NAN, NAN], [70.0, -4.5]],
        "confidence": [0.9, NAN, 0.25],
        "present": [True, False, True],
        "image_size": (100, 80),
        "box": (10, 5, 60, 50),
        "skeleton": [(0, 1), (0, 2)],
        "category": "face",
        "image": "cat.jpg",
    }
    return Pose(**{**fields, **changes})


def refusal(make) -> str:
    with pytest.raises(InputError) as caught:
        make()
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_arrays_are_settled_as_copies_that_cannot_be_changed():
    xy = np.array([[1, 2], [3, 4]], dtype=np.float32)
    made = Pose(names=["a", "b"], xy=xy, confidence=[1, 0], present=[True, True], image_size=(9, 9))
    xy[0, 0] = 99
    assert made.xy.dtype == np.float64 and made.xy.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError):
        made.xy[0, 0] = 5
    with pytest.raises(AttributeError):
        made.category = "x"


def test_a_present_point_may_be_of_unknown_confidence():
    made = pose(confidence=[NAN, NAN, 0.25])
    assert np.isnan(made.confidence[:2]).all() and made.present.tolist() == [True, False, True]
    again = Pose.from_dict(made.to_dict())
    assert np.array_equal(again.confidence, made.confidence, equal_nan=True) and again.present.tolist()[0]


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"names": []}, "one or more"),
        ({"names": "abc"}, "list"),
        ({"names": ["a", " ", "c"]}, "empty"),
        ({"names": ["a", "b"]}, "shape (2, 2)|2 values"),
        ({"xy": [[1, 2]]}, "xy"),
        ({"xy": [[NAN, NAN], [NAN, NAN], [1, 1]]}, "'nose'"),
        ({"xy": [[1, NAN], [NAN, NAN], [1, 1]]}, "'nose'"),
        ({"xy": [[1, 1], [0, 0], [1, 1]]}, "'left ear'"),
        ({"xy": [[np.inf, 1], [NAN, NAN], [1, 1]]}, "'nose'"),
        ({"xy": "no"}, "numbers"),
        ({"confidence": [1.5, NAN, 0]}, "0 to 1"),
        ({"confidence": [-0.1, NAN, 0]}, "0 to 1"),
        ({"confidence": [np.inf, NAN, 0]}, "confidence"),
        ({"confidence": [0.5, 0.0, 0]}, "confidence"),
        ({"present": [1, 0, 1]}, "true or false"),
        ({"image_size": (0, 5)}, "image_size"),
        ({"image_size": (10.5, 5)}, "image_size"),
        ({"image_size": 7}, "image_size"),
        ({"box": (0, 0, -1, 5)}, "box"),
        ({"box": (0, 0, NAN, 5)}, "box"),
        ({"skeleton": [(0, 3)]}, "skeleton"),
        ({"skeleton": [(1, 1)]}, "skeleton"),
        ({"category": None}, "category"),
        ({"image": 3}, "image"),
        ({"density": {"tail": density()}}, "tail"),
        ({"density": {"nose": 3}}, "Density"),
        ({"covariance": np.zeros((3, 2, 2))}, "'left ear'"),
        ({"covariance": np.array([[[1, 5], [0, 1]], np.full((2, 2), NAN), np.eye(2)])}, "symmetric"),
        ({"covariance": np.array([[[1, 2], [2, 1]], np.full((2, 2), NAN), np.eye(2)])}, "eigenvalues"),
    ],
)
def test_a_wrong_field_is_refused_with_one_sentence(changes, word):
    sentence = refusal(lambda: pose(**changes))
    assert any(part in sentence for part in word.split("|")), sentence


def test_repr_prints_shapes_not_values():
    text = repr(pose(density={"nose": density()}, covariance=[np.eye(2), np.full((2, 2), NAN), np.eye(2)]))
    assert "3 keypoints, 2 present" in text and "(3, 2)" in text and "(4, 4)" in text and "100x80" in text
    assert "30.5" not in text and len(text) < 200
    assert repr(density()) == "Density(grid=(4, 4), mass=0.650)"


def test_a_pose_survives_pickling():
    first = pose(density={"nose": density()})
    again = pickle.loads(pickle.dumps(first))
    assert again.to_dict() == first.to_dict()


def test_to_dict_is_json_with_null_for_absent_and_reads_back():
    covariance = np.array([np.eye(2), np.full((2, 2), NAN), [[2, 1], [1, 2]]])
    first = pose(density={"nose": density()}, covariance=covariance)
    text = json.dumps(first.to_dict(), allow_nan=False)
    data = json.loads(text)
    assert data["xy"][1] == [None, None] and data["confidence"][1] is None and data["covariance"][1][0] == [None, None]
    again = Pose.from_dict(data)
    assert again.to_dict() == first.to_dict()
    assert np.array_equal(again.xy, first.xy, equal_nan=True)
    assert again.density["nose"].crop == first.density["nose"].crop


def test_a_pose_without_extras_reads_back():
    first = pose(box=None, image="", category="", skeleton=())
    assert Pose.from_dict(json.loads(json.dumps(first.to_dict()))).to_dict() == first.to_dict()


@pytest.mark.parametrize(
    "data", [{}, {"names": ["a"]}, {**pose().to_dict(), "colour": 1}, {**pose().to_dict(), "xy": 3}]
)
def test_another_dict_is_refused(data):
    refusal(lambda: Pose.from_dict(data))


def test_equal_names_get_keys_of_their_own():
    made = Pose(
        names=["wheel", "wheel", "wheel (2)"],
        xy=np.ones((3, 2)),
        confidence=np.ones(3),
        present=[True] * 3,
        image_size=(9, 9),
    )
    assert made.keys == ["wheel", "wheel (2)", "wheel (2) (2)"]


# --- densities -----------------------------------------------------------------------------------------------------


def test_mode_is_the_centre_of_the_heaviest_cell():
    assert density().mode().tolist() == [10 + 25, 20 + 15]  # row 1 is y, column 2 is x


@given(
    st.integers(1, 9),
    st.floats(-50, 50),
    st.floats(-50, 50),
    st.floats(0.5, 500),
    st.integers(0, 80),
    st.floats(0.01, 1),
)
def test_all_mass_in_one_cell_puts_mean_and_mode_at_its_centre(n, x, y, side, where, mass):
    row, column = divmod(where % (n * n), n)
    grid = np.zeros((n, n))
    grid[row, column] = mass
    found = Density(Crop(x, y, side), grid)
    expected = [x + (column + 0.5) * side / n, y + (row + 0.5) * side / n]
    assert np.allclose(found.mean(), expected) and np.allclose(found.mode(), expected)
    assert found.mass == pytest.approx(mass)


def test_mean_does_not_depend_on_the_mass_expanded():
    whole = density()
    half = Density(whole.crop, whole.grid / 2)
    assert np.allclose(whole.mean(), half.mean()) and half.mass == pytest.approx(whole.mass / 2)


@pytest.mark.parametrize(
    "grid",
    [np.ones((2, 3)) / 6, np.zeros((2, 2)), np.full((2, 2), 0.3), [[NAN]], [[-0.1, 0.5], [0, 0]], np.ones(4) / 4, "x"],
)
def test_a_wrong_grid_is_refused(grid):
    refusal(lambda: Density(Crop(0, 0, 1), grid))


# --- draw ----------------------------------------------------------------------------------------------------------


def test_draw_reads_the_picture_the_pose_names_and_writes_a_file(tmp_path):
    Image.new("RGB", (100, 80), "gray").save(tmp_path / "cat.png")
    made = pose(image=str(tmp_path / "cat.png"), density={"nose": density()})
    drawn = made.draw(tmp_path / "out.png")
    assert drawn.mode == "RGB" and Image.open(tmp_path / "out.png").size == drawn.size


def test_draw_without_a_picture_says_what_to_do():
    assert "image=" in refusal(lambda: pose(image="").draw())
