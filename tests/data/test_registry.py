"""The list of known data sets: complete, in words, and with readers that exist."""

import re

import pytest

from anykeypoint.data.registry import UNKNOWN_FORM, known_dataset, known_datasets, published_figures
from anykeypoint.errors import InputError
from anykeypoint.evaluation.metrics import KEYS
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.forms.megakpt import known_tests
from anykeypoint.forms.registry import FORMS

ALL = {
    *("mp100", "coco", "humanart", "ap10k", "apt36k", "macaque", "animalweb", "animalkingdom", "carfusion"),
    *("animalpose", "deepfashion2", "aflw", "300w", "onehand10k", "keypoint5", "cub200", "fly", "locust", "field"),
}
LATER = {"spair71k", "spair-u", "soco", "llamapointinpart", "megakpt"}  # benchmarks that came after the papers


def test_the_data_sets_of_the_papers_are_there_with_every_fact_said():
    assert set(known_datasets()) == ALL | LATER
    for entry in known_datasets().values():
        facts = (entry.what, entry.categories, entry.keypoints, entry.size, entry.licence, entry.where)
        assert all(isinstance(fact, str) and fact.strip() for fact in facts)
        assert entry.reader in FORMS or (entry.name == "llamapointinpart" and entry.reader == UNKNOWN_FORM)
        assert entry.papers or entry.name in {"field", *LATER}
        assert not re.search(r"https?:|www\.|\.(com|org|net)\b", " ".join((*facts, *entry.faults)))


def test_the_known_faults_of_mp100_are_named():
    told = " ".join(known_dataset("mp100").faults)
    assert all(word in told for word in ("face", "amur_tiger_body", "CarFusion", "human_hand", ".h5", "DeepFashion2"))


def test_another_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'mpii'.*mp100, coco"):
        known_dataset("mpii")


# --- published figures ---------------------------------------------------------------------------------------------


def test_published_figures_are_of_known_data_protocols_and_metrics_and_say_their_source():
    rows = published_figures()
    assert {row.data for row in rows} == {"mp100", *LATER}
    for row in rows:
        assert row.source and row.method and row.metric in KEYS
        assert not row.protocol or EvaluationProtocol.parse(row.protocol)
        assert row.mean in ("", "object_mean", "category_mean", "point_mean")
        assert all(0 < figure <= 100 for figure in row.figures.values())
    assert {"ProtoPose", "CapeNext", "MARCO", "GKDT-L"} <= {row.method for row in rows}
    assert ("ProtoPose", "mpck") not in {(row.method, row.metric) for row in rows}  # of four thresholds, ours of five


def test_published_means_are_those_of_their_splits():
    means = [row for row in published_figures() if "mean" in row.figures]
    assert len(means) == 3
    for row in means:
        splits = [figure for part, figure in row.figures.items() if part != "mean"]
        assert row.figures["mean"] == pytest.approx(sum(splits) / 5, abs=0.006)


def test_the_figures_of_megakpt_are_of_its_tests():
    for row in published_figures():
        if row.data == "megakpt":
            assert list(row.figures) == list(known_tests())
