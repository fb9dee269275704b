"""What version 0.1.0 wrote is read by every later version, and its saved models answer as they did then.

The files and how they were made are described in fixtures/v0_1_0/README.md. Only public names are used here.
"""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import anykeypoint as ak
from anykeypoint.cli import main

HERE = Path(__file__).parent / "fixtures" / "v0_1_0"
ANSWERS = json.loads((HERE / "answers.json").read_text(encoding="utf-8"))
BOX = tuple(ANSWERS["box"])
PIXELS = 1e-4  # how far a point may lie from where version 0.1.0 had it
SHARE = 1e-4  # how much a probability may differ
LABELS = ["--data", "coco:labels/annotations.json", "--images", "labels/images", "--no-baselines", "--device", "cpu"]
REPORTS = {  # name of the folder -> how it was measured
    "words": ["models/flf", *LABELS],
    "both": ["models/flf", *LABELS, "--protocol", "both"],
    "capellm": ["models/capellm", *LABELS],
    "identify": ["models/kptllm", *LABELS, "--protocol", "identify"],
}


@pytest.fixture(autouse=True)
def in_the_folder(monkeypatch):
    """Saved models name their base weights, and reports their model, relative to the folder of the fixtures."""
    monkeypatch.chdir(HERE)


@pytest.fixture(scope="module")
def category():
    return ak.category(HERE / ANSWERS["category"])


@pytest.fixture(scope="module")
def examples(category):
    return [
        ak.Example(str(HERE / one["image"]), array(one["points"]), tuple(one["box"]), category)
        for one in ANSWERS["examples"]
    ]


def run(*arguments):
    """One command line, which must succeed."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert not ended.value.code, arguments


def options(recorded, examples):
    """What predict was called with for a recorded answer, the number of examples replaced by these."""
    given = dict(recorded["options"])
    count = given.pop("examples", 0)
    return given | ({"example": examples[:count]} if count else {})


def array(rows):
    """Rows of numbers or null -> float64, NaN for null (a row of two NaN for a null among points)."""
    pairs = any(isinstance(row, list) for row in rows)
    return np.array([[None, None] if pairs and row is None else row for row in rows], dtype=np.float64)


def same(value, recorded, tolerance):
    """Are the numbers equal within the tolerance, and missing in the same places?"""
    return np.allclose(array(value), array(recorded), rtol=0, atol=tolerance, equal_nan=True)


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


# --- saved models ----------------------------------------------------------------------------------------------------


def test_every_saved_model_has_recorded_answers():
    assert {path.name for path in (HERE / "models").iterdir()} == set(ANSWERS["models"])


@pytest.mark.parametrize("name", ANSWERS["models"])
def test_a_saved_model_answers_as_it_did(name, category, examples):
    model = ak.load(f"models/{name}", device="cpu")
    for recorded in ANSWERS["models"][name]["poses"]:
        pose = model.predict(ANSWERS["image"], category, box=BOX, **options(recorded, examples))
        case = (name, recorded["options"])
        assert list(pose.names) == category.names and pose.category == category.name, case
        assert same(pose.xy, recorded["xy"], PIXELS), (*case, pose.xy - array(recorded["xy"]))
        assert pose.present.tolist() == np.isfinite(array(recorded["xy"])).all(axis=1).tolist(), case
        assert same(pose.confidence, recorded["confidence"], SHARE), case
        assert set(pose.density or {}) == set(recorded.get("density", {})), case
        for key, grid in recorded.get("density", {}).items():
            assert same(pose.density[key].grid, grid, SHARE), (*case, key)
        names = None if pose.identified is None else list(pose.identified)
        assert names == recorded.get("identified"), case


@pytest.mark.parametrize("name", [name for name, known in ANSWERS["models"].items() if "identified" in known])
def test_a_saved_model_names_points_as_it_did(name, category):
    model, recorded = ak.load(f"models/{name}", device="cpu"), ANSWERS["models"][name]
    places = np.array(ANSWERS["places"])
    free = model.identify(ANSWERS["image"], places, box=BOX)
    assert [one.name for one in free] == [word for word, _ in recorded["identified"]]
    assert same([one.confidence for one in free], [share for _, share in recorded["identified"]], SHARE)
    chosen = model.identify(ANSWERS["image"], places, box=BOX, category=category)
    for one, (word, shares) in zip(chosen, recorded["chosen"], strict=True):
        assert one.name == word and list(one.probabilities) == list(shares)
        assert same(list(one.probabilities.values()), list(shares.values()), SHARE)


def test_a_saved_model_that_is_saved_again_answers_the_same(tmp_path, category, examples):
    for name in ("capellm", "kptllm", "flf", "evidence", "finetune"):
        model = ak.load(f"models/{name}", device="cpu")
        model.save_pretrained(tmp_path / name)
        asked = options(ANSWERS["models"][name]["poses"][-1], examples)
        again = ak.load(str(tmp_path / name), device="cpu")
        poses = [one.predict(ANSWERS["image"], category, box=BOX, **asked) for one in (model, again)]
        assert np.array_equal(poses[0].xy, poses[1].xy, equal_nan=True), name


# --- files of examples and poses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ANSWERS["example_files"])
def test_a_file_of_an_example_is_read_as_it_was(file, tmp_path):
    """Without --category the points' names and the skeleton come from the file too."""
    asked = ["--model", "models/flf", "--boxes", ",".join(map(str, BOX)), "--device", "cpu", "--example", file]
    run("predict", ANSWERS["image"], *asked, "-o", tmp_path / "poses.json")
    written, recorded = read(tmp_path / "poses.json"), ANSWERS["example_files"][file]
    (kind,), (entry,) = written["categories"], written["annotations"]
    assert (kind["name"], kind["keypoints"]) == (recorded["category"], recorded["names"])
    assert kind["skeleton"] == recorded["skeleton"]
    assert same(np.reshape(entry["keypoints"], (-1, 3))[:, :2], recorded["xy"], PIXELS)
    assert same(entry["keypoint_confidence"], recorded["confidence"], SHARE)


