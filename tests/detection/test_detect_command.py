"""`predict --detect` from end to end: boxes by words, a pose each, and what is said of them in every output."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anykeypoint as ak
from anykeypoint import cli
from anykeypoint.detection.boxes import Detection
from anykeypoint.detection.detector import Detector
from anykeypoint.detection.search import Search
from anykeypoint.drawing.overlay import draw_pose
from anykeypoint.errors import InputError
from anykeypoint.example import read_marked
from anykeypoint.forms import table
from anykeypoint.forms.poses import csv_text, write_coco, write_csv, write_json
from anykeypoint.images import read_image
from anykeypoint.inference.files import predict_files
from anykeypoint.pose import Pose
from anykeypoint.poses import read_json

POINTS = ["--keypoints", "nose; tail"]
CATEGORY = ak.Category.from_text("nose; tail")


class Corners:
    """A model that puts the first point at the box's corner and the second in its middle."""

    def predict(self, image, category, box=None, **_):
        x, y, w, h = box or (0, 0, *read_image(image).size)
        return Pose(
            names=category.names, xy=[[x, y], [x + w / 2, y + h / 2]], confidence=[0.5, 0.9], present=[True, True],
            image_size=read_image(image).size, box=box, category=category.name,
        )  # fmt: skip


class Bright(Detector):
    """Finds bright squares: a dog twice, nearly at one place, and as a cat too; nothing in dark pictures."""

    usual_score = 0.25
    network = None

    def check(self, words):
        checked = super().check(words)
        if "unicorn" in checked:
            raise InputError("This detector does not know 'unicorn'.")
        return checked

    def _candidates(self, picture, words, score):
        rows, columns = np.nonzero(np.asarray(picture.convert("L")) > 128)
        if len(rows):
            x, y = float(columns.min()), float(rows.min())
            w, h = columns.max() - x + 1, rows.max() - y + 1
            offers = {
                "dog": [((x, y, w, h), 0.8), ((x + 1, y, w, h), 0.6), ((0, 0, 5, 5), 0.3)],
                "cat": [((x, y, w, h), 0.7)],
            }
            for word in words:
                for box, sure in offers.get(word, ()):
                    if sure >= score:
                        yield Detection(box, sure, word)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ak, "load", lambda name, device="auto": Corners())
    monkeypatch.setattr(ak, "detector", lambda name="yolov3-tiny", device="auto": Bright())
    for name, corner in (("a.png", (30, 20)), ("b.png", None), ("c.png", (50, 40))):
        picture = Image.new("RGB", (100, 80), "black")
        if corner is not None:
            picture.paste((255, 255, 255), (*corner, corner[0] + 20, corner[1] + 30))
        (tmp_path / "photos").mkdir(exist_ok=True)
        picture.save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return int(caught.value.code or 0), printed.out, printed.err

    return call


# --- the command ---------------------------------------------------------------------------------------------------


def test_every_object_becomes_a_pose_with_its_box_score_and_word_in_every_output(run, photos):
    code, _, err = run("predict", "photos", *POINTS, "--detect", "dog; cat", "-o", "out/")
    assert code == 0
    assert err.splitlines() == [
        "photos/b.png: no dog or cat was found with a score of 0.25 or more, and none with a lower one; "
        "give the box with --boxes, or another --detector.",
        "Written to out/: 4 poses of 3 images. Names of pictures start at photos (--images photos).",
    ]
    assert run("predict", "photos", *POINTS, "--detect", "dog; cat", "-o", "out/", "-q") == (0, "", "")
    annotations = json.loads(Path("out/poses.json").read_text())["annotations"]
    said = [(entry["bbox"], entry["box_score"], entry["box_word"]) for entry in annotations]
    assert said == [
        ([30, 20, 20, 30], 0.8, "dog"),
        ([0, 0, 5, 5], 0.3, "dog"),
        ([50, 40, 20, 30], 0.8, "dog"),
        ([0, 0, 5, 5], 0.3, "dog"),
    ]
    assert annotations[0]["keypoints"] == [30, 20, 2, 40, 35, 2]
    rows = list(csv.DictReader(Path("out/poses.csv").read_text().splitlines()))
    assert len(rows) == 8 and rows[2]["object"] == "2"
    assert [rows[0][name] for name in ("box_x", "box_w", "box_score", "box_word")] == ["30.0", "20.0", "0.8", "dog"]
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["a.png", "b.png", "c.png"]


