"""Presence by a model of every family: by its config's curve, from its own distributions, and moving no point."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from tiny_encoders import PIXELS, TINY
from tiny_matchers import FISH, example, matcher, picture

from anykeypoint.density.presence import Presence, PresenceCurve
from anykeypoint.density.temperature import Temperature
from anykeypoint.errors import InputError
from anykeypoint.models.fewshot import fewshot_model
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

PROMPTS = {"text": {}, "example": {"example": example(), "words": False}, "both": {"example": example()}}
TAKEN = {"evidence": PROMPTS, "flf": PROMPTS, "capellm": ("text",), "kptllm": PROMPTS, "few_shot": ("example",)}
CASES = [(kind, prompt) for kind, prompts in TAKEN.items() for prompt in prompts]
CURVE = PresenceCurve(constant=20.0, entropy=-30.0, mean_entropy=10.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def get(kind, **changes):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            if kind == "few_shot":
                vision = VisionConfig("dinov2-s", RANDOM, PIXELS["dinov2-s"] * 2, "full", sizes=TINY["dinov2-s"])
                made[kind] = fewshot_model.build(FewShotConfig(vision=vision))
            elif kind in ("capellm", "kptllm"):
                made[kind] = getattr(tiny, kind)(folder, strategy="mode")
            else:
                made[kind] = matcher(kind, folder)
        model = made[kind]
        model.config = replace(model.config, **{"presence": Presence(), "temperature": Temperature(), **changes})
        return model

    return get


@pytest.mark.parametrize(("kind", "prompt"), CASES)
def test_without_a_curve_presence_is_unknown_and_every_point_with_a_place_is_present(models, kind, prompt):
    pose = models(kind).predict(picture(), FISH, **PROMPTS[prompt])
    assert np.isnan(pose.presence).all()
    np.testing.assert_array_equal(pose.present, np.isfinite(pose.xy).all(axis=1))


@pytest.mark.parametrize(("kind", "prompt"), CASES)
def test_presence_is_the_curve_at_the_models_cues_and_moves_no_point(models, kind, prompt):
    plain = models(kind).predict(picture(), FISH, **PROMPTS[prompt])
    model = models(kind, presence=Presence(**{prompt: CURVE}))
    cues = model.presence_cues(picture(), FISH, **PROMPTS[prompt])
    pose = model.predict(picture(), FISH, **PROMPTS[prompt])
    np.testing.assert_allclose(pose.presence, CURVE.at(cues), atol=1e-6)
    assert (np.isfinite(pose.presence) == pose.placed).all()
    np.testing.assert_array_equal(pose.xy, plain.xy)
    np.testing.assert_array_equal(pose.confidence, plain.confidence)
    known = cues[pose.placed, 0]
    assert ((known > 0) & (known < 1)).all()


@pytest.mark.parametrize(("kind", "prompt"), CASES)
def test_a_temperature_changes_no_presence(models, kind, prompt):
    presence = Presence(**{prompt: CURVE})
    found = [
        models(kind, presence=presence, temperature=Temperature(**{prompt: one})).predict(
            picture(), FISH, density=kind != "capellm" and kind != "kptllm", **PROMPTS[prompt]
        )
        for one in (1.0, 2.5)
    ]
    np.testing.assert_allclose(found[1].presence, found[0].presence, atol=1e-5)
    assert not np.allclose(found[1].confidence, found[0].confidence, equal_nan=True)


@pytest.mark.parametrize(("kind", "prompt"), CASES)
def test_the_presence_from_which_points_are_present_can_be_chosen(models, kind, prompt):
    model = models(kind, presence=Presence(**{prompt: CURVE}))
    pose = model.predict(picture(), FISH, **PROMPTS[prompt])
    middle = float(np.nanmedian(pose.presence))
    chosen = model.predict(picture(), FISH, presence=middle, **PROMPTS[prompt])
    assert chosen.present.tolist() == (pose.presence >= middle).tolist()
    np.testing.assert_array_equal(chosen.xy, pose.xy)
    with pytest.raises(InputError, match="from 0 to 1"):
        model.predict(picture(), FISH, presence=1.5, **PROMPTS[prompt])


def test_the_presence_of_the_evidence_head_reads_its_best_scores_too(models):
    curve = replace(CURVE, score=0.7, mean_score=-0.3)
    model = models("evidence", presence=Presence(text=curve))
    cues = model.presence_cues(picture(), FISH)
    assert np.isfinite(cues).all()
    np.testing.assert_allclose(model.predict(picture(), FISH).presence, curve.at(cues), atol=1e-6)
    assert np.isnan(models("flf").presence_cues(picture(), FISH)[:, 1]).all()


@pytest.mark.parametrize(("kind", "prompt"), [case for case in CASES if case[0] == "evidence"])
def test_presence_does_not_depend_on_the_batch_nor_on_the_mirrored_picture(models, kind, prompt):
    model = models(kind, presence=Presence(**{prompt: replace(CURVE, score=0.7, mean_score=-0.3)}))
    alone = model.predict(picture(), FISH, **PROMPTS[prompt])
    asked = {name: value for name, value in PROMPTS[prompt].items() if name == "words"}
    poses = model.predict_many([picture()] * 3, FISH, examples=PROMPTS[prompt].get("example"), **asked)
    for pose in poses:
        np.testing.assert_allclose(pose.presence, alone.presence, atol=1e-5)
    mirrored = model.predict(picture(), FISH, mirror=True, **PROMPTS[prompt])
    np.testing.assert_allclose(mirrored.presence, alone.presence, atol=1e-6)


def test_a_config_keeps_its_presence_and_refuses_one_of_a_prompt_that_it_does_not_take():
    curve = replace(CURVE, score=0.5, mean_score=0.25)
    config = MatcherConfig("evidence", presence=Presence(text=curve))
    assert MatcherConfig.from_dict(config.to_dict()).presence == config.presence
    with pytest.raises(InputError, match="needs scores"):
        MatcherConfig("capex", presence=Presence(text=curve))
    with pytest.raises(InputError, match="presence by example, but this model has text"):
        CapeLLMConfig(presence=Presence(example=CURVE))
    with pytest.raises(InputError, match="no distribution"):
        CapeLLMConfig(answer="token", presence=Presence(text=CURVE))
