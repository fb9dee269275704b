"""MP-100's categories by id and by name: whose definition each one has, and what it is called."""

import json
import os
from pathlib import Path

import pytest

from anykeypoint import cli
from anykeypoint.errors import InputError
from anykeypoint.library.lookup import category, library_names, mp100_categories, names_for_people

SHARED = Path(os.environ.get("ANYKEYPOINT_SHARED") or Path(__file__).resolve().parents[3] / "shared")
ENTRIES = mp100_categories()
COUNTS = {
    **{"animal_body": 17, "macaque_body": 17, "human_body": 17, "fly_body": 32, "locust_body": 35, "human_hand": 21},
    **{"animal_face": 9, "human_face": 68, "amur_tiger_body": 19, "bird": 15, "vehicle": 13, "chair": 10},
    **{"bed": 10, "sofa": 14, "swivelchair": 13, "table": 8, "trousers": 14, "shorts": 10, "skirt": 8, "sling": 15},
    **{"vest": 15, "sling_dress": 19, "vest_dress": 19, "short_sleeved_shirt": 25, "long_sleeved_shirt": 33},
    **{"short_sleeved_dress": 29, "long_sleeved_dress": 37, "short_sleeved_outwear": 31, "long_sleeved_outwear": 39},
}


def reference(name: str) -> dict:
    return shared(f"reference/{name}")


def shared(name: str) -> dict:
    """A file of public facts about MP-100, or a skip that says where it was looked for."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"no {path}; set ANYKEYPOINT_SHARED to compare with the benchmark's own facts")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_ids_are_1_to_100_and_29_definitions_cover_them():
    assert list(ENTRIES) == list(range(1, 101))
    assert {entry["definition"] for entry in ENTRIES.values()} == set(COUNTS) <= set(library_names())
    assert {name: len(category(name)) for name in COUNTS} == COUNTS


def test_ids_names_definitions_and_counts_are_the_benchmarks():
    for known in reference("mp100_meta.json")["categories"]:
        entry = ENTRIES[known["id"]]
        assert (entry["name"], entry["definition"]) == (known["name"], known["desc_group"])
        assert len(category(f"mp100/{known['id']}")) == known["num_keypoints"]


def test_a_definition_names_the_side_that_the_benchmark_names_at_every_index():
    for definition, names in reference("keypoint_orders.json")["definitions"].items():
        for own, theirs in zip(category(definition).names, names, strict=True):
            # The last side word: "left side of the right eye" is at the right eye.
            sides = [[word for word in name.split() if word in ("left", "right")][-1:] for name in (own, theirs)]
            assert sides[0] == sides[1], (definition, own, theirs)


def test_the_19_point_face_calls_left_what_the_viewer_sees_left():
    """AFLW counts from the viewer's left, so the names say "image left": the person's own right."""
    points = category("amur_tiger_body")
    for annotation in shared("data/samples/aflw/test_aflw.json")["annotations"]:
        x = annotation["keypoints"][::3]
        for a, b in points.pairs:
            assert points.names[a].startswith("image left") and points.names[b].startswith("image right")
            assert x[a] < x[b]


@pytest.mark.parametrize("identity", ENTRIES)
def test_a_category_is_its_definition_under_its_own_name_and_noun(identity):
    entry, found = ENTRIES[identity], category(f"mp100/{identity}")
    shared = category(entry["definition"])
    assert (found.name, found.noun) == (entry["name"], entry["noun"])
    assert (found.keypoints, found.skeleton, found.pairs) == (shared.keypoints, shared.skeleton, shared.pairs)
    assert category(f"mp100/{identity}") is found
    if entry["name"] != "face":
        assert category(f"mp100/{entry['name']}") is found
        assert category(f"mp100/{entry['name'].upper().replace('_', ' ')}") is found


def test_nouns_are_plain_words():
    nouns = {entry["name"]: entry["noun"] for entry in ENTRIES.values()}
    assert not [noun for noun in nouns.values() if "_" in noun or not noun.strip() or noun.endswith(" body")]
    assert nouns["camel_face"] == "camel face" and nouns["horse_body"] == "horse" and nouns["Grebe"] == "grebe"
    assert nouns["short_sleeved_shirt"] == "short-sleeved shirt" and nouns["face"] == "human face"


def test_the_name_of_two_categories_is_refused_with_both_ids():
    with pytest.raises(InputError, match=r"2 categories called 'face'.*mp100/18 \(19 points\) or mp100/40 \(68 points"):
        category("mp100/face")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mp100/0", "no category '0'; use an id from 1 to 100"),
        ("mp100/101", "no category '101'; use an id"),
        ("mp100/012", "no category '012'; use an id"),
        ("mp100/", "no category ''; use an id"),
        ("mp100/horse", "near names are horse_body, przewalskihorse_face"),
    ],
)
def test_what_is_no_category_of_the_benchmark_is_refused(name, told):
    with pytest.raises(InputError, match=told):
        category(name)


def listed(capsys, *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["categories", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_a_list_for_people_goes_by_what_a_definition_is_of():
    names = names_for_people()
    assert sorted(names) == library_names()
    general = [name for name in names if not name.startswith("field")]
    assert names[: len(general)] == general, "definitions of one data set come last"
    nouns = [category(name).noun.lower() for name in general]
    assert nouns == sorted(nouns) and nouns[0] == "animal"
    faces = [name for name in general if category(name).noun == "human face"]
    assert faces == ["amur_tiger_body", "human_face"], "its name is MP-100's, its points are a face's"


def test_the_list_of_categories_has_one_line_for_the_benchmark(capsys):
    lines = listed(capsys)
    assert [line.split()[0] for line in lines[:-1]] == names_for_people()
    assert lines[-1].startswith("mp100/1 ... mp100/100: ")
    lines = listed(capsys, "mp100")
    assert [line.split()[0] for line in lines] == [f"mp100/{identity}" for identity in range(1, 101)]
    assert lines[36].split() == ["mp100/37", "camel_face", "9", "points", "camel", "face"]
    assert listed(capsys, "mp100/37")[0] == "camel_face: 9 points of a camel face"
