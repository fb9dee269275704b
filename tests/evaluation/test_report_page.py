"""The report page: what it says, that it stands alone, and the pictures of single pairs."""

import base64
import copy
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.evaluation.metrics import PAIR_KEYS
from anykeypoint.evaluation.pair_pictures import PER_CATEGORY, PredictedPair, choose_pairs, draw_pair
from anykeypoint.evaluation.report import NAMED, PAGE, write_report
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import LabelledObject

EVIL = '<script>alert("1")</script>&\''
VOID = {"meta", "img", "br"}


def figures(start=10.0, **other):
    return {**{key: start + i for i, key in enumerate(PAIR_KEYS)}, "nme": 0.0625, "epe": 12.5, **other}


RESULTS = {
    "category_mean": figures(40.0),
    "object_mean": figures(60.0),
    "per_category": {
        "middle": {**figures(30.0), "objects": 2, "points": 20},
        "unknown": {**dict.fromkeys(PAIR_KEYS), "objects": 1, "points": 0},
        "worst": {**figures(20.0), "objects": 3, "points": 33},
        "best": {**figures(70.0), "objects": 4, "points": 44},
    },
    "interval": {"pck@0.2": [41.25, 45.75], "level": 0.95, "rounds": 2000, "over": "objects within category"},
    "baselines": {
        "image_centre": {"category_mean": figures(1.0), "object_mean": figures(2.0)},
        "mean_position": {"category_mean": figures(3.0), "object_mean": figures(4.0)},
    },
    "curve": {
        "thresholds": [0, 0.25, 0.5],
        "model": [0, 50, 90],
        "baselines": {"image_centre": [0, 20, 60], "mean_position": [0, None, 70]},
    },
    "groups": {
        "same group": {"category_mean": figures(81.0), "pairs": 7},
        "another group": {"category_mean": figures(71.0, nme=None), "pairs": 3},
        "group unknown": {"category_mean": None, "pairs": 0},
    },
    "names": {"names seen in training": {"category_mean": figures(11.0), "points": 90}},
    "calibration": {
        "within": 0.1,
        "edges": [0, 0.5, 1],
        "count": [0, 97],
        "confidence": [None, 0.75],
        "correct": [None, 0.5],
        "ece": 0.2537,
        "ause": 0.1234,
        "left": [1, 0.5],
        "by_confidence": [1, 0.75],
        "oracle": [1, 0.5],
    },
    "oks": {"AP": 43.75, "AP_medium": None, "sigmas": "coco"},
    "semantics": None,
    "objects": 10,
    "pairs": 10,
    "empty": 2,
    "points": 97,
    "unanswered": 5,
    "categories": 4,
    "skipped": {"crowd": 3, "no labelled point": 0},
    "missing": [],
    "data_sha256": "ab" * 32,
    "settings": {"model": "tiny", "data": "ab" * 32, "protocol": "text", "strategy": None, "seed": 4},
    "command": "anykeypoint evaluate tiny",
    "versions": {"torch": "2.13.0"},
}
IDENTIFY = {
    **RESULTS,
    **dict.fromkeys(("category_mean", "object_mean", "interval", "curve", "groups", "names", "calibration", "oks")),
    "per_category": {"dog": {"objects": 3, "points": 8, "exact": 12.5, "normalised": 37.5}},
    "baselines": {},
    "semantics": {
        "exact": 12.5,
        "normalised": 37.5,
        "category_mean": {"exact": 10.0, "normalised": 30.0},
        "points": 8,
        "excluded": 6,
        "baselines": {
            "most_common": {"exact": 1.5, "normalised": 2.5, "category_mean": {"exact": 1.0, "normalised": 2.0}}
        },
    },
}


