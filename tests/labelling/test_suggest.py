"""Which pictures are worth labelling first, and what pictures look like."""

import importlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_matchers
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.labelling import looks
from anykeypoint.labelling.looks import LooksEncoder, looks_of
from anykeypoint.labelling.suggest import NEAR, most_unsure, spread


def unit(*angles: float) -> np.ndarray:
    return np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=-1)


def test_the_most_typical_picture_comes_first_then_the_furthest_ones():
    assert spread(unit(0, 40, 50, 60, 130), 3) == [2, 4, 0]


def test_a_picture_that_is_nearly_another_is_not_chosen_beside_it():
    vectors = unit(0, 1, 90, 91, 89.5)
    assert 2 - 2 * vectors[0] @ vectors[1] < NEAR
    assert len(spread(vectors, 5)) == 2


def test_what_is_labelled_already_is_not_chosen_nor_what_looks_like_it():
    assert spread(unit(0, 1, 60, 120), 4, known=[0]) == [3, 2]
    assert spread(unit(0, 1), 4, known=[0]) == [] and spread(np.zeros((0, 2)), 3) == []


def test_each_choice_is_the_furthest_from_those_before():
    vectors = np.random.default_rng(0).normal(size=(200, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = spread(vectors, 12)
    for place in range(1, 12):
        away = np.linalg.norm(vectors[:, None] - vectors[chosen[:place]], axis=-1).min(axis=1)
        assert away[chosen[place]] == pytest.approx(away.max(), abs=1e-5)


def test_of_pictures_that_are_spread_out_the_most_unsure_are_taken():
    assert most_unsure([7, 3, 9, 4], [0.1, 0.5, 0.5, 0.9], 3) == [4, 3, 9]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(looks, "SIDE", tiny_matchers.SIDE)
        yield LooksEncoder(tiny_matchers.matcher("evidence", tmp_path_factory.mktemp("model")))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    for seed in range(5):
        Image.fromarray(tiny_matchers.picture(seed)).save(tmp_path / "pictures" / f"{seed}.png")
    return tmp_path / "pictures"


class Counting:
    """An encoder that counts what it encodes. about: as another encoder's where it is given."""

    def __init__(self, encoder: LooksEncoder, about: dict | None = None) -> None:
        self.encoder, self.count = encoder, 0
        self.about = about or encoder.about
        self.pixels = encoder.pixels

    def vectors(self, pixels):
        self.count += len(pixels)
        return self.encoder.vectors(pixels)


def test_vectors_are_computed_once_and_are_the_same_from_the_folder(encoder, folder, tmp_path):
    paths, counting = sorted(folder.iterdir()), Counting(encoder)
    first = looks_of(paths, counting, tmp_path / "kept")
    again = looks_of(paths, counting, tmp_path / "kept")
    assert counting.count == 5 and np.array_equal(first.vectors, again.vectors)
    assert looks_of(paths, counting).vectors == pytest.approx(first.vectors, abs=2e-3)  # kept in half precision
    Image.fromarray(tiny_matchers.picture(9)).save(folder / "9.png")
    assert len(looks_of(sorted(folder.iterdir()), counting, tmp_path / "kept").paths) == 6
    assert counting.count == 5 + 5 + 1


def test_a_file_is_known_by_its_content_when_it_was_moved_and_anew_when_it_changed(encoder, folder, tmp_path):
    paths, counting = sorted(folder.iterdir()), Counting(encoder)
    first = looks_of(paths, counting, tmp_path / "kept")
    shutil.move(paths[0], folder / "moved.png")
    paths[0] = folder / "moved.png"
    assert np.array_equal(looks_of(paths, counting, tmp_path / "kept").vectors, first.vectors)
    assert counting.count == 5
    Image.fromarray(tiny_matchers.picture(8)).save(paths[1])
    changed = looks_of(paths, counting, tmp_path / "kept")
    assert counting.count == 6 and not np.allclose(changed.vectors[1], first.vectors[1], atol=1e-3)


def test_a_picture_that_cannot_be_read_costs_no_other(encoder, folder, tmp_path):
    (folder / "bad.png").write_text("no picture")
    counted = []
    found = looks_of(sorted(folder.iterdir()), encoder, tmp_path / "kept", lambda: counted.append(1))
    assert len(found.paths) == 5 and list(found.faults) == [folder / "bad.png"] and len(counted) == 6
    assert "bad.png" in found.faults[folder / "bad.png"]


def test_a_program_that_was_stopped_loses_nothing_that_was_kept(encoder, folder, tmp_path):
    paths, kept = sorted(folder.iterdir()), tmp_path / "kept"
    whole = looks_of(paths, encoder, kept)
    lines = (kept / "pictures.jsonl").read_text().splitlines(keepends=True)
    (kept / "pictures.jsonl").write_text("".join(lines[:3]) + lines[3][:20])  # cut in the middle of a line
    with (kept / "pictures.jsonl").open("a") as out:
        out.write('\n{"path": "odd"}\n[1]\n' + lines[3].replace('"path": ', '"path": [1], "of": ') + lines[3][:20])
    os.truncate(kept / "vectors.bin", 2 * whole.vectors.shape[1] * 4 + 7)
    for _ in range(2):
        counting = Counting(encoder)
        assert np.array_equal(looks_of(paths, counting, kept).vectors, whole.vectors)
    assert counting.count == 0


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(encoder, folder, tmp_path):
    paths, kept = sorted(folder.iterdir()), tmp_path / "kept"
    with pytest.raises(InputError, match="not empty"):
        looks_of(paths, encoder, folder)
    looks_of(paths, encoder, kept)
    with pytest.raises(InputError, match="another image encoder"):
        looks_of(paths, Counting(encoder, {**encoder.about, "encoder": "0"}), kept)
    about = json.loads((kept / "about.json").read_text())
    (kept / "about.json").write_text(json.dumps({**about, "schema_version": 99}))
    with pytest.raises(InputError, match="99"):
        looks_of(paths, encoder, kept)
    for content in ('{"schema', "[1]"):
        (kept / "about.json").write_text(content)
        with pytest.raises(InputError, match="is damaged; remove"):
            looks_of(paths, encoder, kept)


def test_the_benchmark_chooses_pair_by_pair_what_is_chosen_at_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    benchmark = importlib.import_module("suggest")
    figures = benchmark.measured(tmp_path, 12, 4, 6)
    assert len(figures) == 4 and all(value > 0 for value in figures.values())
    vectors = benchmark.Drawn().vectors([None] * 30)
    assert benchmark.by_pairs(vectors, 5) == spread(vectors, 5)
