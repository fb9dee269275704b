"""Which words of names are misspelt, and the sentences of a model that reads them as something else."""

import warnings
from dataclasses import replace

import pytest
import tiny_matchers

from anykeypoint.category import Category
from anykeypoint.errors import ReadingWarning
from anykeypoint.library.lookup import category, library_names
from anykeypoint.library.typos import misspelt

SLIPS = {  # exchanged, missing, too many, the neighbour on the keyboard, another vowel
    "nsoe tip": ("nsoe", "nose"),
    "left shouler": ("shouler", "shoulder"),
    "elboww": ("elboww", "elbow"),
    "noae": ("noae", "nose"),
    "left eer": ("eer", "ear"),
    "rigthEar": ("rigth", "right"),
    "tial_base": ("tial", "tail"),
}


def nothing(word: str) -> bool:
    return False


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_told_from_a_word(name):
    assert misspelt(name, nothing) == [SLIPS[name]]


def test_no_name_of_the_library_is_misspelt():
    names = {point.name for one in library_names() for point in category(one).keypoints}
    assert {name: found for name in names if (found := misspelt(name, nothing))} == {}


@pytest.mark.parametrize(
    "name",
    ["gonion", "pterygoid process", "T1 upper left corner", "kpt-3", "handbrake lever", "lip's edge", "λ", "point 2"],
)
def test_terms_and_numbers_are_not(name):
    assert misspelt(name, nothing) == []


def test_a_word_that_something_else_knows_is_none():
    assert misspelt("nsoe", "nsoe".__eq__) == [] and misspelt("nsoes", "nsoe".__eq__) == []


def test_a_model_says_what_it_does_not_understand_of_each_point(tmp_path):
    """The same sentences as its warnings, which come once; those of single points come whenever they are wanted."""
    model = tiny_matchers.matcher("dlf", tmp_path)
    model.text_encoder.kind = replace(model.text_encoder.kind, english=True)
    words = Category.from_text("nose; nsoe; linkes Ohr; left ear")
    with pytest.warns(ReadingWarning) as caught:
        model.warn_of_language(words)
    said = [str(one.message) for one in caught]
    for _ in range(2):
        assert model.doubts(words) == ["", *sorted(said, key=lambda one: "Not in English" in one), ""]
    assert "Misspelt, it seems: 'nsoe' for 'nose'; correct it, or give an example." in said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.warn_of_language(words)
