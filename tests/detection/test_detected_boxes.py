"""Which of many boxes are kept, beside a slow plain reference."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.detection.boxes import Detection, cut, overlaps, suppress
from anykeypoint.errors import InputError

# Few places and scores, so that boxes often lie over one another and are often equally sure.
boxes = st.tuples(*[st.integers(0, 6).map(float)] * 2, *[st.integers(1, 6).map(float)] * 2)
detections = st.builds(Detection, boxes, st.sampled_from([0.25, 0.5, 0.5, 1.0]), st.sampled_from(["dog", "cat"]))
many = st.lists(detections, max_size=12)
shares = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])


def iou(a, b):
    """By counting: whole-numbered boxes are sets of cells."""

    def cells(box):
        x, y, w, h = map(int, box)
        return {(i, j) for i in range(x, x + w) for j in range(y, y + h)}

    return len(cells(a) & cells(b)) / len(cells(a) | cells(b))


def reference(found, overlap):
    kept = []
    for one in sorted(found, key=lambda one: (-one.score, one.box, one.word)):
        if all(iou(one.box, other.box) <= overlap for other in kept):
            kept.append(one)
    return kept


@given(boxes, st.lists(boxes, min_size=1, max_size=5))
def test_the_overlap_is_the_shared_area_over_all_the_area(box, others):
    assert overlaps(box, np.array(others)) == pytest.approx([iou(box, other) for other in others])


@given(many, shares)
def test_the_kept_boxes_are_those_of_the_plain_loop(found, overlap):
    assert suppress(found, overlap) == reference(found, overlap)


@given(many, shares, st.randoms(use_true_random=False))
def test_their_order_changes_nothing(found, overlap, shuffler):
    mixed = list(found)
    random.Random(shuffler.random()).shuffle(mixed)
    assert suppress(mixed, overlap) == suppress(found, overlap)


@given(many, shares, st.integers(1, 5))
def test_once_suppressed_stays_so_and_fewer_are_the_first(found, overlap, most):
    kept = suppress(found, overlap)
    assert suppress(kept, overlap) == kept
    assert suppress(found, overlap, most) == kept[:most]


def test_one_object_found_by_two_words_is_one_object():
    dog, animal = Detection((0, 0, 10, 10), 0.6, "dog"), Detection((0, 0, 10, 11), 0.7, "animal")
    apart = Detection((20, 0, 10, 10), 0.3, "dog")
    assert suppress([dog, animal, apart], 0.5) == [animal, apart]


def test_a_box_is_cut_at_the_picture_and_gone_outside_it():
    assert cut((-5, 10, 20, 100), (50, 40)) == (0, 10, 15, 30)
    assert cut((-np.inf, -np.inf, np.inf, np.inf), (50, 40)) is None  # its right edge is no number
    assert cut((50, 0, 5, 5), (50, 40)) is None and cut((-9, 0, 9, 5), (50, 40)) is None


@pytest.mark.parametrize(
    "box, score, word",
    [
        ((0, 0, 0, 0), 0.5, "dog"),
        ((0, 0, 5, 5), 1.5, "dog"),
        ((0, 0, 5, 5), float("nan"), "dog"),
        ((0, 0, 5, 5), True, "dog"),
        ((0, 0, 5, 5), 0.5, " "),
    ],
)
def test_a_wrong_detection_is_refused(box, score, word):
    with pytest.raises(InputError):
        Detection(box, score, word)
