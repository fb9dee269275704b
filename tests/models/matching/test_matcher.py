"""Matchers as whole models: what they answer to, what changes an answer and what does not."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_matchers import FISH, NAMES, SIDE, config, example, matcher, picture, shake, text_encoder

from anykeypoint.category import Category
from anykeypoint.crops.heatmaps import heat_targets
from anykeypoint.errors import InputError
from anykeypoint.example import Example
from anykeypoint.geometry import square_crop
from anykeypoint.images import crop_pixels, read_image
from anykeypoint.models.maps import pool
from anykeypoint.models.matching.heads.base import Prompt
from anykeypoint.models.matching.heads.graph import GraphConfig
from anykeypoint.models.matching.heads.pomnet import POMNetConfig
from anykeypoint.models.matching.inputs import encode_example
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import build
from anykeypoint.models.view import regrid

PROMPTS = {
    "text": {"words": True},
    "example": {"example": example(), "words": False},
    "both": {"example": example(), "words": True},
}
EDGES = ((0, 1), (1, 3), (4, 2))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matchers")
    return {name: matcher(name, folder) for name in NAMES}


def asked(name: str) -> dict:
    """A prompt that the model answers to, the fullest."""
    return PROMPTS["both" if name in ("flf", "dlf") else "text" if name == "capex" else "example"]


def same(first, second, tolerance: float = 1e-3) -> bool:
    return np.allclose(first.xy, second.xy, atol=tolerance, equal_nan=True)


# --- prompts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_to_its_prompts_and_refuses_the_others(models, name):
    model = models[name]
    for prompt, options in PROMPTS.items():
        if prompt in model.prompts:
            pose = model.predict(picture(), FISH, box=(5, 5, 60, 50), **options)
            assert pose.names == FISH.names and pose.present.all() and np.isfinite(pose.xy).all()
            assert ((pose.confidence >= 0) & (pose.confidence <= 1)).all() and pose.box == (5, 5, 60, 50)
        else:
            with pytest.raises(InputError, match="example" if name == "capex" else "words|needs an example"):
                model.predict(picture(), FISH, **options)


def test_words_are_read_where_the_model_can_unless_said_otherwise(models):
    for name in ("flf", "dlf"):
        assert same(
            models[name].predict(picture(), FISH, example=example()),
            models[name].predict(picture(), FISH, **PROMPTS["both"]),
            0,
        )
    assert models["graphcape"].predict(picture(), FISH, example=example()).present.all()
    assert models["capex"].predict(picture(), FISH).present.all()


@pytest.mark.parametrize("name", ["flf", "dlf", "graphcape"])
def test_without_words_names_and_descriptions_change_nothing_but_the_skeleton_does(models, name):
    other = Category.from_text("tail: a; tip; of; the; paw", name="fish", noun="fish")
    shown = example(category=None)
    plain = models[name].predict(picture(), FISH, example=shown, words=False)
    assert same(plain, models[name].predict(picture(), other, example=shown, words=False), 0)
    assert not same(plain, models[name].predict(picture(), replace(FISH, skeleton=EDGES), example=shown, words=False))
    if name != "graphcape":
        both = [models[name].predict(picture(), kind, example=shown, words=True) for kind in (FISH, other)]
        assert not same(*both)


def test_a_phrase_is_read_in_place_of_the_name(tmp_path):
    """Several points may share one, as in the files of CapeX, and the skeleton then tells them apart."""
    model = matcher("capex", tmp_path, described=True)
    texts = ["tail", "paw", "paw", "paw", "nose"]
    points = [
        replace(point, phrase=text, description="the tip") for point, text in zip(FISH.keypoints, texts, strict=True)
    ]
    assert [model.phrase(point).text for point in points] == texts
    worded = model.predict(picture(), replace(FISH, keypoints=tuple(points), skeleton=EDGES))
    assert worded.names == FISH.names and worded.present.all()
    assert not same(worded, model.predict(picture(), replace(FISH, skeleton=EDGES)))


def test_descriptions_are_read_where_the_config_says_so(tmp_path):
    described = Category.from_text("nose: the tip; left ear; right ear: of the tail; tail tip; rear paw")
    plain = replace(described, keypoints=tuple(replace(point, description="") for point in described.keypoints))
    for says in (False, True):
        model = matcher("capex", tmp_path, described=says)
        assert same(model.predict(picture(), described), model.predict(picture(), plain), 0) is not says
        removed = model.predict(picture(), described, describe="removed")
        assert same(removed, model.predict(picture(), plain, describe="removed"), 0)
        assert same(removed, model.predict(picture(), described, describe="detailed"), 0) is not says
        explained = model.explain(picture(), described, describe="removed")
        assert same(explained.pose, removed, 0)
    with pytest.raises(InputError, match="descriptions are detailed or removed, but got 'vague'"):
        model.predict(picture(), described, describe="vague")


@pytest.mark.parametrize("name", ["capeformer", "graphcape", "flf", "dlf"])
def test_a_point_that_no_example_shows_and_no_word_names_is_absent(models, name):
    shots = [example(1, hidden=(0, 2)), example(2, hidden=(0, 3))]
    pose = models[name].predict(picture(), FISH, example=shots, words=False, density=True)
    assert pose.present.tolist() == [False, True, True, True, True]
    assert np.isnan(pose.xy[0]).all() and np.isnan(pose.confidence[0]) and "nose" not in pose.density
    if "both" in models[name].prompts:
        assert models[name].predict(picture(), FISH, example=shots, words=True).present.all()


@pytest.mark.parametrize("answer", ["text", "image", "mean", "confidence"])
def test_what_only_words_name_is_found_by_words(tmp_path, answer):
    model = matcher("dlf", tmp_path, head={"answer": answer})
    shown = example(hidden=(0,))
    both, looks, words = (
        model.predict(picture(), FISH, **prompt)
        for prompt in ({"example": shown}, {"example": shown, "words": False}, {"words": True})
    )
    assert np.allclose(both.xy[0], words.xy[0]) and not same(looks, words)
    if answer in ("text", "image"):
        assert np.allclose(both.xy[1:], (words if answer == "text" else looks).xy[1:])


def test_dlf_by_default_listens_to_its_example_and_to_its_words(tmp_path):
    """The default of the config, not that of these tests."""
    model = build(MatcherConfig.from_dict(_without_answer(config("dlf", tmp_path).to_dict())))
    shake(model)
    other_words = Category.from_text("tail; left paw; right paw; nose tip; ear", name="fish", noun="fish")
    shown, other = example(1, category=None), example(2, category=None)
    plain, by_example, by_words = (
        model.predict(picture(), kind, example=one, words=True)
        for kind, one in ((FISH, shown), (FISH, other), (other_words, shown))
    )
    assert model.variant["answer"] == "mean"
    assert not same(plain, by_example) and not same(plain, by_words)
    model.answer_by("text")
    assert model.config.head.answer == "text"
    texts = [model.predict(picture(), FISH, example=one, words=True) for one in (shown, other)]
    assert same(*texts, 0) and not same(texts[0], plain)


def _without_answer(config: dict) -> dict:
    return config | {"head": {key: value for key, value in config["head"].items() if key != "answer"}}


def test_only_dlf_has_answers_to_choose_from(models):
    with pytest.raises(InputError, match="Only DLF has several answers"):
        models["flf"].answer_by("mean")


# --- what changes nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_view_can_be_asked_often_and_answers_as_predict(models, name):
    view = models[name].encode(picture(), box=(5, 5, 60, 50))
    first = view.predict(FISH, **asked(name))
    if name in ("capex", "flf", "dlf"):
        view.predict(Category.from_text("paw; tip"), words=True)
    else:
        view.predict(FISH, example=example(5))
    assert np.array_equal(first.xy, view.predict(FISH, **asked(name)).xy)
    assert np.array_equal(first.xy, models[name].predict(picture(), FISH, box=(5, 5, 60, 50), **asked(name)).xy)


@pytest.mark.parametrize("name", ["graphcape", "capex", "flf", "dlf"])
@settings(max_examples=6, deadline=None)
@given(order=st.permutations(range(5)))
def test_the_order_of_keypoints_is_a_matter_of_names(models, name, order):
    kind = replace(FISH, skeleton=EDGES)
    places = {old: new for new, old in enumerate(order)}
    other = Category(
        "fish", tuple(FISH.keypoints[i] for i in order), tuple((places[a], places[b]) for a, b in EDGES), noun="fish"
    )
    shown = example(category=None)
    turned = Example(shown.image, shown.points[list(order)])
    given = {} if name == "capex" else {"example": shown}
    pose = models[name].predict(picture(), kind, **given)
    moved = models[name].predict(picture(), other, **({"example": turned} if given else {}))
    assert np.allclose(pose.xy[list(order)], moved.xy, atol=1e-3)


@pytest.mark.parametrize("name", ["capeformer", "graphcape", "flf", "dlf"])
def test_an_example_is_encoded_once_and_keeping_it_changes_nothing(models, name, tmp_path):
    model = matcher(name, tmp_path)
    seen = []
    model.encoder.model.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[0]))
    first = model.predict(picture(0), FISH, example=example())
    again = model.predict(picture(3), FISH, example=example())  # made anew: the content counts
    assert seen == [1, 1, 1]
    moved = Example(example().image, example().points + 2)  # other points on the same picture
    assert not same(first, model.predict(picture(0), FISH, example=moved)) and seen == [1, 1, 1, 1]
    model.eval()  # forgets
    assert np.array_equal(again.xy, model.predict(picture(3), FISH, example=example()).xy) and len(seen) == 6


def test_weights_that_change_are_not_answered_for_from_memory(tmp_path):
    model = matcher("graphcape", tmp_path)
    first = model.predict(picture(), FISH, example=example())
    state = {key: tensor + 0.1 if tensor.is_floating_point() else tensor for key, tensor in model.state_dict().items()}
    model.load_state_dict(state)
    other = matcher("graphcape", tmp_path)
    other.load_state_dict(state)
    assert not same(first, model.predict(picture(), FISH, example=example()))
    assert np.array_equal(*(each.predict(picture(), FISH, example=example()).xy for each in (model, other)))


@pytest.mark.parametrize("name", ["capeformer", "graphcape", "flf", "dlf"])
def test_the_same_example_twice_says_no_more_than_once(models, name):
    once, twice = (models[name].predict(picture(), FISH, example=shots) for shots in (example(), [example()] * 2))
    assert same(once, twice)
    assert not same(once, models[name].predict(picture(), FISH, example=[example(), example(2)]))


@pytest.mark.parametrize("name", ["graphcape", "flf", "dlf"])
def test_what_no_example_shows_says_nothing_to_the_rest(models, name):
    shown, kept = example(category=None, hidden=(0, 2)), [1, 3, 4]
    part = Category("fish", tuple(FISH.keypoints[i] for i in kept), ((0, 1),), noun="fish")
    whole = models[name].predict(picture(), replace(FISH, skeleton=((1, 3), (2, 4))), example=shown, words=False)
    alone = models[name].predict(picture(), part, example=Example(shown.image, shown.points[kept]), words=False)
    assert np.allclose(whole.xy[kept], alone.xy, atol=1e-3)


# --- tensors ---------------------------------------------------------------------------------------------------------


def batch(model, rows: int = 3):
    """Tensors of a batch with two shots, of which some show nothing, and slots that are not keypoints."""
    draw = torch.Generator().manual_seed(7)
    query = torch.randn(rows, 3, SIDE, SIDE, generator=draw)
    examples = torch.randn(rows, 2, 3, SIDE, SIDE, generator=draw)
    heat = torch.rand(rows, 2, 5, 16, 16, generator=draw)
    shown = torch.rand(rows, 2, 5, generator=draw) > 0.3
    phrases = torch.randn(rows, 5, 24, generator=draw)
    valid = torch.ones(rows, 5, dtype=torch.bool)
    valid[1, 3:], shown[:, :, 0] = False, True
    prompt = {}
    if model.config.takes_examples:
        prompt |= {"examples": examples, "heatmaps": heat, "example_visible": shown}
    if model.config.takes_text:
        prompt |= {"phrases": phrases}
    return query, valid, [[(0, 1)], [], [(2, 4), (4, 1)]][:rows], prompt


def run(model, query, valid, skeletons, **prompt):
    """The head's output for pixels; examples: those of the examples."""
    examples = prompt.pop("examples", None)
    return model(query, valid, Prompt(**prompt, skeletons=skeletons), examples)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_row_is_answered_as_it_would_be_alone_and_padding_changes_nothing(models, name):
    """In float64: another number of rows may take other kernels, and warm softmaxes amplify rounding."""
    model = deepcopy(models[name]).double()
    query, valid, skeletons, prompt = batch(model)
    query = query.double()
    prompt = {key: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in prompt.items()}
    together = run(model, query, valid, skeletons, **prompt).points
    for row in range(3):
        alone = run(model, query[row : row + 1], valid[row : row + 1], [skeletons[row]],
                      **{key: tensor[row : row + 1] for key, tensor in prompt.items()})  # fmt: skip
        assert torch.allclose(alone.points[0][valid[row]], together[row][valid[row]], atol=1e-9)

    def widened(key: str, tensor: torch.Tensor) -> torch.Tensor:
        """Two more slots of junk."""
        axis = {"heatmaps": 2, "example_visible": 2, "phrases": 1}[key]
        more = tensor.narrow(axis, 0, 2)
        return torch.cat([tensor, more if tensor.dtype == torch.bool else more * torch.nan], dim=axis)

    wide = {key: tensor if key == "examples" else widened(key, tensor) for key, tensor in prompt.items()}
    slots = torch.cat([valid, torch.zeros(3, 2, dtype=torch.bool)], dim=1)
    padded = run(model, query, slots, skeletons, **wide).points[:, :5]
    assert torch.allclose(padded[valid], together[valid], atol=1e-9)


