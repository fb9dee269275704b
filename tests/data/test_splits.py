"""Splits: nothing on two sides, nothing lost, near the shares, and the same for the same seed in any order."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.data.parts import hold_out, in_several, merge, take_share
from anykeypoint.data.splits import split
from anykeypoint.errors import InputError
from anykeypoint.forms.mp100 import HELD_OUT, supercategory
from anykeypoint.library.lookup import mp100_categories


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
        ("category", (0.4, 0.3, 0.3), "too few categories for 3 parts, namely 2; .* split them --by group"),
    ],
)
def test_what_cannot_be_split_is_refused(by, shares, words):
    with pytest.raises(InputError, match=words):
        split(document([1, 2], kinds=2), by, shares, 0)


# --- supercategories -----------------------------------------------------------------------------------------------

# The categories of each published held-out group: what the benchmark takes from its sources of people, cars and rooms.
HELD_OUT_NAMES = {
    "human_face": ["face", "face"],
    "human_body": ["person"],
    "vehicle": ["bus", "car", "suv"],
    "furniture": ["bed", "chair", "sofa", "swivelchair", "table"],
}


def benchmark():
    """All of MP-100's categories as its files list them, with one object each."""
    entries = mp100_categories().items()
    categories = [{"id": i, "name": entry["name"], "supercategory": "of the file"} for i, entry in entries]
    images = [{"id": i, "file_name": f"{i}.jpg"} for i, _ in entries]
    return {
        "images": images,
        "annotations": [{"id": i, "image_id": i, "category_id": i} for i, _ in entries],
        "categories": categories,
    }


@pytest.mark.parametrize("group", HELD_OUT)
def test_the_published_held_out_groups_are_made_from_the_benchmarks_categories(group):
    train, test = hold_out(benchmark(), [group], supercategory)
    names = {entry["id"]: entry["name"] for entry in test["categories"]}
    assert sorted(name.lower() for name in names.values()) == HELD_OUT_NAMES[group]
    assert ids(test) == {e["id"] for e in test["images"]} == set(names)
    assert ids(train) | ids(test) == set(range(1, 101)) and not ids(train) & ids(test)
    assert {e["id"] for e in train["categories"]} == {e["id"] for e in train["images"]} == ids(train)


def test_both_faces_of_the_benchmark_are_held_out_together():
    assert ids(hold_out(benchmark(), ["human_face"], supercategory)[1]) == {18, 40}


def test_the_hundred_categories_are_of_the_benchmarks_eight_supercategories():
    groups = [entry["supercategory"] for entry in mp100_categories().values()]
    assert {name: groups.count(name) for name in groups} == {
        **{"animal_body": 45, "animal_face": 30, "clothes": 13, "furniture": 5, "vehicle": 3},
        **{"human_face": 2, "human_body": 1, "human_hand": 1},
    }


def test_a_category_that_is_not_the_benchmarks_is_of_the_files_group():
    assert supercategory({"id": 40, "name": "face", "supercategory": "person"}) == "human_face"
    assert supercategory({"id": 40, "name": "kite", "supercategory": "toy"}) == "toy"
    assert supercategory({"id": 400, "name": "face"}) == ""


def test_groups_may_be_held_out_together_and_what_cannot_be_held_out_is_refused():
    both = hold_out(benchmark(), ["furniture", "vehicle"], supercategory)[1]
    assert len(ids(both)) == 8
    with pytest.raises(InputError, match=r"'fruit'; there are animal_body, .*, vehicle"):
        hold_out(benchmark(), ["furniture", "fruit"], supercategory)
    with pytest.raises(InputError, match="nothing left to train on"):
        hold_out(both, ["furniture", "vehicle"], supercategory)
    with pytest.raises(InputError, match="there are none"):
        hold_out(document([1, 2]), ["furniture"], lambda entry: "")


def test_files_of_one_data_set_are_put_together_and_others_are_refused():
    whole = document([1, 2, 3, 4], kinds=2)
    halves = split(whole, "category", (0.5, 0, 0.5), 0)
    merged = merge([halves[2], halves[0], halves[0]])
    assert {key: sorted(rows, key=lambda e: e["id"]) for key, rows in merged.items()} == whole
    other = document([1, 2, 3, 4], kinds=2)
    other["annotations"][0]["keypoints"] = [1, 2, 2]
    with pytest.raises(InputError, match="annotations of the id 0 that differ in 'keypoints'"):
        merge([whole, other])


def test_a_picture_in_two_parts_is_counted_whatever_its_ids_are():
    whole = document([-1] * 6)
    assert in_several(take_share(whole, 0.5, 0, per_category=False)) == 0
    again = document([-1] * 2)
    again["images"][0]["id"] = 77
    assert in_several([whole, again, again]) == 2


# --- shares --------------------------------------------------------------------------------------------------------


def counts(part):
    kinds = [entry["category_id"] for entry in part["annotations"]]
    return {kind: kinds.count(kind) for kind in kinds}


def unequal():
    """Categories 0, 1, 2 and 3 with 1, 2, 7 and 30 objects."""
    data = document([-1] * 40)
    for entry, kind in zip(data["annotations"], [0] + [1] * 2 + [2] * 7 + [3] * 30, strict=True):
        entry["category_id"] = kind
    return data


def test_half_of_each_category_is_half_rounded_up_and_the_two_parts_are_the_whole():
    data = unequal()
    part, rest = take_share(data, 0.5, 0, per_category=True)
    assert counts(part) == {0: 1, 1: 1, 2: 4, 3: 15} and counts(rest) == {1: 1, 2: 3, 3: 15}
    assert ids(part) | ids(rest) == set(range(40)) and not ids(part) & ids(rest)
    assert part["categories"] == rest["categories"] == data["categories"]
    assert {e["id"] for e in part["images"]} == {e["image_id"] for e in part["annotations"]}


@given(st.floats(0.01, 0.99), st.integers(0, 3))
def test_a_share_per_category_is_the_nearest_number_but_one_at_least(share, seed):
    part, rest = take_share(unequal(), share, seed, per_category=True)
    for kind, total in ((0, 1), (1, 2), (2, 7), (3, 30)):
        taken = counts(part)[kind]
        assert taken == 1 or abs(taken - total * share) <= 0.5 + 1e-9
        assert taken + counts(rest).get(kind, 0) == total


def test_the_draw_is_the_seeds_and_neither_the_orders_nor_other_categories():
    data, turned = unequal(), unequal()
    turned["annotations"].reverse()
    alone = {**unequal(), "annotations": [e for e in data["annotations"] if e["category_id"] == 3]}
    drawn = ids(take_share(data, 0.5, 5, per_category=True)[0])
    assert drawn == ids(take_share(turned, 0.5, 5, per_category=True)[0])
    assert ids(take_share(alone, 0.5, 5, per_category=True)[0]) == drawn & ids(alone)
    assert drawn != ids(take_share(data, 0.5, 6, per_category=True)[0])


def test_a_share_of_all_objects_counts_no_categories():
    part, _ = take_share(unequal(), 0.5, 0, per_category=False)
    assert len(ids(part)) == 20


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_that_leaves_a_part_empty_is_refused(share):
    with pytest.raises(InputError, match="above 0 and below 1"):
        take_share(unequal(), share, 0, per_category=True)
