"""LLaVA-1.5 as the start of a KptLLM: its language model, CLIP tower and projector, in both layouts of files."""

import json

import pytest
import tiny
import tiny_llava
import torch
from safetensors.torch import load_file, save_file

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.models.generative.kptllm import KptLLM
from anykeypoint.models.generative.kptllm_config import PRESETS, KptLLMConfig
from anykeypoint.models.sources.llava import LlavaCheckpoint
from anykeypoint.models.towers.language import LANGUAGE_MODELS, LanguageConfig, build_language
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import VisionConfig

CATEGORY = Category("cat", (Keypoint("nose"), Keypoint("left ear")))
FIRST = "model-00001-of-00002.safetensors"


def config(folder, **options):
    """KptLLM of the preset, on the tiny checkpoint."""
    described = {"preset": "kptllm", "llava": str(folder), "heads": 2, "frequencies": 4}
    vision = {"name": "clip-vit-l-336", "image_size": tiny_llava.SIDE, "tuning": "full"}
    return KptLLMConfig.from_dict({**described, "vision": vision, **options})


def same(ours, theirs, prefix=""):
    """Whether every tensor of `ours` is that of `theirs` under the prefix, and there are equally many."""
    theirs = {name.removeprefix(prefix): tensor for name, tensor in theirs.items() if name.startswith(prefix)}
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("layout", ["transformers", "original"])
def test_a_kptllm_starts_with_the_three_parts_of_the_checkpoint(tmp_path, layout):
    source = tiny_llava.write(tmp_path / "llava", layout)
    whole = source.state_dict()
    model = KptLLM.build(config(tmp_path / "llava", language={"name": "vicuna-7b"}))
    language = {
        name.replace("model.", "model.language_model.", 1): t for name, t in model.language.state_dict().items()
    }
    assert same(language, {k: t for k, t in whole.items() if "vision" not in k and "projector" not in k})
    assert same(model.encoder.model.state_dict(), whole, "model.vision_tower.")
    projector = {name.replace("0.", "linear_1.").replace("2.", "linear_2."): tensor
                 for name, tensor in model.projection.state_dict().items()}  # fmt: skip
    assert same(projector, whole, "model.multi_modal_projector.")
    pixels = model.encoder.normalise(torch.from_numpy(tiny.picture())[None])
    with torch.no_grad():
        theirs = source.model.get_image_features(pixels).pooler_output
        assert torch.allclose(model.visual(pixels)[0], theirs[0], atol=1e-5)


def test_an_original_checkpoint_without_a_tower_takes_the_one_that_it_names(tmp_path):
    tiny_llava.write(tmp_path, "original")
    for file in tmp_path.glob("*.safetensors"):
        save_file({name: t for name, t in load_file(file).items() if "vision_tower" not in name}, file)
    encoder = build_encoder(VisionConfig("clip-vit-l-336", str(tmp_path), image_size=tiny_llava.SIDE))
    assert same(encoder.model.state_dict(), load_file(tmp_path / "clip" / "model.safetensors"))


def test_the_names_that_transformers_writes_today_are_read_too(tmp_path):
    tiny_llava.write(tmp_path / "published").save_pretrained(tmp_path / "written")
    tiny_llava.processor().save_pretrained(tmp_path / "written")
    ours, theirs = (
        KptLLM.build(config(tmp_path / name, language={"name": "vicuna-7b"})).state_dict()
        for name in ("written", "published")
    )
    assert same(ours, theirs)


def test_a_model_that_started_from_a_llava_is_saved_and_loaded_with_it(tmp_path):
    tiny_llava.write(tmp_path / "llava")
    lora = {"name": "vicuna-7b", "tuning": "lora", "lora": {"r": 2, "alpha": 4}}
    model = tiny.moved(KptLLM.build(config(tmp_path / "llava", language=lora)), seed=1)
    model.save_pretrained(tmp_path / "model")
    again = KptLLM.from_pretrained(tmp_path / "model")
    assert again.config == model.config and same(again.state_dict(), model.state_dict())
    pose = model.predict(tiny.picture(), CATEGORY)
    assert pose.xy.tolist() == again.predict(tiny.picture(), CATEGORY).xy.tolist()
    untrained = model.untrained().state_dict()
    start = KptLLM.build(model.config).state_dict()
    assert same(untrained, start)


