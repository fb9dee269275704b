"""What skeletons count from: 1 in every file of ours, which says so; those of others are interpreted, which is said."""

import json

import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.errors import InputError
from anykeypoint.example import read_marked
from anykeypoint.forms.poses import write_coco
from anykeypoint.forms.registry import convert, read
from anykeypoint.forms.skeletons import skeleton_bases
from anykeypoint.pose import Pose

# The last point is in no edge, so that the numbers alone do not show what they count from.
NAMES = ["left tip", "middle", "right tip", "loose button"]
EDGES = ((0, 1), (1, 2))
NOTE = "does not say whether its skeletons count keypoints from 0 or 1"


def document(skeleton, info=None, names=NAMES, **more):
    """A document with one object, of a category with this skeleton."""
    keypoints = [value for i in range(len(names)) for value in (10 * i + 5, 20, 2)]
    entry = {"id": 1, "image_id": 1, "category_id": 7, "keypoints": keypoints, "bbox": [0, 0, 50, 40], **more}
    categories = [{"id": 7, "name": "gadget", "keypoints": list(names), "skeleton": skeleton}]
    made = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [entry], "categories": categories}
    return made if info is None else {"info": info, **made}


@pytest.fixture
def put(tmp_path):
    """Writes a document as labels.json, beside its picture; gives the specification."""
    Image.new("RGB", (60, 40)).save(tmp_path / "1.png")

    def write(made):
        (tmp_path / "labels.json").write_text(json.dumps(made))
        return f"coco:{tmp_path / 'labels.json'}"

    return write


