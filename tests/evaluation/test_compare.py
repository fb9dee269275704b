"""Two reports compared: the paired bootstrap against its plain definition, what is matched, and what is refused."""

import csv
import json
import math

import numpy as np
import pytest

from anykeypoint.errors import InputError
from anykeypoint.evaluation import compare as module
from anykeypoint.evaluation.compare import LEVEL, METRICS, compare, table, write_comparison
from anykeypoint.evaluation.metrics import PAIR_KEYS

NUMBERS = [*PAIR_KEYS, "confidence"]
HEADER = ["pair", "id", "examples", "category", "group", "image", "points", "unanswered", *NUMBERS]
NAN = math.nan


def write(folder, rows, *, sha="ab" * 32, settings=None, versions=None):
    """A report of rows: dicts of id, category, examples, points and figures; a figure that is not given is 0.5."""
    folder.mkdir(exist_ok=True)
    document = {"data_sha256": sha, "settings": settings or {}, "versions": versions or {}, "command": "evaluate x"}
    (folder / "results.json").write_text(json.dumps(document))
    with (folder / "per_object.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, HEADER)
        lines.writeheader()
        for pair, row in enumerate(rows):
            line = {**dict.fromkeys(HEADER, ""), **dict.fromkeys(NUMBERS, 0.5), "pair": pair, "points": 4, **row}
            lines.writerow({key: "" if value != value else value for key, value in line.items()})
    return folder


def drawn_rows(seed, objects=14, categories=3, each=1, absent=0.0, shift=0.0):
    """Rows with figures drawn at random; `each` examples to an object; NME is NaN for a share `absent`."""
    rng = np.random.default_rng(seed)
    rows = []
    for identity in range(objects):
        for turn in range(each):
            figures = {key: float(rng.random()) + shift for key in METRICS}
            figures["nme"] = NAN if rng.random() < absent else figures["nme"]
            examples = f"{100 + turn} {200 + turn}" if each > 1 else ""
            rows.append({"id": identity, "category": f"kind {identity % categories}", "examples": examples, **figures})
    return rows


def shifted(rows, by):
    return [{**row, **{key: row[key] + by for key in METRICS}} for row in rows]


def flat(result):
    return [[entry["a"], entry["b"], entry["difference"], *entry["interval"]] for entry in result["metrics"].values()]


def plain(a, b, figure, seed, rounds):
    """Mean difference of every round, object by object: the rows of both must be in the same order."""
    scale = 1 if figure == "nme" else 100
    rng = np.random.default_rng(seed)
    totals = [[] for _ in range(rounds)]
    for category in sorted({row["category"] for row in a}):
        objects = {}
        for mine, theirs in zip(a, b, strict=True):
            if mine["category"] == category:
                objects.setdefault(mine["id"], []).append(theirs[figure] - mine[figure])
        groups = [objects[identity] for identity in sorted(objects)]
        for turn, places in enumerate(rng.integers(len(groups), size=(rounds, len(groups)))):
            values = [value for place in places for value in groups[place] if not math.isnan(value)]
            if values:
                totals[turn].append(sum(values) / len(values))
    return [scale * sum(means) / len(means) for means in totals if means]


@pytest.mark.parametrize("each, absent", [(1, 0.0), (1, 0.3), (3, 0.3)])
def test_the_bootstrap_agrees_with_drawing_object_after_object(tmp_path, each, absent):
    a, b = (drawn_rows(seed, each=each, absent=absent) for seed in (1, 2))
    found = compare(write(tmp_path / "a", a), write(tmp_path / "b", b), seed=5, rounds=60)
    for figure in METRICS:
        means = plain(a, b, figure, 5, 60)
        entry = found["metrics"][figure]
        np.testing.assert_allclose(entry["interval"], np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        better = [mean < 0 if figure == "nme" else mean > 0 for mean in means]
        assert entry["b_better"] == pytest.approx(np.mean(better))


@pytest.mark.parametrize("each", [1, 2])
def test_category_means_and_their_difference_agree_with_the_plain_definition(tmp_path, each):
    a, b = (drawn_rows(seed, each=each, absent=0.3) for seed in (3, 4))
    found = compare(write(tmp_path / "a", a), write(tmp_path / "b", b), rounds=5)
    for figure, entry in found["metrics"].items():
        scale = 1 if figure == "nme" else 100
        means = {"a": [], "b": []}
        for category in sorted({row["category"] for row in a}):
            pairs = [
                (mine[figure], theirs[figure])
                for mine, theirs in zip(a, b, strict=True)
                if mine["category"] == category and not math.isnan(mine[figure] + theirs[figure])
            ]
            for name, values in zip("ab", zip(*pairs, strict=True), strict=True):
                means[name].append(scale * np.mean(values))
                assert found["per_category"][category][figure][name] == pytest.approx(means[name][-1])
        assert (entry["a"], entry["b"]) == pytest.approx((np.mean(means["a"]), np.mean(means["b"])))
        assert entry["difference"] == pytest.approx(entry["b"] - entry["a"])


def test_a_report_and_itself_differ_by_exactly_nothing(tmp_path):
    rows = drawn_rows(7, each=2, absent=0.4)
    found = compare(write(tmp_path / "a", rows), write(tmp_path / "b", rows), rounds=50)
    for entry in found["metrics"].values():
        assert entry["interval"] == [0, 0] and entry["difference"] == 0 and entry["b_better"] == 0.5


def test_what_is_better_by_the_same_everywhere_has_no_spread(tmp_path):
    rows = drawn_rows(8)
    found = compare(write(tmp_path / "a", rows), write(tmp_path / "b", shifted(rows, 0.125)), rounds=50)
    for figure, entry in found["metrics"].items():
        expected = 0.125 if figure == "nme" else 12.5
        np.testing.assert_allclose([entry["difference"], *entry["interval"]], expected, atol=1e-9)
        assert entry["b_better"] == (0 if figure == "nme" else 1)  # of NME less is better


def test_exchanging_the_two_turns_the_differences_round(tmp_path):
    a, b = write(tmp_path / "a", drawn_rows(1, absent=0.2)), write(tmp_path / "b", drawn_rows(2, absent=0.2))
    there, back = (compare(*pair, rounds=80)["metrics"] for pair in ((a, b), (b, a)))
    for figure in METRICS:
        assert there[figure]["difference"] == pytest.approx(-back[figure]["difference"])
        np.testing.assert_allclose(there[figure]["interval"], -np.array(back[figure]["interval"][::-1]))
        assert there[figure]["b_better"] == pytest.approx(1 - back[figure]["b_better"])


def test_what_makes_an_object_hard_for_both_takes_no_part_in_the_interval(tmp_path):
    rng = np.random.default_rng(0)
    a = drawn_rows(3, objects=60)
    b = [{**row, **{key: row[key] + 0.02 + 0.005 * rng.normal() for key in METRICS}} for row in a]
    low, high = compare(write(tmp_path / "a", a), write(tmp_path / "b", b))["metrics"]["pck@0.2"]["interval"]
    assert 1.8 < low < high < 2.2  # unpaired, the spread of the objects alone would make it 20 wide


@pytest.mark.parametrize("cells", [1, 37])
def test_how_many_are_drawn_at_once_changes_nothing(tmp_path, monkeypatch, cells):
    a, b = write(tmp_path / "a", drawn_rows(1, absent=0.2)), write(tmp_path / "b", drawn_rows(2))
    whole = flat(compare(a, b, rounds=40))
    monkeypatch.setattr(module, "CELLS", cells)
    np.testing.assert_allclose(flat(compare(a, b, rounds=40)), whole)


@pytest.mark.parametrize("with_examples", [True, False])
def test_the_order_of_the_rows_has_no_part(tmp_path, with_examples):
    a, b = drawn_rows(1, each=3, absent=0.2), drawn_rows(2, each=3 if with_examples else 1, absent=0.2)
    rng = np.random.default_rng(0)
    mixed = [[rows[i] for i in rng.permutation(len(rows))] for rows in (a, b)]
    results = []
    for rows in ((a, b), mixed):
        results.append(compare(write(tmp_path / "a", rows[0]), write(tmp_path / "b", rows[1]), seed=3, rounds=30))
    assert results[0] == results[1]


def test_the_seed_decides_the_draws(tmp_path):
    a, b = write(tmp_path / "a", drawn_rows(1)), write(tmp_path / "b", drawn_rows(2))
    assert compare(a, b, seed=1, rounds=30) == compare(a, b, seed=1, rounds=30)
    assert flat(compare(a, b, seed=1, rounds=30)) != flat(compare(a, b, seed=2, rounds=30))


def test_rows_with_examples_are_matched_by_them_and_others_by_the_object(tmp_path):
    figures = [dict.fromkeys(METRICS, value) for value in (0.25, 0.75, 1.0)]
    one = {"id": 3, "category": "cat"}
    shown = [{**one, "examples": "7 8", **figures[0]}, {**one, "examples": "9", **figures[1]}]
    other = [{**one, "examples": "9", **figures[2]}, {**one, "examples": "10", **figures[2]}]
    asked = [{**one, "examples": "", **figures[2]}, {"id": 4, "category": "cat", "examples": "", **figures[2]}]
    shown, other, asked = (
        write(tmp_path / name, rows) for name, rows in zip("abc", (shown, other, asked), strict=True)
    )
    pairs = compare(shown, other, rounds=5)
    assert (pairs["matched_by"], pairs["rows"], pairs["only_a"], pairs["only_b"]) == ("object and examples", 1, 1, 1)
    assert pairs["metrics"]["mpck"]["a"] == 75 and pairs["metrics"]["mpck"]["difference"] == 25
    objects = compare(shown, asked, rounds=5)
    assert (objects["matched_by"], objects["rows"], objects["only_a"], objects["only_b"]) == ("object", 1, 0, 1)
    assert objects["metrics"]["mpck"]["a"] == 50 and objects["metrics"]["mpck"]["difference"] == 50


def test_a_figure_that_only_one_has_is_left_out_of_it_and_said(tmp_path):
    a = [{"id": 1, "category": "cat", "nme": 0.1}, {"id": 2, "category": "cat", "nme": 0.9}]
    b = [{"id": 1, "category": "cat", "nme": 0.2}, {"id": 2, "category": "cat", "nme": NAN, "points": 3}]
    found = compare(write(tmp_path / "a", a), write(tmp_path / "b", b), rounds=20)
    assert found["metrics"]["nme"]["a"] == 0.1 and found["metrics"]["nme"]["rows"] == 1
    assert found["metrics"]["auc"]["rows"] == 2 and found["other_points"] == 1
    assert "NME is of the 1 rows for which both have it" in table(found)
    assert "1 rows were scored on another number of points" in table(found)


def test_a_figure_that_no_row_has_is_unknown_and_the_page_is_written_all_the_same(tmp_path):
    rows = [{"id": 1, "category": "cat", "nme": NAN}]
    found = compare(write(tmp_path / "a", rows), write(tmp_path / "b", rows), rounds=5)
    unknown = {"a": None, "b": None, "difference": None, "interval": [None, None], "b_better": None, "rows": 0}
    assert found["metrics"]["nme"] == unknown
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    write_comparison(tmp_path / "c.html", found)
    assert "- to -" in table(found)


def test_settings_and_versions_that_differ_are_listed(tmp_path):
    rows = drawn_rows(1)
    a = write(tmp_path / "a", rows, settings={"model": "x", "seed": 1, "strategy": None}, versions={"torch": "2.7"})
    b = write(tmp_path / "b", rows, settings={"model": "x", "seed": 1, "strategy": "expected"}, versions={})
    found = compare(a, b, rounds=5)
    assert found["settings"] == {"strategy": [None, "expected"]} and found["versions"] == {"torch": ["2.7", None]}
    assert "strategy: not set in A, expected in B" in table(found)


def test_the_text_table_holds_every_figure_in_lines_of_one_width(tmp_path):
    rows = drawn_rows(1)
    found = compare(write(tmp_path / "a", rows), write(tmp_path / "b", shifted(rows, 0.125)), rounds=10)
    lines = table(found).splitlines()[: 1 + len(METRICS)]
    assert len({len(line) for line in lines}) == 1
    assert "+12.5" in lines[1] and "+12.5 to +12.5" in lines[1] and lines[1].endswith("100.0 %")
    assert "+0.125" in lines[6] and lines[6].endswith("0.0 %")


def test_the_page_shows_both_sides_and_escapes_what_the_data_say(tmp_path):
    evil = "<script>alert('x')</script>"
    rows = [{**row, "category": evil} for row in drawn_rows(1, objects=3)]
    a = write(tmp_path / "a", rows, settings={"model": evil, evil: 1})
    b = write(tmp_path / "b", shifted(rows, 0.125), settings={"model": "other"}, versions={evil: "<b>"})
    found = compare(a, b, rounds=10)
    write_comparison(tmp_path / "c.html", found)
    page = (tmp_path / "c.html").read_text()
    assert "<script" not in page and "<b>" not in page and "&lt;script&gt;" in page
    assert "+12.5 to +12.5" in page and str(tmp_path / "a") in page and str(tmp_path / "b") in page
    write_comparison(tmp_path / "again.html", found)
    assert (tmp_path / "again.html").read_text() == page


def test_other_labels_are_refused_with_both_hashes(tmp_path):
    rows = drawn_rows(1)
    a, b = write(tmp_path / "a", rows, sha="aa" * 32), write(tmp_path / "b", rows, sha="bb" * 32)
    with pytest.raises(InputError, match=f"{'aa' * 32}.*{'bb' * 32}"):
        compare(a, b)


def test_reports_that_share_nothing_are_refused(tmp_path):
    rows = drawn_rows(1)
    a = write(tmp_path / "a", rows)
    with pytest.raises(InputError, match="share no object;"):
        compare(a, write(tmp_path / "b", [{**row, "id": row["id"] + 99} for row in rows]))
    with pytest.raises(InputError, match="share no object with a figure"):
        compare(a, write(tmp_path / "c", [{**row, **dict.fromkeys(NUMBERS, NAN)} for row in rows]))
    with pytest.raises(InputError, match="share no object;"):
        compare(a, write(tmp_path / "d", []))
    with pytest.raises(InputError, match=r"'kind 0' in .* but 'cat'"):
        compare(a, write(tmp_path / "e", [{**row, "category": "cat"} for row in rows]))
    with pytest.raises(InputError, match="rounds must be a whole number from 1, but got 0"):
        compare(a, a, rounds=0)


def test_a_report_of_names_is_said_to_be_one(tmp_path):
    a, b = write(tmp_path / "a", drawn_rows(1)), write(tmp_path / "b", drawn_rows(2))
    named = json.loads((b / "results.json").read_text()) | {"semantics": {"exact": 40.0}}
    (b / "results.json").write_text(json.dumps(named))
    for pair in ((a, b), (b, a)):
        with pytest.raises(InputError, match=f"{b} measured names of points, and places alone are compared"):
            compare(*pair)


def test_a_folder_that_is_no_report_is_refused_by_name(tmp_path):
    whole = write(tmp_path / "whole", drawn_rows(1))

    def broken(name, file, change):
        folder = write(tmp_path / name, drawn_rows(1))
        text = (folder / file).read_text()
        (folder / file).write_text(change(text))
        return folder

    (tmp_path / "empty").mkdir()
    folders = [
        tmp_path / "empty",
        tmp_path / "missing",
        broken("json", "results.json", lambda text: text[:-9]),
        broken("list", "results.json", lambda text: "[]"),
        broken("older", "results.json", lambda text: text.replace("data_sha256", "other")),
        broken("column", "per_object.csv", lambda text: text.replace("mpck", "kpcm")),
        broken("cut", "per_object.csv", lambda text: text[:-20]),
        broken("words", "per_object.csv", lambda text: text.replace("kind 0,,,4", "kind 0,,,four")),
    ]
    for folder in folders:
        for pair in ((whole, folder), (folder, whole)):
            with pytest.raises(InputError, match=f"{folder} is no report") as caught:
                compare(*pair)
            assert str(caught.value).count("\n") == 0


def test_a_seed_below_0_is_refused(tmp_path):
    with pytest.raises(InputError, match="A seed must be a whole number from 0, but got -1"):
        compare(tmp_path, tmp_path, seed=-1)
