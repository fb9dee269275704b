# ruff: noqa: RUF001  (full-width marks are what is tested)
"""Text as people type it: keypoints in every alphabet's punctuation, words, numbers, and two paths in one argument."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.category import Category
from anykeypoint.configs.typed import is_drive, printable, split_commas, split_paths, split_points, split_words
from anykeypoint.errors import InputError, ReadingWarning

NOSE_AND_EYE = [("nose", ""), ("left eye", "the eye on its left")]


@pytest.mark.parametrize(
    "text",
    [
        "nose; left eye: the eye on its left",
        "nose；left eye：the eye on its left",
        "nose;left eye:the eye on its left;",
        "nose\nleft eye: the eye on its left\n",
        "nose\r\nleft eye: the eye on its left\r\n",
        "nose\u2028\tleft eye：the eye on its left",
        "\ufeffno\u200bse؛ left eye: the eye on its left",
    ],
)
def test_keypoints_are_parted_by_every_alphabets_semicolon_and_by_new_lines(text):
    assert split_points(text) == (NOSE_AND_EYE, "")


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("12:30 mark", [("12:30 mark", "")]),
        ("12:30 mark; 9：15 mark：the left one", [("12:30 mark", ""), ("9：15 mark", "the left one")]),
        ("16:9 corner: top left", [("16:9 corner", "top left")]),
        ("tip: at 12:30", [("tip", "at 12:30")]),
        ("1,5 mm mark", [("1,5 mm mark", "")]),
        ("corner (top, left)", [("corner (top, left)", "")]),
        ("nose: the tip, which is dark", [("nose", "the tip, which is dark")]),
        ("nose, the dark one;", [("nose, the dark one", "")]),
        ("nose,", [("nose", "")]),
        ("{name}; {0}; {}", [("{name}", ""), ("{0}", ""), ("{}", "")]),
        ("👁️; 👩‍🚀", [("👁️", ""), ("👩‍🚀", "")]),
        ("الأنف؛ العين", [("الأنف", ""), ("العين", "")]),
        ("e\u0301ye", [("éye", "")]),
        ("鼻; œil".encode().decode("ascii", "surrogateescape"), [("鼻", ""), ("œil", "")]),
        ("", []),
        (" ; \n", []),
    ],
)
def test_colons_and_commas_that_belong_to_a_name_stay_in_it(text, points):
    assert split_points(text) == (points, "")


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("nose, left eye", [("nose", ""), ("left eye", "")]),
        ("鼻、左目，右目", [("鼻", ""), ("左目", ""), ("右目", "")]),
        ("أنف، عين", [("أنف", ""), ("عين", "")]),
        ("12:30 mark, 3:15 mark", [("12:30 mark", ""), ("3:15 mark", "")]),
        ("nose: the tip, eye: the left one", [("nose", "the tip"), ("eye", "the left one")]),
        ("nose, eye: the left one", [("nose, eye", "the left one")]),
    ],
)
def test_text_that_could_be_meant_in_another_way_is_read_and_said(text, points):
    read, doubt = split_points(text)
    assert read == points and "';'" in doubt and text in doubt
    with pytest.warns(ReadingWarning, match="keypoint"):
        assert Category.from_text(text).names == [name for name, _ in points]


def test_text_that_is_clear_is_read_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Category.from_text("12:30 mark; nose: dark, wet").names == ["12:30 mark", "nose"]


@pytest.mark.parametrize("text", ["nose\tleft eye", "nose; a\x07b", "no\x00se", "\udcff"])
def test_control_characters_and_broken_text_inside_names_are_refused(text):
    with pytest.raises(InputError, match=r"tab inside|no text") as caught:
        Category.from_text(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["nose; no\u200bse", "e\u0301ye; éye", "Nose; nose", "nose;: the tip", "\u200b: the tip"]
)
def test_doubled_and_empty_names_are_refused_however_they_are_spelled(text):
    with pytest.raises(InputError, match=r"Two keypoints|must not be empty"):
        Category.from_text(text)


def test_too_many_keypoints_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"1 to 256 keypoints, but 'object' has 300; ask for them in several parts"):
        Category.from_text(";".join(f"point {i}" for i in range(300)))


@given(st.lists(st.tuples(st.sampled_from("abc12"), st.sampled_from(["", "is x, y", "z: 3"])), min_size=2, max_size=5))
def test_what_is_joined_by_semicolons_is_parted_again(points):
    text = "; ".join(f"{name}: {description}" if description else name for name, description in points)
    assert split_points(text) == (points, "")


def test_words_and_numbers_are_parted_by_every_alphabets_marks():
    assert split_words("dog; cat") == split_words("dog；cat") == (["dog", "cat"], "")
    for text in ("dog, cat", "dog、cat"):
        words, doubt = split_words(text)
        assert words == ["dog", "cat"] and text in doubt
    assert split_words("a dog, sitting; cat") == (["a dog, sitting", "cat"], "")
    assert split_words("dog;") == (["dog", ""], "")
    assert split_commas("1,2，3、4") == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (r"C:\a.png:C:\a.json", (r"C:\a.png", r"C:\a.json")),
        ("C:/a b.png:d:/a.json", ("C:/a b.png", "d:/a.json")),
        (r"a.png:C:\a.json", ("a.png", r"C:\a.json")),
        (r"C:\a.png:a.json", (r"C:\a.png", "a.json")),
        (r"\\host\x\a.png:\\host\x\a.json", (r"\\host\x\a.png", r"\\host\x\a.json")),
        ("a:/b", None),
        ("a.png:b.json", ("a.png", "b.json")),
        ("12:30.png:12:30.json", ("12:30.png", "12:30.json")),
        ("one:two.png:b.json", ("one:two.png", "b.json")),
        ("a.png", None),
        ("a.png:", None),
        (":a.json", None),
        (r"C:\a.png", None),
    ],
)
def test_two_paths_are_parted_at_the_colon_between_them(text, paths):
    there = {"12:30.png", "12:30.json"}
    assert split_paths(text, there.__contains__) == paths


def test_a_colon_follows_a_drive_only_in_front_of_a_path():
    assert is_drive(r"C:\x", 1) and is_drive("a:C:/x", 3)
    assert not any((is_drive("C:x", 1), is_drive("ab:/x", 2), is_drive("é:/x", 1), is_drive(":/x", 0)))


def test_text_for_a_terminal_is_one_line_without_control_characters():
    assert printable("nose\n\x1b[31m\tl\u2028r") == "nose\\n\\x1b[31m\\tl\\u2028r"
    assert printable("鼻 👩‍🚀 caf\udce9 الأنف") == "鼻 👩‍🚀 caf\udce9 الأنف"
