"""Fitting temperatures: the one whose confidences hold is found, a copy of the folder keeps it, and no point moves."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny_matchers import matcher

from anykeypoint import cli
from anykeypoint.category import Category
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.density.temperature import Temperature
from anykeypoint.errors import InputError
from anykeypoint.evaluation.temperatures import LADDER, fit_temperatures, with_temperatures
from anykeypoint.forms.dataset import Dataset, LabelledObject
from anykeypoint.models.loading import from_folder

CATEGORY = Category.from_text("; ".join(f"point {k}" for k in range(10)), name="thing")
RIGHT = 7  # number of points of an object that the model below finds, of ten


class SureModel:
    """Says 0.9 of every point, as of two places one is nine times as likely, and is right 7 times of 10."""

    prompts = ("text", "example")

    def __init__(self, own=1.0):
        self.config = SimpleNamespace(temperature=Temperature(text=own))

    def confidences_at(self, image, category, temperatures, box, **asked):
        x, y, w, h = box
        points = np.column_stack([np.linspace(x, x + w, 10), np.full(10, y + h / 2)])
        points[RIGHT:] += w  # far off
        odds = 9 ** (1 / np.array(temperatures))
        return points, np.repeat((odds / (1 + odds))[:, None], 10, axis=1)


@pytest.fixture
def dataset(tmp_path):
    Image.new("RGB", (120, 80)).save(tmp_path / "a.png")
    box = (10.0, 10.0, 60.0, 40.0)
    points = np.column_stack([np.linspace(10, 70, 10), np.full(10, 30.0)])
    item = [
        LabelledObject(number, tmp_path / "a.png", 1, CATEGORY, box, points, np.full(10, 2), None)
        for number in (1, 2, 3)
    ]
    return Dataset(item, {1: CATEGORY}, {})


def test_the_temperature_is_found_at_which_as_many_points_are_right_as_is_said(dataset):
    fitted = fit_temperatures(SureModel(), dataset, ["text"])
    (one,) = fitted
    assert one.before == pytest.approx(0.9 - RIGHT / 10)
    assert one.after < 0.01 and not one.at_an_end
    assert one.temperature == pytest.approx(np.log(9) / np.log(7 / 3), rel=0.03)
    assert (one.points, one.objects) == (30, 3)
    assert with_temperatures(Temperature(both=2), fitted) == Temperature(text=one.temperature, both=2)


def test_it_starts_from_the_models_own_temperature_and_fits_each_prompt(dataset):
    text, example = fit_temperatures(SureModel(own=2.6), dataset)
    assert (text.prompt, example.prompt) == ("text", "example")
    assert text.before < 0.01 < example.before
    assert text.temperature == pytest.approx(example.temperature, rel=0.03)


def test_an_end_of_the_ladder_is_said_to_be_one(dataset, monkeypatch):
    monkeypatch.setattr("anykeypoint.evaluation.temperatures.LADDER", LADDER[:10])
    (one,) = fit_temperatures(SureModel(own=0.3), dataset, ["text"])
    assert one.temperature == LADDER[9] and one.at_an_end


def test_what_cannot_be_fitted_is_refused(dataset):
    with pytest.raises(InputError, match="'both' is none that this model takes; choose of text, example"):
        fit_temperatures(SureModel(), dataset, ["both"])
    with pytest.raises(InputError, match="no distribution of places"):
        fit_temperatures(SimpleNamespace(prompts=("text",)), dataset)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_calibrate_writes_a_copy_of_the_model_with_its_temperatures(tmp_path, capsys):
    model = matcher("evidence", tmp_path)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("A card.")
    write_dataset(tmp_path / "data", 4, seed=4, per_category=2, size=64)
    labels = ["--data", f"coco:{tmp_path / 'data' / ANNOTATIONS}", "--images", tmp_path / "data" / IMAGES]
    out = tmp_path / "calibrated"
    code, printed, _ = run(capsys, "calibrate", tmp_path / "model", *labels, "-o", out)
    assert code == 0 and f"Written to {out}" in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith(("text", "example", "both"))]
    assert [row[0] for row in rows] == ["text", "example", "both"]
    assert all(float(row[3]) <= float(row[2]) for row in rows)
    for name in ("model.safetensors", "README.md"):
        assert (out / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "model", out))
    assert after["temperature"] == {row[0]: pytest.approx(float(row[1]), abs=1e-3) for row in rows}
    assert {**after, "temperature": 0} == {**before, "temperature": 0}

    picture = next((tmp_path / "data" / IMAGES).iterdir())
    plain, calibrated = (
        from_folder(folder).predict(picture, ["nose", "left ear"]) for folder in (tmp_path / "model", out)
    )
    np.testing.assert_array_equal(plain.xy, calibrated.xy)
    assert not np.allclose(plain.confidence, calibrated.confidence)

    code, _, err = run(capsys, "calibrate", tmp_path / "model", *labels, "-o", out)
    assert code == 2 and "is there already" in err

    half = tmp_path / "half"
    code, _, _ = run(
        capsys, "calibrate", tmp_path / "model", *labels, "--prompt", "text", "--dtype", "bfloat16", "-o", half
    )
    assert code == 0 and (half / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    code, _, err = run(capsys, "calibrate", tmp_path / "model", *labels, "--dtype", "half", "-o", tmp_path / "none")
    assert code == 2 and "half" in err


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_read(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["calibrate", "fast", "--data", f"coco:{tmp_path / 'none.json'}", "-o", str(tmp_path / "no" / "copy")])
    assert ended.value.code == 2 and f"there is no folder {tmp_path / 'no'}; make it first" in capsys.readouterr().err
