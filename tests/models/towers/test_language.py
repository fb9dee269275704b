"""Language models: configs, weights from folders, what is refused and how."""

import json

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from anykeypoint.errors import InputError
from anykeypoint.models.sources import hub
from anykeypoint.models.towers.language import LANGUAGE_MODELS, LanguageConfig, build_language
from anykeypoint.models.tuning import LoraOptions, lora_state

SIZES = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = torch.tensor([[1, 4, 5, 6]])


def write_tokenizer(folder, **special) -> None:
    words = ["<unk>", "<s>", "</s>", "<pad>", *"01234567"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)


@pytest.fixture
def folder(tmp_path):
    """A folder with a tiny random Llama and its tokenizer."""
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).save_pretrained(tmp_path)
    write_tokenizer(tmp_path, eos_token="</s>")
    return tmp_path


def test_a_folder_gives_its_model_and_tokenizer(folder):
    model, tokenizer = build_language(LanguageConfig("llama-3.1-8b", str(folder)))
    expected = transformers.LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, expected(IDS).logits)
    assert tokenizer("1 2").input_ids == [5, 6] and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_folder_may_stand_for_the_name(folder):
    assert build_language(LanguageConfig(str(folder)))[0].config.num_hidden_layers == 3


def test_the_model_comes_in_the_precision_asked_for(folder):
    half = build_language(LanguageConfig(str(folder)), torch.bfloat16)[0]
    assert half.layer_dtype == torch.bfloat16  # of the MLPs behind the first layer; the rest is exact
    assert half.model.layers[1].mlp.up_proj.weight.dtype == torch.bfloat16 and half.dtype == torch.float32
    assert build_language(LanguageConfig(str(folder)))[0].dtype == torch.float32


def test_another_family_with_the_same_layout_works(folder):
    transformers.MistralForCausalLM(transformers.MistralConfig(**SIZES)).save_pretrained(folder)
    assert build_language(LanguageConfig("mistral-7b", str(folder)))[0](IDS).logits.shape == (1, 4, 12)


def test_a_tokenizer_without_padding_pads_with_end_of_text(folder):
    tokenizer = build_language(LanguageConfig(str(folder)))[1]
    assert tokenizer.pad_token == "</s>"
    write_tokenizer(folder, eos_token="</s>", pad_token="<pad>")
    assert build_language(LanguageConfig(str(folder)))[1].pad_token == "<pad>"
    write_tokenizer(folder)
    with pytest.raises(InputError, match="neither a padding nor an end-of-text token"):
        build_language(LanguageConfig(str(folder)))


def test_only_the_first_layers_are_kept(folder):
    model, _ = build_language(LanguageConfig(str(folder), layers=2))
    whole = transformers.LlamaForCausalLM.from_pretrained(folder)
    whole.model.layers = whole.model.layers[:2]
    assert len(model.model.layers) == model.config.num_hidden_layers == 2
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, whole(IDS, use_cache=False).logits)


def test_more_layers_than_there_are_are_refused(folder):
    with pytest.raises(InputError, match="has 3 layers, but 4 were to be kept"):
        build_language(LanguageConfig(str(folder), layers=4))


def test_per_layer_settings_are_cut_with_the_layers(folder):
    config = transformers.Qwen2Config(**SIZES, layer_types=["full_attention"] * 3)
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    model, _ = build_language(LanguageConfig(str(folder), layers=1))
    assert model.config.layer_types == ["full_attention"] and model(IDS).logits.shape == (1, 4, 12)


def test_lora_goes_on_the_projections_asked_for(folder):
    lora = LoraOptions(r=2, targets=("o", "down"))
    model, _ = build_language(LanguageConfig(str(folder), tuning="lora", lora=lora))
    assert {key.split(".")[4] for key in lora_state(model)} == {"o_proj", "down_proj"}
    assert all("lora_" in name for name, parameter in model.named_parameters() if parameter.requires_grad)


def test_full_tuning_trains_everything(folder):
    model, _ = build_language(LanguageConfig(str(folder), tuning="full"))
    assert all(parameter.requires_grad for parameter in model.parameters())


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.T5Config(d_model=8, d_ff=8, num_layers=1, num_heads=1, vocab_size=12), "encoder-decoder"),
        (transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=12), "rotary positions"),
        (transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1), "rotary positions"),
        (transformers.Dinov2Config(hidden_size=8, num_hidden_layers=1), "no causal language model"),
    ],
    ids=["t5", "gpt2", "bert", "dinov2"],
)
def test_models_of_another_layout_are_refused_before_weights_are_read(tmp_path, config, message):
    config.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=message):
        build_language(LanguageConfig(str(tmp_path)))


def test_a_model_that_brings_its_own_code_is_refused_and_the_code_does_not_run(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}})
    )
    mark = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    with pytest.raises(InputError, match="code of its own, which is never run"):
        build_language(LanguageConfig(str(tmp_path)))
    assert not mark.exists()


def test_a_folder_without_safetensors_is_refused(folder):
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no safetensors weights"):
        build_language(LanguageConfig(str(folder)))


def test_a_repository_that_cannot_be_reached_is_refused_with_what_to_do(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="hub cannot be reached and nobody/nothing is not in the local cache") as error:
        build_language(LanguageConfig("nobody/nothing"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "message"), [("GatedRepoError", "accept its licence"), ("RepositoryNotFoundError", "check the name")]
)
def test_what_the_hub_says_becomes_one_sentence(kind, message):
    from huggingface_hub import errors

    kind = getattr(errors, kind)
    error = OSError("several\nlines")
    error.__cause__ = kind.__new__(kind)  # its constructor wants the answer of a server
    sentence = hub.explain(error, "owner/name")
    assert message in sentence and "owner/name" in sentence and "\n" not in sentence


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_config_survives_the_round_trip_through_json():
    config = LanguageConfig("owner/name", None, 4, "lora", LoraOptions(2, 4, 0.1, ("q",)))
    assert LanguageConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError) as error:
        LanguageConfig("llama")
    assert all(name in str(error.value) for name in LANGUAGE_MODELS)


def test_unknown_options_are_refused():
    with pytest.raises(InputError, match="unknown key 'depth'"):
        LanguageConfig.from_dict({"name": "vicuna-7b", "depth": 2})


@pytest.mark.parametrize(
    ("changes", "message"), [({"layers": 0}, "layers"), ({"tuning": "all"}, "tuning mode"), ({"source": ""}, "source")]
)
def test_wrong_values_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        LanguageConfig("vicuna-7b", **changes)


def test_the_small_model_comes_from_the_packaged_weights(folder, monkeypatch):
    from anykeypoint.models.sources import packages

    fetched = []
    monkeypatch.setattr(packages, "fetch", lambda name: fetched.append(name) or folder)
    assert build_language(LanguageConfig("smollm2-135m"))[0].config.hidden_size == 16
    assert fetched == ["smollm2-135m"]