def grid(name):
    """Of the output's probabilities: those of POMNet are its heat maps."""
    return (16, 16) if name == "pomnet" else (2, 2)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_features_may_be_kept_from_before(models, name):
    model = models[name]
    query, valid, skeletons, prompt = batch(model)
    whole = run(model, query, valid, skeletons, **prompt)
    if "examples" in prompt:
        prompt["example_features"] = model.features(prompt.pop("examples"), examples=True)
        assert prompt["example_features"].shape == (3, 2, 20, 2, 2)
    kept = model.match(model.features(query), valid, Prompt(**prompt, skeletons=skeletons))
    assert torch.equal(whole.points, kept.points)
    probabilities = kept.probabilities
    assert probabilities.shape == (3, 5, *grid(name))
    assert torch.allclose(probabilities.sum(dim=(2, 3)), torch.ones(3, 5))


@pytest.mark.parametrize("name", NAMES)
def test_training_reaches_all_that_is_new(models, name, tmp_path):
    model = matcher(name, tmp_path).train()
    query, valid, skeletons, prompt = batch(model)
    if name == "evidence":
        prompt["example_visible"][1, :, 1] = False  # each of its members learns from rows of its own
    answer = run(model, query, valid, skeletons, **prompt)
    labelled = valid & (prompt["example_visible"].any(dim=1) if "example_visible" in prompt else valid)
    losses = model.losses(answer, torch.rand(3, 5, 2), torch.rand(3, 5, 16, 16), labelled, valid)
    sum(losses.values()).backward()
    silent = [key for key, value in model.head.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == [] and ("consistency" in losses) is (name == "dlf")
    assert (
        all(value.grad is None for value in model.text_encoder.parameters())
        if model.text_encoder
        else model.text_encoder is None
    )


@torch.no_grad()
def test_an_example_counts_only_for_what_it_shows(models):
    model = models["graphcape"]
    query, valid, skeletons, prompt = batch(model)
    shots = [pool(model.features(prompt["examples"][:, [i]]), prompt["heatmaps"][:, [i]]) for i in (0, 1)]
    weights = prompt["example_visible"].float()[..., None]
    tokens = (torch.stack(shots, dim=1) * weights).sum(1) / weights.sum(1).clamp(min=1)
    known = valid & prompt["example_visible"].any(dim=1)
    assert (prompt["example_visible"].sum(dim=1) == 1).any()
    expected = model.head.locate(model.features(query), tokens, known, skeletons).points
    assert torch.allclose(run(model, query, valid, skeletons, **prompt).points[known], expected[known], atol=1e-5)


@pytest.mark.parametrize("name", ["flf", "dlf"])
@torch.no_grad()
def test_rows_of_a_batch_may_lack_one_prompt_or_the_other(models, name):
    model = models[name]
    query, valid, skeletons, prompt = batch(model)
    told = torch.tensor([[True], [False], [True]]).expand(3, 5)
    shown = prompt["example_visible"] & torch.tensor([True, True, False])[:, None, None]
    mixed = run(model, query, valid, skeletons, **{**prompt, "example_visible": shown, "has_text": told}).points
    words = {"phrases": prompt["phrases"]}
    looks = {key: prompt[key] for key in ("examples", "heatmaps", "example_visible")}
    usable = valid & prompt["example_visible"].any(dim=1)
    for row, own, where in ((0, prompt, valid), (1, looks, usable), (2, words, valid)):
        alone = run(model, query, valid, skeletons, **own).points
        assert torch.allclose(alone[row][where[row]], mixed[row][where[row]], atol=1e-5)


def test_tensors_that_are_no_prompt_are_refused(models):
    query, valid, skeletons, prompt = batch(models["flf"])
    with pytest.raises(InputError, match="words or an example"):
        run(models["flf"], query, valid, skeletons)
    with pytest.raises(InputError, match="heat maps"):
        run(models["graphcape"], query, valid, skeletons, examples=prompt["examples"])


# --- pictures --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_pictures_are_cut_and_marked_as_said_and_points_come_back_in_pixels(models):
    model, box = models["graphcape"], (20.0, 10.0, 40.0, 30.0)
    shown = replace(example(), box=(4.0, 6.0, 70.0, 50.0))
    crops = [square_crop(each, 1.25) for each in (box, shown.box)]
    cuts = [
        crop_pixels(read_image(each), crop, SIDE) for each, crop in zip((picture(), shown.image), crops, strict=True)
    ]
    query, looks = (model.encoder.normalise(torch.from_numpy(cut)[None]) for cut in cuts)
    heat, weights = heat_targets(crops[1].normalise(shown.points) * SIDE, np.ones(5), 1, 16, 4)
    assert weights.all()
    valid, heatmaps = torch.ones(1, 5, dtype=torch.bool), torch.tensor(heat)[None, None]
    match = run(model, query, valid, [[]], examples=looks[None], heatmaps=heatmaps)
    expected = crops[0].to_image(match.points[0].double().numpy())
    assert np.allclose(model.predict(picture(), FISH, box=box, example=shown).xy, expected, atol=1e-3)


def test_a_released_crop_is_cut_and_marked_otherwise(tmp_path):
    ours, theirs = (
        encode_example(example(), config("graphcape", tmp_path, released_crop=says)) for says in (False, True)
    )
    assert not np.array_equal(ours.pixels, theirs.pixels) and np.array_equal(ours.heatmaps, theirs.heatmaps)
    edge = Example(picture(), [[45.0, 35.0], [-0.5, 35.0]], box=(6.25, 0.0, 50.0, 70.0))  # the crop begins at -12.5
    beyond = replace(edge, box=(12.0, 10.0, 50.0, 50.0))  # and here at 5.75
    far = config("graphcape", tmp_path)
    assert encode_example(edge, far).visible.tolist() == [True, True]
    assert encode_example(beyond, far).visible.tolist() == [True, False]
    assert encode_example(beyond, replace(far, released_crop=True)).visible.tolist() == [True, True]


@pytest.mark.parametrize("name", NAMES)
def test_confidence_is_the_mass_round_the_answer_and_densities_are_the_first_guess(models, name):
    pose = models[name].predict(picture(), FISH, box=(5, 5, 60, 50), density=True, **asked(name))
    side = 60 * 1.25
    for i, key in enumerate(pose.keys):
        density = pose.density[key]
        assert density.grid.shape == grid(name) and density.mass == pytest.approx(1)
        assert density.crop.side == side
        assert pose.confidence[i] == pytest.approx(density.mass_within(pose.xy[i], side / 10))
    fine = models[name].predict(picture(), FISH, box=(5, 5, 60, 50), density=3, **asked(name))
    assert fine.density["nose"].grid.shape == (3, 3)
    assert np.allclose(fine.density["nose"].mean(), pose.density["nose"].mean(), atol=side)
    assert np.allclose(fine.xy, pose.xy) and fine.entropy.shape == (5,)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(deadline=None)
def test_other_cells_hold_the_same_probability(before, after, seed):
    grid = np.random.default_rng(seed).random((before, before))
    made = regrid(grid, after)
    assert made.shape == (after, after) and made.sum() == pytest.approx(grid.sum())
    fine = np.kron(grid, np.ones((after, after))) / after**2  # before * after cells a side
    assert np.allclose(made, fine.reshape(after, before, after, before).sum(axis=(1, 3)))


def test_other_sizes_are_looked_at_with_the_same_weights(tmp_path):
    model = matcher("graphcape", tmp_path)
    first = model.predict(picture(), FISH, example=example())
    model.resize(2 * SIDE)
    assert model.encode(picture()).features.shape[-1] == 4 and model.config.cells == 32
    assert not same(first, model.predict(picture(), FISH, example=example()))
    model.resize(SIDE)
    assert same(first, model.predict(picture(), FISH, example=example()), 0)
    with pytest.raises(InputError, match="multiples of 32"):
        model.resize(100)


def test_half_precision_finds_about_the_same_places(models, tmp_path):
    model = matcher("flf", tmp_path)
    model.encoder.bfloat16(), model.head.bfloat16()
    ours, theirs = (each.predict(picture(), FISH, example=example()) for each in (model, models["flf"]))
    assert np.abs(ours.xy - theirs.xy).max() < 10 and not np.array_equal(ours.xy, theirs.xy)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (lambda: Example(picture(), example().points + 60, category=FISH), r"90 x 70 pixels, but nose.* lie outside"),
        (lambda: Example(picture(), example().points * -1), r"point 0, point 1.*NaN where not shown"),
        (lambda: Example(picture(), [*example().points[:4], (-1, -1)]), r"point 4 lies outside.*NaN where not shown"),
        (lambda: Example(picture(), example().points, box=(0, 0, 4, 4)), "lies in its crop"),
        (lambda: Example(picture(), [[1.0, 2.0]]), "1 points, but 'fish' has 5"),
        (lambda: replace(example(), category=Category.from_text("a;b;c;d;e", name="cat")), "'cat' names 'a' where"),
        (lambda: picture(), "must be an anykeypoint.Example, but got"),
        (lambda: [], "empty"),
        (lambda: [example(), "dog.jpg"], "got str"),
    ],
)
def test_an_example_that_cannot_be_one_is_refused_in_one_sentence(models, shown, told):
    with pytest.raises(InputError, match=told) as error:
        models["graphcape"].predict(picture(), FISH, example=shown())
    assert str(error.value).count("\n") == 0 and str(error.value).endswith(".")


