"""An example: what it holds and what it refuses."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import anykeypoint as ak
from anykeypoint.errors import InputError

NAN = float("nan")
PAIR = ak.Category.from_text("nose; tail", noun="dog")


def test_points_that_are_not_marked_are_nan_and_the_rest_are_kept():
    example = ak.Example("dog.png", [(1, 2), (NAN, NAN)], (0, 0, 4, 4), PAIR)
    np.testing.assert_array_equal(example.points, [[1, 2], [NAN, NAN]])
    assert example.marked.tolist() == [True, False] and len(example) == 2 and example.box == (0.0, 0.0, 4.0, 4.0)
    assert repr(example) == f"Example({PAIR.name!r}, 2 keypoints, 1 marked)"


def test_an_examples_points_cannot_be_changed_from_outside():
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    example = ak.Example("dog.png", points)
    points[0] = 9
    assert example.points[0].tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        example.points[0] = 9


def test_an_examples_picture_cannot_be_changed_from_outside_nor_be_read_but_once(tmp_path):
    array = np.full((6, 8, 3), 7, np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        pictures = [array, torch.from_numpy(array), Image.fromarray(array), file, bytearray(file.read())]
        file.seek(0)
        examples = [ak.Example(picture, [[1, 2]]) for picture in pictures]
    array[:] = 200
    pictures[2].putpixel((0, 0), (9, 9, 9))
    pictures[4][:] = bytes(len(pictures[4]))
    for example in examples:
        for _ in range(2):
            assert (np.asarray(ak.read_picture(example.image).pixels) == 7).all()
        assert pickle.loads(pickle.dumps(example)).image.size == (8, 6)


@pytest.mark.parametrize("points", [np.ma.masked_array([[1, 2], [3, 4]], [[0, 0], [1, 1]])])
def test_what_a_masked_array_hides_is_not_marked(points):
    np.testing.assert_array_equal(ak.Example("dog.png", points).points, [[1, 2], [NAN, NAN]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int32])
def test_points_may_be_a_tensor_with_or_without_a_gradient(dtype):
    points = torch.tensor([[1, 2], [3, 4]], dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in (points, points.requires_grad_(dtype.is_floating_point)):
            assert ak.Example("dog.png", one).points.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "points, box, category, words",
    [
        ([[NAN, NAN]], None, None, "all of its points are NaN"),
        ([[1, NAN]], None, None, "all of its points are NaN"),
        ([[1, float("inf")]], None, None, "infinite"),
        ([1, 2], None, None, r"\(K, 2\).*\(2,\)"),
        ([["a", "b"]], None, None, "array of numbers"),
        ([[1, 2]], None, PAIR, "has 1 points, but its category .* has 2"),
        ([[1, 2]], (0, 0, 0, 0), None, "width or height above 0"),
    ],
)
def test_an_example_that_shows_nothing_or_does_not_fit_is_refused(points, box, category, words):
    with pytest.raises(InputError, match=words):
        ak.Example("dog.png", points, box, category)
