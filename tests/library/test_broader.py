"""Broader kinds: what a noun that a model may not know is a kind of."""

import json
import re
from pathlib import Path

from anykeypoint.library.broader import broader_kind
from anykeypoint.library.lookup import category, library_names, mp100_categories

FILE = Path(__file__).resolve().parents[2] / "src" / "anykeypoint" / "library" / "broader.json"
BROADER = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_noun_of_the_library_and_of_mp100_has_a_broader_kind():
    nouns = {category(name).noun.lower() for name in library_names()}
    nouns |= {entry["noun"].lower() for entry in mp100_categories().values()}
    assert nouns - set(BROADER) == set()


def test_nouns_are_lower_case_words_in_the_order_of_the_alphabet():
    assert list(BROADER) == sorted(BROADER) and len(BROADER) >= 2000
    assert [noun for noun in BROADER if not re.fullmatch(r"[a-z][a-z' -]*[a-z]", noun)] == []


def test_a_noun_stands_once_in_the_file():
    assert len(re.findall(r'^"[^"]+": ', FILE.read_text(encoding="utf-8"), re.MULTILINE)) == len(BROADER)


def test_broader_kinds_are_few_words_that_many_nouns_share():
    phrases = set(BROADER.values())
    assert 40 <= len(phrases) <= 80
    for phrase in phrases:
        assert len(phrase.split()) <= 8, phrase
        assert re.fullmatch(r"(a|an|the|something) [a-z' -]+", phrase), phrase
        assert sum(other == phrase for other in BROADER.values()) >= 5, phrase


def test_kinds_that_look_alike_share_their_broader_kind():
    assert BROADER["sheep"] == BROADER["cow"] == BROADER["camel"] == BROADER["quoll"] == "a four-legged animal"
    assert BROADER["grasshopper"] == BROADER["honey bee"] == "an insect with six legs"
    assert BROADER["bus"] == BROADER["lorry"] == "a vehicle with four wheels or more"
    assert BROADER["go board"] == BROADER["rectangular sticker"] != BROADER["chair"]


def test_the_broader_kind_is_found_by_the_noun_without_additions_in_the_singular_and_by_its_last_words():
    animal = "a four-legged animal"
    assert {
        broader_kind(noun) for noun in ("Sheep", "dogs", "dog, six points", "mouse from the side", "tiger, walking")
    } == {animal}
    assert broader_kind("amur tiger") == broader_kind("spotted amur tiger") == animal
    assert broader_kind("gizmotron") is None and broader_kind("") is None
