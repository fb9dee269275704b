"""Outlines of objects as COCO files spell them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.outlines import read_outline, read_outlines
from anykeypoint.forms.registry import read
from anykeypoint.geometry import Crop


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, outside first."""
    found, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            found.append(0)
            value = pixel
        found[-1] += 1
    return found


def pack(lengths: list[int]) -> str:
    """The packed text of run lengths, written the other way round than it is read."""
    text = ""
    for i, length in enumerate(lengths):
        number = length - lengths[i - 2] if i > 2 else length
        while True:
            piece, number = number & 31, number >> 5
            more = number != (-1 if piece & 16 else 0)
            text += chr((piece | (32 if more else 0)) + 48)
            if not more:
                break
    return text


masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda flat: np.array(flat).reshape(size)
    )
)


@given(masks)
def test_a_mask_reads_back_from_numbers_and_from_packed_text(mask):
    size, lengths = list(mask.shape), runs(mask)
    for counts in (lengths, pack(lengths)):
        np.testing.assert_array_equal(read_outline({"size": size, "counts": counts}, "x").mask, mask)


def test_long_runs_survive_packing():
    mask = np.zeros((300, 400), dtype=bool)
    mask[100:200, 50:350] = True
    found = read_outline({"size": [300, 400], "counts": pack(runs(mask))}, "x")
    np.testing.assert_array_equal(found.mask, mask)


def test_a_square_covers_its_cells_however_it_is_spelt():
    mask = np.zeros((30, 40), dtype=bool)
    mask[10:20, 20:30] = True
    polygon = read_outline([[20, 10, 30, 10, 30, 20, 20, 20]], "x")
    spelt = read_outline({"size": [30, 40], "counts": runs(mask)}, "x")
    expected = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    for outline in (polygon, spelt):
        np.testing.assert_allclose(outline.shares(Crop(0, 0, 40), 4), expected, atol=0.02)
        np.testing.assert_allclose(outline.shares(Crop(25, 15, 20), 2), [[0.25, 0], [0, 0]], atol=0.02)
        assert outline.shares(Crop(-100, 0, 50), 3).max() == 0


def test_the_area_of_a_triangle_and_of_two_parts_is_right():
    triangle = [0, 0, 60, 0, 0, 60]
    assert read_outline([triangle], "x").shares(Crop(0, 0, 100), 10).mean() == pytest.approx(0.18, abs=0.003)
    both = read_outline([triangle, [80, 80, 100, 80, 100, 100, 80, 100], triangle], "x")
    assert both.shares(Crop(0, 0, 100), 10).mean() == pytest.approx(0.22, abs=0.004)


def test_no_outline_is_none():
    assert read_outline(None, "x") is None and read_outline([], "x") is None


@pytest.mark.parametrize(
    "value",
    [
        "text",
        3,
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, None]],
        [[]],
        [1, 2, 3, 4, 5, 6],
        [[[1, 2], [3, 4], [5, 6]]],
        {"counts": [4]},
        {"size": [2, 2], "counts": [3]},
        {"size": [2, 2], "counts": [-1, 5]},
        {"size": [2, 2], "counts": [1.5, 2.5]},
        {"size": [2, 2], "counts": "~~~"},
        {"size": [2, 2], "counts": None},
    ],
)
def test_what_is_no_outline_is_refused_with_the_object(value):
    with pytest.raises(InputError, match="annotation 7") as caught:
        read_outline(value, "annotation 7")
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_mask_of_another_size_than_its_picture_counts_as_none_and_is_told(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    sizes = {1: [10, 20], 2: [20, 10]}
    entries = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [i, 2, 2]}
        | {"segmentation": {"size": size, "counts": [0, 200]}}
        for i, size in sizes.items()
    ]
    kinds = [{"id": 1, "name": "dot", "keypoints": ["middle"]}]
    document = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": entries, "categories": kinds}
    (tmp_path / "l.json").write_text(json.dumps(document))
    outlines, faults = read_outlines(read(f"coco:{tmp_path / 'l.json'}", tmp_path).objects)
    assert outlines[1].mask.all() and outlines[2] is None
    assert len(faults) == 1 and "Annotation 2" in faults[0] and "a mask of 10 x 20 pixels, but its picture" in faults[0]
