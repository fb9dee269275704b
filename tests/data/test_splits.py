"""Splits: nothing on two sides, nothing lost, near the shares, and the same for the same seed in any order."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.data.splits import split
from anykeypoint.errors import InputError


def document(groups, kinds=5):
    """One object and picture for each number in `groups`, which says its group (None for -1)."""
    images, annotations = [], []
    for i, group in enumerate(groups):
        images.append({"id": i, "file_name": f"{i}.png"} | ({"group": group} if group >= 0 else {}))
        annotations.append({"id": i, "image_id": i, "category_id": i % kinds})
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": k, "name": str(k)} for k in range(kinds)],
    }


def ids(part):
    return {entry["id"] for entry in part["annotations"]}


@given(
    st.lists(st.integers(-1, 9), min_size=20, max_size=60), st.integers(0, 5), st.sampled_from(["category", "group"])
)
def test_parts_share_no_category_or_group_and_lose_nothing(groups, seed, by):
    data = document(groups)
    if by == "group" and len(set(groups)) + groups.count(-1) - (-1 in groups) < 3:
        return
    parts = split(data, by, (0.6, 0.2, 0.2), seed)
    assert sum(len(ids(part)) for part in parts) == len(groups) == len(set().union(*map(ids, parts)))
    group = {entry["id"]: entry.get("group") for entry in data["images"]}
    sides = []
    for part in parts:
        assert part["annotations"]
        assert {e["image_id"] for e in part["annotations"]} == {e["id"] for e in part["images"]}
        if by == "category":
            sides.append({e["category_id"] for e in part["annotations"]})
            assert sides[-1] == {e["id"] for e in part["categories"]}
        else:
            sides.append({group[e["image_id"]] for e in part["annotations"]} - {None})
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_the_order_of_the_file_changes_no_side_and_the_seed_does():
    data = document([i % 17 for i in range(80)], kinds=8)
    turned = copy.deepcopy(data)
    turned["annotations"].reverse()
    turned["images"].reverse()
    turned["categories"].reverse()
    for by in ("category", "group"):
        here = [ids(part) for part in split(data, by, (0.5, 0.25, 0.25), 3)]
        assert here == [ids(part) for part in split(turned, by, (0.5, 0.25, 0.25), 3)]
        assert here != [ids(part) for part in split(data, by, (0.5, 0.25, 0.25), 4)]


def test_shares_are_kept_as_near_as_groups_allow():
    parts = split(document(list(range(100))), "group", (0.7, 0.1, 0.2), 0)
    assert [len(part["annotations"]) for part in parts] == [70, 10, 20]
    parts = split(document(list(range(100)), kinds=10), "category", (0.7, 0, 0.3), 0)
    assert [len(part["categories"]) for part in parts] == [7, 0, 3]


@pytest.mark.parametrize(
    ("by", "shares", "words"),
    [
        ("colour", (0.7, 0.1, 0.2), "category or group"),
        ("group", (0.7, 0.2), "three numbers"),
        ("group", (0.7, 0.2, 0.2), "sum to 1"),
        ("group", (1.2, -0.4, 0.2), "from 0"),
        ("category", (0.4, 0.3, 0.3), "too few for 3 parts"),
    ],
)
def test_what_cannot_be_split_is_refused(by, shares, words):
    with pytest.raises(InputError, match=words):
        split(document([1, 2], kinds=2), by, shares, 0)