def test_options_of_other_kinds_of_models_are_refused(models):
    with pytest.raises(InputError, match="strategy"):
        models["capex"].predict(picture(), FISH, strategy="greedy")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "capex2"}, "capex"),
        ({"name": "graphcape", "text": {"name": "minilm-l6"}}, "no text encoder"),
        ({"name": "graphcape", "fusion": {}}, "no fusion"),
        ({"name": "flf", "fusion": {"consistency": 1}}, "unknown key"),
        ({"name": "graphcape", "sigmas": 1}, "unknown key"),
        ({"name": "graphcape", "sigma": 0}, "sigma"),
        ({"name": "graphcape", "crop_scale": 0}, "crop_scale"),
        ({"name": "graphcape", "released_crop": "yes"}, "released_crop"),
        ({"name": "graphcape", "head": {"wide": 1}}, "unknown key"),
    ],
)
def test_a_config_that_cannot_be_is_refused(given, told):
    with pytest.raises(InputError, match=told):
        MatcherConfig.from_dict(given)


def test_what_a_config_leaves_out_is_as_published():
    former = MatcherConfig.from_dict({"name": "capeformer", "head": {"width": 128}})
    assert (former.head.order, former.head.graph, former.head.width, former.sigma) == ("fixed", "none", 128, 2)
    assert former.vision.name == "resnet50" and former.cells == 64 and former.text is None
    for name in NAMES:
        made = MatcherConfig(name)
        assert MatcherConfig.from_dict(made.to_dict()) == made and made.crop_scale == 1.25
        assert made.own_example_encoder is (name == "pomnet")
    pomnet = MatcherConfig("pomnet")
    assert (pomnet.vision.name, pomnet.sigma, pomnet.cells, pomnet.prompts) == ("resnet50", 2, 64, ("example",))
    assert MatcherConfig.from_dict({"name": "pomnet", "head": {"width": 64}}).head == POMNetConfig(width=64)


