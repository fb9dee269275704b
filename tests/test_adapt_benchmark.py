"""benchmarks/adapt.py on made-up data and a tiny matcher: what it splits, measures and prints."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_matchers

import anykeypoint as ak
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.training.adapting.adapt_config import AdaptConfig

SMALL = AdaptConfig(versions=2, folds=2, steps=2, batch=2, check_every=2, width=16, blocks=1, examples=2)


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
        loaded = importlib.import_module("adapt")
        yield loaded
        sys.modules.pop("adapt")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    write_dataset(folder / "data", 14, seed=4, per_category=14, size=64)
    return folder


def test_pictures_for_adapting_and_for_testing_share_no_group(bench, work):
    objects = read_coco(work / "data" / ANNOTATIONS, work / "data" / IMAGES).objects
    objects = [replace(item, group=str(number // 3)) for number, item in enumerate(objects)]
    few, others = bench.split(objects, 7, seed=1)
    assert len(few) == 7 and len(few) + len(others) <= 14 and len(others) >= 5
    assert not {item.group for item in few} & {item.group for item in others}


def test_all_methods_are_measured_on_the_same_objects(bench, work, monkeypatch, capsys):
    monkeypatch.setattr(ak, "load", lambda name, device: tiny_matchers.matcher("evidence", work))
    monkeypatch.setattr(bench, "AdaptConfig", lambda seed: replace(SMALL, seed=seed))
    monkeypatch.setattr(bench, "STEPS", 4)
    monkeypatch.setattr(bench, "group_numbers", lambda objects: np.arange(len(objects)))  # all of one kind otherwise
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    spec = f"coco:{work / 'data' / ANNOTATIONS}"
    given = [spec, "--images", str(work / "data" / IMAGES), "--pictures", "8", "--least", "10"]
    monkeypatch.setattr(sys, "argv", ["adapt.py", *given, "-o", str(work / "figures.json")])
    bench.main()
    said = capsys.readouterr().out
    assert "8 pictures, 6 tested" in said and "adapted - matcher at 0.05: mean" in said
    (one,) = json.loads((work / "figures.json").read_text())["results"]["8"]
    assert set(one["pck"]) == set(bench.METHODS) and all(len(values) == 4 for values in one["pck"].values())