def test_each_file_of_an_example_leads_to_another_answer():
    """Else a file whose points or box were not read would go unnoticed."""
    points = [array(one["xy"]) for one in ANSWERS["example_files"].values()]
    for i, one in enumerate(points):
        assert all(np.abs(one - other).max() > 100 * PIXELS for other in points[:i])


def test_predict_writes_what_it_wrote(tmp_path):
    """Documents may gain keys; those of version 0.1.0 keep their places and values."""
    asked = ["--model", "models/flf", "--category", "fish.json", "--boxes", "8,4,70,60", "--device", "cpu"]
    run("predict", "query.png", *asked, "--density", "--grid", 6, "-o", f"{tmp_path}/")
    old, new = read("poses/poses.json"), read(tmp_path / "poses.json")
    contains(new, old)
    contains(read(tmp_path / "query.density.json"), read("poses/query.density.json"))
    tables = []
    for path in (Path("poses/poses.csv"), tmp_path / "poses.csv"):
        with path.open(encoding="utf-8", newline="") as lines:
            tables.append(list(csv.DictReader(lines)))
    for before, after in zip(*tables, strict=True):
        for column, text in before.items():
            if column in ("x", "y", "confidence"):
                assert float(after[column]) == pytest.approx(float(text), abs=PIXELS)
            else:
                assert after[column] == text


def test_poses_with_densities_are_read():
    (data,) = read("poses/query.density.json")
    pose = ak.Pose.from_dict(data)
    assert list(pose.names) == data["names"] and same(pose.xy, data["xy"], 0) and pose.box == tuple(data["box"])
    for key, recorded in data["density"].items():
        assert same(pose.density[key].grid, recorded["grid"], 0)
    contains(json.loads(json.dumps(pose.to_dict())), data)


def test_identify_writes_what_it_wrote(tmp_path):
    recorded = read("poses/identified.json")
    points = [part for one in recorded["points"] for part in ("--at", ",".join(map(str, one["point"])))]
    asked = ["--category", "fish.json", "--box", "8,4,70,60", "--model", "models/kptllm", "--device", "cpu"]
    run("identify", "query.png", *points, *asked, "--json", tmp_path / "identified.json")
    contains(read(tmp_path / "identified.json"), recorded)


# --- folders of evaluate ---------------------------------------------------------------------------------------------


