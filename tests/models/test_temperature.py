"""The temperature of a model of every family: densities and confidences follow it, points stay where they are."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from tiny_encoders import PIXELS, TINY
from tiny_matchers import FISH, example, matcher, picture

from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.density.temperature import Temperature, tempered
from anykeypoint.errors import InputError
from anykeypoint.geometry import CONFIDENCE_RADIUS
from anykeypoint.models.fewshot import fewshot_model
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

PROMPTS = {"text": {}, "example": {"example": example(), "words": False}, "both": {"example": example()}}
TAKEN = {"evidence": PROMPTS, "flf": PROMPTS, "capellm": ("text",), "kptllm": PROMPTS, "few_shot": ("example",)}
CASES = [(kind, prompt) for kind, prompts in TAKEN.items() for prompt in prompts]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def get(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            if kind == "few_shot":
                vision = VisionConfig("dinov2-s", RANDOM, PIXELS["dinov2-s"] * 2, "full", sizes=TINY["dinov2-s"])
                made[kind] = fewshot_model.build(FewShotConfig(vision=vision))
            elif kind in ("capellm", "kptllm"):
                made[kind] = getattr(tiny, kind)(folder, strategy="mode")
            else:
                made[kind] = matcher(kind, folder)
        return made[kind]

    return get


def at(model, temperature, prompt):
    model.config = replace(model.config, temperature=Temperature(**{prompt: temperature}))
    return model


@pytest.mark.parametrize(("kind", "prompt"), CASES)
def test_a_higher_temperature_widens_densities_lowers_confidences_and_moves_no_point(models, kind, prompt):
    poses = [
        at(models(kind), temperature, prompt).predict(picture(), FISH, density=True, **PROMPTS[prompt])
        for temperature in (0.5, 1.0, 3.0)
    ]
    for pose in poses[::2]:
        np.testing.assert_array_equal(pose.xy, poses[1].xy)
        np.testing.assert_array_equal(pose.present, poses[1].present)
    entropies = np.array([pose.entropy for pose in poses])
    assert (np.diff(entropies, axis=0) > 0).all()
    confidences = np.array([pose.confidence for pose in poses])
    assert (np.diff(confidences, axis=0) != 0).all()
    if kind != "flf":  # its decoder moves points away from where the first guess has its mass
        assert (np.diff(confidences.mean(axis=1)) < 0).all()


@pytest.mark.parametrize(("kind", "prompt"), CASES)
def test_confidences_at_temperatures_are_those_of_predictions_at_each(models, kind, prompt):
    temperatures = (0.6, 1.0, 2.5)
    model = at(models(kind), 4.0, prompt)  # its own plays no part
    points, confidences = model.confidences_at(picture(), FISH, temperatures, **PROMPTS[prompt])
    for temperature, found in zip(temperatures, confidences, strict=True):
        pose = at(model, temperature, prompt).predict(picture(), FISH, **PROMPTS[prompt])
        np.testing.assert_allclose(pose.xy, points, atol=1e-9)
        np.testing.assert_allclose(pose.confidence, found, atol=2e-5)


@pytest.mark.parametrize("kind", ["evidence", "kptllm"])
def test_the_temperature_of_a_prompt_leaves_other_prompts_as_they_are(models, kind):
    model = at(models(kind), 1.0, "text")
    before = {name: model.predict(picture(), FISH, density=True, **asked) for name, asked in PROMPTS.items()}
    at(model, 3.0, "example")
    for name, asked in PROMPTS.items():
        pose = model.predict(picture(), FISH, density=True, **asked)
        same = [np.array_equal(pose.density[key].grid, before[name].density[key].grid) for key in FISH.names]
        assert all(same) if name != "example" else not any(same)


@pytest.mark.parametrize("kind", ["evidence", "flf"])
def test_a_matchers_density_is_the_power_of_its_map_and_its_confidence_the_mass_near_the_point(models, kind):
    plain = at(models(kind), 1.0, "both").predict(picture(), FISH, density=True, example=example())
    pose = at(models(kind), 2.0, "both").predict(picture(), FISH, density=True, example=example())
    for k, key in enumerate(FISH.names):
        power = np.sqrt(plain.density[key].grid)
        np.testing.assert_allclose(pose.density[key].grid, power / power.sum(), rtol=1e-4)
        radius = CONFIDENCE_RADIUS * pose.density[key].crop.side
        assert pose.confidence[k] == pytest.approx(pose.density[key].mass_within(pose.xy[k], radius))


def test_a_matchers_explanation_has_its_probabilities_at_the_temperature(models):
    explanation = at(models("flf"), 2.0, "text").explain(picture(), FISH, density=True)
    for k, key in enumerate(FISH.names):
        np.testing.assert_allclose(explanation.similarity[k], explanation.pose.density[key].grid, rtol=1e-4)


@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_a_numbers_distribution_at_a_temperature_is_that_of_its_digits(kind):
    codec = CoordinateCodec.learn(tiny.tokenizer(kind))
    draw = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (3, codec.base)] + [(3, 10, 10)] * (codec.base == 10)
    lead, *slots = (torch.rand(shape, generator=draw).add(0.01) for shape in shapes)
    lead, slots = lead / lead.sum(-1, keepdim=True), [slot / slot.sum(-1, keepdim=True) for slot in slots]
    powered = [values**0.4 / (values**0.4).sum(-1, keepdim=True) for values in (lead, *slots)]
    found = codec.tempered(codec.distribution(lead, slots), 2.5)
    torch.testing.assert_close(found, codec.distribution(powered[0], powered[1:]), atol=1e-6, rtol=1e-4)
    assert codec.tempered(found, 1.0) is found


def test_a_generative_models_density_has_the_distribution_of_its_confidence(models):
    model = at(models("capellm"), 2.0, "text")
    view = model.encode(picture())
    decoded = view.engine.answer(view.prefix, model.questions(FISH), "mode")
    grid, _ = view.engine.density(view.prefix, model.questions(FISH)[0], cells=100, mass=0.9999, most=4000)
    expected = decoded.x[0, :100].clone()
    expected[99] += decoded.x[0, 100]
    np.testing.assert_allclose(grid.sum(dim=0), expected, atol=2e-4)


def test_tempering_is_the_power_normalised_and_one_is_nothing():
    p = torch.tensor([[0.5, 0.25], [0.25, 0.0]])
    assert tempered(p, 1, dims=2) is p
    wide = torch.tensor([[0.5, 0.25], [0.25, 0.0]]).sqrt()
    torch.testing.assert_close(tempered(p, 2, dims=2), wide / wide.sum())
    torch.testing.assert_close(tempered(p[:, :1], 2), torch.ones(2, 1))
    torch.testing.assert_close(tempered(torch.zeros(1, 4), 3), torch.full((1, 4), 0.25))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Temperature(text=0), "temperature by text must be a number above 0, but got 0"),
        (lambda: Temperature.from_dict({"words": 2}), "unknown key 'words'"),
        (
            lambda: MatcherConfig("capeformer", temperature=Temperature(text=2)),
            "by text is 2, but this model has example",
        ),
        (lambda: CapeLLMConfig(temperature=Temperature(both=2)), "by both is 2, but this model has text"),
        (lambda: CapeLLMConfig(answer="token", temperature=Temperature(text=2)), "no distribution"),
        (lambda: FewShotConfig(temperature=Temperature(text=2)), "by text is 2, but this model has example"),
    ],
)
def test_a_temperature_that_is_none_or_of_no_prompt_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_a_saved_model_keeps_its_temperature(models, tmp_path):
    at(models("evidence"), 1.5, "text").save_pretrained(tmp_path)
    assert type(models("evidence")).from_pretrained(tmp_path).config.temperature == Temperature(text=1.5)
