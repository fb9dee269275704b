"""The category library as data: what every definition in src/anykeypoint/library must hold, whatever reads it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from anykeypoint.category import Category
from anykeypoint.library.check import check, vague_phrases
from anykeypoint.library.lookup import described

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "src" / "anykeypoint" / "library" / "definitions"
FILES = sorted(LIBRARY.glob("*.json"))
GENERAL = {
    "animal_body": 17,
    "animal_face": 9,
    "bird": 15,
    "chair": 10,
    "human_body": 17,
    "human_face": 68,
    "human_hand": 21,
    "vehicle": 13,
}
FIELD_SPLITS = ("train", "val", "test")
# Four face categories whose points the data only numbers; their names are written with the second field data.
UNNAMED_FIELD_IDS = {28, 29, 30, 31}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def other_side(name: str) -> str:
    return re.sub(r"\b(left|right)\b", lambda m: "right" if m[0] == "left" else "left", name)


def field_slug(category: dict, prefix: str = "field") -> str:
    words = re.sub(r"[^a-z0-9]+", "_", category["name"].lower().replace("'s", "s")).strip("_")
    return f"{prefix}_{category['id']:02d}_{words}"


def field_categories() -> list[dict]:
    """The named categories of the three field files, or a skip that says where they were looked for."""
    return [c for c in every_field_category("field") if c["id"] not in UNNAMED_FIELD_IDS]


def every_field_category(prefix: str) -> list[dict]:
    shared = Path(os.environ.get("ANYKEYPOINT_SHARED") or ROOT.parent / "shared")
    files = [shared / "data" / f"{prefix}_{split}.json" for split in FIELD_SPLITS]
    if not shared.is_dir():
        pytest.skip(f"no shared data folder at {shared}; set ANYKEYPOINT_SHARED to check labels against it")
    return [c for file in files for c in json.loads(file.read_text(encoding="utf-8"))["categories"]]


def field2_definitions() -> dict[str, dict]:
    """The categories by the stem of their definition, for those that the second field files have beyond the first."""
    known = {category["id"] for category in field_categories()}
    return {field_slug(c, "field2"): c for c in every_field_category("field2") if c["id"] not in known}


def test_the_general_definitions_are_there_with_their_known_counts():
    assert {name: len(read(LIBRARY / f"{name}.json")["keypoints"]) for name in GENERAL} == GENERAL


@each_file
def test_a_definition_has_exactly_the_agreed_keys(path: Path):
    data = read(path)
    assert set(data) - {"pairs", "alone"} == {"name", "noun", "source", "keypoints", "skeleton"}
    for keypoint in data["keypoints"]:
        assert set(keypoint) - {"label"} == {"name", "description"}
        assert all(isinstance(value, str) and value == value.strip() and value for value in keypoint.values())
        assert keypoint.get("label") != keypoint["name"], "a label that only repeats the name is noise"


@each_file
def test_the_name_is_the_file_stem_and_the_noun_reads_in_a_question(path: Path):
    data = read(path)
    assert data["name"] == path.stem
    assert re.fullmatch(r"[a-z0-9_]+", data["name"])
    # "Where is the left eye of this <noun> in this image?"
    assert re.fullmatch(r"[A-Za-z][A-Za-z' -]*", data["noun"])
    assert data["source"].strip()


@each_file
def test_names_are_unique_ignoring_case(path: Path):
    names = [keypoint["name"].casefold() for keypoint in read(path)["keypoints"]]
    assert len(names) > 1
    assert len(set(names)) == len(names)


@each_file
def test_names_are_plain_words_not_codes(path: Path):
    for keypoint in read(path)["keypoints"]:
        # No "L_Eye", "forelegR3", "sleeve (2)": only spelled-out words, and "(A point)" style asides.
        assert re.fullmatch(r"[A-Za-z0-9', ()-]+", keypoint["name"]), keypoint["name"]
        assert not re.search(r"\(\d+\)|[a-z][A-Z]|[A-Za-z]\d|\b[LR]\b", keypoint["name"]), keypoint["name"]


@each_file
def test_descriptions_are_specific_sentences_unique_within_the_file(path: Path):
    keypoints = read(path)["keypoints"]
    descriptions = [keypoint["description"] for keypoint in keypoints]
    assert len(set(descriptions)) == len(descriptions)
    for keypoint in keypoints:
        text = keypoint["description"]
        assert 40 <= len(text) <= 220, (keypoint["name"], len(text))
        assert text[0].isupper() and text.endswith("."), text
        assert not vague_phrases(text), text
        assert "{" not in text and "  " not in text, text
        assert text.rstrip(".").casefold() != keypoint["name"].casefold()


@each_file
def test_skeleton_edges_join_two_different_keypoints_once(path: Path):
    data = read(path)
    count = len(data["keypoints"])
    for edge in data["skeleton"]:
        assert len(edge) == 2 and all(type(end) is int and 0 <= end < count for end in edge), edge
        assert edge[0] != edge[1], edge
    assert len({frozenset(edge) for edge in data["skeleton"]}) == len(data["skeleton"])


@each_file
def test_every_sided_name_has_a_partner_on_the_other_side(path: Path):
    data = read(path)
    names = [keypoint["name"] for keypoint in data["keypoints"]]
    if "pairs" in data:
        ends = [end for pair in data["pairs"] for end in pair]
        assert len(set(ends)) == len(ends) and all(0 <= end < len(names) for end in ends)
        return
    for name in names:
        assert other_side(name) == name or other_side(name) in names, name


@each_file
def test_a_sided_description_speaks_of_its_own_side(path: Path):
    for keypoint in read(path)["keypoints"]:
        side = re.findall(r"\b(left|right)\b", keypoint["name"])
        if side:
            assert side[0] in re.findall(r"\b(left|right)\b", keypoint["description"]), keypoint


@each_file
def test_a_name_on_the_image_side_says_so_in_its_description(path: Path):
    for keypoint in read(path)["keypoints"]:
        if keypoint["name"].startswith("image "):
            assert "viewer" in keypoint["description"], keypoint


def test_field_definitions_carry_the_data_s_own_labels_and_skeletons():
    for category in field_categories():
        data = read(LIBRARY / f"{field_slug(category)}.json")
        labels = [keypoint.get("label", keypoint["name"]) for keypoint in data["keypoints"]]
        assert labels == category["keypoints"], data["name"]
        assert data["skeleton"] == category["skeleton"], data["name"]


def test_every_field_definition_belongs_to_a_field_category():
    assert {path.stem for path in FILES if path.stem.startswith("field_")} == {
        field_slug(category) for category in field_categories()
    }


def test_the_definitions_of_the_second_field_data_carry_its_labels_and_skeletons():
    categories = field2_definitions()
    assert {path.stem for path in FILES if path.stem.startswith("field2_")} == set(categories)
    for stem, category in categories.items():
        data = read(LIBRARY / f"{stem}.json")
        labels = [keypoint.get("label", keypoint["name"]) for keypoint in data["keypoints"]]
        assert labels == category["keypoints"], stem
        assert data["skeleton"] == category["skeleton"], stem


@pytest.mark.parametrize("prefix", ["field", "field2"])
def test_every_category_of_the_field_data_finds_its_description(prefix: str):
    for category in every_field_category(prefix):
        found = described(category["name"], category["keypoints"])
        assert found is not None, category["name"]
        assert [point.label or point.name for point in found.keypoints] == category["keypoints"]


def test_the_second_field_data_s_definitions_have_no_findings():
    for path in FILES:
        if path.stem.startswith("field2_"):
            assert check(Category.from_file(path)) == []
