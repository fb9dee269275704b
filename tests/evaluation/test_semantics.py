"""Names of marked points: which count as the same, and which are not measured."""

import json

import pytest

from anykeypoint.errors import InputError
from anykeypoint.evaluation.semantics import excluded_names, is_excluded, normalised
from anykeypoint.library.lookup import category


@pytest.mark.parametrize("text", ["left eye", " Left  Eye.", "left_eye", "the left eye", "Left-eye"])
def test_case_spaces_punctuation_and_articles_do_not_matter_to_the_normalised_match(text):
    assert normalised(text) == "left eye"


@pytest.mark.parametrize("text", ["right eye", "left eyes", "eye", "", "left eye left eye"])
def test_another_side_number_or_extent_does(text):
    assert normalised(text) != "left eye"


@pytest.mark.parametrize(("name", "excluded"), [("nose", False), ("Left_Collar tip", True), ("neck", False)])
def test_a_name_is_excluded_by_a_pattern_whatever_its_case_and_underscores(name, excluded):
    assert is_excluded(name, ["*collar*"]) is excluded


def test_the_shipped_list_excludes_a_shirts_neckline_and_nothing_of_animals_faces_and_chairs():
    patterns = excluded_names()
    shirt = [name for name in category("short_sleeved_shirt").names if is_excluded(name, patterns)]
    assert len(shirt) == 6
    for kind in ("animal_body", "human_face", "chair"):
        assert not any(is_excluded(name, patterns) for name in category(kind).names)


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
