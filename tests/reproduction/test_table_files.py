"""Files of tables: strict reading, and how base, field, table and row are merged."""

import pytest
import yaml

from anykeypoint.errors import InputError
from anykeypoint.reproduction.settings import merged
from anykeypoint.reproduction.tables import all_tables, find_table, read_tables

FILE = {
    "paper": "A paper",
    "prefix": "toy",
    "base": {
        "model": {"vision": {"name": "large", "tuning": "lora"}, "released_crop": True},
        "recipe": {"item": "group", "tasks": {"example": 1, "text": 1}},
        "train": "mp100:split{split}_train.json",
        "test": "mp100:split{split}_test.json",
        "images": "images",
        "splits": [1],
    },
    "field": {
        "model": {"vision": {"name": "small"}},
        "train": "coco:train.json",
        "test": "coco:test.json",
        "splits": ["field"],
        "held_out": "small@held-out",
        "items": 100,
    },
    "tables": {
        "table-1": {
            "title": "a choice",
            "place": "Table 1",
            "metrics": ["pck@0.2", "mpck"],
            "rows": [
                {"row": "first", "paper": {"pck@0.2": 90, "mpck": 80}},
                {"row": "second", "recipe": {"tasks": {"text": None}}, "ask": {"strategy": "mode"}},
            ],
        }
    },
}


def written(folder, change=lambda data: None):
    """The tables of FILE with a change."""
    data = yaml.safe_load(yaml.safe_dump(FILE))
    change(data)
    (folder / "toy.yaml").write_text(yaml.safe_dump(data))
    return read_tables(folder / "toy.yaml")


def rows_of(folder, change=lambda data: None):
    return written(folder, change).tables["table-1"].rows


def first(data):
    return data["tables"]["table-1"]["rows"][0]


def test_mappings_are_merged_and_lists_replaced_and_null_takes_away():
    low = {"a": {"x": 1, "y": 2}, "list": [1, 2], "gone": 3}
    assert merged(low, {"a": {"y": 5}, "list": [3], "gone": None}) == {"a": {"x": 1, "y": 5}, "list": [3]}
    assert low == {"a": {"x": 1, "y": 2}, "list": [1, 2], "gone": 3}


def test_a_row_is_its_base_with_what_it_changes(tmp_path):
    plain, changed = rows_of(tmp_path)
    (paper,) = plain.settings["paper"]
    assert paper.train == "mp100:split1_train.json" and paper.test_images == "images" and paper.items == 0
    assert paper.recipe == {"item": "group", "tasks": {"example": 1, "text": 1}}
    (paper,) = changed.settings["paper"]
    assert paper.recipe == {"item": "group", "tasks": {"example": 1}} and paper.ask == {"strategy": "mode"}


def test_at_field_scale_the_field_lies_over_the_base_and_a_rows_own_field_over_the_row(tmp_path):
    def change(data):
        first(data)["model"] = {"vision": {"tuning": "full"}}
        first(data)["field"] = {"model": {"vision": {"tuning": "frozen"}}, "items": 7}

    plain, _ = rows_of(tmp_path, change)
    assert plain.settings["paper"][0].model["vision"] == {"name": "large", "tuning": "full"}
    (field,) = plain.settings["field"]
    assert field.model["vision"] == {"name": "small", "tuning": "frozen"} and field.items == 7
    assert (field.split, field.train, field.test_images) == ("field", "coco:train.json", "images")


def test_columns_are_metrics_or_the_splits_and_their_mean(tmp_path):
    def splits(data):
        data["base"]["splits"] = [1, 2]
        first(data)["paper"] = {}

    assert written(tmp_path).tables["table-1"].columns == ("pck@0.2", "mpck")
    assert written(tmp_path, splits).tables["table-1"].columns == (
        *("split1/pck@0.2", "split2/pck@0.2", "mean/pck@0.2"),
        *("split1/mpck", "split2/mpck", "mean/mpck"),
    )


def test_a_published_row_is_shown_and_not_run(tmp_path):
    def change(data):
        data["tables"]["table-1"]["rows"].append({"row": "theirs", "published": "their page", "paper": {"mpck": 99}})

    row = rows_of(tmp_path, change)[2]
    assert row.settings == {} and row.published == "their page" and not row.measured


def test_a_row_that_cannot_be_asked_at_field_scale_says_why(tmp_path):
    def change(data):
        first(data).update(field=None, why="It needs a GPU.")

    row = rows_of(tmp_path, change)[0]
    assert "field" not in row.settings and row.why == "It needs a GPU."


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: first(data).update(recipes={}), "unknown key 'recipes' (near: recipe"),
        (lambda data: data["base"].update(modle={}), "toy.yaml: base has the unknown key 'modle' (near: model)"),
        (lambda data: first(data).update(model="large"), "a row: model must be a mapping"),
        (lambda data: first(data)["paper"].update({"pck@0.3": 1}), "the column 'pck@0.3'"),
        (lambda data: first(data).update(field=None), "say in a sentence of `why`"),
        (lambda data: first(data).update(row="second"), "two rows 'second'"),
        (lambda data: first(data).update(start="table-1/frist"), "no row of table-1, 'frist' (near: first)"),
        (lambda data: first(data).update(start="table-1/first"), "leads back to the same row"),
        (lambda data: first(data).update(measure="densities"), "measure must be one of evaluate, density"),
        (lambda data: data["base"].pop("test"), "has no test"),
        (lambda data: data["tables"]["table-1"].pop("metrics"), "lacks the key 'metrics'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path, change, says):
    with pytest.raises(InputError, match=r"toy\.yaml") as caught:
        written(tmp_path, change)
    assert says in str(caught.value)


def test_an_unknown_table_names_the_near_ones():
    with pytest.raises(InputError, match=r"no table 'capellm-tabel-9' \(near: capellm-table-9"):
        find_table("capellm-tabel-9")


def test_every_shipped_table_is_read_and_prints_what_its_rows_are_compared_with():
    tables = all_tables()
    assert {"capellm-table-9", "fusion-table-4", "kptllm-table-13"} <= tables.keys()
    for table in tables.values():
        assert table.rows and all(set(row.paper) <= set(table.columns) for row in table.rows)
