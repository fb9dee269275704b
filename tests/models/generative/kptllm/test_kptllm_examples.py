"""KptLLM and several examples of a keypoint, on a tiny random model."""

import numpy as np
import pytest
import tiny
from plain_kptllm import CATEGORY, example, only

STRATEGIES = ["greedy", "sampling", "expected", "mode"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", [True, False])
def test_equal_examples_answer_as_one_and_order_changes_nothing(model, plain_model, strategy, first):
    # A box that is not the whole picture: beside the picture, too, different answers stay different.
    view = (model if first else plain_model).encode(tiny.picture(60, 40), (0, 0.005, 60, 39.99))
    options = {"words": False, "strategy": strategy, "seed": 1}
    one, three = (view.predict(CATEGORY, [example()] * count, **options) for count in (1, 3))
    assert np.array_equal(one.xy, three.xy) and one.identified == three.identified
    np.testing.assert_allclose(one.confidence, three.confidence, atol=1e-5)
    mixed = [example(5), example(6), example(7, points=only(1, 3))]
    turned = [view.predict(CATEGORY, [mixed[i] for i in order], **options) for order in ((0, 1, 2), (2, 0, 1))]
    assert np.array_equal(turned[0].xy, turned[1].xy) and turned[0].identified == turned[1].identified
    assert np.array_equal(turned[0].confidence, turned[1].confidence)
    assert not np.array_equal(turned[0].xy, one.xy)


def test_a_density_of_several_examples_is_the_mean_of_theirs(plain_model):
    view = plain_model.encode(tiny.picture(60, 40))
    shown = [example(5), example(6, points=only(0, 1))]
    options = {"words": False, "density": 10}
    both = view.predict(CATEGORY, shown, **options)
    first, second = (view.predict(CATEGORY, one, **options) for one in shown)
    for k, key in enumerate(both.keys):
        grids = [pose.density[key].grid for pose in (first, second) if key in pose.density]
        assert len(grids) == (2 if k < 2 else 1)
        np.testing.assert_allclose(both.density[key].grid, np.mean(grids, axis=0), atol=1e-6)
    assert both.covariance is not None and not second.present[2] and second.present[0]


def test_a_keypoint_that_no_example_shows_is_absent_unless_words_name_it(view):
    shown = [example(points=only(0)), example(6, points=only(2))]
    pose = view.predict(CATEGORY, shown, words=False)
    assert pose.present.tolist() == [True, False, True, False]
    assert np.isnan(pose.xy[1]).all() and np.isnan(pose.confidence[1])
    with_words, by_words = view.predict(CATEGORY, shown), view.predict(CATEGORY)
    assert with_words.present.all()
    assert np.array_equal(with_words.xy[[1, 3]], by_words.xy[[1, 3]])
    assert not np.array_equal(with_words.xy[[0, 2]], by_words.xy[[0, 2]])


def test_an_example_is_looked_at_once_for_all_points_and_questions(place, monkeypatch):
    model = tiny.kptllm(place)
    looks = []
    look = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda pixels: looks.append(1) or look(pixels))
    view = model.encode(tiny.picture(60, 40))
    answers = [view.predict(CATEGORY, example(), words=words).xy for words in (False, False, True)]
    assert len(looks) == 2 and np.array_equal(answers[0], answers[1])
    model.cache.most = 1
    view.predict(CATEGORY, example(6), words=False)
    assert len(looks) == 3 and len(model.cache) == 1
    assert np.array_equal(view.predict(CATEGORY, example(), words=False).xy, answers[0]) and len(looks) == 4
    model.train().eval()
    assert np.array_equal(view.predict(CATEGORY, example(), words=False).xy, answers[0]) and len(looks) == 5
