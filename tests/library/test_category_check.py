"""The check of a category: what it finds, what it lets pass, and that the library itself passes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint import cli
from anykeypoint.category import Category, Keypoint
from anykeypoint.library.check import VAGUE_PHRASES, Finding, check, vague_phrases
from anykeypoint.library.lookup import category, library_names


def animal(*points: str | Keypoint, **options) -> Category:
    """A category whose points, where they are only names, get a description that repeats the name."""
    given = [point if isinstance(point, Keypoint) else Keypoint(point, f"At the {point}.") for point in points]
    return Category("animal", tuple(given), **options)


def kinds(found: Category) -> list[tuple[str, int]]:
    return [(finding.kind, finding.point) for finding in check(found)]


@pytest.mark.parametrize("name", library_names())
def test_the_shipped_library_passes(name):
    assert check(category(name)) == []


def test_all_is_well_with_a_whole_category():
    assert check(animal("left ear", "nose", "right ear", skeleton=((0, 1), (1, 2)))) == []


def test_a_finding_is_one_sentence_that_names_category_and_point():
    (finding,) = check(animal(Keypoint("nose")))
    assert finding == Finding(
        "animal", "description", 0, "'nose' has no description; say where it is and which points are next to it."
    )
    assert str(finding).startswith("animal: 'nose' has no description")


def test_names_used_twice_are_found_whatever_their_case_and_descriptions():
    wheels = (Keypoint("wheel", "In front."), Keypoint("seat", "On top."), Keypoint("Wheel ", "Behind."))
    assert kinds(animal(*wheels)) == [("name", 2)]
    assert "indices 0 and 2 are both called 'Wheel '" in check(animal(*wheels))[0].text


# --- descriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_point_without_a_description_is_found(text):
    assert kinds(animal("nose", Keypoint("tail", text))) == [("description", 1)]


@pytest.mark.parametrize("phrase", VAGUE_PHRASES)
def test_a_vague_phrase_is_found_in_any_case_as_whole_words_only(phrase):
    text = f"Starts here, {phrase.upper()} from the front wheel."
    assert kinds(animal(Keypoint("wheel", text))) == [("vague", 0)]
    if "-" not in phrase:  # what follows a hyphen is a word again
        assert vague_phrases(f"un{phrase} {phrase}ed") == []
    assert repr(phrase.upper()) in check(animal(Keypoint("wheel", text)))[0].text


@given(st.lists(st.sampled_from(["wheel", "beside", "clockwise", "and so on", "the  rest", "left"]), max_size=6))
def test_every_vague_phrase_of_a_text_is_told_once_each_time(words):
    vague = [" ".join(word.split()) for word in words if word in ("clockwise", "and so on", "the  rest")]
    assert vague_phrases(" ".join(words)) == vague


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("left ear", "On the right side of the head.", True),
        ("Left_ear", "The RIGHTMOST point of the head.", True),
        ("left ear", "On the left side, across from the right ear.", False),
        ("left ear", "On top of the head.", False),
        ("nose", "Right of the cheek.", False),
        ("left corner of the right eye", "The right one.", False),
        ("leftover", "On the right.", False),
    ],
)
def test_a_side_that_the_description_turns_round_is_found(name, text, found):
    assert kinds(animal(Keypoint(name, text))) == ([("side", 0)] if found else [])


# --- sides and pairs -----------------------------------------------------------------------------------------------


def test_a_missing_partner_is_found_where_other_points_have_theirs():
    assert kinds(animal("left ear", "right ear", "left eye")) == [("partner", 2)]
    assert "'left eye' has no partner 'right eye'" in check(animal("left ear", "right ear", "left eye"))[0].text
    assert kinds(animal("left ear", "right ear", "left side of the right eye")) == [("partner", 2)]


def test_a_category_seen_from_one_side_needs_no_partners():
    assert kinds(animal("left ear", "nose", "left eye")) == []


def test_a_point_that_stands_alone_on_purpose_needs_neither_partner_nor_edge():
    points = ("left ear", "right ear", "left ear tag")
    assert kinds(animal(*points, skeleton=((0, 1),))) == [("partner", 2), ("skeleton", 2)]
    assert kinds(animal(*points, skeleton=((0, 1),), alone=(2,))) == []


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        (((0, 1), (2, 3)), []),
        (((1, 0), (3, 2)), []),
        (((0, 3), (1, 2)), [("pairs", 0), ("pairs", 1)]),
        (((0, 1), (2, 4)), [("partner", 3), ("pairs", 2)]),
        (((0, 1),), [("pairs", 2)]),
        ((), [("pairs", 0), ("pairs", 2)]),
        (((0, 1), (2, 3), (4, 5)), []),
    ],
)
def test_pairs_that_disagree_with_the_names_are_found(pairs, found):
    points = animal("left ear", "right ear", "left eye", "right eye", "front wheel", "rear wheel", pairs=pairs)
    got = kinds(points)
    assert [entry for entry in got if entry[0] == "pairs"] == [entry for entry in found if entry[0] == "pairs"]
    assert "partner" not in dict(got), "a partner that is there is a matter of the pairs"


def test_points_of_one_name_may_be_paired_in_any_order():
    points = [Keypoint(f"{side} wheel", f"{side} wheel, {place}") for side in ("left", "right") for place in "ab"]
    assert {kind for kind, _ in kinds(animal(*points, pairs=((0, 3), (1, 2))))} == {"name"}


# --- skeletons -----------------------------------------------------------------------------------------------------


def test_an_edge_given_twice_is_found_either_way_round():
    assert kinds(animal("a", "b", skeleton=((0, 1), (0, 1)))) == [("skeleton", 0)]
    assert kinds(animal("a", "b", skeleton=((0, 1), (1, 0)))) == [("skeleton", 1)]


def test_a_point_in_no_edge_is_found_only_where_there_is_a_skeleton():
    assert kinds(animal("a", "b", "c")) == []
    assert kinds(animal("a", "b", "c", skeleton=((0, 1),))) == [("skeleton", 2)]


# --- the command line ----------------------------------------------------------------------------------------------


def run(capsys, *arguments: object) -> tuple[int, list[str], str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["categories", *map(str, arguments)])
    printed = capsys.readouterr()
    return ended.value.code, printed.out.splitlines(), printed.err


def test_the_command_checks_the_whole_library_or_one_category(capsys):
    code, lines, _ = run(capsys, "--check")
    assert code == 0 and len(lines) == 1 and f"{len(library_names())} categories" in lines[0]
    assert run(capsys, "--check", "animal_face") == (0, ["Nothing to mend in 1 category, 9 points."], "")
    assert run(capsys, "mp100/37", "--check")[0] == 0


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_the_command_prints_a_line_for_each_finding_of_a_file_and_ends_with_1(suffix, tmp_path, capsys):
    data = {
        "name": "robot",
        "keypoints": ["head", {"name": "left arm", "description": "On the right."}, {"name": "right arm"}],
        "skeleton": [[0, 1], [1, 0]],
    }
    path = tmp_path / f"robot{suffix}"
    path.write_text(json.dumps(data))  # JSON is YAML
    code, lines, err = run(capsys, path, "--check")
    assert code == 1 and err == ""
    assert len(lines) == 5 and all(line.startswith("robot: ") and line.endswith(".") for line in lines)
    assert [line.split("'")[1] for line in lines] == ["head", "left arm", "right arm", "left arm", "right arm"]


def test_the_command_refuses_to_check_what_is_no_category(tmp_path, capsys):
    path = tmp_path / "twins.json"
    path.write_text(json.dumps({"name": "twins", "keypoints": ["head", "Head"]}))
    code, lines, err = run(capsys, "--check", path)
    assert code == 2 and lines == [] and err.startswith("error: Two keypoints of 'twins'")