def test_the_threshold_and_the_number_are_those_asked_for(run, photos):
    _, out, _ = run("predict", "photos/a.png", *POINTS, "--detect", "dog", "--detect-score", "0.5")
    assert out.splitlines()[0] == "photos/a.png: dog 0.80 in [30.0, 20.0, 20.0, 30.0]" and "object" not in out
    _, out, _ = run("predict", "photos/a.png", *POINTS, "--detect", "dog")
    assert "object 2: dog 0.30" in out
    _, out, _ = run("predict", "photos/a.png", *POINTS, "--detect", "dog", "--detect-most", "1")
    assert "object" not in out


def test_a_picture_without_the_object_is_printed_as_such_and_is_no_failure(run, photos):
    code, out, err = run("predict", "photos/b.png", *POINTS, "--detect", "cat")
    assert code == 0 and out.split("\n  ")[1].strip() == "no object" and "no cat was found" in err


def test_what_a_lower_score_would_find_is_said(run, photos):
    code, _, err = run("predict", "photos/a.png", *POINTS, "--detect", "cat", "--detect-score", "0.75")
    assert code == 0 and "the best has 0.7, so --detect-score 0.7 finds it." in err
    _, out, err = run("predict", "photos/a.png", *POINTS, "--detect", "cat", "--detect-score", "0.7")
    assert "cat 0.70" in out and err == ""


def test_words_between_commas_are_looked_for_one_by_one_and_said(run, photos):
    _, out, err = run("predict", "photos/a.png", *POINTS, "--detect", "dog, cat")
    assert "object 2: dog 0.30" in out and "2 words" in err


def test_a_bad_picture_loses_no_other(run, photos):
    (photos / "b.png").write_bytes(b"x")
    code, out, err = run("predict", "photos", *POINTS, "--detect", "dog")
    assert code == 1 and "photos/b.png is not a readable" in err and "photos/a.png" in out and "photos/c.png" in out


