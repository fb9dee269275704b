"""Pictures that are read shrunk: points, boxes and drawings stay those of the picture as it is in its file."""

import numpy as np
import pytest
from PIL import Image

import anykeypoint as ak
from anykeypoint.crops.augment import PLAIN, crop_placed, jitter, place
from anykeypoint.detection.boxes import Detection
from anykeypoint.detection.detector import Detector
from anykeypoint.detection.search import Search
from anykeypoint.drawing.overlay import draw_pose
from anykeypoint.errors import InputError
from anykeypoint.images import read_picture
from anykeypoint.inference.files import predict_files
from anykeypoint.models.view import cut_object
from anykeypoint.pose import Pose

CATEGORY = ak.Category.from_text("nose; tail")


@pytest.fixture
def large(tmp_path):
    """400 x 300 pixels, white but for a red square of 40 pixels round (300, 100)."""
    image = Image.new("RGB", (400, 300), "white")
    image.paste((255, 0, 0), (280, 80, 320, 120))
    image.save(tmp_path / "large.png")
    return tmp_path / "large.png"


class RedFinder(Detector):
    """Finds the box of what is red."""

    usual_score = 0.1

    def _candidates(self, picture, words, score):
        red = np.asarray(picture)[..., 1] < 128
        columns, rows = np.flatnonzero(red.any(axis=0)), np.flatnonzero(red.any(axis=1))
        box = (columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
        return [Detection(box, 0.9, words[0])]


class RedModel:
    """Answers the middle of what is red in its crop."""

    def predict(self, image, category, box=None, **options):
        cut = cut_object(image, box, 1.0, 100)
        red = np.argwhere((cut.pixels[..., 1] < 128) & (cut.pixels[..., 0] > 128))
        middle = (red.mean(axis=0)[::-1] + 0.5) / 100
        return cut.pose(category, np.tile(middle, (2, 1)), np.ones(2))


@pytest.mark.parametrize("most", [None, 30_000, 7_600])
def test_points_boxes_and_sizes_are_those_of_the_file(large, most):
    (found,) = predict_files(RedModel(), [large], CATEGORY, Search(RedFinder(), "red"), max_pixels=most)
    (pose,) = found.poses
    assert pose.image_size == (400, 300) and pose.image == str(large)
    assert np.abs(np.array(pose.box) - (280, 80, 40, 40)).max() <= 4
    assert np.abs(pose.xy - (300, 100)).max() < 1
    (whole,) = predict_files(RedModel(), [large], CATEGORY, max_pixels=most)
    assert np.abs(whole.poses[0].xy - (300, 100)).max() < 2


def test_a_box_that_is_given_is_kept_to_the_digit(large):
    pose = RedModel().predict(read_picture(large, 10_000), CATEGORY, (260.5, 60, 80, 90))
    assert pose.box == (260.5, 60, 80, 90) and np.abs(pose.xy - (300, 100)).max() < 1


def test_a_pose_is_drawn_on_the_shrunk_picture_in_its_place(large):
    pose = Pose(names=["a"], xy=[[300, 100]], confidence=[1], present=[True], image_size=(400, 300))
    drawn = draw_pose(read_picture(large, 8_000), pose, labels="none", min_side=100)
    assert drawn.size == (100, 75)
    changed = np.argwhere((np.asarray(drawn) != np.asarray(read_picture(large, 8_000).pixels)).any(axis=2))
    assert np.abs(changed.mean(axis=0)[::-1] + 0.5 - (75, 25)).max() < 1
    with pytest.raises(InputError, match="400 x 300"):
        draw_pose(read_picture(large, 8_000), Pose(**{**vars(pose), "image_size": (100, 75)}))


@pytest.mark.parametrize("released", [False, True])
def test_a_training_crop_of_a_shrunk_picture_lies_where_it_should(large, released):
    placement = place((250, 50, 100, 100), 1.0, PLAIN, np.random.default_rng(0))
    picture = jitter(read_picture(large, 30_000), 0.1, np.random.default_rng(0))
    pixels = crop_placed(picture, placement, 50, released)
    red = np.argwhere((pixels[..., 1] < 128) & (pixels[..., 0] > 128))
    assert np.abs(red.mean(axis=0) + 0.5 - 25).max() <= (0.5 if released else 0.1)


def test_a_box_outside_the_picture_is_an_error_in_python_too(large):
    for box in ((400, 0, 10, 10), (-20, 5, 20, 10), (0, 300, 9, 9), (0, -9, 9, 9)):
        with pytest.raises(InputError, match=r"lies outside .*large\.png, which has 400 x 300 pixels"):
            RedModel().predict(large, CATEGORY, box)
    RedModel().predict(large, CATEGORY, (310, 90, 1000, 10))  # a part of it lies inside
