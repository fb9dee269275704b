"""Descriptions as sentences: what Fig. 7 of CapeLLM puts behind "because" reads as English for the whole library."""

import re

import pytest

from anykeypoint.instructions import instruction
from anykeypoint.instructions.sentences import PLACES, inside, sentence
from anykeypoint.library.lookup import category, library_names


@pytest.mark.parametrize("name", library_names())
def test_every_description_of_the_library_is_a_sentence_about_its_point(name):
    for point in category(name).keypoints:
        text = sentence(point.name, point.description)
        subject = point.name if point.name.split()[0].lower() not in PLACES else f"point {point.name}"
        begin = re.fullmatch(rf"The {re.escape(subject)},? (is|are) (\w+)\b.*\.", text)
        assert begin, text
        assert begin[2] in {*PLACES, "the", "high", "low"}, text
        assert not re.search(r"\b(is|are) the (the|on|where|in|at|near|under|halfway)\b", text), text


@pytest.mark.parametrize("name", library_names())
def test_what_follows_because_begins_with_the_point(name):
    known = category(name)
    for i, point in enumerate(known.keypoints):
        segments = instruction("direct_qa").conversation(known, [i])
        text = "".join(segment.text for segment in segments if hasattr(segment, "text"))
        assert f"The keypoint name is {point.name}, because the " in text
        assert text.rstrip().endswith(".</s>")


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("nose", "Tip of the nose, below the eyes.", "The nose is the tip of the nose, below the eyes."),
        ("left hip", "Where the leg joins the rump.", "The left hip is where the leg joins the rump."),
        ("hip bone", "High on the rump.", "The hip bone is high on the rump."),
        ("toes", "Front end of the foot.", "The toes are the front end of the foot."),
        ("thorax", "Rear end of the thorax.", "The thorax is the rear end of the thorax."),
        ("port", "USB port, left.", "The port is the USB port, left."),
        ("tip", "the very top", "The tip is the very top"),
        ("cell, hind corner", "Corner of the cell.", "The cell, hind corner, is the corner of the cell."),
        ("in front of the lobe", "In the upper bowl.", "The point in front of the lobe is in the upper bowl."),
        ("eye", "The eye on the side that is seen.", "The eye is the eye on the side that is seen."),
        ("nose", "The nose is the central feature.", "The nose is the central feature."),
    ],
)
def test_a_description_becomes_a_sentence(name, description, expected):
    assert sentence(name, description) == expected
    assert inside(expected) == expected[0].lower() + expected[1:]
