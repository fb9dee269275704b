"""Folders of the released CapeLLM code: written here as its training script does, read by the library."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

import anykeypoint
from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.models.generative import released_capellm
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.towers.dinov2 import official_places
from anykeypoint.models.towers.language import LanguageConfig, build_language
from anykeypoint.models.towers.vision import build_encoder, encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import LoraOptions, lora_state

CATEGORY = Category("cat", tuple(map(Keypoint, ("left ear tip", "right ear tip", "nose", "tail base"))))
SIDE = 42


def original(place, registers=False, width=16, heads=2, language_alpha=4.0):
    """A tiny CapeLLM with adapters that do something in both towers."""
    _, language = tiny.bases(place)
    vision_lora, language_lora = LoraOptions(2, 6.0, 0.1), LoraOptions(3, language_alpha, 0.2)
    name = "dinov2-reg-l" if registers else "dinov2-l"
    vision = VisionConfig(name, image_size=SIDE, tuning="lora", lora=vision_lora)
    spoken = LanguageConfig("vicuna-7b", str(language), tuning="lora", lora=language_lora)
    encoder = encoder_from_model(tiny.dinov2(registers=registers, width=width, heads=heads), vision)
    model = CapeLLM(CapeLLMConfig(vision, spoken, released_crop=True), encoder, *build_language(spoken)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def write(model, folder, base, dtype=torch.float32):
    """The released training script's files for a model of ours."""
    folder.mkdir(exist_ok=True)
    own = {name.replace(".base_layer", ""): tensor for name, tensor in model.encoder.model.state_dict().items()}
    state = {}
    for official, names in official_places(model.encoder.model).items():
        state[official] = torch.cat([own[name] for name in names]).to(dtype)
    for name, tensor in lora_state(model.encoder.model).items():
        _, _, block, _, projection, side, _ = name.split(".")
        state[f"blocks.{block}.attn.{side}_{projection[0]}"] = tensor.clone()
    save_file(state, folder / "vision_model.safetensors")
    adapters = {f"base_model.model.{name}": tensor.clone() for name, tensor in lora_state(model.language).items()}
    save_file(adapters, folder / "adapter_model.safetensors")
    save_file(
        {name: p.to(dtype) for name, p in model.projection.state_dict().items()}, folder / "mm_projector.safetensors"
    )
    spoken, seen = model.config.language.lora, model.config.vision.lora
    config = {
        "model_type": "cape-llm",
        "llm_path": str(base),
        "vision_path": "weights/dinov2_vitl14_reg4_pretrain.pth" if "reg" in model.config.vision.name else "some.pth",
        "crop_size": SIDE,
        "num_patches": 9,
        "lora_vision_enable": True,
        "lora_vision_r": seen.r,
        "lora_vision_alpha": seen.alpha,
        "lora_vision_dropout": seen.dropout,
        "lora_llm_enable": True,
        "lora_llm_r": 8,  # the released script leaves these at their defaults, whatever was trained
        "lora_llm_alpha": 16.0,
        "lora_llm_dropout": 0.0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    adapter = {
        "peft_type": "LORA",
        "r": spoken.r,
        "lora_alpha": spoken.alpha,
        "lora_dropout": spoken.dropout,
        "target_modules": ["v_proj", "q_proj"],
        "bias": "none",
        "use_dora": False,
        "rank_pattern": {},
        "modules_to_save": None,
    }
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    return folder


def change(file, **changes):
    data = json.loads(file.read_text())
    for key, value in changes.items():
        data.pop(key, None)
        if value is not ...:
            data[key] = value
    file.write_text(json.dumps(data))


def change_tensors(file, drop=(), **more):
    tensors = {key: tensor for key, tensor in load_file(file).items() if key not in drop}
    save_file({**tensors, **more}, file)


def answers(model):
    return model.predict(tiny.picture(60, 40), CATEGORY).xy


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def written(place):
    return write(original(place), place / "published", tiny.bases(place)[1])


@pytest.fixture
def checkpoint(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "published"))


# --- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("registers", [False, True])
def test_a_published_folder_answers_like_the_model_it_was_written_from(place, tmp_path, registers):
    model = original(place, registers)
    found = released_capellm.load(write(model, tmp_path, tiny.bases(place)[1]), heads=2)
    assert np.array_equal(answers(found), answers(model)) and len(np.unique(answers(found), axis=0)) > 1
    assert not found.training and found.config.vision.name == ("dinov2-reg-l" if registers else "dinov2-l")
    assert (found.config.instruction, found.config.spaced, found.config.crop_scale) == ("base", False, 1.0)
    assert found.config.released_crop  # its weights were trained on such crops
    # PEFT's file tells how the language model was adapted, config.json how the encoder was.
    assert found.config.language.lora == model.config.language.lora
    assert found.config.vision.lora == model.config.vision.lora