def test_options_of_version_0_1_0_are_read_under_their_names_of_today():
    graph = {"support_width": 24, "width": 16, "heads": 2}
    former = {"name": "flf", "backbone": {"name": "swinv2-t", "weights": None}, "own_example_backbone": True}
    read = MatcherConfig.from_dict({**former, "head": graph, "fusion": {"gamma": 2.0, "guest_width": 20}})
    assert (read.vision.name, read.vision.source, read.vision.tuning) == ("swinv2-t", "random", "full")
    assert read.own_example_encoder and (read.head.gamma, read.head.guest_width) == (2.0, 20)
    assert read.head.graph_head == GraphConfig(token_width=24, width=16, heads=2)
    assert MatcherConfig.from_dict(read.to_dict()) == read
    plain = MatcherConfig.from_dict({"name": "dlf", "head": graph, "fusion": {"image_support_width": 12}})
    assert plain.head.example_width == 12 and plain.head.graph_head.width == 16
    assert MatcherConfig.from_dict({"name": "dlf", "head": graph, "fusion": None}).head.example_width is None
    with pytest.raises(InputError, match="both 'backbone' and 'vision'"):
        MatcherConfig.from_dict({**former, "vision": {"name": "swinv2-t"}})


def test_widths_follow_the_parts_and_others_are_refused(tmp_path):
    full = config("flf", tmp_path)
    fitted = build(replace(full, head=None)).config.head
    assert (fitted.graph_head.image_width, fitted.graph_head.token_width, fitted.guest_width) == (20, 24, 20)
    with pytest.raises(InputError, match="guest_width: 20"):
        build(replace(full, head=replace(full.head, guest_width=21)))
    with pytest.raises(InputError, match="token_width: 24"):
        build(replace(full, head=replace(full.head, graph_head=replace(full.head.graph_head, token_width=20))))
    assert text_encoder(tmp_path / "encoder") == full.text.source


