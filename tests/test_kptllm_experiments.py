"""The rows of KptLLM++'s tables that measure one model on other data: held-out groups, and the joint training."""

from importlib import resources

import pytest
import yaml

from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.metrics import KEYS
from anykeypoint.evaluation.oks import STATISTICS, sigmas
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.forms.joint import members
from anykeypoint.forms.mp100 import FOLDERS, HELD_OUT
from anykeypoint.forms.registry import parse

FOLDER = resources.files("anykeypoint") / "experiments"
ROWS = yaml.safe_load((FOLDER / "kptllm_data_tables.yaml").read_text(encoding="utf-8"))
POINTS = {"coco": 17, "ap10k": 17, "human_art": 17, "macaquepose": 17, "carfusion": 14}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']} {row['row']}")
def test_a_row_is_a_model_its_data_and_an_evaluation_that_gives_the_printed_figures(row):
    assert set(row) == {"table", "row", "model", "train", "data", "ask", "paper"}
    config = EvaluationConfig(**row["ask"])
    EvaluationProtocol.parse(config.protocol)
    assert (FOLDER / f"{row['model']}.yaml").is_file() and parse(row["train"])[0] and parse(row["data"])[0]
    assert row["paper"] and set(row["paper"]) <= {*KEYS, *STATISTICS}
    assert (config.oks is not None) == bool(set(row["paper"]) & set(STATISTICS))
    if config.oks is not None:
        assert len(sigmas(config.oks)) == POINTS[config.oks]


def test_each_published_held_out_group_is_a_row_trained_on_all_others():
    rows = {row["row"].lower().replace(" ", "_"): row for row in ROWS if row["table"] == 3}
    assert {*rows} == {*HELD_OUT}
    for group, row in rows.items():
        assert [row[key] for key in ("train", "data")] == [
            f"mp100:{FOLDERS[1]}/{group}_{role}.json" for role in ("train", "test")
        ]


def test_the_generic_tables_are_measured_on_what_the_joint_file_names_as_tests():
    path = FOLDER / "kptllm_pp_joint.yaml"
    tests = {member.test.replace(f"{path.parent}/", "") for member in members(path) if member.test}
    measured = {row["data"] for row in ROWS if row["train"] == f"joint:{path.name}"}
    assert measured - tests == {"animalpose:animalpose/keypoints.json"}  # Table 9: in no training data at all
    assert not tests - measured


def test_no_paper_gives_carfusions_sigmas_so_all_points_count_alike():
    assert sigmas("carfusion").tolist() == [0.05] * 14
