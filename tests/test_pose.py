"""What a Pose and a Density hold, and what they refuse."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop
from anykeypoint.pose import Density, Pose, with_uncertainty

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


def doubted(**changes) -> Pose:
    """A pose whose left ear has a place, but is hardly there."""
    places = {"xy": [[30.5, 20.25], [60.0, 12.0], [70.0, -4.5]], "confidence": [0.9, 0.4, 0.25]}
    return pose(**places, presence=[0.95, 0.2, 0.5], **changes)


def test_a_point_that_is_not_present_keeps_its_place_and_confidence():
    made = doubted()
    assert made.present.tolist() == [True, False, True] and made.placed.all() and np.isfinite(made.confidence).all()
    again = Pose.from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert again.to_dict() == made.to_dict() and again.presence.tolist() == [0.95, 0.2, 0.5]


def test_presence_is_unknown_where_it_is_not_given():
    made = pose()
    assert made.presence.dtype == np.float64 and np.isnan(made.presence).all() and made.presence.shape == (3,)
    data = made.to_dict()
    del data["presence"]  # as older files have it
    assert Pose.from_dict(data).to_dict() == made.to_dict()


def test_the_presence_from_which_a_point_is_present_can_be_chosen_afterwards():
    assert doubted().present_from(0.1).present.all()
    assert doubted().present_from(0.5).present.tolist() == [True, False, True]
    assert doubted().present_from(0.96).present.tolist() == [False, False, False]
    unknown = pose().present_from(1.0)
    assert unknown.present.tolist() == [True, False, True]  # of unknown presence, and one without a place
    assert "0 to 1" in refusal(lambda: doubted().present_from(1.5))


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
        ({"xy": [[1, 1], [0, NAN], [1, 1]]}, "'left ear'"),
        ({"xy": [[np.inf, 1], [NAN, NAN], [1, 1]]}, "'nose'"),
        ({"xy": "no"}, "numbers"),
        ({"confidence": [1.5, NAN, 0]}, "0 to 1"),
        ({"confidence": [-0.1, NAN, 0]}, "0 to 1"),
        ({"confidence": [np.inf, NAN, 0]}, "confidence"),
        ({"confidence": [0.5, 0.0, 0]}, "confidence"),
        ({"present": [1, 0, 1]}, "true or false"),
        ({"presence": [0.5, NAN, 1.5]}, "0 to 1"),
        ({"presence": [0.5, 0.1, 0.5]}, "'left ear'"),
        ({"presence": [np.inf, NAN, 0.5]}, "'nose'"),
        ({"presence": [0.5, NAN]}, "shape (3,)"),
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
        ({"covariance": np.array([[[1, NAN], [NAN, 1]], np.full((2, 2), NAN), np.eye(2)])}, "'nose'"),
        ({"entropy": [1, 2]}, "shape (3,)"),
        ({"entropy": [1, 0.0, 2]}, "'left ear'"),
        ({"entropy": [np.inf, NAN, 2]}, "'nose'"),
        ({"entropy": [1, NAN, -2]}, "0 bits"),
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
    first = pose(density={"nose": density()}, covariance=covariance, entropy=[1.5, NAN, NAN])
    text = json.dumps(first.to_dict(), allow_nan=False)
    data = json.loads(text)
    assert data["xy"][1] == [None, None] and data["confidence"][1] is None and data["covariance"][1][0] == [None, None]
    assert data["entropy"] == [1.5, None, None]
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


# --- uncertainty ---------------------------------------------------------------------------------------------------


def test_uncertainty_is_read_off_the_densities_and_unknown_without_one():
    first = pose(density={"nose": density(), "left ear": density()})
    found = with_uncertainty(first)
    np.testing.assert_allclose(found.covariance[0], density().covariance())
    assert found.entropy[0] == density().entropy()
    assert np.isnan(found.entropy[1:]).all() and np.isnan(found.covariance[1:]).all()  # absent, and without a density
    assert first.entropy is None and first.covariance is None
    assert found.density == first.density and np.array_equal(found.xy, first.xy, equal_nan=True)


def test_uncertainty_of_equal_names_is_by_key():
    other = Density(Crop(0, 0, 8), np.full((8, 8), 1 / 64))
    made = Pose(names=["wheel"] * 2, xy=np.ones((2, 2)), confidence=np.ones(2), present=[True] * 2, image_size=(9, 9),
                density={"wheel": density(), "wheel (2)": other})  # fmt: skip
    assert with_uncertainty(made).entropy.tolist() == pytest.approx([density().entropy(), 6])


def test_without_densities_there_is_no_uncertainty_to_read():
    assert "density=True" in refusal(lambda: with_uncertainty(pose()))


# --- draw ----------------------------------------------------------------------------------------------------------


def test_draw_reads_the_picture_the_pose_names_and_writes_a_file(tmp_path):
    Image.new("RGB", (100, 80), "gray").save(tmp_path / "cat.png")
    made = pose(image=str(tmp_path / "cat.png"), density={"nose": density()})
    drawn = made.draw(tmp_path / "out.png")
    assert drawn.mode == "RGB" and Image.open(tmp_path / "out.png").size == drawn.size


def test_draw_without_a_picture_says_what_to_do():
    assert "image=" in refusal(lambda: pose(image="").draw())