def run(*arguments):
    """One command line; gives its exit code."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("skeleton", "info", "edges"),
    [
        ([[0, 1], [1, 2]], None, EDGES),  # an index is 0
        ([[1, 2], [2, 4]], None, ((0, 1), (1, 3))),  # an index is the number of points
        ([[1, 2], [2, 3]], {"skeleton_base": 1}, EDGES),
        ([[1, 2], [2, 3]], {"skeleton_base": 0}, ((1, 2), (2, 3))),
        ([[1, 2], [2, 3]], {"skeleton_base": 1, "description": "mine"}, EDGES),
        ([[1, 2], [2, 3]], None, ((1, 2), (2, 3))),  # neither; read as before
        ([[1, 2], [2, 3]], {"skeleton_base": "1"}, ((1, 2), (2, 3))),  # no whole number says nothing
        ([[1, 2], [2, 3]], "mine", ((1, 2), (2, 3))),
    ],
)
def test_what_a_file_says_is_trusted_and_else_its_numbers_show_it(put, tmp_path, skeleton, info, edges):
    spec = put(document(skeleton, info))
    data = read(spec, tmp_path)
    assert data.categories[7].skeleton == edges
    unsure = edges == ((1, 2), (2, 3)) and info != {"skeleton_base": 0}
    assert any(NOTE in note for note in data.notes) == unsure
    marked = read_marked(f"{tmp_path / '1.png'}:{tmp_path / 'labels.json'}")
    assert marked.skeleton == edges and (NOTE in marked.note) == unsure, "one reading for labels and for examples"


def test_a_file_of_predictions_without_the_marker_counts_from_one(put, tmp_path):
    """Version 0.1.0 wrote none; the confidences of its points tell that the file is its own."""
    spec = put(document([[1, 2], [2, 3]], keypoint_confidence=[0.5] * 4))
    data = read(spec, tmp_path)
    assert data.categories[7].skeleton == EDGES and not data.notes


def test_a_file_that_counts_both_ways_is_refused_unless_it_says_its_base(put, tmp_path):
    mixed = document([[0, 1], [1, 4]])
    with pytest.raises(InputError, match="counts from 1; use one way"):
        read(put(mixed), tmp_path)
    assert skeleton_bases(mixed).mixed == (7, 7)


def test_without_edges_nothing_is_said(put, tmp_path):
    assert not read(put(document([])), tmp_path).notes


@pytest.mark.parametrize("skeleton", [EDGES, ((1, 2),), ((2, 3), (0, 1)), ()])
def test_every_file_of_ours_counts_from_one_and_says_so(put, tmp_path, skeleton, capsys):
    """As predict, convert, split and check --fix write it, and read again as labels and as an example."""
    spec = put(document([[a, b] for a, b in skeleton], {"skeleton_base": 0}))
    pose = Pose(
        names=NAMES, xy=[[5, 20]] * 4, confidence=[0.5] * 4, present=[True] * 4, box=(0, 0, 50, 40),
        image_size=(60, 40), category="gadget", image="1.png", skeleton=skeleton,
    )  # fmt: skip
    files = {name: tmp_path / f"{name}.json" for name in ("predict", "convert")}
    write_coco([pose], files["predict"])
    assert run("data", "convert", spec, "--images", tmp_path, "-o", files["convert"]) == 0
    assert run("data", "split", spec, "--images", tmp_path, "-o", tmp_path / "parts", "--share", ".5") == 0
    files["split"] = tmp_path / "parts" / "part.json"
    if skeleton:  # without an edge a mended copy differs in nothing
        files["mended"] = tmp_path / "mended.json"
        run("data", "check", spec, "--images", tmp_path, "--fix", files["mended"])
    for name, file in files.items():
        written = json.loads(file.read_text())
        (kind,) = written["categories"]
        assert written["info"]["skeleton_base"] == 1, name
        assert kind["skeleton"] == [[a + 1, b + 1] for a, b in skeleton], name
        data = read(f"coco:{file}", tmp_path)
        assert next(iter(data.categories.values())).skeleton == skeleton and not data.notes, name
        assert read_marked(f"{tmp_path / '1.png'}:{file}").skeleton == skeleton, name
    assert NOTE not in capsys.readouterr().err


@pytest.mark.parametrize("info", [None, {}, {"year": 2026}, {"skeleton_base": 0}, {"skeleton_base": 1}, "mine"])
def test_a_mended_copy_counts_from_one_and_undo_gives_the_file_back(put, tmp_path, info):
    made = document([[0, 1], [1, 2]] if info != {"skeleton_base": 1} else [[1, 2], [2, 3]], info, num_keypoints=9)
    spec, files = put(made), [tmp_path / name for name in ("mended.json", "changes.csv", "back.json")]
    run("data", "check", spec, "--images", tmp_path, "--fix", files[0], "--changes", files[1])
    mended = json.loads(files[0].read_text())
    assert mended["info"]["skeleton_base"] == 1 and mended["categories"][0]["skeleton"] == [[1, 2], [2, 3]]
    assert read(f"coco:{files[0]}", tmp_path).categories[7].skeleton == EDGES
    back = ["--undo", files[1], "--fix", files[2], "--images", tmp_path]
    assert run("data", "check", f"coco:{files[0]}", *back) == 0 and json.loads(files[2].read_text()) == made


def test_converting_what_predict_wrote_keeps_the_skeleton(put, tmp_path):
    spec = put(document([[1, 2], [2, 3]], {"schema": "anykeypoint.poses", "skeleton_base": 1}))
    again = json.loads(convert(read(spec, tmp_path), tmp_path, "coco")[0])
    assert again["categories"][0]["skeleton"] == [[1, 2], [2, 3]]


def test_mp100s_files_count_from_zero_unless_they_say_otherwise(put, tmp_path):
    for info, edges in ((None, ((1, 2), (2, 3))), ({"skeleton_base": 1}, EDGES)):
        made = document([[1, 2], [2, 3]], info, num_keypoints=4, area=2000, iscrowd=0)
        made["images"][0] |= {"width": 60, "height": 40}
        data = read(put(made).replace("coco:", "mp100:"), tmp_path)
        assert data.categories[7].skeleton == edges and not data.notes


def test_a_shared_case_is_read_with_a_note(shared):
    folder = shared / "cases" / "reports" / "skeleton_base"
    data = read(f"coco:{folder / 'l.json'}", folder)
    assert data.categories[1].skeleton == ((1, 2), (2, 3)) and NOTE in data.notes[0]