def test_fewer_layers_are_the_first_ones_and_a_precision_is_kept(tmp_path):
    whole = tiny_llava.write(tmp_path).state_dict()
    language, tokenizer = build_language(LanguageConfig("vicuna-7b", str(tmp_path), layers=2), torch.bfloat16)
    assert len(language.model.layers) == 2 and language.layer_dtype == torch.bfloat16
    for layer, dtype in enumerate((torch.float32, torch.bfloat16)):  # the first layer is exact
        ours = language.state_dict()[f"model.layers.{layer}.mlp.up_proj.weight"]
        assert ours.dtype == dtype
        assert torch.equal(ours, whole[f"model.language_model.layers.{layer}.mlp.up_proj.weight"].to(dtype))
    assert "<image>" in tokenizer.get_vocab()


# --- what is refused ---------------------------------------------------------------------------------------------


def changed(folder, change):
    """Apply a function to the tensors of the first file."""
    tensors = load_file(folder / FIRST)
    change(tensors)
    save_file(tensors, folder / FIRST)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.update({"image_newline": torch.zeros(2)}), "a tensor image_newline, which LLaVA-1.5"),
        (
            lambda tensors: tensors.pop("vision_tower.vision_model.pre_layrnorm.weight"),
            "vision tower's weights in .* do not fit; missing: pre_layrnorm.weight",
        ),
        (
            lambda tensors: tensors.update(
                {"vision_tower.vision_model.pre_layrnorm.weight": torch.zeros(3)}
            ),
            r"of the wrong shape: pre_layrnorm.weight \[3\] instead of \[16\]",
        ),
    ],
)  # fmt: skip
def test_a_checkpoint_is_read_strictly(tmp_path, change, words):
    tiny_llava.write(tmp_path)
    changed(tmp_path, change)
    with pytest.raises(InputError, match=words):
        build_encoder(VisionConfig("clip-vit-l-336", str(tmp_path), image_size=tiny_llava.SIDE))


def test_a_projector_of_another_width_is_refused(tmp_path):
    tiny_llava.write(tmp_path)
    with pytest.raises(InputError, match=r"The projector's weights in .* do not fit; of the wrong shape: 0\.weight"):
        LlavaCheckpoint.at(str(tmp_path)).fill_projector(torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.GELU(),
                                                                             torch.nn.Linear(32, 32)))  # fmt: skip


def test_pickled_weights_are_refused(tmp_path):
    tiny_llava.write(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.rename(file.with_name(file.name.replace("safetensors", "bin").replace("model", "pytorch_model")))
    with pytest.raises(InputError, match="has no safetensors weights; convert them"):
        build_language(LanguageConfig("vicuna-7b", str(tmp_path)))


@pytest.mark.parametrize(
    ("layout", "key", "value"),
    [
        ("original", "mm_projector_type", "linear"),
        ("original", "mm_vision_select_layer", -1),
        ("transformers", "vision_feature_layer", [-2, -5]),
        ("transformers", "vision_feature_select_strategy", "full"),
    ],
)
def test_a_llava_that_is_joined_otherwise_is_refused(tmp_path, layout, key, value):
    tiny_llava.write(tmp_path, layout)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, key: value}))
    with pytest.raises(InputError, match=f"has {key} .* but LLaVA-1.5 has"):
        LlavaCheckpoint.at(str(tmp_path))


# --- configs -----------------------------------------------------------------------------------------------------


def test_the_papers_kptllm_starts_from_llava_7b_and_table_16_from_13b():
    older = PRESETS["kptllm"]
    assert older.llava == older.vision.source == older.language.source == "llava-hf/llava-1.5-7b-hf"
    larger = KptLLMConfig.from_dict({"preset": "kptllm", "llava": "llava-hf/llava-1.5-13b-hf"})
    assert larger.llava == larger.vision.source == larger.language.source == "llava-hf/llava-1.5-13b-hf"
    assert (larger.vision.tuning, larger.language.lora) == ("full", older.language.lora)
    plain = KptLLMConfig.from_dict({"preset": "kptllm", "llava": None})
    assert (plain.llava, plain.vision.source, plain.language.source) == (None, None, None)
    assert PRESETS["kptllm++"].llava is None and LANGUAGE_MODELS["vicuna-13b"] == "lmsys/vicuna-13b-v1.5"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"projector": "linear"}, "has the projector mlp, but got 'linear'"),
        ({"language": {"name": "smollm2-135m"}}, "language.name vicuna-7b or vicuna-13b, but got 'smollm2-135m'"),
        ({"vision": {"name": "dinov2-l"}}, "vision.name clip-vit-l-336, but got 'dinov2-l'"),
        ({"language": {"name": "vicuna-7b", "source": "me/mine"}}, "but language.source is 'me/mine'; leave it out"),
        ({"llava": 3}, "LLaVA-1.5 that a KptLLM starts from"),
    ],
)
def test_options_that_a_llava_does_not_have_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        KptLLMConfig.from_dict({"preset": "kptllm", **options})
