"""Poses: a list of results, and what other libraries, files and notebooks get of it; with the real libraries."""

import csv
import io
import json
import sys
import types
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageShow

import anykeypoint as ak
from anykeypoint.density import Density
from anykeypoint.drawing import showing
from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read
from anykeypoint.geometry import Crop
from anykeypoint.pose import with_uncertainty
from anykeypoint.poses import Poses, show

NAN = float("nan")


def pose(**changes) -> ak.Pose:
    fields = {
        "names": ["nose", "left ear", "right ear"],
        "xy": [[30.5, 20.25], [NAN, NAN], [70.0, 14.5]],
        "confidence": [0.9, NAN, 0.25],
        "present": [True, False, False],
        "presence": [0.75, NAN, 0.125],
        "image_size": (100, 80),
        "box": (10, 5, 60, 50),
        "skeleton": [(0, 1), (0, 2)],
        "category": "face",
        "image": "cat.jpg",
    }
    return ak.Pose(**{**fields, **changes})


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of 100 x 80 pixels, and two poses on each."""
    names = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, name in enumerate(names):
        Image.new("RGB", (100, 80), (60 * i, 90, 120)).save(name)
    return Poses([pose(image=name, box=box) for name in names for box in ((10, 5, 60, 50), (30, 5, 60, 50))])


def dense(one: ak.Pose) -> ak.Pose:
    """The pose with densities of its first and last point, and so a covariance."""
    grid = np.full((4, 4), 0.05)
    grid[1, 2] = 0.25
    density = {name: Density(Crop(10, 20, 40), grid) for name in ("nose", "right ear")}
    return with_uncertainty(replace(one, density=density))


# --- a list --------------------------------------------------------------------------------------------------------


def test_poses_index_like_a_list():
    one, two, three = (pose(image=name) for name in "abc")
    poses = Poses([one, two, three])
    assert len(poses) == 3 and poses[0] is one and poses[-1] is three and list(poses) == [one, two, three]
    assert isinstance(poses[1:], Poses) and list(poses[1:]) == [two, three] and poses[np.int64(1)] is two
    assert two in poses and poses.index(three) == 2 and next(reversed(poses)) is three
    assert not Poses() and Poses([])[0:3] == Poses()
    with pytest.raises(IndexError):
        poses[3]


def test_poses_cannot_be_changed():
    poses = Poses([pose()])
    with pytest.raises(AttributeError):
        poses.items = ()
    with pytest.raises(TypeError):
        poses[0] = pose()


def test_poses_are_equal_by_their_values():
    assert Poses([pose()]) == Poses([pose()]) != Poses([pose(image="b.jpg")])
    assert Poses([pose()]) != Poses([pose(), pose()]) and Poses([pose()]) != [pose()]
    assert Poses([dense(pose())]) == Poses([dense(pose())]) != Poses([pose()])


def test_what_it_holds_is_said():
    assert repr(Poses()) == "Poses(0 objects)"
    assert repr(Poses([pose()])) == "Poses(1 object of 1 picture: 'face')"
    many = Poses([pose(image=name, category=name) for name in "abcd"])
    assert repr(many) == "Poses(4 objects of 4 pictures: 'a', 'b', 'c', ...)"


@pytest.mark.parametrize("wrong", [[1], [pose(), None], 5, None, "text", pose()])
def test_anything_else_is_refused(wrong):
    with pytest.raises(InputError, match="must be a list of Pose objects"):
        Poses(wrong)


def test_one_pose_is_told_to_be_put_into_a_list():
    with pytest.raises(InputError, match=r"got one Pose; write \[it\]"):
        Poses(pose())


# --- pandas --------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=30)
@given(st.lists(st.tuples(texts, texts, st.floats(-1e6, 1e6), st.booleans()), max_size=4))
def test_a_table_of_pandas_has_the_lines_and_columns_of_the_csv_file(drawn):
    pandas = pytest.importorskip("pandas")
    poses = Poses(
        pose(names=[name, "null", "x"], image=image, xy=[[x, 2], [NAN, NAN], [1, 2]], present=[there, False, False])
        for name, image, x, there in drawn
    )
    table = poses.to_dataframe()
    rows = list(csv.DictReader(io.StringIO(poses.to_csv(), newline="")))
    assert list(table.columns) == next(csv.reader(io.StringIO(poses.to_csv()))) and len(table) == len(rows)
    for row, (_, line) in zip(rows, table.iterrows(), strict=True):
        for name, cell in row.items():
            value = line[name]
            if isinstance(value, bool | np.bool_):
                assert cell == ("true" if value else "false")
            elif isinstance(value, str):
                assert cell == value
            else:
                assert pandas.isna(value) if cell == "" else float(cell) == value


def test_a_table_has_numbers_to_reckon_with():
    pytest.importorskip("pandas")
    table = Poses([pose(), pose(), pose(image="b.jpg")]).to_dataframe()
    assert table["present"].dtype == bool and table["object"].tolist() == [1] * 3 + [2] * 3 + [1] * 3
    assert table.groupby("keypoint")["confidence"].mean()["nose"] == pytest.approx(0.9)
    assert table["x"].isna().tolist() == [False, True, False] * 3
    empty = Poses().to_dataframe()
    assert len(empty) == 0 and "presence" in empty.columns


# --- supervision ---------------------------------------------------------------------------------------------------


@pytest.fixture
def supervision():
    with warnings.catch_warnings():  # it warns that OpenCV is not there
        warnings.simplefilter("ignore")
        return pytest.importorskip("supervision")


def test_supervision_gets_places_confidences_boxes_and_covariances(supervision):
    poses = Poses([dense(pose(box_score=0.5, box_word="cat")), pose(box=None)])
    points = poses.to_supervision()
    assert isinstance(points, supervision.KeyPoints) and points.xy.shape == (2, 3, 2)
    assert points.xy[0].tolist() == [[30.5, 20.25], [0, 0], [70.0, 14.5]]
    assert points.visible.tolist() == [[True, False, False]] * 2 and points.class_id.tolist() == [0, 0]
    np.testing.assert_allclose(points.keypoint_confidence, [[0.9, NAN, 0.25]] * 2, atol=1e-6)
    assert points.detection_confidence is None
    assert points.data["xyxy"].tolist() == [[10, 5, 70, 55], [0, 0, 100, 80]]
    assert points.data["class_name"].tolist() == ["face", "face"]
    assert points.data["covariance"].shape == (2, 3, 2, 2)
    np.testing.assert_allclose(points.data["covariance"][0], poses[0].covariance, rtol=1e-6)
    assert np.isnan(points.data["covariance"][1]).all()
    scored = poses[:1].to_supervision()
    assert scored.detection_confidence.tolist() == [0.5] and "covariance" not in Poses([pose()]).to_supervision().data
    assert Poses().to_supervision().is_empty()


def test_supervision_draws_what_it_gets(supervision):
    poses = [dense(pose(present=[True, False, True], box=box)) for box in (None, (0, 0, 90, 70))]
    points = Poses(poses).to_supervision()
    scene = np.full((80, 100, 3), 255, np.uint8)
    for annotator in (
        supervision.VertexAnnotator(radius=2),
        supervision.EdgeAnnotator(edges=[(1, 3)]),
        supervision.VertexEllipseAreaAnnotator(),
    ):
        assert (annotator.annotate(scene.copy(), points) != 255).any()
    assert points.as_detections().xyxy.shape == (2, 4)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"category": "cat"}, "2 categories"),
        ({"names": ["a", "left ear", "right ear"]}, "2 categories"),
        ({"image": "b.jpg"}, "2 pictures"),
        ({"image_size": (101, 80)}, "2 pictures"),
    ],
)
def test_what_one_array_cannot_hold_is_refused_with_a_sentence(supervision, other, what):
    with pytest.raises(InputError, match=what):
        Poses([pose(), pose(**other)]).to_supervision()


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_dataframe"), ("supervision", "to_supervision")])
def test_a_missing_package_is_one_sentence(monkeypatch, package, method):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"pip install 'anykeypoint\["):
        getattr(Poses([pose()]), method)()


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_coco_document_is_read_back(tmp_path, pictures):
    pictures = Poses(replace(one, image=f"{i // 2}.png") for i, one in enumerate(pictures))
    document = pictures.to_coco(model="fast")
    assert len(document["images"]) == 3 and len(document["annotations"]) == 6 and len(document["categories"]) == 1
    assert document["info"]["model"] == "fast"
    path = tmp_path / "poses.json"
    path.write_text(json.dumps(document))
    dataset = read(f"coco:{path}", tmp_path)
    for item, one in zip(dataset.objects, pictures, strict=True):
        assert item.category.names == one.names and item.box == one.box
        np.testing.assert_allclose(item.points[one.present], one.xy[one.present])
    with pytest.raises(InputError, match="file name"):
        Poses([pose(image="")]).to_coco()


def test_csv_is_written_and_given(tmp_path, pictures):
    text = pictures.to_csv(tmp_path / "poses.csv")
    assert (tmp_path / "poses.csv").read_text() == text and len(text.splitlines()) == 1 + 6 * 3


# --- pictures ------------------------------------------------------------------------------------------------------


def decoded(png: bytes) -> Image.Image:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    return Image.open(io.BytesIO(png))


def test_a_notebook_gets_a_sheet_of_the_first_pictures(pictures):
    single = decoded(pictures[:2]._repr_png_())
    assert single.size == decoded(pictures[0]._repr_png_()).size == (640, 512)
    sheet = decoded(pictures._repr_png_())
    assert 900 < sheet.width < 1400 and 300 < sheet.height < 500
    for i in range(3):  # the colour of each picture is in its column
        column = np.asarray(sheet.convert("RGB"))[:, 8 + i * 428 : 428 + i * 428]
        assert (np.abs(column.astype(int) - (60 * i, 90, 120)).max(axis=2) < 3).mean() > 0.3


def test_a_sheet_is_bounded_and_says_what_it_leaves_out(tmp_path):
    names = [str(tmp_path / f"{i}.png") for i in range(9)]
    for name in names:
        Image.new("RGB", (1500, 1000), "white").save(name)
    poses = Poses(pose(image=name, image_size=(1500, 1000)) for name in names)
    sheet, six = decoded(poses._repr_png_()), decoded(poses[:6]._repr_png_())
    assert sheet.width == six.width < 1400 and six.height < sheet.height < six.height + 30


def test_a_notebook_shows_the_text_where_there_is_no_picture(pictures):
    assert pose()._repr_png_() is None and Poses([pose(image="")])._repr_png_() is None and Poses()._repr_png_() is None
    assert Poses([pose(image=pictures[0].image, image_size=(9, 9))])._repr_png_() is None


def test_a_plot_has_an_axes_for_each_picture(pictures):
    from matplotlib.figure import Figure

    made = pictures.plot()
    assert isinstance(made, Figure)
    drawn = [axes for axes in made.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == [f"{i}.png: 2 objects" for i in range(3)]
    assert len([axes for axes in pictures[:1].plot().axes if axes.images]) == 1
    assert pictures.plot(columns=3).get_size_inches()[0] > pictures.plot(columns=1).get_size_inches()[0]


@pytest.mark.parametrize("columns", [0, -1, 1.5, "2"])
def test_a_plot_has_a_whole_number_of_columns(pictures, columns):
    with pytest.raises(InputError, match="number of columns must be a whole number from 1"):
        Poses(pictures).plot(columns=columns)


def test_pictures_may_be_given(pictures):
    white, black = np.full((80, 100, 3), 255, np.uint8), np.zeros((80, 100, 3), np.uint8)
    unnamed = Poses(pose(image="") for _ in range(3))
    assert len([axes for axes in unnamed.plot(white).axes if axes.images]) == 1
    titles = [axes.get_title() for axes in unnamed.plot([white, black, white]).axes if axes.images]
    assert titles == ["2 objects", "1 object"]
    for images, sentence in ((None, "does not know"), ([white], "3 poses, but 1 picture"), (white[:9], "belongs to")):
        with pytest.raises(InputError, match=sentence):
            unnamed.plot(images)
    with pytest.raises(InputError, match="no pose"):
        Poses().plot()


def test_show_uses_the_notebook(pictures, monkeypatch):
    shown = []
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=shown.append))
    assert show(pictures) is shown[0] and show(pictures[0]).size == (640, 512) and len(shown) == 2
    assert show(list(pictures)[:2]).size == (640, 512)


def test_show_opens_the_viewer_where_there_is_a_screen(pictures, monkeypatch):
    shown = []
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(ImageShow, "show", lambda picture, title: shown.append(picture) or True)
    assert ak.show(pictures[0]) is shown[0]
    monkeypatch.setattr(ImageShow, "show", lambda picture, title: False)
    with pytest.raises(InputError, match="neither a notebook nor a screen"):
        show(pictures[0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_show_without_a_screen_is_one_sentence(pictures, monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=r"pose.draw\('out.png'\)"):
        show(pictures[0], np.zeros((80, 100, 3), np.uint8))
    assert showing._has_screen() is False
