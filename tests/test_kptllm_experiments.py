"""The rows of KptLLM++ that measure one model on other data: held-out groups, families, the joint training."""

from importlib import resources

import pytest

from anykeypoint.evaluation.metrics import KEYS
from anykeypoint.evaluation.oks import STATISTICS, sigmas
from anykeypoint.forms.joint import members
from anykeypoint.forms.mp100 import FOLDERS, HELD_OUT
from anykeypoint.forms.registry import parse
from anykeypoint.reproduction.configured import asked
from anykeypoint.reproduction.tables import read_tables

FOLDER = resources.files("anykeypoint") / "experiments"
PAPER = read_tables(FOLDER / "tables" / "kptllm.yaml")
TABLES = [f"table-{number}" for number in (3, *range(4, 13))]
ROWS = [(PAPER.tables[table], row) for table in TABLES for row in PAPER.tables[table].rows if row.settings]
POINTS = {"coco": 17, "ap10k": 17, "human_art": 17, "macaquepose": 17, "carfusion": 14}


@pytest.mark.parametrize(("table", "row"), ROWS, ids=lambda one: one.name)
def test_a_row_is_a_model_its_data_and_an_evaluation_that_gives_the_printed_figures(table, row):
    assert row.paper and set(row.paper) <= set(table.columns) and set(table.metrics) <= {*KEYS, *STATISTICS}
    for setting in row.settings["paper"]:
        config = asked(setting, row.name)
        assert parse(setting.train)[0] and parse(setting.test)[0]
        assert (config.oks is not None) == bool(set(row.paper) & set(STATISTICS))
        if config.oks is not None:
            assert len(sigmas(config.oks)) == POINTS[config.oks]
    assert list(row.settings) == ["paper"] and row.why  # none of these data are at hand at field scale


def test_each_published_held_out_group_is_a_row_trained_on_all_others():
    (row,) = [row for row in PAPER.tables["table-3"].rows if row.settings]
    settings = {setting.split: setting for setting in row.settings["paper"]}
    assert {*settings} == {*HELD_OUT}
    for group, setting in settings.items():
        assert [setting.train, setting.test] == [
            f"mp100:{FOLDERS[1]}/{group}_{role}.json" for role in ("train", "test")
        ]


def test_families_are_trained_on_one_and_asked_about_another():
    settings = [row.settings["paper"][0] for row in PAPER.tables["table-4"].rows if row.settings]
    words = [(parse(setting.train)[:2], parse(setting.test)[:2]) for setting in settings]
    assert words == [(("ap10k", a), ("ap10k", b)) for a, b in (("Bovidae", "Canidae"), ("Canidae", "Felidae"))]
    assert all(("train-split1" in setting.train, "val-split1" in setting.test) == (True, True) for setting in settings)


def test_the_generic_tables_are_measured_on_what_the_joint_file_names_as_tests():
    path = FOLDER / "kptllm_pp_joint.yaml"
    tests = {member.test.replace(f"{path.parent}/", "") for member in members(path) if member.test}
    joint = [row.settings["paper"][0] for _, row in ROWS if row.settings["paper"][0].train == f"joint:{path.name}"]
    measured = {setting.test for setting in joint}
    assert measured - tests == {"animalpose:animalpose/keypoints.json"}  # Table 9: in no training data at all
    assert not tests - measured


def test_no_paper_gives_carfusions_sigmas_so_all_points_count_alike():
    assert sigmas("carfusion").tolist() == [0.05] * 14
