"""The command line's `predict` and `categories`, with a model that answers at once."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anykeypoint
from anykeypoint import cli
from anykeypoint.category import Category
from anykeypoint.cli import outputs as written
from anykeypoint.cli.outputs import unique_stems
from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read
from anykeypoint.geometry import Crop
from anykeypoint.images import read_image
from anykeypoint.library import lookup
from anykeypoint.pose import Density, Pose
from anykeypoint.poses import read_json

POINTS = ["--keypoints", "nose; left ear: the tip; tail"]
SHOWN = ["--example", "photos/b.png:b.json"]


class Fake:
    """Every point in the middle of the box, but the last is absent; widths 13, 14 and 15 mean trouble."""

    sure = 0.75

    def predict(self, image, category, box=None, density=False, **_):
        image = read_image(image)
        if image.width == 13:
            raise InputError("The model cannot do this one.")
        if image.width == 14:
            raise KeyboardInterrupt
        if image.width == 15:
            raise RuntimeError("out of luck")
        x, y, w, h = box or (0, 0, *image.size)
        count = len(category)
        present = np.arange(count) < count - 1
        xy = np.where(present[:, None], [x + w / 2, y + h / 2], np.nan)
        grid = Density(Crop(0, 0, 20), np.full((4, 4), 1 / 16))
        return Pose(
            names=category.names, xy=xy, confidence=np.where(present, self.sure, np.nan), present=present, box=box,
            image_size=image.size, category=category.name, density={category.names[0]: grid} if density else None,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """The names of models loaded."""
    loads = []

    def load(name, device="auto"):
        loads.append((name, device))
        return Fake()

    monkeypatch.setattr(anykeypoint, "load", load, raising=False)
    return loads


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name, width in (("a.jpg", 30), ("b.png", 40), ("c.jpg", 50)):
        Image.new("RGB", (width, 20), "gray").save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def run(capsys):
    def call(*arguments) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return int(caught.value.code or 0), printed.out, printed.err

    return call


def files(folder) -> list[str]:
    return sorted(os.listdir(folder))


# --- what is written -----------------------------------------------------------------------------------------------


def test_without_an_output_a_table_is_printed(run, photos, loaded):
    code, out, err = run("predict", "photos/a.jpg", *POINTS)
    assert code == 0 and err == ""
    assert out.splitlines()[0] == "photos/a.jpg"
    assert out.splitlines()[2].split() == ["nose", "15.0", "10.0", "0.75"]
    assert out.splitlines()[4].split() == ["tail", "absent"]
    assert loaded == [("accurate", "auto")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["SHOWN"], "accurate"),
        (["SHOWN", "--no-words"], "accurate"),
        (["--explain", "-o", "out"], "accurate"),
        (["--density", "-o", "out"], "accurate"),
        (["--strategy", "greedy"], "capellm-small"),
        (["--descriptions", "removed"], "accurate"),
        (["--descriptions", "vague"], "capellm-small"),
        (["--cumulative"], "capellm-small"),
        (["SHOWN", "--strategy", "greedy"], "kptllm-small"),
        (["SHOWN", "--model", "mine"], "mine"),
        (["--strategy", "greedy", "--model", "capellm-small"], "capellm-small"),
    ],
)
def test_a_shipped_model_that_can_do_what_is_asked_is_taken_unless_one_is_named(run, photos, loaded, options, expected):
    Path("b.json").write_text(json.dumps({"nose": [10, 10]}))
    Path("mine").mkdir()
    given = [text for option in options for text in (SHOWN if option == "SHOWN" else [option])]
    run("predict", "photos/a.jpg", *POINTS, *given)
    assert [name for name, _ in loaded] == [expected]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "fast", "--strategy", "greedy"], "The model 'fast' takes no --strategy"),
        (
            ["--model", "fast", "--descriptions", "vague"],
            "The model 'fast' reads descriptions as they are or not at all",
        ),
        (["--model", "fast", "--cumulative"], "The model 'fast' takes no --cumulative"),
        (["--model", "capellm-small", "--explain", "-o", "out"], "is no matcher and cannot explain"),
        ([*SHOWN, "--model", "capellm-small"], "predicts from words alone"),
        ([*SHOWN, "--cumulative"], "No shipped model takes --cumulative, --example together"),
        (["--explain", "--strategy", "mode", "-o", "out"], "No shipped model takes --strategy, --explain together"),
    ],
)
def test_options_that_a_kind_of_model_lacks_are_refused_before_loading(run, photos, loaded, options, words):
    Path("b.json").write_text(json.dumps({"nose": [10, 10]}))
    code, out, err = run("predict", "photos/a.jpg", *POINTS, *options)
    assert code == 2 and out == "" and loaded == [] and words in err and len(err.splitlines()) == 1


def test_what_was_written_where_is_said_at_the_end_unless_quiet(run, photos):
    assert run("predict", "photos", *POINTS, "-o", "x.csv", "-o", "out")[1:] == (
        "",
        "Written to x.csv, out: 3 poses of 3 images. Names of pictures start at photos (--images photos).\n",
    )
    assert run("predict", "photos/a.jpg", *POINTS, "-o", "x.png")[1:] == ("", "Written to x.png: 1 pose of 1 image.\n")
    assert run("predict", "photos", *POINTS, "-o", "out", "-q") == (0, "", "")
    (photos / "b.png").write_bytes(b"no picture")
    code, _, err = run("predict", "photos", *POINTS, "-o", "out", "--quiet")
    assert code == 1 and "b.png is not a readable" in err and "Written" not in err
    code, _, err = run("predict", "photos", *POINTS, "-q", "-v")
    assert code == 2 and "give one of them" in err


def test_where_stderr_is_no_terminal_progress_is_a_plain_line_now_and_then(run, photos, monkeypatch):
    monkeypatch.setattr("anykeypoint.cli.console.PLAIN_EVERY", 0.0)
    err = run("predict", "photos", *POINTS, "-o", "out")[2].splitlines()
    assert [line.split(",")[0] for line in err[:-1]] == ["predict: 1 of 3", "predict: 2 of 3"]
    assert all(line.endswith(" left") for line in err[:-1])


def test_a_model_that_cannot_say_how_sure_it_is_leaves_it_unknown(run, photos, monkeypatch):
    monkeypatch.setattr(Fake, "sure", np.nan)
    _, out, _ = run("predict", "photos/a.jpg", *POINTS)
    assert out.splitlines()[2].split() == ["nose", "15.0", "10.0", "unknown"]
    code, _, _ = run("predict", "photos/a.jpg", *POINTS, "-o", "out/")
    assert code == 0 and "score" not in json.loads(Path("out/poses.json").read_text())["annotations"][0]


def test_a_folder_gets_a_picture_per_image_and_two_tables(run, photos):
    code, out, _ = run("predict", "photos", *POINTS, "-o", "out")
    assert code == 0 and out == ""
    assert files("out") == ["a.png", "b.png", "c.png", "poses.csv", "poses.json"]
    data = json.loads(Path("out/poses.json").read_text())
    assert [image["file_name"] for image in data["images"]] == ["a.jpg", "b.png", "c.jpg"]
    assert data["info"]["model"] == "accurate"
    assert data["annotations"][2]["keypoints"] == [25, 10, 2, 25, 10, 2, 0, 0, 0]
    assert len(list(csv.DictReader(Path("out/poses.csv").read_text().splitlines()))) == 9
    assert max(Image.open("out/a.png").size) >= 640


@pytest.mark.parametrize(
    ("sources", "start", "names"),
    [
        (["photos"], "photos", ["a.jpg", "b.png", "c.jpg"]),
        (["photos/"], "photos", ["a.jpg", "b.png", "c.jpg"]),
        (["{here}/photos"], "{here}/photos", ["a.jpg", "b.png", "c.jpg"]),
        (["photos/a.jpg"], "photos", ["a.jpg"]),
        (["{here}/photos/a.jpg"], "photos", ["a.jpg"]),
        (["photos/*.jpg"], "photos", ["a.jpg", "c.jpg"]),
        (["photos/a.jpg", "more/d.png"], ".", ["photos/a.jpg", "more/d.png"]),
        (["photos", "more"], ".", ["photos/a.jpg", "photos/b.png", "photos/c.jpg", "more/d.png"]),
        (["more", "more/d.png"], "more", ["d.png"]),
        (["photos/../more/d.png"], "more", ["d.png"]),
    ],
)
def test_names_in_the_tables_start_at_the_folder_given_or_at_the_one_that_holds_all(run, photos, sources, start, names):
    here = photos.parent
    (here / "more").mkdir()
    Image.new("RGB", (30, 20)).save(here / "more" / "d.png")
    given = [source.format(here=here) for source in sources]
    code, _, err = run("predict", *given, *POINTS, "-o", "p.json", "-o", "p.csv")
    assert code == 0 and f"Names of pictures start at {start.format(here=here)} (" in err
    data = json.loads(Path("p.json").read_text())
    assert [image["file_name"] for image in data["images"]] == names
    rows = csv.DictReader(Path("p.csv").read_text().splitlines())
    assert list(dict.fromkeys(row["image"] for row in rows)) == names
    for spec in ("coco:p.json", "csv:p.csv"):
        found = {item.image.resolve() for item in read(spec, start.format(here=here)).objects}
        assert found == {(here / start.format(here=here) / name).resolve() for name in names}


def test_names_of_pictures_in_subfolders_start_at_the_folder_given(run, photos):
    (photos / "deep" / "er").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(photos / "deep" / "er" / "d.png")
    code, _, err = run("predict", "photos", "--recursive", *POINTS, "-o", "p.json")
    names = [image["file_name"] for image in json.loads(Path("p.json").read_text())["images"]]
    assert code == 0 and sorted(names) == ["a.jpg", "b.png", "c.jpg", "deep/er/d.png"] and "start at photos (" in err
    assert len(read("coco:p.json", "photos").objects) == 4


def test_from_inside_the_folder_names_are_bare_and_labels_are_converted_there(run, photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert run("predict", ".", *POINTS, "-o", "poses.json", "-o", "out/", "--density")[0] == 0
    assert read_json("out/a.density.json")[0].image == "a.jpg"
    code, out, _ = run("data", "convert", "coco:poses.json", "--images", ".", "--to", "csv", "-o", "poses.csv")
    assert code == 0 and "3 objects" in out


def test_predictions_take_ids_and_names_of_labels(run, photos):
    """As pycocotools needs them, which joins by ids."""
    images = [{"id": 7, "file_name": "c.jpg"}, {"id": 5, "file_name": "photos/a.jpg"}]
    kinds = [{"id": 0, "name": "Thing", "keypoints": ["Nose", "left_ear", "tail"]}]
    Path("labels.json").write_text(json.dumps({"images": images, "annotations": [], "categories": kinds}))
    options = ["--keypoints", "nose; left ear; tail", "--ids-from", "labels.json"]
    code, _, err = run("predict", "photos/a.jpg", "photos/c.jpg", *options, "-o", "p.json", "-o", "p.csv")
    assert code == 0 and "Ids and names are those of the labels." in err
    data = json.loads(Path("p.json").read_text())
    assert [(image["id"], image["file_name"]) for image in data["images"]] == [(5, "photos/a.jpg"), (7, "c.jpg")]
    assert [(kind["id"], kind["name"], kind["keypoints"]) for kind in data["categories"]] == [
        (0, "Thing", ["Nose", "left_ear", "tail"])
    ]
    assert [(entry["image_id"], entry["category_id"]) for entry in data["annotations"]] == [(5, 0), (7, 0)]
    rows = list(csv.DictReader(Path("p.csv").read_text().splitlines()))
    assert {(row["category"], row["keypoint"]) for row in rows} == {("Thing", name) for name in kinds[0]["keypoints"]}


def test_ids_that_cannot_be_taken_are_refused_before_loading(run, photos, loaded):
    kinds = [{"id": 1, "name": "thing", "keypoints": ["nose", "left ear", "tail"]}]
    listed = {"images": [{"id": 7, "file_name": "c.jpg"}], "annotations": [], "categories": kinds}
    Path("labels.json").write_text(json.dumps(listed))
    for arguments, words in (
        (["photos", "-o", "p.json"], "does not list 2 of the 3 pictures"),
        (["photos/c.jpg"], "--ids-from is for files of poses"),
        (["photos/c.jpg", "-o", "labels.json"], "would overwrite the input"),
    ):
        code, _, err = run("predict", *arguments, *POINTS, "--ids-from", "labels.json")
        assert code == 2 and words in err and loaded == []


def test_points_in_letters_of_several_bytes_are_no_file_with_too_long_a_name(run, photos):
    names = [f"左耳尖{number}" for number in range(30)]
    code, out, err = run("predict", "photos/a.jpg", "--keypoints", "; ".join(names))
    assert code == 0 and names[29] in out, err


def test_outputs_of_every_kind_at_once(run, photos):
    code, _, _ = run("predict", "photos/a.jpg", *POINTS, "-o", "x.png", "-o", "x.json", "-o", "x.csv", "-o", "new/x/")
    assert code == 0
    assert files(".") == ["new", "photos", "x.csv", "x.json", "x.png"] and "a.png" in files("new/x")


def test_densities_are_drawn_and_written_to_a_folder(run, photos):
    code, _, _ = run("predict", "photos/a.jpg", *POINTS, "--density", "-o", "out/")
    assert code == 0 and files("out") == ["a.density.json", "a.png", "a_densities.png", "poses.csv", "poses.json"]
    assert read_json("out/a.density.json")[0].density["nose"].grid.shape == (4, 4)


def test_a_sheet_of_densities_never_takes_the_place_of_a_picture(run, photos):
    Image.new("RGB", (30, 20)).save(photos / "a_densities.jpg")
    code, _, err = run("predict", "photos", *POINTS, "--density", "-o", "out/")
    assert code == 2 and "a_densities.png" in err
    assert run("predict", "photos", *POINTS, "-o", "out/")[0] == 0


def test_a_picture_without_objects_has_no_sheet_of_densities_and_is_no_error(run, photos):
    Path("boxes.json").write_text(json.dumps({"a.jpg": [], "b.png": [0, 0, 9, 9]}))
    options = [*POINTS, "--boxes", "boxes.json", "--density", "-o", "out/"]
    assert run("predict", "photos/a.jpg", "photos/b.png", *options)[0] == 0
    assert "b_densities.png" in files("out") and "a_densities.png" not in files("out")


def test_images_with_the_same_stem_do_not_overwrite_each_other(run, photos):
    (photos / "in").mkdir()
    for name in ("a.png", "a.jpg", "A.webp"):
        Image.new("RGB", (30, 20)).save(photos / "in" / name)
    code, _, _ = run("predict", "photos", "photos/in", *POINTS, "-o", "out/")
    assert code == 0 and len([name for name in files("out") if name.endswith(".png")]) == 6
    assert {"a.jpg.png", "a.png.png", "b.png"} <= set(files("out"))


def test_stems_stay_unique_however_they_collide(photos):
    stems = unique_stems([Path(p) for p in ("x/a.jpg", "y/a.jpg", "a.jpg-2.png", "a.jpg-2/b.png", "A.JPG", "c.png")])
    assert len({stem.casefold() for stem in stems}) == 6 and stems[-1] == "c"


def test_a_file_named_twice_is_predicted_once(run, photos):
    code, out, _ = run("predict", "photos/a.jpg", "photos/a.jpg", "photos/a*.jpg", *POINTS)
    assert code == 0 and out.count("photos/a.jpg") == 1


def test_boxes_from_a_file_and_from_four_numbers(run, photos):
    Path("boxes.json").write_text(json.dumps({"a.jpg": [[0, 0, 4, 4], [10, 0, 4, 4]]}))
    code, out, _ = run("predict", "photos/a.jpg", *POINTS, "--boxes", "boxes.json")
    assert code == 0 and "object 2" in out and "12.0" in out
    code, out, _ = run("predict", "photos/a.jpg", *POINTS, "--boxes", "0,0,8,8")
    assert code == 0 and out.splitlines()[2].split()[1:3] == ["4.0", "4.0"]


def test_a_category_file_a_noun_a_model_and_a_device_reach_the_model(run, photos, loaded):
    Path("paw.json").write_text(json.dumps({"name": "paw", "keypoints": ["claw", "pad"], "skeleton": [[0, 1]]}))
    arguments = ("--category", "paw.json", "--noun", "cat's paw", "--model", "mine", "--device", "cpu")
    code, out, _ = run("predict", "photos/a.jpg", *arguments)
    assert code == 0 and "claw" in out and loaded == [("mine", "cpu")]


# --- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_bad_image_is_named_and_the_rest_is_written(run, photos):
    (photos / "b.png").write_bytes(b"no picture")
    code, _, err = run("predict", "photos", *POINTS, "-o", "out/")
    assert code == 1 and "photos/b.png is not a readable" in err and "1 of 3 images failed" in err
    assert files("out") == ["a.png", "c.png", "poses.csv", "poses.json"]
    assert len(json.loads(Path("out/poses.json").read_text())["annotations"]) == 2


def test_a_missing_path_is_named_and_the_rest_is_answered(run, photos):
    code, out, err = run("predict", "photos/a.jpg", "photos/none.jpg", "photos/c.jpg", *POINTS)
    assert code == 1 and out.count("nose") == 2
    assert err.splitlines() == [
        "error: There is no file or folder 'photos/none.jpg'; check the path.", "error: 1 of 3 images failed.",
    ]  # fmt: skip
    code, out, err = run("predict", "photos/none.jpg", *POINTS)
    assert code == 2 and out == "" and err.count("\n") == 1


def test_subfolders_are_counted_or_taken(run, photos):
    (photos / "inner").mkdir()
    (photos / "a.jpg").rename(photos / "inner" / "a.jpg")
    (photos / "x.txt").write_text("x")
    code, out, err = run("predict", "photos", *POINTS)
    assert code == 0 and out.count("nose") == 2
    assert err == "photos: 2 files passed over: 1 in subfolders, 1 .txt; --recursive takes those in subfolders.\n"
    assert run("predict", "photos", *POINTS, "-r", "-q")[1].count("nose") == 3


def test_keypoints_between_commas_are_asked_one_by_one_and_that_is_said(run, photos):
    code, out, err = run("predict", "photos/a.jpg", "--keypoints", "nose, left eye")
    assert code == 0 and "  nose " in out and "  left eye " in out
    assert err.startswith("note: 'nose, left eye' was read as 2 keypoints") and err.count("\n") == 1


def test_names_are_printed_on_one_line_each_in_columns(run, photos):
    points = [{"name": "nose\nand \x1b[31mred"}, {"name": "左目"}, {"name": "{name}"}]
    Path("odd.json").write_text(json.dumps({"keypoints": points}))
    code, out, _ = run("predict", "photos/a.jpg", "--category", "odd.json")
    lines = out.splitlines()
    assert code == 0 and lines[2].startswith("  nose\\nand \\x1b[31mred  ") and lines[4].startswith("  {name}  ")
    assert lines[3].startswith("  左目" + " " * (len("nose\\nand \\x1b[31mred") - 4) + "  ")
    assert "左目" in run("categories", "odd.json")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--keypoints 'nose; left eye'"),
        (["--category", "marks.json"], "is for --example PICTURE:marks.json"),
        (["--keypoints", "a", "--category", "human_body"], "but got both"),
        (["--keypoints", "marks.json"], "marks.json is a file"),
        (["--keypoints", ";".join(f"p{i}" for i in range(300))], "1 to 256 keypoints"),
        (["--keypoints", "nose; nose"], "Two keypoints"),
        (["--keypoints", "nose\tleft eye"], "tab"),
        (["--keypoints", ": tip"], "must not be empty"),
    ],
)
def test_a_request_that_says_no_points_is_answered_with_how_to_say_them(run, photos, arguments, words):
    Path("marks.json").write_text('{"nose": [1, 2]}')
    code, _, err = run("predict", "photos/a.jpg", *arguments)
    assert code == 2 and words in err and err.count("\n") == 1


def test_boxes_may_be_cocos(run, photos):
    names = [{"id": i, "file_name": name} for i, name in enumerate(("a.jpg", "b.png", "c.jpg"))]
    boxes = [
        {"id": 1, "image_id": 0, "bbox": [2, 4, 6, 8]},
        {"id": 2, "image_id": 1, "bbox": [1, 1, 2, 2], "iscrowd": 1},
    ]
    Path("coco.json").write_text(json.dumps({"images": names, "annotations": boxes}))
    code, out, err = run("predict", "photos", *POINTS, "--boxes", "coco.json")
    assert code == 0 and "5.0       8.0" in out and out.count("no object") == 2
    assert err == "Left out of coco.json: crowd regions 1.\n"


def test_a_fault_of_the_model_is_named_with_its_image(run, photos):
    Image.new("RGB", (13, 20)).save(photos / "b.png")
    code, out, err = run("predict", "photos", *POINTS)
    assert code == 1 and "photos/b.png: The model cannot do this one." in err and "photos/c.jpg" in out


def test_verbose_prints_the_traceback_of_a_picture_that_failed(photos, capsys):
    Image.new("RGB", (15, 20)).save(photos / "b.png")
    for flags, count in ([], 0), (["-v"], 1), ([], 0):
        with pytest.raises(SystemExit):
            cli.main(["predict", "photos", *POINTS, *flags])
        err = capsys.readouterr().err
        assert err.count("Traceback") == count and "RuntimeError: out of luck" in err


def test_an_interruption_keeps_what_came_before_it(run, photos):
    Image.new("RGB", (14, 20)).save(photos / "c.jpg", quality=100)
    code, _, _ = run("predict", "photos", *POINTS, "-o", "out/")
    assert code == 130 and files("out") == ["a.png", "b.png", "poses.csv", "poses.json"]
    assert len(json.loads(Path("out/poses.json").read_text())["annotations"]) == 2


def test_tables_are_saved_on_the_way(run, photos, monkeypatch):
    monkeypatch.setattr(written, "SAVE_EVERY", -1.0)
    counts = []
    plain = written.TABLES[".csv"]
    monkeypatch.setitem(written.TABLES, ".csv", lambda poses, path: counts.append(len(poses)) or plain(poses, path))
    assert run("predict", "photos", *POINTS, "-o", "x.csv")[0] == 0
    assert counts == [1, 2, 3, 3]


def test_when_every_image_fails_an_old_table_stays(run, photos):
    (photos / "a.jpg").write_bytes(b"x")
    Path("x.csv").write_text("old")
    code, _, err = run("predict", "photos/a.jpg", *POINTS, "-o", "x.csv")
    assert code == 1 and "a.jpg" in err and Path("x.csv").read_text() == "old"


def test_a_table_that_cannot_be_written_is_a_failure_with_a_sentence(run, photos, monkeypatch):
    def full(poses, path, **_):
        raise InputError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setitem(written.TABLES, ".json", full)
    code, _, err = run("predict", "photos", *POINTS, "-o", "out/")
    assert code == 1 and err.count("No space left") == 1 and "poses.csv" in files("out")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["photos"], "Say what to find, as --keypoints"),
        (["photos", *POINTS, "--category", "x.json"], "both"),
        (["photos", "--category", "none.json"], "none.json"),
        (["photos", "--keypoints", " ; "], "keypoints"),
        (["none.jpg", *POINTS], "none.jpg"),
        (["http://x.org/a.jpg", *POINTS], "never fetched"),
        (["photos", *POINTS, "-o", "x.png"], "3 images"),
        (["photos", *POINTS, "-o", "x.txt"], "x.txt"),
        (["photos", *POINTS, "-o", "none/x.csv"], "no folder"),
        (["photos", *POINTS, "-o", "photos/a.jpg/out"], "folder"),
        (["photos", *POINTS, "-o", "photos"], "overwrite the input photos/b.png"),
        (["photos/b.png", *POINTS, "-o", "photos/b.png"], "overwrite"),
        (["photos", *POINTS, "--boxes", "boxes.json", "-o", "boxes.json"], "overwrite"),
        (["photos", *POINTS, "--boxes", "1,2,3"], "x,y,w,h"),
        (["photos", *POINTS, "--density"], "--density"),
        (["photos", *POINTS, "--density", "-o", "x.csv"], "--density"),
        (["photos", *POINTS, "--no-such-option"], "--no-such-option"),
        ([], "IMAGES"),
    ],
)
def test_a_request_that_cannot_start_is_one_sentence_and_loads_no_model(run, photos, loaded, arguments, words):
    Path("boxes.json").write_text(json.dumps({"a.jpg": [0, 0, 4, 4]}))
    before = {path: path.read_bytes() for path in photos.iterdir()}
    code, out, err = run("predict", *arguments)
    assert code == 2 and out == "" and words in err and loaded == []
    assert before == {path: path.read_bytes() for path in photos.iterdir()}
    if "Usage" not in err:
        assert len(err.splitlines()) == 1 and err.startswith("error: ")


def test_a_model_that_cannot_be_loaded_is_a_sentence(run, photos, monkeypatch):
    def load(name, device="auto"):
        raise InputError(f"There is no model {name!r}.")

    monkeypatch.setattr(anykeypoint, "load", load)
    code, _, err = run("predict", "photos", *POINTS, "--model", "nope")
    assert code == 2 and err == "error: There is no model 'nope'.\n"


def test_a_file_name_that_is_not_text_is_survived(run, photos):
    name = os.fsdecode(b"\xff.png")
    try:
        Image.new("RGB", (30, 20)).save(photos / name)
    except OSError:
        pytest.skip("this file system takes text names only")
    code, _, _ = run("predict", f"photos/{name}", *POINTS, "-o", "out/")
    assert code == 0 and name in files("out")
    assert json.loads(Path("out/poses.json").read_text())["images"][0]["file_name"] == name


# --- the terminal --------------------------------------------------------------------------------------------------


def test_several_images_on_a_terminal_get_a_bar_on_stderr_only(run, photos, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: self is sys.stderr)
    (photos / "b.png").write_bytes(b"x")
    code, out, err = run("predict", "photos", *POINTS, "-o", "out/")
    assert code == 1 and out == "" and "3/3" in err and "b.png is not a readable" in err


# --- categories ----------------------------------------------------------------------------------------------------


def test_categories_lists_names_with_their_counts(run, monkeypatch):
    table = {"cup": Category.from_text("rim; handle", noun="cup")}
    monkeypatch.setattr(lookup, "names_for_people", lambda: list(table))
    monkeypatch.setattr(lookup, "category", table.__getitem__)
    code, out, _ = run("categories")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "cup    2 points  cup" and [line[:7] for line in lines[1:]] == ["mp100/1"]


def test_categories_prints_the_points_of_one(run, tmp_path):
    path = tmp_path / "cup.json"
    path.write_text(json.dumps({"name": "cup", "keypoints": ["rim", {"name": "handle", "description": "its top"}]}))
    code, out, _ = run("categories", path)
    assert code == 0 and out.splitlines() == ["cup: 2 points of a cup", "   1  rim", "   2  handle  its top"]


def test_an_unknown_category_file_is_a_sentence(run):
    code, out, err = run("categories", "none.json")
    assert code == 2 and out == "" and "none.json" in err