@pytest.mark.parametrize(
    "options, words",
    [
        (["--detect", " "], "blank"),
        (["--detect", "dog;"], "blank"),
        (["--detect", "dog; dog"], "twice"),
        (["--detect", "unicorn"], "unicorn"),
        (["--detect", "dog", "--detect-score", "1.5"], "0 to 1"),
        (["--detect", "dog", "--detect-score", "nan"], "0 to 1"),
        (["--detect", "dog", "--detect-most", "0"], "number from 1,"),
        (["--detect", "dog", "--boxes", "0,0,5,5"], "--boxes"),
        (["--detector", "yolov3-tiny"], "--detect WORDS"),
        (["--detect-score", "0.3"], "--detect WORDS"),
        (["--detect-most", "3"], "--detect WORDS"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_before_the_model_is_loaded(run, photos, monkeypatch, options, words):
    monkeypatch.setattr(ak, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    code, _, err = run("predict", "photos", *POINTS, *options)
    assert code == 2 and words in err and err.count("\n") == 1


def test_an_unknown_detector_is_refused(run, photos, monkeypatch):
    from anykeypoint.detection import registry

    monkeypatch.setattr(ak, "detector", lambda name, device: registry.load(name, device))
    code, _, err = run("predict", "photos", *POINTS, "--detect", "dog", "--detector", "none")
    assert code == 2 and "yolov3-tiny" in err and err.count("\n") == 1


# --- the pipeline --------------------------------------------------------------------------------------------------


def test_the_order_of_the_files_changes_no_answer(photos):
    paths = sorted(photos.iterdir())
    search = Search(Bright(), "dog; cat")
    first = {result.path: result for result in predict_files(Corners(), paths, CATEGORY, search)}
    again = {result.path: result for result in predict_files(Corners(), paths[::-1], CATEGORY, search)}
    for path in paths:
        assert [pose.to_dict() for pose in first[path].poses] == [pose.to_dict() for pose in again[path].poses]
        assert first[path].note == again[path].note and (first[path].note is None) == bool(first[path].poses)


# --- what a pose keeps ---------------------------------------------------------------------------------------------


def pose(**changes):
    given = {
        "box": (10.0, 20.0, 30.0, 40.0),
        "box_score": 0.75,
        "box_word": "dog",
        "image": "a.png",
        "category": "object",
    }
    return Pose(
        names=["nose", "tail"], xy=[[15, 25], [np.nan] * 2], confidence=[0.5, np.nan], present=[True, False],
        image_size=(100, 80), **{**given, **changes},
    )  # fmt: skip


def plain(**changes):
    return pose(box_score=None, box_word="", **changes)


def test_a_pose_keeps_the_score_of_its_box_through_its_own_file(tmp_path):
    write_json([pose(), plain()], tmp_path / "x.json")
    again = read_json(tmp_path / "x.json")
    assert [(one.box_score, one.box_word) for one in again] == [(0.75, "dog"), (None, "")]
    assert "'dog' at 0.75" in repr(again[0]) and "at" not in repr(again[1])


def test_without_a_detector_nothing_of_it_is_written():
    assert "box_score" not in plain().to_coco() and plain().to_csv().splitlines()[1].endswith("10.0,20.0,30.0,40.0,,,")
    mixed = list(csv.DictReader(csv_text([pose(), plain()]).splitlines()))
    assert mixed[0]["box_score"] and mixed[2]["box_h"] == "40.0" and mixed[2]["box_score"] == mixed[2]["box_word"] == ""


def test_a_table_with_boxes_is_read_as_labels_and_as_an_example(tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    for name, one in (("with", pose()), ("without", plain())):
        write_csv([one], tmp_path / f"{name}.csv")
    found, drawn = (table.read(tmp_path / f"{name}.csv", tmp_path).annotations[0] for name in ("with", "without"))
    assert found == {**drawn, "box_score": 0.75, "box_word": "dog"} and drawn["bbox"] == [10, 20, 30, 40]
    write_coco([pose()], tmp_path / "x.json")
    for name in ("with.csv", "x.json"):
        marked = read_marked(f"{tmp_path / 'a.png'}:{tmp_path / name}")
        assert list(marked.names) == ["nose", "tail"] and list(marked.places["nose"]) == [15, 25]


@pytest.mark.parametrize("changes", [{"box": None}, {"box_score": 1.2}, {"box_score": np.nan}, {"box_word": None}])
def test_a_wrong_score_or_word_is_refused(changes):
    with pytest.raises(InputError):
        pose(**changes)


def test_the_drawing_shows_the_box_and_its_score():
    grey = Image.new("RGB", (800, 600), (120, 120, 120))

    def drawn(**changes):
        fields = {"image_size": (800, 600), "box": (200.0, 150.0, 400.0, 300.0)}
        made = Pose(names=["nose"], xy=[[400, 300]], confidence=[0.5], present=[True], **{**fields, **changes})
        return made, lambda labels="auto": np.asarray(draw_pose(grey, made, labels)) != 120

    _, found = drawn(box_score=0.75, box_word="dog")
    _, own = drawn()
    assert found()[150, 320:600].all() and found()[150:450, 600].all() and found()[450, 200:600].all()
    assert not own()[150, 200:390].any()
    tag = found()[125:148, 200:260]
    assert tag.mean() > 0.9 and not found("none")[125:145, 210:260].any() and found("none")[450, 200:600].all()


def test_boxes_at_the_edges_and_words_without_letters_are_drawn_too():
    grey = Image.new("RGB", (60, 40), (120, 120, 120))
    for word, box in (("\U0001f980", (0.0, 0.0, 60.0, 40.0)), ("w" * 500, (-5.0, 39.0, 300.0, 200.0))):
        made = Pose(
            names=["nose"], xy=[[4, 3]], confidence=[0.5], present=[True], image_size=(60, 40), box=box, box_score=0.1,
            box_word=word,
        )  # fmt: skip
        assert draw_pose(grey, made).size == (640, 427)
