"""TPS files of morphometrics and dlib's imglab: what each line says, and what is written for their own tools."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.registry import convert, read
from anykeypoint.forms.writing import save


@pytest.fixture
def put(tmp_path):
    """A function that writes pictures of 96 x 64 and one file, and returns the specification."""

    def written(name, text, *pictures, word=""):
        for picture in pictures or ("a.png",):
            (tmp_path / picture).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (96, 64)).save(tmp_path / picture)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return f"{name.split('.')[-1] if name.endswith('.tps') else 'imglab'}{word}:{tmp_path / name}"

    return written


# --- TPS -----------------------------------------------------------------------------------------------------------

ONE = "LM=2\n10 54.0\n20,5 44\nIMAGE=a.png\nID=4\nSCALE=0.01\n"


def test_y_counts_from_the_bottom_and_ids_and_scale_are_kept(put):
    (item,) = read(put("x.tps", ONE, word="/wing")).objects
    assert item.points.tolist() == [[10, 10], [20.5, 20]] and (item.id, item.scale) == (4, 0.01)
    assert item.category.name == "wing"


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("LM=", "lm = ").replace("IMAGE=", "Image=").replace("\n", "\r\n"),
        ONE.replace("a.png", "C:\\wings\\2020\\a.png"),
        ONE.replace("a.png", "C:\\wings\\a").replace("0.01", "0,01"),
        ONE + "CURVES=1\nPOINTS=3\n1 1\n2 2\n3 3\nCOMMENT=blurred\n",
        ONE.replace("LM=2", "LM=02") + "LM=2\n1 1\n2 x\nIMAGE=a.png\nLM=2\n1 1\n2 x\nIMAGE=a.png\n",
        ONE.replace("LM=2\n", "\n\nLM=2\n").replace("SCALE=0.01\n", "VARIABLES=x\nSCALE=0.01\n"),
    ],
)
def test_the_same_landmarks_in_every_spelling(put, text):
    (item,) = read(put("x.tps", text)).objects
    assert item.points.tolist() == [[10, 10], [20.5, 20]] and item.scale == 0.01


def test_what_is_not_read_is_counted_by_name(put):
    data = read(
        put("x.tps", ONE + "CURVES=1\nPOINTS=2\n1 1\n2 2\nCOMMENT=blurred\nLM=0\nIMAGE=b.png\nID=5\n", "a.png", "b.png")
    )
    assert data.skipped == {"points of curves and outlines (semilandmarks)": 2, "specimens without landmarks": 1}
    assert len(data.notes) == 1 and "COMMENT= of 1 specimens is not read" in data.notes[0]


@pytest.mark.parametrize("end", ["\x1a", "\r\n\x1a\r\n", "\x1a" + ONE.replace("ID=4", "ID=5")])
def test_the_sign_that_dos_ends_a_text_with_is_no_landmark(put, end):
    data = read(put("x.tps", ONE + end))
    assert [item.points.tolist() for item in data.objects] == [[[10, 10], [20.5, 20]]] * (1 + end.count("LM="))
    assert data.objects[0].scale == 0.01 and not data.faults and not data.notes


def test_lines_under_other_keys_are_no_landmarks(put):
    circle = "CIRCLES=1\nRADII=5.0\n40 40\n"
    data = read(put("x.tps", ONE + circle + ONE.replace("IMAGE=", circle + "IMAGE=").replace("ID=4", "ID=5")))
    assert [item.points.tolist() for item in data.objects] == [[[10, 10], [20.5, 20]]] * 2
    assert data.skipped == {"lines under RADII=": 2} and not data.faults
    lacking = "LM=2\n1 1\nCIRCLES=1\nRADII=5.0\n40 40\nIMAGE=a.png\nID=6\n"
    assert "says LM=2 and has 1 lines of landmarks" in read(put("x.tps", ONE + lacking)).faults[0]


def test_missing_landmarks_are_not_labelled(put):
    text = "LM=3\n-1 -1\nNA NA\n1 60\nIMAGE=a.png\nID=wing_7\n"
    (item,) = read(put("x.tps", text)).objects
    assert item.visibility.tolist() == [0, 0, 2] and np.isnan(item.points[:2]).all() and item.group == "wing_7"


def test_one_bad_specimen_costs_itself(put):
    bad = "LM=1\n1 1\nIMAGE=a.png\nID=5\nLM=2\n1 1\n2 x\nIMAGE=a.png\nID=6\nLM=2\n1 1\n2 2\nID=7\n"
    data = read(put("x.tps", ONE + bad + ONE.replace("ID=4", "ID=8")))
    assert [item.id for item in data.objects] == [4, 8]
    words = ("line 7 says LM=1 and has 1 lines", "line 11, key 'landmark 2', must be", "line 16 has no IMAGE=")
    assert len(data.faults) == 3 and all(text in fault for text, fault in zip(words, data.faults, strict=True))


@pytest.mark.parametrize("scale", ["", "0", "0.01 mm", "-1"])
def test_a_scale_that_is_no_length_costs_no_landmarks_and_is_told(put, scale):
    data = read(put("x.tps", ONE.replace("SCALE=0.01", f"SCALE={scale}")))
    assert [item.scale for item in data.objects] == [None] and not data.faults
    assert data.notes == ("1 specimens have a SCALE= that is no number above 0 and is not read.",)


def test_a_picture_that_cannot_be_read_costs_its_specimens_as_their_places_need_its_height(put, tmp_path):
    spec = put("x.tps", ONE + ONE.replace("a.png", "b.png").replace("ID=4", "ID=5"), "a.png")
    (tmp_path / "b.png").write_bytes(b"GIF89a")
    data = read(spec)
    assert [item.id for item in data.objects] == [4]
    assert len(data.faults) == 1 and "b.png is no readable picture, and TPS counts" in data.faults[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LM3=1\n1 2 3\nIMAGE=a.png\n", "three coordinates"),
        ("1 2\n", "does not begin with LM=N"),
        ("", "has no landmarks"),
    ],
)
def test_another_file_is_refused(put, text, words):
    with pytest.raises(InputError, match=words):
        read(put("x.tps", text))


def test_tps_is_written_for_tpsdig(put, tmp_path):
    data = read(put("x.tps", ONE + "LM=2\n1 2\n-1 -1\nIMAGE=b.png\nID=0\n", "a.png", "b.png"))
    content, lost = convert(data, tmp_path, "tps")
    assert content == (
        "LM=2\n10.0 54.0\n20.5 44.0\nIMAGE=a.png\nID=4\nSCALE=0.01\n" + "LM=2\n1.0 2.0\n-1 -1\nIMAGE=b.png\nID=0\n"
    )
    assert lost == ["boxes"]


# --- imglab --------------------------------------------------------------------------------------------------------

XML = (
    "<?xml version='1.0' encoding='ISO-8859-1'?>\n"
    "<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>\n"
    "<dataset><images><image file='a.png'><box top='10' left='12' width='60' height='40'>{}</box></image></images>"
    "</dataset>"
)
PARTS = "<label>wing</label><part name='p10' x='50' y='30'/><part name='p9' x='15' y='20'/>"


def test_parts_are_sorted_by_the_numbers_in_their_names(put):
    (item,) = read(put("x.xml", XML.format(PARTS))).objects
    assert item.category.names == ["p9", "p10"] and item.points.tolist() == [[15, 20], [50, 30]]
    assert item.box == (12, 10, 60, 40)


def test_ignored_boxes_and_boxes_without_parts_are_counted_and_other_marks_said(put):
    text = XML.format(PARTS).replace("</image>", "<box top='0' left='0' width='3' height='3' ignore='1'/></image>")
    text = text.replace("</image>", "<box top='0' left='0' width='3' height='3' difficult='1'/></image>")
    data = read(put("x.xml", text))
    assert data.skipped == {"boxes marked ignore": 1, "boxes without parts": 1}
    assert len(data.notes) == 1 and "'difficult' of 1 boxes is not read" in data.notes[0]


@pytest.mark.parametrize(("flag", "kept"), [("0", 1), ("False", 1), ("", 1), ("true", 0), ("1", 0)])
def test_the_flag_ignore_is_a_number_or_a_word(put, flag, kept):
    box = "<box top='1' left='1' width='9' height='9'{}><part name='0' x='1' y='2'/></box>"
    boxes = box.format("") + box.format(f" ignore='{flag}'")
    data = read(put("x.xml", f"<dataset><images><image file='a.png'>{boxes}</image></images></dataset>"))
    assert len(data.objects) == 1 + kept


def test_a_part_that_comes_twice_costs_its_box(put):
    again = PARTS + "<part name='p9' x='1' y='2'/>"
    text = XML.format(again).replace("</image>", f"<box top='1' left='1' width='9' height='9'>{PARTS}</box></image>")
    data = read(put("x.xml", text))
    assert len(data.objects) == 1 and "a.png, box 0 has the part 'p9' twice" in data.faults[0]


@pytest.mark.parametrize("score", ["n/a", "nan", ""])
def test_a_score_that_is_no_number_costs_its_box_and_the_others_keep_theirs(put, score):
    box = f"<box top='1' left='1' width='9' height='9' detection_score='{{}}'>{PARTS}</box>"
    boxes = "".join(map(box.format, (0.25, score, 0.5)))
    data = read(put("x.xml", f"<dataset><images><image file='a.png'>{boxes}</image></images></dataset>"))
    assert [item.score for item in data.objects] == [0.25, 0.5] and len(data.faults) == 1
    assert f"a.png, box 1, key 'detection_score', must be a finite number, but got {score!r}" in data.faults[0]


def test_names_of_pictures_in_utf_8_are_found_though_the_file_says_another_encoding(put):
    data = read(put("x.xml", XML.format(PARTS).replace("a.png", "pics\\é.png"), "pics/é.png"))
    assert data.objects[0].image.name == "é.png"


@pytest.mark.parametrize("text", ["<annotations/>", "<dataset/>", "<dataset>", "{}"])
def test_another_xml_is_refused(put, text):
    with pytest.raises(InputError, match=r"x\.xml"):
        read(put("x.xml", text))


def test_imglab_is_written_in_whole_pixels_that_dlib_reads_and_keeps_the_fractions(put, tmp_path):
    exact = PARTS.replace("x='50'", "x='50.25'")
    data = read(put("x.xml", XML.format(exact)))
    content, lost = convert(data, tmp_path, "imglab")
    assert not lost
    box = ElementTree.fromstring(content).find("images/image/box")
    assert {key: box.get(key) for key in ("left", "top", "width", "height")} == dict(
        left="12", top="10", width="60", height="40"
    )
    assert [(one.get("name"), one.get("x"), one.get("y")) for one in box.iter("part")] == [
        ("p9", "15", "20"),
        ("p10", "50", "30"),
    ]
    save(content, tmp_path / "out.xml")
    assert read(f"imglab:{tmp_path / 'out.xml'}").objects[0].points.tolist() == [[15, 20], [50.25, 30]]
    # A point that was moved with dlib's own tool, or by hand, has its new place.
    save(content.replace('x="50"', 'x="44"'), tmp_path / "moved.xml")
    assert read(f"imglab:{tmp_path / 'moved.xml'}").objects[0].points.tolist() == [[15, 20], [44, 30]]