def test_pomnet_makes_heat_maps_of_the_examples_cells(tmp_path):
    full = config("pomnet", tmp_path)
    assert build(replace(full, head=None, cells=8)).config.head.doublings == 2  # of 2 x 2 cells
    with pytest.raises(InputError, match=r"doublings is 3, but .* need 2"):
        build(replace(full, cells=8))
    with pytest.raises(InputError, match="never gives 12; write cells: 16"):
        build(replace(full, cells=12))
    with pytest.raises(InputError, match="must be a POMNetConfig"):
        replace(full, head=GraphConfig())
    with pytest.raises(InputError, match="capex looks at no example"):
        MatcherConfig("capex", own_example_encoder=True)


@torch.no_grad()
def test_examples_have_a_backbone_of_their_own_where_it_is_asked_for(tmp_path):
    for own in (True, False):
        model = matcher("pomnet", tmp_path, own_example_encoder=own)
        before = model.predict(picture(), FISH, example=example()).confidence
        assert {key.split(".")[0] for key in model.saved_tensors()} == {"encoder", "head"} | (
            {"example_encoder"} if own else set()
        )
        view = model.encode(picture())
        (model.example_encoder if own else model.encoder).model.embedder.embedder.convolution.weight.neg_()
        assert torch.equal(model.encode(picture()).features, view.features) is own
        model.eval()
        assert not np.allclose(model.predict(picture(), FISH, example=example()).confidence, before)
        model.resize(96)
        assert model.config.cells == 24 and model.predict(picture(), FISH, example=example()).present.all()