def test_anykeypoint_load_knows_such_a_folder(place, tmp_path):
    model = original(place, width=64, heads=1)
    loaded = anykeypoint.load(str(write(model, tmp_path, tiny.bases(place)[1])), device="cpu")
    assert np.array_equal(answers(loaded), answers(model))


def test_half_precision_weights_are_read_as_they_are_and_adapters_exactly(place, tmp_path):
    model = original(place)
    found = released_capellm.load(write(model, tmp_path, tiny.bases(place)[1], torch.bfloat16), heads=2)
    mine, theirs = model.encoder.state_dict(), found.encoder.state_dict()
    for key, tensor in mine.items():
        assert theirs[key].dtype == torch.float32
        assert torch.equal(theirs[key], tensor if ".lora_" in key else tensor.bfloat16().float())
    assert torch.equal(found.projection.weight, model.projection.weight.bfloat16().float())


def test_it_can_be_saved_as_a_folder_of_ours(place, checkpoint, tmp_path):
    found = released_capellm.load(checkpoint, heads=2)
    found.save_pretrained(tmp_path / "ours")
    again = CapeLLM.from_pretrained(tmp_path / "ours")
    mine, theirs = found.state_dict(), again.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)
    kept = load_file(tmp_path / "ours" / "model.safetensors")
    assert all(".lora_" in key or key.startswith("projection.") for key in kept)


def test_it_can_be_trained_on(checkpoint):
    model = released_capellm.load(checkpoint, heads=2)
    token = model.tokenizer.convert_tokens_to_ids("<im_patch>")
    ids = torch.tensor([[1, *[token] * 9, 5, 6]])
    model(ids, torch.randn(1, 3, SIDE, SIDE), token, torch.tensor([True])).logsumexp(-1).sum().backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {n for n, p in model.named_parameters() if ".lora_" in n or n.startswith("projection.")}
    assert all(bool(parameter.grad.any()) for parameter in model.parameters() if parameter.grad is not None)


def test_the_untrained_model_has_the_encoder_without_its_adapters(place, checkpoint):
    bare = released_capellm.load(checkpoint, heads=2).untrained()
    plain = encoder_from_model(tiny.dinov2(), VisionConfig("dinov2-l", image_size=SIDE))
    pixels = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(bare.encoder(pixels), plain(pixels), atol=1e-6)
        file = str(checkpoint / "vision_model.safetensors")
        base = build_encoder(VisionConfig("dinov2-l", file, image_size=SIDE, heads=2))
        assert torch.allclose(base(pixels), plain(pixels), atol=1e-6)


def test_a_model_whose_towers_were_frozen_is_read(place, checkpoint):
    file = checkpoint / "vision_model.safetensors"
    change_tensors(file, drop=[key for key in load_file(file) if ".lora_" in key])
    (checkpoint / "adapter_model.safetensors").unlink()
    change(checkpoint / "config.json", lora_vision_enable=False, lora_llm_enable=False)
    model = released_capellm.load(checkpoint, heads=2)
    assert (model.config.vision.tuning, model.config.language.tuning) == ("frozen", "frozen")


def test_the_golden_checkpoint_is_read(shared, tmp_path):
    tiny.tokenizer().save_pretrained(tmp_path)
    model = released_capellm.load(shared / "golden" / "capellm_ckpt", heads=2, tokenizer=str(tmp_path))
    assert len(lora_state(model.language)) == len(lora_state(model.encoder)) == 8
    with pytest.raises(InputError, match=r"has a tokenizer; copy the tokenizer files .* pass .* as tokenizer"):
        anykeypoint.load(str(shared / "golden" / "capellm_ckpt"))


# --- the base language model and the tokenizer ---------------------------------------------------------------------


def test_the_base_model_is_looked_for_beside_the_checkpoint_first(place, checkpoint):
    beside = checkpoint / "inner" / "base"
    beside.parent.mkdir()
    beside.symlink_to(tiny.bases(place)[1])
    change(checkpoint / "config.json", llm_path="inner/base")
    assert np.isfinite(answers(released_capellm.load(checkpoint, heads=2))).all()