def test_reports_are_compared(tmp_path, capsys):
    """The means are those of the recorded results: the words report has no examples, so rows are matched by object."""
    run("evaluate", "--compare", "reports/words", "reports/capellm", "-o", tmp_path / "page.html")
    rows = compared(capsys.readouterr().out)
    means = [read(f"reports/{name}/results.json")["category_mean"] for name in ("words", "capellm")]
    for figure, digits in {"pck@0.05": 1, "pck@0.1": 1, "pck@0.2": 1, "mpck": 1, "auc": 1, "nme": 3}.items():
        first, second = (mean[figure] for mean in means)
        assert rows[figure][:2] == [round(first, digits), round(second, digits)]
        assert rows[figure][2] == pytest.approx(second - first, abs=0.51 * 10**-digits)
    assert "models/capellm" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
def test_an_evaluation_gives_the_figures_that_it_gave(name, tmp_path, capsys):
    run("evaluate", *REPORTS[name], "-o", tmp_path / "report")
    contains(measured(tmp_path / "report"), measured(f"reports/{name}"))
    if name == "identify":
        return  # names have no places to compare
    capsys.readouterr()
    run("evaluate", "--compare", f"reports/{name}", tmp_path / "report")
    rows = compared(capsys.readouterr().out)
    assert len(rows) == 6 and all(figures[2:5] == [0, 0, 0] for figures in rows.values())


@pytest.mark.parametrize("name", REPORTS)
def test_a_stopped_evaluation_goes_on_from_what_is_there(name, tmp_path):
    """An answer that is there is kept, even one that the model would not give; a half last line is predicted again."""
    folder = shutil.copytree(f"reports/{name}", tmp_path / "report")
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line) for line in lines[:3]]
    kept[1]["confidences"] = [0.5 for _ in kept[1]["confidences"]]
    begun = "".join(json.dumps(entry) + "\n" for entry in kept) + lines[3][:25]
    (folder / "predictions.jsonl").write_text(begun, encoding="utf-8")
    for file in folder.iterdir():
        if file.name not in ("predictions.jsonl", "settings.json"):
            file.unlink()
    run("evaluate", *REPORTS[name], "-o", folder)
    found = answered(folder)
    assert all(found[entry["id"]] == entry for entry in kept)
    assert list(found) == [json.loads(line)["id"] for line in lines]
    means = "object_mean", "category_mean", "per_category", "semantics"  # of places and names, which stayed
    before, after = measured(f"reports/{name}"), measured(folder)
    contains({key: after[key] for key in means}, {key: before[key] for key in means})


def test_a_finished_evaluation_is_not_run_again(tmp_path):
    folder = shutil.copytree("reports/words", tmp_path / "report")
    run("evaluate", *REPORTS["words"], "-o", folder)
    assert answered(folder) == answered(Path("reports/words"))
    contains(measured(folder), measured("reports/words"))


def measured(folder):
    """A report's results without what depends on the machine and on how the command was typed."""
    return {key: value for key, value in read(f"{folder}/results.json").items() if key not in ("command", "versions")}


def answered(folder):
    """The keys of version 0.1.0 in the lines of predictions.jsonl, by the object's id."""
    keys = "id", "examples", "category", "points", "names", "confidences"
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [entry for entry in map(json.loads, lines) if "id" in entry]
    return {entry["id"]: {key: entry[key] for key in keys if key in entry} for entry in entries}


def compared(text):
    """Figure -> the numbers A, B, B - A, low, high of its row in the printed comparison."""
    rows = [line.split() for line in text.splitlines()]
    number = re.compile(r"[+-]?\d+\.\d+")
    found = {row[0].lower(): [float(part) for part in row[1:] if number.fullmatch(part)] for row in rows if row}
    return {key: figures for key, figures in found.items() if len(figures) >= 5}


def contains(new, old, place=""):
    """All that the old document has is in the new one: mappings may gain keys, numbers differ within PIXELS."""
    if isinstance(old, dict):
        assert isinstance(new, dict) and set(old) <= set(new), place
        for key, value in old.items():
            contains(new[key], value, f"{place}/{key}")
    elif isinstance(old, list):
        assert isinstance(new, list) and len(new) == len(old), place
        for i, value in enumerate(old):
            contains(new[i], value, f"{place}/{i}")
    elif isinstance(old, float):
        assert new == pytest.approx(old, abs=PIXELS, rel=0), place
    else:
        assert new == old, place