class Reader(HTMLParser):
    """Checks that every tag is closed in turn; keeps tables as rows of cells by caption, words, and attributes."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tables, self.words, self.attributes = [], {}, [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "caption" in self.open:
            self.tables[data] = self.rows
        elif self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def table(self, beginning):
        (rows,) = [rows for caption, rows in self.tables.items() if caption.startswith(beginning)]
        return rows


def read(folder):
    return (folder / PAGE).read_text(encoding="utf-8")


def written(tmp_path, results=RESULTS, **pairs):
    write_report(tmp_path, results, **pairs)
    page = read(tmp_path)
    return page, Reader(page)


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return written(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 4, seed=1, per_category=2, size=64)
    return read_coco(folder / ANNOTATIONS, folder / IMAGES).objects


def flat_object(folder, points, size=(100, 100), box=(10, 10, 80, 80), name="thing"):
    """An object in a black picture."""
    path = folder / "flat.png"
    Image.new("RGB", size).save(path)
    points = np.array(points, dtype=float)
    category = Category.from_text("; ".join(f"part {i}" for i in range(len(points))), noun=name)
    seen = np.where(np.isnan(points[:, 0]), 0, 2)
    return LabelledObject(7, path, 1, replace(category, name=name), box, points, seen, None)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_model_stands_first_and_apart_above_every_baseline_under_both_means(default):
    page, found = default
    for beginning, starts in (("Mean over categories", (40, 1, 3)), ("Mean over objects", (60, 2, 4))):
        header, *rows = found.table(beginning)
        names = ["PCK@0.05", "PCK@0.1", "PCK@0.15", "PCK@0.2", "PCK@0.25", "mPCK", "AUC", "NME", "EPE"]
        assert header == ["", *names]
        assert [row[0] for row in rows] == ["model", "image centre", "mean position"]
        for row, start in zip(rows, starts, strict=True):
            assert row[1:8] == [f"{start + i:.1f}" for i in range(7)] and row[8:] == ["0.062", "12.5"]
    assert page.count('<tr class="strong"><th scope="row">model') == 2


def test_the_headline_has_its_interval_and_the_counts(default):
    _, found = default
    (line,) = [words for words in found.words if "lie within a fifth" in words]
    assert line.startswith("43.0 % ") and "95 % interval 41.2 to 45.8" in line
    assert "10 objects, 97 labelled points, 4 categories" in line


def test_what_was_measured_is_all_there_and_the_hash_once(default):
    page, found = default
    rows = dict(found.table("Command and settings")[1:])
    assert rows["command"] == "anykeypoint evaluate tiny" and rows["sha256 of the labels"] == "ab" * 32
    assert (rows["model"], rows["seed"], rows["strategy"]) == ("tiny", "4", "not set")
    assert rows["version of torch"] == "2.13.0"
    assert page.count("ab" * 32) == 1


def test_categories_come_best_first_and_those_without_a_figure_last(default):
    _, found = default
    _, *rows = found.table("Every category")
    assert [row[0] for row in rows] == ["best", "middle", "worst", "unknown"]
    assert rows[0][1:3] == ["4", "44"] and rows[0][6] == "73.0" and rows[3][3:] == ["-"] * 9


def test_splits_calibration_and_oks_are_told_with_their_counts(default):
    page, found = default
    header, same, other, unknown = found.table("Queries by whether")
    assert header[1] == "pairs" and same[:3] == ["same group", "7", "81.0"] and other[-2:] == ["-", "12.5"]
    assert unknown[1:] == ["0", *["-"] * 9]
    assert found.table("Points by whether")[1][:3] == ["names seen in training", "90", "11.0"]
    assert found.table("Points by confidence")[1:] == [
        ["0 to 0.5", "0", "-", "-"],
        ["0.5 to 1", "97", "0.750", "0.500"],
    ]
    assert "(ECE) 0.254" in page and "(AUSE) 0.123" in page
    assert found.table("COCO")[1:] == [["AP", "43.8"], ["AP, medium", "-"]]


def test_parts_that_are_null_are_left_out(tmp_path):
    empty = {**RESULTS, **dict.fromkeys(("groups", "names", "calibration", "oks", "interval", "curve"))}
    page, found = written(tmp_path, empty)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == ["What was measured", "Figures", "Categories", "Confidence", "What was left out"]
    assert "says of no point how sure it is" in page and "interval" not in page
    assert "None" not in page and "nan" not in " ".join(found.words)


def test_without_an_error_to_order_by_there_is_no_sparsification(tmp_path):
    perfect = {**RESULTS["calibration"], "ause": None, "left": [], "by_confidence": [], "oracle": []}
    page, _ = written(tmp_path, {**RESULTS, "calibration": perfect})
    assert "Reliability" in page and "AUSE" not in page


def test_naming_points_is_reported_by_its_own_figures(tmp_path):
    page, found = written(tmp_path, IDENTIFY)
    assert found.table("Every category")[1:] == [["dog", "3", "8", "12.5", "37.5"]]
    assert found.table("Names of points")[1:] == [
        ["model", "10.0", "30.0", "12.5", "37.5"],
        ["most common", "1.0", "2.0", "1.5", "2.5"],
    ]
    assert "8 marked points" in page and "6 points" in page and "PCK" not in page and "Confidence" not in page


def test_what_was_left_out_is_counted_and_the_first_missing_pictures_named(tmp_path):
    missing = [f"photo {i}.jpg" for i in range(NAMED + 13)]
    page, found = written(tmp_path, {**RESULTS, "missing": missing})
    assert found.table("Objects by reason")[1:] == [
        ["questions without a point to score on", "2"],
        ["points without an answer", "5"],
        ["crowd", "3"],
    ]
    assert f"{NAMED + 13} pictures are missing: photo 0.jpg" in page and "and 13 more" in page
    assert f"photo {NAMED - 1}.jpg" in page and f"photo {NAMED}.jpg" not in page
    _, found = written(tmp_path, {**RESULTS, "empty": 0, "unanswered": 0, "skipped": {}})
    assert "Nothing was left out." in found.words


def test_whatever_stands_in_the_data_is_escaped(tmp_path):
    results = copy.deepcopy(RESULTS)
    results["per_category"] = {EVIL: results["per_category"]["best"]}
    results["baselines"] = {EVIL: results["baselines"]["image_centre"]}
    results["curve"]["baselines"] = {EVIL: [0, 1, 2], "$\\frac$": [0, 1, 2]}  # which is no formula to set either
    results["groups"] = {EVIL: results["groups"]["same group"]}
    results["settings"] = {"model": EVIL, EVIL: [EVIL]}
    results |= {"command": EVIL, "data_sha256": EVIL, "skipped": {EVIL: 1}, "missing": [EVIL, "\udcff.jpg"]}
    results["versions"] = {EVIL: EVIL}
    results["oks"] = {EVIL: 50.0, "sigmas": EVIL}
    item = flat_object(tmp_path, [[50, 50]], name=EVIL)
    page, found = written(tmp_path, results, worst=[PredictedPair(item, item.points, 1.0, EVIL)])
    assert "<script" not in page and EVIL not in page
    known = {"lang", "charset", "http-equiv", "content", "name", "class", "role", "tabindex", "aria-label", "scope"}
    assert {name for _, name, _ in found.attributes} == known | {"src", "alt"}
    assert f"{EVIL}, object 7 in flat.png: PCK@0.2 100.0; {EVIL}" in "".join(found.words)


def test_the_page_needs_nothing_but_itself(tmp_path, objects):
    page, found = written(tmp_path, best=[PredictedPair(objects[0], objects[0].points, 1.0)])
    sources = [value for _, name, value in found.attributes if name in ("src", "href", "srcset", "action")]
    assert len(sources) == 4 and all(source.startswith("data:image/") for source in sources)
    assert "url(" not in page and "@import" not in page and "http" not in page.replace("http-equiv", "")
    for kind, data in re.findall(r"data:image/(.*?);base64,([^\"]*)", page):
        content = base64.b64decode(data)
        if kind == "jpeg":
            assert Image.open(BytesIO(content)).size == (320, 320)
        else:
            assert b"<svg" in content and b"<script" not in content and b"dc:date" not in content


def test_every_picture_has_words_and_every_table_headers(tmp_path, objects):
    page, found = written(tmp_path, worst=[PredictedPair(objects[0], objects[0].points, 0.25, "examples 4 and 9")])
    alts = [value for tag, name, value in found.attributes if tag == "img" and name == "alt"]
    assert page.count("<img") == len(alts) == 4 and all(alts)
    assert "PCK@0.2 25.0; examples 4 and 9" in page and objects[0].image.name in page
    assert page.count("<table>") == page.count("<caption>") == page.count("<thead>") > 5
    assert 'name="viewport"' in page and '<html lang="en">' in page


def test_the_same_results_give_the_same_bytes_whatever_the_user_draws_with(tmp_path, objects):
    shown = [PredictedPair(item, item.points + 5, 0.5) for item in objects]
    first, _ = written(tmp_path, best=shown[:2], worst=shown[2:])
    with matplotlib.rc_context({"axes.facecolor": "red", "svg.fonttype": "none", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        again, _ = written(tmp_path, best=shown[:2], worst=shown[2:])
        assert dict(matplotlib.rcParams) == before
    assert again == first


# --- pictures --------------------------------------------------------------------------------------------------------

SCALE = 320 / (1.25 * 80)  # pixels of the picture per image pixel, for the box of `flat_object`


def place(x, y):
    """Image pixels -> row and column of the drawn picture, whose crop begins at (0, 0)."""
    return int(y * SCALE), int(x * SCALE)


def test_labels_are_white_crosses_and_answers_coloured_dots_with_a_line_between(tmp_path):
    item = flat_object(tmp_path, [[20, 50], [70, 20]])
    drawn = np.asarray(draw_pair(PredictedPair(item, np.array([[60.0, 50.0], [70.0, 80.0]]), 0.0))).astype(int)
    assert drawn.shape == (320, 320, 3)
    for x, y in item.points:
        assert drawn[place(x, y)].min() > 240
    dots = [drawn[place(60, 50)], drawn[place(70, 80)]]
    assert all(dot.max() - dot.min() > 60 for dot in dots) and np.abs(dots[0] - dots[1]).max() > 60
    between = drawn[place(40, 50)]
    np.testing.assert_allclose(between, dots[0], atol=30)  # over a dark rim
    assert drawn[place(10, 90)].max() == 0


def test_points_without_a_label_or_an_answer_have_no_line(tmp_path):
    nan = float("nan")
    item = flat_object(tmp_path, [[20, 50], [nan, nan]])
    drawn = np.asarray(draw_pair(PredictedPair(item, np.array([[nan, nan], [80.0, 80.0]]), 0.0)))
    assert drawn[place(20, 50)].min() > 240  # the cross is there
    rows, columns = np.nonzero(drawn.max(axis=2) > 60)
    assert np.hypot(rows / SCALE - 50, columns / SCALE - 20).max() < 4  # and nothing else


def test_an_answer_far_outside_is_a_line_that_leaves_the_picture(tmp_path):
    item = flat_object(tmp_path, [[50, 50]])
    drawn = np.asarray(draw_pair(PredictedPair(item, np.array([[1e7, 50.0]]), 0.0)))
    assert drawn[place(98, 50)].max() > 100 and drawn[place(2, 50)].max() == 0


# --- the choice ------------------------------------------------------------------------------------------------------

choices = st.lists(st.tuples(st.sampled_from([0, 0.25, 0.5, 1, math.nan]), st.sampled_from("abcd")), max_size=30)


@given(choices, st.integers(0, 8))
def test_no_pair_is_chosen_twice_and_no_category_too_often(pairs, most):
    scores, categories = [score for score, _ in pairs], [category for _, category in pairs]
    worst, best = choose_pairs(scores, categories, most)
    assert len(set(worst) | set(best)) == len(worst) + len(best)
    for picks in (worst, best):
        assert len(picks) <= most and all(not math.isnan(scores[i]) for i in picks)
        assert all(sum(categories[i] == category for i in picks) <= PER_CATEGORY for category in "abcd")
    assert [scores[i] for i in worst] == sorted(scores[i] for i in worst)
    assert [scores[i] for i in best] == sorted((scores[i] for i in best), reverse=True)


@given(choices, st.integers(1, 8))
def test_a_pair_is_passed_over_only_for_a_reason(pairs, most):
    scores, categories = [score for score, _ in pairs], [category for _, category in pairs]
    worst, best = choose_pairs(scores, categories, most)
    for picks in (worst, best):
        for i, score in enumerate(scores):
            full = sum(categories[j] == categories[i] for j in picks) == PER_CATEGORY
            assert math.isnan(score) or i in worst or i in best or full or len(picks) == most


def test_the_worst_and_the_best_are_these_and_ties_go_by_position():
    scores, categories = [0.5, 0.0, 1.0, 0.0, 0.0, 1.0, 0.75], ["a", "b", "c", "b", "b", "a", "d"]
    assert choose_pairs(scores, categories, 3) == ([1, 3, 0], [2, 5, 6])
    assert choose_pairs([0.5] * 3, ["a", "b", "c"], 12) == ([0, 2], [1])
    assert choose_pairs([math.nan], ["a"], 12) == choose_pairs([], [], 12) == ([], [])
