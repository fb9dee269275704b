"""Matchers as folders: what is saved comes back, and released checkpoints become such folders."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_matchers import FISH, NAMES, example, matcher, picture

import anykeypoint
from anykeypoint.errors import InputError
from anykeypoint.models import loading
from anykeypoint.models.matching import matcher_folder as folders
from anykeypoint.models.matching.conversion import convert, text_config
from anykeypoint.models.matching.model import MatchingModel


def ask(model: MatchingModel) -> np.ndarray:
    return model.predict(picture(), FISH, example=example() if model.config.takes_examples else None).xy


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_matcher_comes_back_wherever_its_folder_goes(name, tmp_path):
    made = matcher(name, tmp_path)
    made.save_pretrained(tmp_path / "made")
    assert (tmp_path / "made" / "text").is_dir() is made.config.takes_text
    shutil.move(tmp_path / "made", tmp_path / "moved")
    shutil.rmtree(tmp_path / "encoder", ignore_errors=True)
    again = anykeypoint.load(str(tmp_path / "moved"), device="cpu")
    assert isinstance(again, MatchingModel) and not again.training and again.config.name == name
    assert np.array_equal(ask(made), ask(again))
    again.save_pretrained(tmp_path / "moved")  # in its place
    again.save_pretrained(tmp_path / "third")
    assert np.array_equal(ask(MatchingModel.from_pretrained(tmp_path / "third")), ask(made))
    for path in ("moved", "third"):
        text = json.loads((tmp_path / path / "config.json").read_text())["text"]
        assert text is None or text["source"] == "text"


def test_a_shared_decoder_comes_back_shared_and_is_explained(tmp_path):
    made = matcher("dlf", tmp_path, head={"decoder": "shared"})
    made.save_pretrained(tmp_path / "made")
    again = MatchingModel.from_pretrained(tmp_path / "made")
    assert again.head.image_matcher.decoder is again.head.head.matcher.decoder
    assert np.array_equal(ask(made), ask(again))
    own = matcher("dlf", tmp_path)
    own.head.load_state_dict(again.head.state_dict())
    own.encoder.load_state_dict(again.encoder.state_dict())
    for words in (True, False):
        given = {"example": example(), "words": words}
        first, second = (model.explain(picture(), FISH, **given) for model in (again, own))
        assert np.allclose(first.attention, second.attention) and np.allclose(first.path, second.path)


def test_published_text_encoders_are_not_saved(tmp_path):
    made = matcher("capex", tmp_path)
    made.config = replace(made.config, text=text_config("gte-base-en-v1.5"))
    made.save_pretrained(tmp_path / "made")
    assert not (tmp_path / "made" / "text").exists()
    assert all(key.startswith(("encoder.", "head.")) for key in load_file(tmp_path / "made" / "model.safetensors"))
    assert folders.read_config(tmp_path / "made").text == text_config("gte-base-en-v1.5")


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_a_backbone_is_whole_in_the_folder_however_it_was_tuned(tuning, tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 70}
    backbone = {"name": "dinov2-s", "weights": None, "image_size": 56, "sizes": sizes, "tuning": tuning}
    head = {"image_width": 16, "token_width": 16, "width": 16, "heads": 2, "hidden": 24, "gate": 8}
    made = matcher("graphcape", tmp_path, vision=backbone, head=head)
    made.save_pretrained(tmp_path / "made")
    again = MatchingModel.from_pretrained(tmp_path / "made")
    assert np.array_equal(ask(made), ask(again)) and again.config.vision.tuning == tuning
    trains = {key for key, value in made.named_parameters() if value.requires_grad}
    assert trains == {key for key, value in again.named_parameters() if value.requires_grad}


def test_half_precision_is_a_choice_of_saving_and_of_loading(tmp_path):
    made = matcher("graphcape", tmp_path)
    made.save_pretrained(tmp_path / "half", torch.bfloat16)
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} >= {torch.bfloat16}
    loaded = anykeypoint.load(str(tmp_path / "half"), device="cpu", dtype="bfloat16")
    assert next(loaded.head.parameters()).dtype == torch.bfloat16
    assert np.abs(ask(loaded) - ask(made)).max() < 10


def test_weights_that_do_not_fit_are_listed(tmp_path):
    matcher("graphcape", tmp_path).save_pretrained(tmp_path / "made")
    file = tmp_path / "made" / "model.safetensors"
    tensors = load_file(file)
    del tensors["head.steps.0.0.bias"]
    tensors |= {"head.extra": torch.zeros(1), "head.steps.0.0.weight": torch.zeros(2, 2)}
    save_file(tensors, file)
    with pytest.raises(InputError) as told:
        loading.load(str(tmp_path / "made"), "cpu")
    for part in ("unknown: head.extra", "missing: head.steps.0.0.bias", "head.steps.0.0.weight [2, 2]"):
        assert part in str(told.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data | {"colour": 1}, "unknown key 'colour'"),
        (lambda data: data | {"model_type": "other"}, "does not describe"),
        (lambda data: data | {"head": data["head"] | {"width": 17}}, "width must be"),
    ],
)
def test_a_config_that_is_none_of_ours_is_refused(tmp_path, change, told):
    matcher("graphcape", tmp_path).save_pretrained(tmp_path / "made")
    path = tmp_path / "made" / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=told):
        loading.load(str(tmp_path / "made"), "cpu")


# --- released checkpoints --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graphcape(shared):
    return torch.load(shared / "golden" / "graphcape_ckpt.pth", weights_only=True)["state_dict"]


def write(tmp_path, state):
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "ckpt.pth")
    return tmp_path / "ckpt.pth"


GOLDEN = {"image_size": 128, "heads": 4}


def test_a_released_graphcape_predicts_in_pictures(graphcape, tmp_path):
    made = convert(write(tmp_path, graphcape), tmp_path / "model", "graphcape", **GOLDEN)
    assert made.config.released_crop and made.config.cells == 32 and made.config.sigma == 1
    assert made.config.phrases is None  # reads no words
    loaded = anykeypoint.load(str(tmp_path / "model"), device="cpu")
    pose = loaded.predict(picture(), FISH, example=example())
    assert pose.present.all() and np.array_equal(ask(made), pose.xy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state | {"detector.bias": torch.zeros(1)}, "unknown: detector.bias"),
        (lambda state: state | {"text_backbone.x": torch.zeros(1)}, "unknown: text_backbone.x"),
        (lambda state: state | {"keypoint_head.more": torch.zeros(1)}, "unknown: keypoint_head.more"),
        (lambda state: state | {"backbone.norm.bias": torch.zeros(3)}, r"norm.bias \[3\] instead of \[64\]"),
        (lambda state: {k: v for k, v in state.items() if k != "backbone.norm.bias"}, "missing: norm.bias"),
        (lambda state: {k: v for k, v in state.items() if not k.startswith("backbone.")}, "Swin V2"),
        (lambda state: {"weights": torch.zeros(1)}, "keypoint_head"),
    ],
)
def test_a_broken_checkpoint_is_refused_with_what_is_wrong_and_nothing_written(graphcape, tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        convert(write(tmp_path, change(graphcape)), tmp_path / "model", **GOLDEN)
    assert not (tmp_path / "model").exists()


def test_another_model_than_said_is_refused(graphcape, tmp_path):
    path = write(tmp_path, graphcape)
    with pytest.raises(InputError, match="holds a graphcape"):
        convert(path, tmp_path / "model", "capex", **GOLDEN)
    with pytest.raises(InputError, match="must be one of capeformer, graphcape, capex"):
        convert(path, tmp_path / "model", "pomnet", **GOLDEN)
    with pytest.raises(InputError, match="reads no words"):
        convert(path, tmp_path / "model", text="minilm-l6", **GOLDEN)


def test_a_capex_without_its_text_encoder_takes_the_one_that_is_named(shared, tmp_path):
    from tiny_matchers import text_encoder

    state = torch.load(shared / "golden" / "capex_ckpt.pth", weights_only=True)["state_dict"]
    bare = {key: tensor for key, tensor in state.items() if not key.startswith("text_backbone.")}
    options = {"image_size": 128, "heads": 2}
    made = convert(write(tmp_path, bare), tmp_path / "model", text=text_encoder(tmp_path / "wide", 40), **options)
    assert made.config.phrases == "file"  # MP-100's files of CapeX have words of their own
    assert made.config.name == "capex" and made.predict(picture(), FISH).present.all()
    with pytest.raises(InputError, match="need 24; write token_width: 24"):
        convert(write(tmp_path, bare), tmp_path / "other", text=text_encoder(tmp_path / "narrow"), **options)
    with pytest.raises(InputError, match="type resnet"):
        (tmp_path / "eyes").mkdir()
        (tmp_path / "eyes" / "config.json").write_text('{"model_type": "resnet"}')
        convert(write(tmp_path, bare), tmp_path / "other", text=str(tmp_path / "eyes"), **options)
