"""Made-up objects: every name and description must be true of the picture, and a seed must always draw the same."""

import itertools
import re
from functools import cache

import numpy as np
import pytest
from PIL import Image

from anykeypoint.data import synthetic
from anykeypoint.data.synthetic import scene, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco

MANY = 150


@cache
def many(size=64):
    return [synthetic.draw_object(kind, kind + 1000, size) for kind in range(MANY)]


def placed(made):
    return dict(zip(made.category.names, made.points, strict=True))


def test_a_generator_draws_the_same_object_again_and_then_another():
    first, again = (synthetic.make_object(np.random.default_rng(5)) for _ in range(2))
    rng = np.random.default_rng(5)
    synthetic.make_object(rng)
    other = synthetic.make_object(rng)
    assert first.image.tobytes() == again.image.tobytes() and first.category == again.category
    np.testing.assert_array_equal(first.points, again.points)
    assert first.category != other.category and first.image.tobytes() != other.image.tobytes()


def test_all_families_are_drawn_and_there_are_many():
    assert {made.family for made in many()} == set(synthetic.FAMILIES) and len(synthetic.FAMILIES) >= 8


def test_no_two_kinds_are_equal():
    seen = {(made.category.noun, tuple(made.category.keypoints)) for made in many()}
    assert len(seen) > 0.9 * MANY  # a few kinds share their words; their proportions differ
    assert len({made.category.name for made in many()}) == MANY


def test_poses_of_a_kind_share_their_words_and_differ_in_their_points():
    for kind in range(0, MANY, 3):
        first, second = many()[kind], synthetic.draw_object(kind, 7, 64)
        assert first.category == second.category and first.family == second.family
        assert np.abs(first.points - second.points).max() > 1


def test_points_are_finite_and_lie_in_the_picture_near_the_box():
    for made in many():
        assert made.image.size == (64, 64) and made.image.mode == "RGB"
        x, y, w, h = made.box
        assert min(x, y) >= 0 and max(x + w, y + h) <= 64 and min(w, h) > 3
        margin = 0.12 * max(w, h)  # a point in the air, as a lamp's rim, may lie just outside the painted parts
        low, high = np.array([x, y]) - margin, np.array([x + w, y + h]) + margin
        assert ((made.points >= low) & (made.points <= high)).all(), (made.family, made.category.noun)
        assert set(made.visibility) <= {1, 2} and (made.visibility == 2).any()


def test_names_and_descriptions_are_there_and_names_are_unique():
    for made in many():
        names = [name.casefold() for name in made.category.names]
        assert len(set(names)) == len(names) >= 4
        assert all(point.description and "  " not in point.name for point in made.category.keypoints)


