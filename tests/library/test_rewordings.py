"""Names in other words: synonyms, another language, typos."""

import re

import pytest

from anykeypoint.category import Category, Keypoint
from anykeypoint.library.lookup import category, library_names
from anykeypoint.library.rewordings import in_other_words, misspelt, reworded, ways


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("synonyms", "left-hand fore foot"),
        ("german", "linkes vorderes Pfote"),
        ("french", "gauche avant patte"),
        ("spanish", "izquierdo delantero pata"),
    ],
)
def test_each_word_is_replaced_by_its_own_and_capitals_do_not_matter(way, expected):
    assert in_other_words("left_front paw", way) == in_other_words("Left front Paw", way) == expected


def test_several_words_come_before_their_parts_and_parts_of_words_stay():
    assert in_other_words("tail base", "synonyms") == "root of the tail"
    assert in_other_words("earlobe, eye-tooth", "synonyms") == "earlobe, eye-tooth"


def test_a_name_that_would_be_another_points_stays_as_it_is():
    beak, bill = (Keypoint(name) for name in ("beak", "bill"))
    assert reworded(Category("bird", (beak, bill)), "synonyms").names == ["bill", "beak"]  # exchanged, and still two
    front = Category("seam", tuple(Keypoint(name) for name in ("top seam", "upper seam", "lower seam", "bottom seam")))
    french = reworded(front, "synonyms").names
    assert len(set(french)) == 4
    words = Category("hand", tuple(Keypoint(name) for name in ("arrière", "rear", "nose")))
    assert reworded(words, "french").names == ["arrière", "rear", "nez"]


def test_all_but_the_words_is_as_it_was():
    known = category("animal_body")
    for way in ways():
        other = reworded(known, way)
        assert (other.pairs, other.skeleton, other.noun) == (known.pairs, known.skeleton, known.noun)
        assert [p.description for p in other.keypoints] == [p.description for p in known.keypoints]
        assert not any(point.phrase for point in other.keypoints)


def test_phrases_are_put_in_the_same_words():
    point = Keypoint("left ear", phrase="ear on the left")
    (found,) = reworded(Category("cat", (point,)), "german").keypoints
    assert (found.name, found.phrase) == ("linkes Ohr", "Ohr auf dem linkes")


@pytest.mark.parametrize("name", ["left front paw", "eye", "L1", "tip of the left ear", "crossvein 2"])
def test_a_typo_changes_one_word_by_a_letter_and_keeps_its_first(name):
    found = {misspelt(name, seed) for seed in range(20)}
    assert (len(found) > 1 and name not in found) or name == "L1"
    for text in found:
        own, other = name.split(), text.split()
        changed = [(a, b) for a, b in zip(own, other, strict=True) if a != b]
        assert len(changed) <= 1 and all(a[0] == b[0] and abs(len(a) - len(b)) <= 1 for a, b in changed)
        assert all(len(a) >= 4 for a, _ in changed) or not re.search(r"[^\W\d_]{4}", name)


def test_a_name_has_the_same_typo_everywhere_and_another_with_another_seed():
    assert misspelt("left front paw", 3) == misspelt("left front paw", 3)
    assert len({misspelt("left front paw", seed) for seed in range(30)}) > 10


@pytest.mark.parametrize("way", ["synonyms", "german", "french", "spanish", "typos"])
def test_most_names_of_the_library_have_other_words(way):
    pairs = [
        (own, other)
        for name in library_names()
        for own, other in zip(category(name).names, reworded(category(name), way).names, strict=True)
    ]
    assert len(pairs) > 1000
    assert sum(own != other for own, other in pairs) > 0.9 * len(pairs)
