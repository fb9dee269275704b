"""What a drawn pose shows, checked in its pixels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from anykeypoint.drawing import overlay
from anykeypoint.drawing.overlay import draw_pose, draw_poses, save_picture
from anykeypoint.drawing.shapes import colours
from anykeypoint.drawing.text import fitting, place_labels
from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop
from anykeypoint.pose import Density, Pose

NAN = float("nan")


def pose(xy, size=(800, 600), names=None, **changes) -> Pose:
    xy = np.array(xy, dtype=float)
    present = np.isfinite(xy).all(axis=1)
    return Pose(
        names=names or [f"point {i}" for i in range(len(xy))],
        xy=xy,
        confidence=np.where(present, 0.8, NAN),
        present=present,
        image_size=size,
        **changes,
    )


def grey(size=(800, 600)) -> Image.Image:
    return Image.new("RGB", size, (120, 120, 120))


def changed(drawn: Image.Image) -> np.ndarray:
    return (np.asarray(drawn) != 120).any(axis=2)


def test_a_dot_lies_on_its_point_in_its_colour():
    points = [[200.5, 300.5], [600.5, 100.5]]
    drawn = draw_pose(grey(), pose(points), labels="none")
    assert drawn.size == (800, 600)  # large pictures keep their size
    for (x, y), colour in zip(points, colours(2), strict=True):
        assert drawn.getpixel((int(x), int(y))) == colour
    assert not changed(drawn)[:, 300:500].any()


def test_a_small_picture_is_enlarged_and_its_points_with_it():
    drawn = draw_pose(grey((64, 48)), pose([[16, 24]], (64, 48)), labels="none")
    assert drawn.size == (640, 480)
    y, x = np.nonzero(changed(drawn))
    assert abs(x.mean() + 0.5 - 160) < 0.6 and abs(y.mean() + 0.5 - 240) < 0.6


def test_dots_grow_with_the_picture():
    small = changed(draw_pose(grey((640, 480)), pose([[320, 240]], (640, 480)), labels="none")).sum() / (640 * 480)
    large = changed(draw_pose(grey((2560, 1920)), pose([[1280, 960]], (2560, 1920)), labels="none")).sum()
    assert large / (2560 * 1920) == pytest.approx(small, rel=0.1)


def test_absent_points_and_their_edges_are_not_drawn():
    drawn = draw_pose(grey(), pose([[NAN, NAN], [400, 300]], skeleton=[(0, 1)]))
    assert not changed(drawn)[:100, :100].any()  # nothing at (0, 0)
    only = draw_pose(grey(), pose([[NAN, NAN]]))
    assert not changed(only).any()


def test_a_point_with_a_place_that_is_not_present_is_a_ring_without_name_edge_and_heat():
    xy, skeleton = [[200.5, 300.5], [600.5, 100.5]], [(0, 1)]
    density = {"point 0": Density(Crop(100, 200, 200), np.full((4, 4), 1 / 16))}
    made = replace(pose(xy, skeleton=skeleton, density=density), present=[False, True], presence=[0.1, 0.9])
    drawn = draw_pose(grey(), made, labels="names")
    assert drawn.getpixel((200, 300)) == (120, 120, 120), "hollow"
    mark = changed(drawn)[280:320, 180:220]
    assert mark.any() and not changed(drawn)[:, 240:500].any(), "a ring, and neither a line nor a name"
    y, x = np.nonzero(mark)
    assert abs(x.mean() + 180.5 - 200.5) < 0.3 and abs(y.mean() + 280.5 - 300.5) < 0.3
    whole = draw_pose(grey(), replace(made, present=[True, True]), labels="names")
    assert whole.getpixel((200, 300)) == colours(2)[0]


def test_an_edge_runs_between_its_points():
    apart = changed(draw_pose(grey(), pose([[200, 300], [600, 300]]), labels="none"))
    joined = changed(draw_pose(grey(), pose([[200, 300], [600, 300]], skeleton=[(0, 1)]), labels="none"))
    assert joined[300, 200:600].all() and not apart[300, 250:550].any()


def test_points_outside_the_picture_are_survived():
    drawn = draw_pose(grey(), pose([[-500, 300], [400, 300], [1e7, -1e7]], skeleton=[(0, 1), (1, 2)]))
    assert drawn.size == (800, 600) and changed(drawn)[300, 0]  # the edge enters from the left


def test_the_callers_picture_is_not_touched_and_drawing_repeats_exactly():
    picture, made = grey(), pose([[200, 300], [210, 310], [600, 100]], skeleton=[(0, 2)])
    first, second = draw_pose(picture, made), draw_pose(picture, made)
    assert not changed(picture).any() and first.tobytes() == second.tobytes()


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(InputError, match="800 x 600"):
        draw_pose(grey((80, 60)), pose([[1, 1]]))


def test_unknown_labels_are_refused():
    with pytest.raises(InputError, match="'all'"):
        draw_pose(grey(), pose([[1, 1]]), labels="all")


# --- heat ----------------------------------------------------------------------------------------------------------


def test_heat_lies_where_the_density_does():
    grid = np.zeros((32, 32))
    grid[8, 24] = 0.9  # row 8 is y
    crop = Crop(100, -100, 640)
    drawn = draw_pose(grey(), pose([[20, 580]], density={"point 0": Density(crop, grid)}), labels="none")
    shift = np.abs(np.asarray(drawn).astype(int) - drawn.getpixel((0, 0))).sum(axis=2)
    shift[560:, :40] = 0  # the dot itself
    y, x = np.indices(shift.shape) + 0.5
    assert abs(np.average(x, weights=shift) - (100 + 24.5 * 20)) < 5
    assert abs(np.average(y, weights=shift) - (-100 + 8.5 * 20)) < 5
    assert shift[200:, :].max() <= 3


@pytest.mark.parametrize(
    "crop", [Crop(-5e5, -5e5, 1e6), Crop(5000, 5000, 10), Crop(400, 300, 1e-3), Crop(799.99, 0, 50)]
)
def test_heat_of_any_crop_is_survived(crop):
    grid = np.full((8, 8), 1 / 64)
    assert draw_pose(grey(), pose([[20, 580]], density={"point 0": Density(crop, grid)})).size == (800, 600)


def test_heats_that_lie_over_one_another_leave_the_picture_to_be_seen():
    flat = Density(Crop(100, 100, 200), np.full((8, 8), 1 / 64))
    one = draw_pose(grey(), pose([[700, 500]], density={"point 0": flat}), labels="none")
    names = [f"point {i}" for i in range(20)]
    many = pose([[700, 500]] * 20, names=names, density=dict.fromkeys(names, flat))
    inside, outside = (200, 200), (600, 100)

    def shift(drawn):
        return np.abs(np.subtract(drawn.getpixel(inside), drawn.getpixel(outside))).max()

    assert shift(one) > 80 and shift(draw_pose(grey(), many, labels="none")) < 0.8 * shift(one)


# --- labels --------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_labels_never_leave_the_picture(data):
    width, height = data.draw(st.integers(20, 900)), data.draw(st.integers(20, 900))
    count = data.draw(st.integers(1, 12))
    axis = st.floats(-0.2, 1.2)
    points = np.array([[data.draw(axis) * width, data.draw(axis) * height] for _ in range(count)])
    sizes = [(data.draw(st.floats(5, 300)), 18.0) for _ in range(count)]
    for point, size, box in zip(points, sizes, place_labels(points, sizes, [], 7, (width, height)), strict=True):
        inside = (point >= 0).all() and (point <= (width, height)).all()
        if not inside or size[0] > width or size[1] > height:
            assert box is None
        else:
            assert box[0] >= 0 and box[1] >= 0 and box[2] <= width + 1e-6 and box[3] <= height + 1e-6
            assert (box[2] - box[0], box[3] - box[1]) == pytest.approx(size)


def test_labels_do_not_cover_each_other_where_there_is_room():
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    points = np.stack([320 + 60 * np.cos(angle), 240 + 60 * np.sin(angle)], axis=1)
    boxes = place_labels(points, [(90.0, 18.0)] * 12, [], 7, (640, 480))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def ring(count: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([400 + 250 * np.cos(angle), 300 + 250 * np.sin(angle)], axis=1)


@pytest.mark.parametrize("count, like", [(8, "names"), (26, "numbers"), (61, "none")])
def test_many_points_get_numbers_with_a_legend_and_very_many_get_none(count, like):
    made = pose(ring(count))
    drawn = draw_pose(grey(), made)
    assert drawn.tobytes() == draw_pose(grey(), made, labels=like).tobytes()
    assert (drawn.height > 600) == (like == "numbers")  # the legend is below, the picture whole


def test_long_names_get_a_legend_instead_of_being_cut():
    assert draw_pose(grey(), pose([[400, 300]], names=["the very end of the " * 4])).height > 600


def test_names_in_letters_the_font_lacks_become_numbers():
    font = ImageFont.load_default(size=14)
    assert fitting("nose", font, 200) == "nose"
    assert fitting("鼻子", font, 200) == ""
    by_name = draw_pose(grey(), pose([[400, 300]], names=["鼻子"]), labels="names")
    assert by_name.tobytes() == draw_pose(grey(), pose([[400, 300]], names=["1"]), labels="names").tobytes()


def test_a_name_too_long_for_the_picture_is_cut_with_dots():
    font = ImageFont.load_default(size=14)
    cut = fitting("word " * 100, font, 200)
    assert cut.endswith("...") and font.getlength(cut) <= 200


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (3, 900)])
def test_thin_pictures_keep_their_shape_and_get_their_dot(size):
    zoom = max(1, 640 / max(size))
    for labels in overlay.LABELS:
        drawn = draw_pose(grey(size), pose([[0.5, 0.5]], size), labels=labels)
        high = max(1, round(size[1] * zoom))
        assert drawn.width == max(1, round(size[0] * zoom)) and drawn.height >= high
        picture = np.asarray(drawn)[:high]
        assert (picture != np.asarray(grey((1, 1)))[0, 0]).any(), "the dot of the point is on the picture"


def test_two_poses_share_a_picture_and_a_legend():
    both = [pose(ring(14), category="ring"), pose(ring(14) + 30, category="ring")]
    one = draw_poses(grey(), both[:1], labels="numbers")
    two = draw_poses(grey(), both)
    assert one.height > 600 and two.height > 600 and abs(one.height - two.height) < 40
    assert draw_poses(grey(), []).tobytes() == grey().tobytes()


# --- colours and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 5, 17, 25])
def test_colours_differ(count):
    found = np.array(colours(count), dtype=float)
    distances = np.abs(found[:, None] - found[None]).sum(axis=2) + 1e3 * np.eye(count)
    assert distances.min() > 20


@pytest.mark.parametrize("suffix, kind", [(".png", "PNG"), (".JPG", "JPEG"), (".webp", "WEBP")])
def test_a_picture_is_saved_as_its_suffix_says(tmp_path, suffix, kind):
    save_picture(grey(), tmp_path / f"out{suffix}")
    assert Image.open(tmp_path / f"out{suffix}").format == kind


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.gif"):
        save_picture(grey(), tmp_path / "out.gif")
    assert list(tmp_path.iterdir()) == []