def test_visible_points_lie_on_the_object_and_hidden_or_not_none_lies_far_from_it(monkeypatch):
    """Drawn before black and before white, the pixels of the object stay the same."""
    pictures = []
    for colour in ("black", "white"):
        monkeypatch.setattr(
            scene.Look, "background", lambda self, size, pose, c=colour: Image.new("RGB", (size, size), c)
        )
        pictures.append([synthetic.draw_object(kind, 3, 128) for kind in range(60)])
    for black, white in zip(*pictures, strict=True):
        change = np.abs(np.asarray(white.image, dtype=int) - np.asarray(black.image, dtype=int)).max(axis=2)
        for (x, y), visible, name in zip(black.points, black.visibility, black.category.names, strict=True):
            column, row = int(x), int(y)
            near = change[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            assert near.min() < 30 or visible == 1, (black.family, black.category.noun, name)
        assert (change > 60).any() and (change < 5).any()


def opposite(name, a, b):
    return re.sub(rf"\b{a}\b", b, name) if re.search(rf"\b{a}\b", name) else None


def pairs(made, a, b):
    points = placed(made)
    for name, at in points.items():
        other = opposite(name, a, b)
        if other in points:
            yield name, at, points[other]


def test_image_left_is_left_of_image_right_in_the_picture():
    found = 0
    for made in many():
        for name, at, other in pairs(made, "image left", "image right"):
            found += 1
            assert at[0] < other[0], (made.family, name)
    assert found > 30


def test_corners_as_read_are_where_they_are_read():
    found = 0
    for made in many():
        if made.family != "sheet":
            continue
        for a, b, axis in (("left", "right", 0), ("top", "bottom", 1)):
            for name, at, other in pairs(made, a, b):
                found += 1
                assert at[axis] < other[axis], (made.category.noun, name)
    assert found > 20


def test_descriptions_that_name_the_side_of_the_picture_are_true():
    found = 0
    for made in many():
        points = placed(made)
        for keypoint in made.category.keypoints:
            side = re.search(r"at the (left|right) of the picture", keypoint.description)
            other = opposite(keypoint.name, "left", "right") or opposite(keypoint.name, "right", "left")
            if side is None or other not in points or made.family == "sheet":
                continue
            if made.family == "biped" and not re.search("eye|shoulder|hip|ear", keypoint.name):
                continue  # hands and feet may cross over
            found += 1
            assert (points[keypoint.name][0] < points[other][0]) == (side[1] == "left"), (made.family, keypoint)
    assert found > 10


def winding(front, left, right):
    """Above 0 when `left` is on the left hand of somebody at the middle of left and right who looks at `front`."""
    middle = (left + right) / 2
    ahead, aside = front - middle, left - middle
    return ahead[1] * aside[0] - ahead[0] * aside[1]


def test_left_is_the_own_left_of_what_is_seen_from_above():
    """The head ahead, the left part must lie to the left of the way, however the thing is turned."""
    found = 0
    for kind, pose in itertools.product(range(MANY), (1, 2)):
        if many()[kind].family not in ("bug", "plane"):
            continue
        made = synthetic.draw_object(kind, pose, 64)
        front = [at for name, at in placed(made).items() if name in ("nose", "nose tip", "snout", "front of the head")]
        for name, left, right in pairs(made, "left", "right"):
            if front and re.search("wing|eye", name) and np.linalg.norm(left - right) > 3:
                found += 1
                assert winding(front[0], left, right) > 0, (made.category.noun, name)
    assert found > 10


def test_what_faces_the_viewer_has_its_left_at_the_right_of_the_picture():
    found = 0
    for kind in range(400):
        rng = np.random.default_rng([kind, 1])
        if list(synthetic.FAMILIES)[int(rng.integers(len(synthetic.FAMILIES)))] not in ("face", "biped", "furniture"):
            continue
        made = synthetic.draw_object(kind, 1, 64)
        points = placed(made)
        for name, left, right in pairs(made, "left", "right"):
            if "image" in name or not re.search(r"eye|front .* corner|front .* leg", name):
                continue
            found += 1
            assert left[0] > right[0], (made.family, made.category.noun, name)
        assert points
    assert found > 20


def test_a_creature_from_the_side_shows_the_eye_of_its_near_side():
    """Walking to the left of the picture it shows its left eye: the side towards us."""
    found = 0
    for made in many():
        points = placed(made)
        tail = [at for name, at in points.items() if "tail" in name]
        for side in ("left", "right"):
            if made.family in ("quadruped", "bird") and f"{side} eye" in points and tail:
                found += 1
                assert (points[f"{side} eye"][0] < tail[0][0]) == (side == "left")
    assert found > 5


@pytest.mark.parametrize("size", [0, 31, 1025])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(InputError, match=str(size)):
        synthetic.draw_object(0, 0, size)


def test_a_written_data_set_is_read_back_and_is_the_same_to_the_byte(tmp_path):
    first = write_dataset(tmp_path / "a", 10, seed=3, size=64)
    second = write_dataset(tmp_path / "b", 10, seed=3, size=64)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 11
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    dataset = read_coco(first, first.parent / "images")
    assert len(dataset.objects) == 10 and len(dataset.categories) == 3 and not dataset.skipped
    assert second.read_bytes() != write_dataset(tmp_path / "c", 10, seed=4, size=64).read_bytes()


def test_made_up_data_are_not_written_over_other_files(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is no empty folder"):
        write_dataset(tmp_path, 1)