def test_a_base_model_elsewhere_is_a_hub_id_or_must_be_given(place, checkpoint, monkeypatch):
    change(checkpoint / "config.json", llm_path="meta-llama/Some-Llama")
    asked = []
    monkeypatch.setattr(released_capellm, "build_language", lambda config, *more: asked.append(config) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        released_capellm.load(checkpoint, heads=2)
    assert asked[0].source == "meta-llama/Some-Llama" and asked[0].tokenizer is None
    monkeypatch.undo()
    for elsewhere in ("/data/llms/llama", "../llama", "llama"):
        change(checkpoint / "config.json", llm_path=elsewhere)
        with pytest.raises(InputError, match=rf"names the base language model '{elsewhere}'.* as base"):
            released_capellm.load(checkpoint, heads=2)
    found = released_capellm.load(checkpoint, heads=2, base=str(tiny.bases(place)[1]))
    assert np.isfinite(answers(found)).all()


def test_the_checkpoints_own_tokenizer_comes_before_the_bases(place, checkpoint, tmp_path):
    assert released_capellm.load(checkpoint, heads=2).codec.base == 10
    tiny.tokenizer("triples").save_pretrained(checkpoint)
    model = released_capellm.load(checkpoint, heads=2)
    assert model.codec.base == 1000 and model.config.language.tokenizer == str(checkpoint)
    tiny.tokenizer("digits").save_pretrained(tmp_path / "given")
    assert released_capellm.load(checkpoint, heads=2, tokenizer=str(tmp_path / "given")).codec.base == 10


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "gone", "wrong"),
    [
        ("vision_model", "blocks.1.attn.qkv.bias", "blocks.0.ls1.gamma"),
        ("vision_model", "blocks.1.attn.lora_A_v", "blocks.0.attn.lora_B_q"),
        (
            "adapter_model",
            "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight",
        ),
        ("mm_projector", "bias", "weight"),
    ],
)
def test_tensors_that_do_not_fit_are_listed(checkpoint, file, gone, wrong):
    change_tensors(
        checkpoint / f"{file}.safetensors", drop=[gone], **{wrong: torch.zeros(5, 7), "strange": torch.zeros(1)}
    )
    with pytest.raises(InputError) as told:
        released_capellm.load(checkpoint, heads=2)
    short = "base_model.model."
    assert "unknown: strange;" in str(told.value) and f"missing: {gone.removeprefix(short)};" in str(told.value)
    assert f"of the wrong shape: {wrong.removeprefix(short)} [5, 7]" in str(told.value)


@pytest.mark.parametrize("file", ["vision_model", "adapter_model", "mm_projector"])
def test_a_file_that_is_missing_or_cut_off_is_named(checkpoint, file):
    path = checkpoint / f"{file}.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=rf"Cannot read .*{file}.safetensors"):
        released_capellm.load(checkpoint, heads=2)
    path.unlink()
    with pytest.raises(InputError, match=rf"Cannot read .*{file}.safetensors"):
        released_capellm.load(checkpoint, heads=2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "llava"}, "does not describe a cape-llm model"),
        ({"num_patches": 256}, "speaks of 256 image tokens, but its crop of 42 pixels gives 9"),
        ({"crop_size": ...}, "lack crop_size"),
        ({"crop_size": 40}, "multiples of 14"),
        ({"llm_path": None}, "llm_path .* must be text"),
        ({"lora_vision_enable": False}, "has LoRA weights, but lora_vision_enable"),
        ({"lora_llm_enable": False}, "but lora_llm_enable in config.json is false"),
        ({"lora_vision_r": 4}, "differ from those asked for"),
        ({"vision_path": "dinov2_vitl14_reg4.pth"}, "has no register tokens, but vision_path"),
    ],
)
def test_a_config_that_does_not_fit_its_files_is_refused(checkpoint, changes, told):
    change(checkpoint / "config.json", **changes)
    with pytest.raises(InputError, match=told):
        released_capellm.load(checkpoint, heads=2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"use_dora": True}, "asks for use_dora = True"),
        ({"use_rslora": True}, "asks for use_rslora = True"),
        ({"rank_pattern": {"q_proj": 4}}, "asks for rank_pattern"),
        ({"bias": "all"}, "asks for bias = 'all'"),
        ({"modules_to_save": ["lm_head"]}, "asks for modules_to_save"),
        ({"peft_type": "IA3"}, "asks for peft_type = 'IA3'"),
        ({"target_modules": ".*q_proj"}, r"adapts the layers '\.\*q_proj'"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "adapts the layers"),
        ({"target_modules": []}, r"adapts the layers \[\]"),
        ({"lora_alpha": ...}, "lack lora_alpha"),
        ({"r": 5}, "of the wrong shape"),
        ({"target_modules": ["q_proj"]}, "unknown: .*v_proj"),
    ],
)
def test_adapters_of_another_kind_are_refused(checkpoint, changes, told):
    change(checkpoint / "adapter_config.json", **changes)
    with pytest.raises(InputError, match=told):
        released_capellm.load(checkpoint, heads=2)


def test_settings_that_are_no_json_are_named(checkpoint):
    (checkpoint / "adapter_config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"adapter_config.json must hold settings by name, but got list"):
        released_capellm.load(checkpoint, heads=2)
    (checkpoint / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match=r"Cannot read .*adapter_config.json"):
        released_capellm.load(checkpoint, heads=2)
    (checkpoint / "config.json").write_text("{")
    for folder in (checkpoint, checkpoint / "nowhere"):
        with pytest.raises(InputError, match=r"Cannot read .*config.json"):
            released_capellm.load(folder, heads=2)
