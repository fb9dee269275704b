"""How much of a decoder's attention lies near the labels."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny_matchers

from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import run
from anykeypoint.evaluation.attention import ATTENTION_KEYS, near_labels
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.forms.coco import read_coco
from anykeypoint.geometry import Crop


def looking(attention):
    return SimpleNamespace(attention=np.asarray(attention, dtype=float), crop=Crop(100.0, 50.0, 40.0))


def test_attention_is_summed_round_the_label_by_hand():
    """Four cells of 20 pixels, with centres at (110, 60), (130, 60), (110, 80) and (130, 80)."""
    last = [[[0.5, 0.3], [0.2, 0.0]], [[1, 0], [0, 0]], [[1, 0], [0, 0]]]
    earlier = np.full((3, 2, 2), 0.25)
    places = np.array([[110.0, 60.0], [130.0, 60.0], [np.nan, np.nan]])
    found = near_labels(looking([earlier, last]), places, side=150.0)
    np.testing.assert_allclose(found[0], [50, 100, (0.3 * 20 + 0.2 * 20) / 150])  # 15 and 30 pixels
    np.testing.assert_allclose(found[1], [0, 100, 20 / 150])
    assert np.isnan(found[2]).all()


def test_an_evaluation_reports_it_for_a_matcher_and_refuses_other_models(tmp_path):
    write_dataset(tmp_path / "data", 4, seed=1, per_category=2, size=64)
    dataset = read_coco(tmp_path / "data" / ANNOTATIONS, tmp_path / "data" / IMAGES)
    model = tiny_matchers.matcher("graphcape", tmp_path)
    config = EvaluationConfig(protocol="1-shot", attention=True)
    found = run.evaluate(model, dataset, tmp_path / "a", config)["attention"]
    assert found["points"] > 0 and set(found["object_mean"]) == set(ATTENTION_KEYS) == set(found["category_mean"])
    mean = found["category_mean"]
    assert 0 <= mean["attention@0.1"] <= mean["attention@0.2"] <= 100 and mean["attention_distance"] > 0
    plain = run.evaluate(model, dataset, tmp_path / "b", EvaluationConfig(protocol="1-shot"))
    assert plain["attention"] is None
    blind = SimpleNamespace(prompts=("text",), predict=lambda *_, **__: None)
    with pytest.raises(InputError, match="of matchers with a decoder"):
        run.evaluate(blind, dataset, tmp_path / "c", EvaluationConfig(attention=True))
