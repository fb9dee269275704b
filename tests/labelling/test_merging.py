"""Two windows that change one label: put together point by point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.labelling.merging import merged, same_content
from anykeypoint.labelling.records import Label, PointMark


def at(x: float) -> PointMark:
    return PointMark((x, 2.0), 2)


BASE = Label({"nose": at(1), "tail": at(2)}, revision=3)


def test_changes_of_different_points_are_both_kept():
    theirs = Label({"nose": at(9), "tail": at(2), "ear": at(4)}, revision=5)
    label, said = merged(BASE, Label({"nose": at(1), "tail": at(8)}), theirs, "a.png")
    assert label == Label({"nose": at(9), "tail": at(8), "ear": at(4)}, revision=5) and said == []


@pytest.mark.parametrize(
    ("mine", "theirs", "result"),
    [(at(7), at(9), at(7)), (None, at(9), None), (at(7), None, at(7)), (PointMark(None, 0), at(9), PointMark(None, 0))],
)
def test_of_one_point_the_later_change_counts_and_is_said(mine, theirs, result):
    other = {"nose": theirs} if theirs else {}
    own = {"nose": mine} if mine else {}
    label, said = merged(BASE, Label({"tail": at(2), **own}), Label({"tail": at(2), **other}, revision=4), "a.png")
    assert label.points.get("nose") == result and label.points["tail"] == at(2)
    assert said == [
        "“nose” of a.png was also changed in another window; the change made here is the later one and counts."
    ]


def test_the_same_change_twice_is_none():
    mine = Label({"nose": at(7), "tail": at(2)}, (0.0, 0.0, 5.0, 5.0), done=True)
    saved = Label(mine.points, mine.box, done=True, revision=4)
    label, said = merged(BASE, mine, saved, "a.png")
    assert label == saved and said == [], "what was saved, with the answer lost on the way"


def test_box_and_being_finished_are_parts_too():
    mine, theirs = Label(BASE.points, (0.0, 0.0, 5.0, 5.0)), Label(BASE.points, done=True, example=True, revision=4)
    label, said = merged(BASE, mine, theirs, "a.png")
    assert (label.box, label.done, label.example, said) == (mine.box, True, True, [])
    label, said = merged(BASE, mine, Label(BASE.points, (1.0, 1.0, 5.0, 5.0), revision=4), "a.png")
    assert label.box == mine.box and said[0].startswith("The box of a.png was also changed")


def test_an_example_that_lost_its_points_or_was_reopened_is_none_and_that_is_said():
    done = Label(BASE.points, done=True)
    mine = Label(BASE.points, done=True, example=True)
    for theirs in (Label(BASE.points, revision=4), Label({"nose": PointMark(None, 0)}, done=True, revision=4)):
        label, said = merged(done, mine, theirs, "a.png")
        assert not label.example and said == [
            "a.png is no example any longer, as another window changed it so that it cannot be one."
        ]


marks = st.one_of(st.just(PointMark(None, 0)), st.builds(at, st.sampled_from([1.0, 2.0, 3.0])))
labels = st.builds(
    Label, st.dictionaries(st.sampled_from("abcd"), marks), st.sampled_from([None, (0.0, 0.0, 4.0, 4.0)]), st.booleans()
)


@given(labels, labels, labels)
def test_no_change_is_lost_without_a_word(base, mine, theirs):
    label, said = merged(base, mine, theirs, "a.png")
    for name in "abcd":
        before, one, other, now = (part.points.get(name) for part in (base, mine, theirs, label))
        assert now == (one if one != before else other)
        lost = other not in (before, now)
        assert lost == any(f"“{name}”" in sentence for sentence in said)
    assert same_content(merged(base, base, theirs, "")[0], theirs)
    assert same_content(merged(base, mine, base, "")[0], mine)
    again, more = merged(base, mine, label, "a.png")
    assert same_content(again, label) and more == [], "a request that is sent again changes nothing"
