"""KptLLM finds points by words, examples or both: on a tiny random model, beside plain generation."""

import json

import numpy as np
import pytest
import tiny
import torch
from plain import slow
from plain_kptllm import CATEGORY, EXAMPLE, LIMIT, POINTS, example, ids, only, start, token, written

import anykeypoint
from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError


def found(model, **options):
    """Thousandths of the crop of a picture that is just its size."""
    return np.round(model.predict(tiny.picture(), CATEGORY, **options).xy / 42 * 1000).astype(int).tolist()


def expected(model, task, k, shown=None):
    """The digits of keypoint k by plain generation, of a model that names it first or not."""
    point, name = CATEGORY.keypoints[k], CATEGORY.keypoints[k].name
    reference = f" {point.description}" if point.description else ""
    question = {
        "example": EXAMPLE,
        "text": f"\nUSER: Find the {name} of the cat in the image.{reference}\nASSISTANT:",
        "both": f"\nUSER: The keypoint shown above is the {name}. Find it on the cat in the image.{reference}\n"
        "ASSISTANT:",
    }[task]
    before = start(model, tiny.picture())
    if shown is not None:
        before = torch.cat([before, token(model, np.array(shown.image.pixels), shown.points[k])], dim=1)
    asked = ids(model, question)
    if model.config.identify_first:
        said = ids(model, f" {name}")
        if task == "example":
            said, _ = written(model, before, asked, ids(model, "\n"), LIMIT)
        asked = [*asked, *said, *ids(model, "\n")]
    return slow(model.language, model.codec, before, asked)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("task", ["text", "example", "both"])
def test_the_digits_are_those_of_plain_generation(model, plain_model, task, first):
    asked = model if first else plain_model
    shown = None if task == "text" else example(size=42, points=POINTS * 0.8)
    options = {} if shown is None else {"example": shown, "words": task == "both"}
    answers = found(asked, **options)
    assert answers == [expected(asked, task, k, shown) for k in range(len(CATEGORY))]
    assert len(set(asked.predict(tiny.picture(), CATEGORY, **options).confidence)) > 2  # the questions matter


@pytest.mark.parametrize("kind", ["triples", "sentencepiece"])
def test_a_language_models_own_spelling_of_numbers_and_names_is_kept(tmp_path, kind):
    model, shown = tiny.kptllm(tmp_path, "lora", kind), example(size=42, points=POINTS * 0.8)
    assert found(model, example=shown, words=False) == [expected(model, "example", k, shown) for k in range(4)]
    assert found(model) == [expected(model, "text", k) for k in range(4)]


@pytest.mark.parametrize("options", [{}, {"projector": "mlp", "extractor": "pool", "instruction": "kptllm"}])
def test_any_projector_and_extractor_answers(place, options):
    model = tiny.kptllm(place, "lora", **options)
    views = [model.encode(tiny.picture(60, 40, seed)) for seed in (0, 1)]
    answers = [view.predict(CATEGORY, example(), words=False).xy.tolist() for view in views]
    answers += [views[0].predict(CATEGORY, example(seed=6), words=False).xy.tolist()]
    assert answers[0] != answers[1] and answers[0] != answers[2]  # picture and example both matter
    assert ("extractor.encoder.mlp.0.weight" in model.state_dict()) == (not options)


def test_points_drawn_from_words_with_several_seeds_are_to_the_bit_those_of_predicting_with_each(model):
    view = model.encode(tiny.picture(60, 40))
    drawn = view.draw_points(CATEGORY, range(2, 5))
    assert len(np.unique(drawn, axis=0)) == 3
    for seed, points in zip(range(2, 5), drawn, strict=True):
        assert np.array_equal(points, view.predict(CATEGORY, strategy="sampling", seed=seed).xy)


@pytest.mark.parametrize("first", [True, False])
def test_neither_order_nor_company_of_the_keypoints_matters(model, plain_model, first, monkeypatch):
    asked = model if first else plain_model
    view = asked.encode(tiny.picture(60, 40))
    for strategy in ("greedy", "sampling"):
        together = view.predict(CATEGORY, example(), words=False, strategy=strategy, seed=2)
        for k in range(len(CATEGORY)):
            one = Category("cat", CATEGORY.keypoints[k : k + 1])
            alone = view.predict(one, example(points=POINTS[k : k + 1]), words=False, strategy=strategy, seed=2)
            assert np.array_equal(alone.xy[0], together.xy[k])
            assert alone.confidence[0] == pytest.approx(together.confidence[k], abs=1e-4)
            if first:
                assert alone.identified[0] == together.identified[k]
        back = Category("cat", CATEGORY.keypoints[::-1])
        turned = view.predict(back, example(points=POINTS[::-1]), words=False, strategy=strategy, seed=2)
        assert np.array_equal(turned.xy[::-1], together.xy)
        monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", 1)
        apart = view.predict(CATEGORY, example(), words=False, strategy=strategy, seed=2)
        assert np.array_equal(apart.xy, together.xy)
        monkeypatch.undo()


