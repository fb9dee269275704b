"""Names of marked points: what counts as the right one, and which are not asked."""

import json

import pytest

from anykeypoint.errors import InputError
from anykeypoint.evaluation.semantics import excluded_names, normalised, semantic_accuracy
from anykeypoint.library.lookup import category


@pytest.mark.parametrize("text", ["left eye", " Left  Eye.", "left_eye", "the left eye", "Left-eye"])
def test_case_spaces_punctuation_and_articles_do_not_matter_to_the_normalised_match(text):
    assert normalised(text) == "left eye"


@pytest.mark.parametrize("text", ["right eye", "left eyes", "eye", "", "left eye left eye"])
def test_another_side_number_or_extent_does(text):
    assert normalised(text) != "left eye"


def test_both_matches_are_shares_of_what_is_asked():
    found = semantic_accuracy(["left eye\n", "The nose.", "tail", ""], ["left eye", "nose", "nose", "nose"])
    assert found == {"exact": 25, "normalised": 50, "points": 4, "excluded": 0}


def test_excluded_names_are_left_out_and_counted():
    found = semantic_accuracy(["nose", "x", "x"], ["nose", "Left_Collar tip", "neck"], ["*collar*"])
    assert found == {"exact": 50, "normalised": 50, "points": 2, "excluded": 1}
    with pytest.raises(InputError, match="All 1 points"):
        semantic_accuracy(["x"], ["nose"], ["nose"])


def test_the_shipped_list_leaves_a_shirts_neckline_out_and_asks_the_rest():
    names = category("short_sleeved_shirt").names
    found = semantic_accuracy(names, names, excluded_names())
    assert found["excluded"] == 6 and found["points"] == len(names) - 6 and found["exact"] == 100
    for kind in ("animal_body", "human_face", "chair"):
        assert semantic_accuracy(category(kind).names, category(kind).names, excluded_names())["excluded"] == 0


def test_ones_own_list_is_read_from_a_file(tmp_path):
    file = tmp_path / "names.json"
    file.write_text(json.dumps({"names": ["tail*"]}))
    assert excluded_names(file) == ("tail*",)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"names": "x"}', '{"names": [""]}', '{"names": [3]}'])
def test_a_list_that_is_none_is_refused_with_its_name(tmp_path, text):
    file = tmp_path / "names.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"names\.json"):
        excluded_names(file)
    with pytest.raises(InputError, match=r"gone\.json"):
        excluded_names(tmp_path / "gone.json")


def test_answers_and_names_of_different_number_are_refused():
    with pytest.raises(InputError, match="2 for 1 names"):
        semantic_accuracy(["a", "b"], ["a"])
