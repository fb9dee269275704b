"""The schema version in the files of an evaluation: older folders are read, newer ones are refused in one sentence."""

import json
import re
import shutil

import pytest
from test_density_comparison import Blurred
from test_run import Oracle

from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import density_comparison, run
from anykeypoint.evaluation.compare import compare
from anykeypoint.evaluation.run_folder import SCHEMA_VERSION
from anykeypoint.forms.coco import read_coco

NEWER = SCHEMA_VERSION + 1
SENTENCE = rf"has the schema version {NEWER}, but .* reads versions up to {SCHEMA_VERSION}; update anykeypoint[^.]*\.$"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 6, seed=1, size=64)
    return read_coco(folder / ANNOTATIONS, folder / IMAGES)


@pytest.fixture(scope="module")
def written(dataset, tmp_path_factory):
    """A folder as it is written today."""
    folder = tmp_path_factory.mktemp("report")
    run.evaluate(Oracle(dataset, 0.12), dataset, folder)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "report")


def rewrite(path, change):
    """Change every JSON object of a file, a document or one object a line."""
    text = path.read_text()
    entries = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
    for entry in entries:
        change(entry)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def as_version_0_1_0(folder):
    """Take away what version 0.1.0 did not write."""
    for name in (run.RESULTS, run.SETTINGS, run.PREDICTIONS):
        rewrite(folder / name, lambda entry: entry.pop("schema_version"))


def as_newer(path):
    rewrite(path, lambda entry: entry.update(schema_version=NEWER))


def test_every_file_and_every_line_says_its_schema(folder):
    for name in (run.RESULTS, run.SETTINGS):
        assert json.loads((folder / name).read_text())["schema_version"] == SCHEMA_VERSION
    lines = [json.loads(line) for line in (folder / run.PREDICTIONS).read_text().splitlines()]
    assert [line["schema_version"] for line in lines] == [SCHEMA_VERSION] * 6


def test_a_folder_without_a_schema_is_compared_as_before(folder, written):
    as_version_0_1_0(folder)
    found, same = compare(folder, written, rounds=20), compare(written, written, rounds=20)
    assert found["metrics"] == same["metrics"] and found["metrics"]["pck@0.2"]["a"] == 100


def test_a_folder_without_a_schema_is_resumed(dataset, folder, written):
    as_version_0_1_0(folder)
    predictions = folder / run.PREDICTIONS
    old = predictions.read_text().splitlines(keepends=True)
    predictions.write_text("".join(old[:4]))
    model = Oracle(dataset, 0.12)
    results = run.evaluate(model, dataset, folder)
    assert len(model.asked) == 2
    assert json.loads(json.dumps(results)) == json.loads((written / run.RESULTS).read_text())
    lines = [json.loads(line) for line in predictions.read_text().splitlines()]
    assert [line.get("schema_version") for line in lines] == [None] * 4 + [SCHEMA_VERSION] * 2


def test_a_newer_report_is_not_compared(folder, written):
    as_newer(folder / run.RESULTS)
    with pytest.raises(InputError, match=re.escape(str(folder / run.RESULTS)) + " " + SENTENCE):
        compare(written, folder)


@pytest.mark.parametrize("name", [run.SETTINGS, run.PREDICTIONS])
def test_a_newer_folder_is_not_resumed_and_stays_as_it_is(dataset, folder, name):
    as_newer(folder / name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = Oracle(dataset, 0.12)
    with pytest.raises(InputError, match=SENTENCE):
        run.evaluate(model, dataset, folder)
    assert model.asked == [] and {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("version", ["1", None, True, 1.5, -1])
def test_a_schema_that_is_no_version_is_refused(dataset, folder, version):
    rewrite(folder / run.RESULTS, lambda entry: entry.update(schema_version=version))
    with pytest.raises(InputError, match=f"has the schema version {re.escape(repr(version))}, but"):
        compare(folder, folder)


def test_densities_say_their_schema_too_and_newer_ones_are_refused(dataset, tmp_path):
    results = density_comparison.compare_densities(Blurred(dataset), dataset, tmp_path)
    assert results["schema_version"] == SCHEMA_VERSION
    lines = tmp_path / density_comparison.LINES
    assert all(json.loads(line)["schema_version"] == SCHEMA_VERSION for line in lines.read_text().splitlines())
    rewrite(lines, lambda entry: entry.pop("schema_version"))
    again = Blurred(dataset)
    figures = density_comparison.compare_densities(again, dataset, tmp_path)
    assert figures == results and again.asked == results["categories"]  # predicted again for the examples alone
    as_newer(lines)
    with pytest.raises(InputError, match=SENTENCE):
        density_comparison.compare_densities(Blurred(dataset), dataset, tmp_path)