def test_a_view_can_be_asked_often_in_any_way(model, view):
    ways = [{}, {"example": example(), "words": False}, {"example": [example(), example(6)]}, {}]
    for options in ways:
        asked, predicted = view.predict(CATEGORY, **options), model.predict(tiny.picture(60, 40), CATEGORY, **options)
        assert np.array_equal(asked.xy, predicted.xy) and asked.identified == predicted.identified


def test_words_are_not_read_where_they_are_not_to_be(model, view):
    other = Category("dog", tuple(Keypoint(f"point {k}", "Somewhere.") for k in range(4)), noun="dog")
    asked = [view.predict(category, example(), words=False) for category in (CATEGORY, other)]
    assert np.array_equal(asked[0].xy, asked[1].xy) and asked[0].identified == asked[1].identified
    told = [view.predict(category, example()) for category in (CATEGORY, other)]
    assert not np.array_equal(told[0].xy, told[1].xy)
    bare = Category("cat", tuple(Keypoint(point.name) for point in CATEGORY.keypoints[:3]), noun="cat")
    full, one = Category("cat", CATEGORY.keypoints[:3], noun="cat"), example(points=POINTS[:3])
    removed = view.predict(full, one, describe="removed")
    assert np.array_equal(removed.xy, view.predict(bare, one).xy)
    assert not np.array_equal(removed.xy, view.predict(full, one).xy)


def test_the_model_says_what_it_takes_a_shown_point_for(model, plain_model, view):
    pose = view.predict(CATEGORY, example(points=only(0, 2)), words=False)
    assert [name is None for name in pose.identified] == [False, True, False, True]
    assert anykeypoint.Pose.from_dict(json.loads(json.dumps(pose.to_dict()))).identified == pose.identified
    assert view.predict(CATEGORY, example()).identified is None  # the name was given
    assert plain_model.predict(tiny.picture(60, 40), CATEGORY, example=example(), words=False).identified is None


# --- <KEYPOINT> answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_a_token_answers_as_a_plain_pass_and_several_examples_with_their_mean(place, first):
    model = tiny.kptllm(place, "lora", answer="token", projector="mlp", identify_first=first)
    pixels, shown = tiny.picture(), [example(seed, size=42, points=POINTS * 0.8) for seed in (5, 6)]
    expected = np.zeros((2, len(CATEGORY), 2))
    for m, one in enumerate(shown):
        for k in range(len(CATEGORY)):
            before = torch.cat([start(model, pixels), token(model, np.array(one.image.pixels), one.points[k])], dim=1)
            asked = ids(model, EXAMPLE)
            if first:
                asked = [*asked, *written(model, before, asked, ids(model, "\n"), LIMIT)[0], *ids(model, "\n")]
            with torch.no_grad():
                table = model.language.get_input_embeddings()
                last = model.keypoint_token.embedding[None, None]
                whole = torch.cat([before, table(torch.tensor([asked])), last], dim=1)
                states = model.language.base_model(inputs_embeds=whole).last_hidden_state[0]
                expected[m, k] = model.keypoint_token(states[-1])
    view = model.encode(pixels)
    for m, one in enumerate(shown):
        np.testing.assert_allclose(view.predict(CATEGORY, one, words=False).xy / 42, expected[m], atol=1e-4)
    both = view.predict(CATEGORY, shown, words=False)
    np.testing.assert_allclose(both.xy / 42, expected.mean(0), atol=1e-4)
    assert np.isnan(both.confidence).all() and both.present.all()
    assert np.ptp(expected, axis=0).max() > 1e-3
    assert view.predict(CATEGORY).present.all() and view.identify((3, 4)).confidence <= 1
    for options in ({"strategy": "greedy"}, {"density": True}):
        with pytest.raises(InputError, match="answers with <KEYPOINT>, not digits"):
            view.predict(CATEGORY, **options)
