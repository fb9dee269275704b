"""The library against MP-100: clothes and furniture point by point, and the order and sides of all 29 definitions."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from anykeypoint.category import Category
from anykeypoint.library.lookup import category, library_names

CLOTHES = {
    "long_sleeved_dress": 37,
    "long_sleeved_outwear": 39,
    "long_sleeved_shirt": 33,
    "short_sleeved_dress": 29,
    "short_sleeved_outwear": 31,
    "short_sleeved_shirt": 25,
    "shorts": 10,
    "skirt": 8,
    "sling": 15,
    "sling_dress": 19,
    "trousers": 14,
    "vest": 15,
    "vest_dress": 19,
}
FURNITURE = {"bed": 10, "chair": 10, "sofa": 14, "swivelchair": 13, "table": 8}
# fmt: off
KEPT_WORDS = (
    "armpit", "shoulder", "strap", "waistband", "crotch", "armrest", "backrest", "leg", "seat", "mattress", "headboard",
    "wheel", "column", "second", "third", "fourth", "fifth",
)
# fmt: on
# What a short name of the published order asks of our name at the same index, so that no two points change places.
SAME_POINT = [
    (r"\bneckline", r"\bneckline"),
    (r"\bcenter\b|^crotch", r"\bmiddle\b|^crotch"),
    (r"\bback neckline", r"^back\b|\bend\b"),
    (r"\bfront neckline", r"^front\b"),
    (r"\bsleeve", r"\b(sleeve|cuff)\b"),
    (r"\bouter\b", r"\bouter\b"),
    (r"\binner\b", r"\binner\b"),
    # A long sleeve has three points above its cuff: top, upper, lower there are upper part, middle, lower part here.
    (r"\btop of \w+ sleeve", r"\bupper part\b"),
    (r"\bupper point of \w+ sleeve", r"\bmiddle\b"),
    (r"\btop of (?!\w+ sleeve)", r"\b(top|upper end) of\b"),
    (r"\bupper point of (?!\w+ sleeve)", r"\bupper part\b"),
    (r"\bmiddle of", r"\bmiddle of"),
    (r"\blower point", r"\blower part\b"),
    (r"\bbottom of", r"\b(bottom|corner|lower end)\b"),
    (r"\bplacket", r"\bfront edge"),
    (r"\bhem\b", r"\bhem\b"),
    (r"\bfront (leg|edge|wheel)|and front", r"\b(front|foot-end)\b"),
    (r"\b(rear|back) (leg|edge)|and back", r"\b(rear|head-end)\b"),
    *((word, word) for word in KEPT_WORDS),
]

each_garment = pytest.mark.parametrize("name", CLOTHES)
each_one = pytest.mark.parametrize("name", CLOTHES | FURNITURE)


def reference(file: str) -> dict:
    """A file of the shared reference folder, or a skip that says where it was looked for."""
    shared = Path(os.environ.get("ANYKEYPOINT_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    path = shared / "reference" / file
    if not path.is_file():
        pytest.skip(f"no {path}; set ANYKEYPOINT_SHARED to check the library against it")
    return json.loads(path.read_text(encoding="utf-8"))


def orders() -> dict[str, list[str]]:
    """The published order of every MP-100 definition that the library has."""
    published = reference("keypoint_orders.json")["definitions"]
    return {name: order for name, order in published.items() if name in library_names()}


def sides(text: str) -> list[str]:
    return re.findall(r"\b(left|right)\b", text)


def neighbours(found: Category) -> dict[int, set[int]]:
    near: dict[int, set[int]] = {i: set() for i in range(len(found))}
    for a, b in found.skeleton:
        near[a].add(b)
        near[b].add(a)
    return near


@each_one
def test_clothes_and_furniture_are_there_with_their_known_counts(name: str):
    assert len(category(name)) == (CLOTHES | FURNITURE)[name]


def test_counts_are_those_of_every_mp100_category_that_uses_the_definition():
    known = library_names()
    entries = [c for c in reference("mp100_meta.json")["categories"] if c["desc_group"] in known]
    assert set(CLOTHES | FURNITURE) <= {entry["desc_group"] for entry in entries}
    for entry in entries:
        assert len(category(entry["desc_group"])) == entry["num_keypoints"], entry["name"]


def test_a_point_is_on_the_side_that_the_published_order_gives_its_index():
    for name, order in orders().items():
        assert len(category(name)) == len(order), name
        for published, own in zip(order, category(name).names, strict=True):
            # The last word is the part's own side: "bottom left side of the right eye" is on the right.
            assert sides(own)[-1:] == sides(published)[-1:], (name, published, own)


@each_one
def test_a_point_is_the_part_that_the_published_order_gives_its_index(name: str):
    published = orders()[name]
    for short, own in zip(published, category(name).names, strict=True):
        for asked, answered in SAME_POINT:
            assert not re.search(asked, short) or re.search(answered, own), (short, own)


@each_one
def test_the_skeleton_joins_all_points_in_one_piece(name: str):
    near = neighbours(category(name))
    reached, todo = {0}, [0]
    while todo:
        new = near[todo.pop()] - reached
        reached |= new
        todo += new
    assert reached == set(near)


@each_one
def test_every_sided_point_is_in_a_pair_with_its_other_side(name: str):
    found = category(name)
    other = {a: b for pair in found.pairs or () for a, b in (pair, pair[::-1])}
    for i, point in enumerate(found.names):
        swapped = re.sub(r"left|right", lambda m: "right" if m[0] == "left" else "left", point)
        if swapped != point:
            assert found.names[other[i]] == swapped


@each_one
def test_a_mirrored_skeleton_is_the_skeleton(name: str):
    found = category(name)
    order = found.mirrored()
    assert {frozenset((order[a], order[b])) for a, b in found.skeleton} == {frozenset(e) for e in found.skeleton}


def test_the_wheels_of_a_swivel_chair_are_mirrored_round_the_front_one():
    assert category("swivelchair").mirrored()[:5] == [0, 4, 3, 2, 1]


@each_garment
def test_a_sided_point_of_a_garment_says_that_the_side_is_the_wearer_s(name: str):
    for point in category(name).keypoints:
        for side in sides(point.name):
            assert re.search(rf"wearer's {side}\b|{side} armpit", point.description), point


@pytest.mark.parametrize("name", FURNITURE)
def test_a_sided_point_of_furniture_says_whose_side_it_is(name: str):
    for point in category(name).keypoints:
        for side in sides(point.name):
            assert f"on the {side} of someone" in point.description, point


@pytest.mark.parametrize("name", sorted(set(CLOTHES | FURNITURE) - {"chair"}))
def test_a_description_relates_the_point_to_another_by_name(name: str):
    names = category(name).names
    for point in category(name).keypoints:
        assert any(other in point.description for other in names if other != point.name), point
