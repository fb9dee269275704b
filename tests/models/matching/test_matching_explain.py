"""What a matcher looked at: its stages, and that looking at them changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_matchers import FISH, NAMES, SIDE, example, matcher, picture

from anykeypoint.errors import InputError
from anykeypoint.models.matching.explaining import recorded_attention
from anykeypoint.models.matching.heads.base import MatchingHead

LAYERS, BOX = 2, (5, 5, 60, 50)
DECODERS = [name for name in NAMES if name != "pomnet"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matchers")
    return {name: matcher(name, folder) for name in NAMES}


def asked(name: str) -> dict:
    return {} if name == "capex" else {"example": [example(1, hidden=(0, 2)), example(2, hidden=(0, 3))]}


@pytest.mark.parametrize("name", DECODERS)
def test_watching_changes_no_bit_of_the_answer(models, name):
    view = models[name].encode(picture(), BOX)
    plain = view.predict(FISH, density=True, **asked(name))
    explained = view.explain(FISH, density=True, **asked(name)).pose
    assert np.array_equal(plain.xy, explained.xy, equal_nan=True)
    assert np.array_equal(plain.confidence, explained.confidence, equal_nan=True)
    assert plain.density.keys() == explained.density.keys()
    assert np.array_equal(view.predict(FISH, **asked(name)).xy, plain.xy, equal_nan=True)
    assert not any(part._forward_hooks for part in models[name].modules())


@pytest.mark.parametrize("name", DECODERS)
def test_the_stages_are_of_the_answer(models, name):
    view = models[name].encode(picture(), BOX)
    found = view.explain(FISH, density=True, **asked(name))
    there = found.pose.present
    cells = view.features.shape[-2:]
    assert found.attention.shape == (LAYERS, 5, *cells) and found.similarity.shape == (5, *cells)
    assert found.path.shape == (LAYERS + 1, 5, 2)
    assert np.allclose(found.attention.sum(axis=(2, 3))[:, there], 1, atol=1e-5)
    assert np.allclose(found.path[-1], found.pose.xy, equal_nan=True, atol=1e-4)
    for k in np.flatnonzero(there):
        density = found.pose.density[found.pose.keys[k]]
        assert np.allclose(density.grid, found.similarity[k], atol=1e-6)
    for values in (found.attention, found.path):
        assert np.isnan(values[:, ~there]).all() and np.isfinite(values[:, there]).all()
    assert np.isnan(found.similarity[~there]).all()


@torch.inference_mode()
def test_the_attention_is_the_one_by_definition(models):
    """Of one layer, from the projections, head by head."""
    model, given = models["graphcape"], {}
    layer = model.head.matcher.decoder.layers[1].cross_attention
    handle = layer.register_forward_pre_hook(lambda _, inputs: given.update(query=inputs[0], key=inputs[1]))
    found = model.explain(picture(), FISH, BOX, example=example())
    handle.remove()
    wide, heads = layer.embed_dim, layer.num_heads
    bias = layer.in_proj_bias.chunk(3)
    q = given["query"][0] @ layer.q_proj_weight.T + bias[0]
    k = given["key"][0] @ layer.k_proj_weight.T + bias[1]
    shares = [
        (a @ b.T / (wide // heads) ** 0.5).softmax(dim=-1)
        for a, b in zip(q.chunk(heads, dim=-1), k.chunk(heads, dim=-1), strict=True)
    ]
    expected = torch.stack(shares).mean(dim=0).numpy()
    assert np.allclose(found.attention[1].reshape(5, -1), expected, atol=1e-5)


def test_what_two_matchers_saw_counts_as_their_answers_do(tmp_path):
    for answer, first in (("text", "text"), ("image", "image")):
        model = matcher("dlf", tmp_path, head={"answer": answer})
        both = model.explain(picture(), FISH, example=example())
        words, looks = model.explain(picture(), FISH), model.explain(picture(), FISH, example=example(), words=False)
        alone, other = (words, looks) if first == "text" else (looks, words)
        assert np.allclose(both.attention, alone.attention, atol=1e-6)
        assert not np.allclose(both.attention, other.attention, atol=1e-3)
        assert np.allclose(both.path, alone.path, atol=1e-3)


def test_a_head_without_such_a_decoder_is_refused():
    with pytest.raises(InputError, match="cannot be explained"), recorded_attention(MatchingHead(None)):
        pass


def test_an_explanation_is_of_the_picture_as_it_is(models):
    with pytest.raises(InputError, match="An explanation is of the picture as it is"):
        models["capex"].encode(picture(), BOX).explain(FISH, mirror=True)


def test_a_sheet_has_a_row_per_keypoint_with_a_place_and_needs_its_picture(models, tmp_path):
    found = models["graphcape"].explain(picture(), FISH, BOX, example=example(hidden=(1,)))
    drawn = found.draw(tmp_path / "sheet.png", image=picture())
    assert (tmp_path / "sheet.png").exists() and drawn.width == (LAYERS + 2) * 190 + 10
    whole = models["graphcape"].explain(picture(), FISH, BOX, example=example()).draw(image=picture())
    assert (drawn.height - 10) * 5 == (whole.height - 10) * 4
    with pytest.raises(InputError, match="pass the picture"):
        found.draw()
    with pytest.raises(InputError, match="same picture"):
        found.draw(image=picture(width=SIDE))
    gone = {"present": np.zeros(5, bool), "xy": np.full((5, 2), np.nan), "confidence": np.full(5, np.nan)}
    nothing = replace(found, pose=replace(found.pose, **gone))
    with pytest.raises(InputError, match="no keypoint with a place"):
        nothing.draw(image=picture())
