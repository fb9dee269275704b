"""A few-shot baseline with its backbone: asked with pictures, trained on episodes, kept in a folder."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_encoders import PIXELS, TINY

import anykeypoint
from anykeypoint.category import Category
from anykeypoint.crops.batches import Episode, LabelledCrop, collate
from anykeypoint.errors import InputError
from anykeypoint.evaluation.prediction_files import Workers, predict_all
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.evaluation.queries import Query
from anykeypoint.example import Example
from anykeypoint.forms.dataset import LabelledObject
from anykeypoint.models.fewshot import fewshot_model as fewshot
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig, FewShotModel
from anykeypoint.models.fewshot.finetune import FineTuneConfig
from anykeypoint.models.fewshot.maml import MAMLConfig
from anykeypoint.models.fewshot.protonet import ProtoNetConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

CATEGORY = Category.from_text("nose; tail; paw", name="cat")
PAIR = Category.from_text("tip; handle", name="tool")
BOX = (20.0, 10.0, 60.0, 50.0)
POINTS = np.array([[30.0, 20.0], [50.5, 41.0], [72.0, 30.0]])
OPTIONS = {
    "protonet": ProtoNetConfig(),
    "maml": MAMLConfig(width=32, fit_steps=80, steps=2, enlarge=2),
    "finetune": FineTuneConfig(width=32, steps=150, rate=0.02, trains="head", known=(("cat", 3), ("tool", 2))),
}


def config(method: str, name: str = "dinov2-s", **tuning) -> FewShotConfig:
    vision = VisionConfig(name, RANDOM, PIXELS[name] * 2, sizes=TINY[name], **{"tuning": "full", **tuning})
    return FewShotConfig(method, OPTIONS[method], vision)


@pytest.fixture(scope="module", params=OPTIONS)
def model(request) -> FewShotModel:
    return fewshot.build(config(request.param))


def noise(seed: int, width: int = 100, height: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def same(one, other) -> bool:
    return np.allclose(one.xy, other.xy, atol=1e-3, equal_nan=True) and np.allclose(
        one.confidence, other.confidence, atol=1e-4, equal_nan=True
    )


# --- asking ----------------------------------------------------------------------------------------------------------


def test_the_examples_own_points_are_found_in_its_own_picture(model):
    picture = noise(0)
    pose = model.predict(picture, CATEGORY, box=BOX, example=[Example(picture, POINTS, BOX)])
    cell = 1.25 * 60 / 8
    assert np.abs(pose.xy - POINTS).max() < cell
    assert pose.present.all() and pose.names == CATEGORY.names


def test_one_example_need_not_be_a_list_and_words_change_nothing(model):
    shown, picture = Example(noise(0), POINTS, BOX), noise(1)
    listed = model.predict(picture, CATEGORY, box=BOX, example=[shown], words=True)
    other = Category.from_text("a; b; c", name="other")
    assert same(model.predict(picture, other, box=BOX, example=shown), listed)


def test_points_move_with_the_object(model):
    picture, moved = noise(0), noise(1, 220, 180)
    moved[50:130, 70:170] = picture
    corner, box = np.array([70, 50]), (90, 60, 60, 50)
    pose = model.predict(moved, CATEGORY, box=box, example=Example(picture, POINTS, BOX))
    cell = 1.25 * 60 / 8
    assert np.median(np.abs(pose.xy - POINTS - corner)) < cell  # what is round the object differs


def test_the_order_of_examples_and_an_earlier_question_change_nothing(model):
    shown = [Example(noise(seed), POINTS + seed, BOX) for seed in range(2)]
    first = model.predict(noise(5), CATEGORY, box=BOX, example=shown)
    model.predict(noise(6), PAIR, box=BOX, example=Example(noise(7), POINTS[:2], BOX))
    assert same(model.predict(noise(5), CATEGORY, box=BOX, example=shown[::-1]), first)


def test_a_point_that_no_example_shows_in_its_crop_is_absent(model):
    points = POINTS.copy()
    points[1], points[2] = np.nan, (99.0, 79.0)  # not labelled; beside the crop
    pose = model.predict(noise(1), CATEGORY, box=BOX, example=Example(noise(0), points, (20, 10, 30, 30)))
    assert pose.present.tolist() == [True, False, False] and np.isnan(pose.xy[1:]).all()
    with pytest.raises(InputError, match="outside of its crop"):
        model.predict(noise(1), CATEGORY, box=BOX, example=Example(noise(0), points, (70, 10, 10, 10)))


def test_a_density_sums_to_one_and_is_where_the_answer_is(model):
    picture = noise(0)
    shown = Example(picture, np.where([[True], [False], [True]], POINTS, np.nan), BOX)
    pose = model.predict(picture, CATEGORY, box=BOX, example=shown, density=True)
    assert set(pose.density) == {"nose", "paw"}
    for key, at in (("nose", 0), ("paw", 2)):
        density = pose.density[key]
        assert density.mass == pytest.approx(1)
        assert np.abs(density.mode() - pose.xy[at]).max() < 1.5 * density.cell


def test_the_whole_picture_is_the_box_where_there_is_none(model):
    picture, shown = noise(0), Example(noise(2), POINTS)
    whole = model.predict(picture, CATEGORY, example=shown)
    assert same(model.predict(picture, CATEGORY, box=(0, 0, 100, 80), example=shown), whole)


def test_it_can_be_asked_where_gradients_are_off(model):
    shown, picture = Example(noise(0), POINTS, BOX), noise(1)
    plain = model.predict(picture, CATEGORY, box=BOX, example=shown)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            assert same(model.predict(picture, CATEGORY, box=BOX, example=shown), plain)


def test_examples_that_do_not_fit_are_refused(model):
    with pytest.raises(InputError, match="2 points, but 'cat' has 3"):
        model.predict(noise(0), CATEGORY, box=BOX, example=Example(noise(0), POINTS[:2], BOX))
    with pytest.raises(InputError, match="one or more examples"):
        model.predict(noise(0), CATEGORY, box=BOX, example=[])


def test_an_example_of_other_names_or_with_points_outside_its_picture_is_refused(model):
    other = Example(noise(1), POINTS, BOX, category=["tail", "nose", "paw"])
    with pytest.raises(InputError, match="names 'tail' where 'cat' has 'nose'"):
        model.predict(noise(2), CATEGORY, BOX, example=other)
    for place in ((-1.0, -1.0), (104.0, 40.0)):
        points = np.vstack([POINTS[:2], [place]])
        with pytest.raises(InputError, match="point 2 lies outside"):
            model.predict(noise(2), CATEGORY, BOX, example=Example(noise(1), points, BOX))


def test_an_evaluation_can_ask_it(model, tmp_path):
    objects = []
    for i in range(3):
        Image.fromarray(noise(i)).save(tmp_path / f"{i}.png")
        seen = np.full(3, 2)
        objects.append(LabelledObject(i + 1, tmp_path / f"{i}.png", 1, CATEGORY, BOX, POINTS + i, seen, None))
    queries = [Query(objects[i], (objects[i - 1],), CATEGORY) for i in range(3)]
    asked, path = EvaluationProtocol.parse("1-shot"), tmp_path / "answers.jsonl"
    answers = predict_all(model, queries, asked, path, {}, Workers(), lambda items, _: items, "")
    assert len(answers) == 3 and all(np.isfinite(answer.xy).all() for answer in answers)


def test_the_same_examples_are_learnt_from_once_and_the_answer_does_not_tell(model, monkeypatch):
    shown, pictures = [Example(noise(seed), POINTS, BOX) for seed in range(2)], [noise(seed) for seed in range(5, 7)]
    learnt, fit = [], model.method.fit
    monkeypatch.setattr(model.method, "fit", lambda *inputs: learnt.append(1) or fit(*inputs))
    model.eval()
    first = [model.predict(picture, CATEGORY, box=BOX, example=shown) for picture in pictures]
    assert len(learnt) == 1
    fresh = []
    for picture in pictures:
        model.eval()  # forgets
        fresh.append(model.predict(picture, CATEGORY, box=BOX, example=shown))
    assert len(learnt) == 3
    assert all(np.array_equal(one.xy, other.xy) for one, other in zip(first, fresh, strict=True))
    model.predict(pictures[0], CATEGORY, box=BOX, example=[shown[0]])
    moved = [Example(shown[0].image, POINTS - 0.5, BOX), shown[1]]
    hidden = [Example(shown[0].image, np.where([[True], [False], [True]], POINTS, np.nan), BOX), shown[1]]
    for others in (moved, hidden):
        model.predict(pictures[0], CATEGORY, box=BOX, example=others)
    assert len(learnt) == 6
    again = model.state_dict()
    for forget in (lambda: model.train().eval(), model.float, lambda: model.load_state_dict(again)):
        forget()
        model.predict(pictures[0], CATEGORY, box=BOX, example=shown)
    assert len(learnt) == 9


def test_only_so_many_examples_are_kept():
    model = fewshot.build(config("protonet"))
    count = fewshot.FewShotModel.cache_size

    def fit(seed):
        return model.fit(Example(noise(seed), POINTS, BOX), CATEGORY)

    first = [fit(seed) for seed in range(count + 2)]
    assert len(model.cache) == count
    assert fit(2) is first[2]  # the oldest that is kept; used again, it stays longest
    fit(count + 2)
    assert fit(2) is first[2] and fit(4) is first[4] and fit(3) is not first[3]


def test_a_model_may_look_in_more_pixels_and_a_density_have_other_cells(model):
    shown, picture = Example(noise(0), POINTS, BOX), noise(1)
    pose = model.predict(picture, CATEGORY, box=BOX, example=shown, density=5)
    assert pose.density["nose"].grid.shape == (5, 5) and pose.density["nose"].mass == pytest.approx(1)
    other = fewshot.build(config(model.name))
    before = other.predict(picture, CATEGORY, box=BOX, example=shown)
    other.resize(140)
    assert other.config.vision.image_size == other.encoder.config.image_size == 140
    assert not same(other.predict(picture, CATEGORY, box=BOX, example=shown), before)


def test_what_it_cannot_be_asked_is_refused(model):
    with pytest.raises(InputError, match="one or more examples, but got none"):
        model.predict(noise(1), CATEGORY, box=BOX)
    with pytest.raises(InputError, match="no choice of strategy"):
        model.predict(noise(1), CATEGORY, box=BOX, example=Example(noise(0), POINTS, BOX), strategy="greedy")


# --- training --------------------------------------------------------------------------------------------------------


def episode(category: Category, seed: int, size: int) -> Episode:
    rng = np.random.default_rng(seed)

    def labelled_crop() -> LabelledCrop:
        points = rng.uniform(0.1, 0.9, (len(category), 2))
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        seen = np.arange(len(category)) > seed % 2 - 1
        return LabelledCrop(
            pixels, np.where(seen[:, None], points, np.nan), seen, np.zeros((len(category), 4, 4), np.float32)
        )

    return Episode((labelled_crop(), labelled_crop()), labelled_crop(), category)


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("tuning", ["frozen", "full"])
def test_steps_of_training_lower_the_loss_and_reach_the_backbone_where_it_is_tuned(method, tuning):
    model = fewshot.build(config(method, tuning=tuning)).train()
    batch = collate([episode(CATEGORY, 0, 112), episode(PAIR, 1, 112)])
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        losses.append(model.loss(batch))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < losses[0]
    moved = any(not torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    assert moved == (tuning == "full")


@torch.no_grad()
def test_padding_does_not_reach_the_loss():
    model = fewshot.build(config("protonet"))
    alone = collate([episode(PAIR, 1, 112)])
    padded = collate([episode(CATEGORY, 0, 112), episode(PAIR, 1, 112)])
    rest = collate([episode(CATEGORY, 0, 112)])
    assert float(model.loss(padded)) == pytest.approx(float(model.loss(alone) + model.loss(rest)) / 2, abs=1e-5)


def test_episodes_of_another_size_are_refused():
    with pytest.raises(InputError, match="crops of 112 pixels, but the episodes have 64"):
        fewshot.build(config("protonet")).loss(collate([episode(PAIR, 1, 64)]))


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dinov2-s", "resnet50", "swinv2-t"])
@pytest.mark.parametrize("method", OPTIONS)
def test_a_saved_model_answers_as_before(method, name, tmp_path):
    model = fewshot.build(config(method, name), seed=3)
    model.save_pretrained(tmp_path)
    again = fewshot.load(tmp_path)
    shown = Example(noise(0), POINTS, BOX)
    answers = [one.predict(noise(1), CATEGORY, box=BOX, example=shown) for one in (model, again)]
    assert np.array_equal(answers[0].xy, answers[1].xy)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "few_shot"
    assert again.config.options == model.config.options and not again.training


def test_a_folder_needs_nothing_but_itself(tmp_path):
    model = fewshot.build(config("protonet"))
    model.config = replace(model.config, vision=VisionConfig("dinov2-s", image_size=112))  # published weights
    model.save_pretrained(tmp_path)
    assert fewshot.load(tmp_path).config.vision.source == RANDOM


def test_the_seed_decides_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (fewshot.build(config("maml"), seed).method.row for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a model folder"):
        fewshot.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "capellm"}')
    with pytest.raises(InputError, match="does not describe a few_shot model"):
        fewshot.load(tmp_path)
    fewshot.build(config("maml")).save_pretrained(tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    data["options"]["width"] = 8
    (tmp_path / "config.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="do not fit"):
        fewshot.load(tmp_path)
    with pytest.raises(InputError, match="computes in float32, but got bfloat16"):
        anykeypoint.load(str(tmp_path), "cpu", "bfloat16")


@pytest.mark.parametrize(
    "wrong",
    [{"method": "pomnet"}, {"method": "maml", "options": {"scale": 3}}, {"crop_scale": 0}, {"shots": 1}],
)
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        FewShotConfig.from_dict(wrong)
    with pytest.raises(InputError):
        FewShotConfig("maml", ProtoNetConfig())


@pytest.mark.parametrize("method", OPTIONS)
def test_configs_come_back_as_they_were(method):
    given = replace(config(method), crop_scale=1.0)
    assert FewShotConfig.from_dict(json.loads(json.dumps(given.to_dict()))) == given
