"""Simplified and vague words for MP-100's definitions: complete, shorter, and telling apart what they should."""

import re

import pytest

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read
from anykeypoint.library.check import vague_phrases
from anykeypoint.library.lookup import category, mp100_categories
from anykeypoint.library.wordings import simplified, vague, with_simplified_names

DEFINITIONS = sorted({entry["definition"] for entry in mp100_categories().values()})
each_definition = pytest.mark.parametrize("name", DEFINITIONS)
# The 15 kinds that field2 is measured on, which have simplified words too.
FIELD = [
    *("field_01_camel", "field_05_car", "field_10_honey_bee", "field_37_paper_document", "field_38_quokka"),
    *("field_42_tank_top", "field_47_lips", "field_54_duck", "field2_101_car_named_parts", "field2_106_cattle"),
    *("field2_119_cichlid_fish_head", "field2_121_container_hanging_from_a_crane", "field2_143_prawn"),
    *("field2_166_guitar_neck", "field2_167_human_ear"),
]
each_simplified = pytest.mark.parametrize("name", [*DEFINITIONS, *FIELD])


def sides(text: str) -> set[str]:
    return set(re.findall(r"\b(left|right)\b", text))


def test_there_are_29_definitions_behind_the_benchmark():
    assert len(DEFINITIONS) == 29


@each_simplified
def test_a_simplified_description_is_shorter_and_keeps_points_and_sides_apart(name):
    known = category(name)
    found = [simplified(known, i) for i in range(len(known))]
    assert len(set(found)) == len(found)
    for point, text in zip(known.keypoints, found, strict=True):
        assert len(text) < len(point.description), point.name
        assert text[0].isupper() and text.endswith(".") and "  " not in text
        assert not re.search(r"\b(of|the|a|and|just|between|halfway|on)\.$", text), text
        assert not sides(point.name) or sides(point.name) & sides(text), point.name


@each_simplified
def test_a_simplified_name_is_no_longer_and_keeps_points_and_sides_apart(name):
    known = category(name)
    found = with_simplified_names(known)
    assert len({plain.casefold() for plain in found.names}) == len(known)
    for own, plain in zip(known.names, found.names, strict=True):
        assert len(plain) <= len(own) and sides(plain) == sides(own), own
        assert not re.search(r"_|[a-z][A-Z]|[A-Za-z]\d", plain)
    assert (found.noun, found.skeleton, found.pairs) == (known.noun, known.skeleton, known.pairs)
    assert [point.description for point in found.keypoints] == [point.description for point in known.keypoints]


def test_most_names_that_are_phrases_are_simplified():
    names = [(own, plain) for d in DEFINITIONS for own, plain in pairs_of(d) if len(own.split()) > 3]
    assert sum(own != plain for own, plain in names) > 0.75 * len(names)


def pairs_of(definition: str) -> list[tuple[str, str]]:
    known = category(definition)
    return list(zip(known.names, with_simplified_names(known).names, strict=True))


@each_definition
def test_a_vague_description_is_vague_and_does_not_name_the_part(name):
    known = category(name)
    for i, point in enumerate(known.names):
        text = vague(known, i)
        assert vague_phrases(text), text
        words = set(re.findall(r"[a-z]+", point.lower())) - {"of", "the", "at", "in"}
        assert not words & set(re.findall(r"[a-z]+", text.lower())), (point, text)


def test_the_wheels_of_a_swivel_chair_are_vague_as_in_the_paper():
    chair = category("mp100/swivelchair")
    assert vague(chair, 0) == "Starting from it, the remaining ones of its kind follow clockwise."


def test_the_words_are_found_under_another_noun_and_for_some_of_the_points():
    horse = category("mp100/horse_body")
    some = horse.only([7, 2])
    assert [simplified(some, 0), simplified(some, 1)] == [simplified(horse, 7), simplified(horse, 2)]
    assert with_simplified_names(some).names == ["left forepaw", "nose"]


def test_other_categories_have_no_simplified_words():
    mine = Category("lamp", (Keypoint("bulb", "the glass"),))
    assert vague(mine, 0) is None
    with pytest.raises(InputError, match="no simplified words for 'lamp'"):
        simplified(mine, 0)
    with pytest.raises(InputError, match="no simplified words for 'lamp'"):
        with_simplified_names(mine)


def test_all_kinds_that_field2_is_measured_on_have_simplified_words(shared):
    kinds = read("coco:" + str(shared / "data" / "field2_test.json"), shared / "data" / "images").categories.values()
    assert len(kinds) == len(FIELD) == 15
    for kind in kinds:
        words = {(name, simplified(kind, i)) for i, name in enumerate(with_simplified_names(kind).names)}
        assert len({name for name, _ in words}) == len({text for _, text in words}) == len(kind)
