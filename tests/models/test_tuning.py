"""LoRA: which layers get adapters, what they compute, and their weights in and out."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from anykeypoint.errors import InputError
from anykeypoint.models.tuning import (
    ROLES,
    LoraOptions,
    apply_lora,
    has_lora,
    load_lora_state,
    lora_state,
    target_names,
    tune,
)


def tiny_llama() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return transformers.LlamaForCausalLM(config).eval()


def filled(module: torch.nn.Module) -> torch.nn.Module:
    """Adapters with random B, so that they do something."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if ".lora_B." in name:
                parameter.normal_()
    return module


IDS = torch.arange(6)[None]


@given(st.sets(st.sampled_from(ROLES), min_size=1))
def test_each_target_of_a_language_model_is_its_projection(targets):
    names = target_names(tiny_llama(), targets)
    assert {name.rsplit(".", 1)[1] for name in names} == {f"{target}_proj" for target in targets}
    assert len(names) == 2 * len(targets)  # in both layers


class Fused(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = torch.nn.ModuleDict({"qkv": torch.nn.Linear(4, 12), "proj": torch.nn.Linear(4, 4)})
        self.proj = torch.nn.Linear(4, 8)  # a change of width, not attention's output


class Swinlike(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        dense = torch.nn.ModuleDict({"dense": torch.nn.Linear(4, 4)})
        self.attention = torch.nn.ModuleDict({"query": torch.nn.Linear(4, 4), "output": dense})
        self.intermediate = torch.nn.ModuleDict({"dense": torch.nn.Linear(4, 8)})
        self.output = torch.nn.ModuleDict({"dense": torch.nn.Linear(8, 4)})


def test_a_fused_layer_plays_query_key_and_value():
    assert target_names(Fused(), ("q", "v")) == target_names(Fused(), ("k",)) == ["attn.qkv"]
    assert target_names(Fused(), ("o",)) == ["attn.proj"]


def test_layers_of_the_same_last_name_are_told_apart_by_where_they_are():
    assert target_names(Swinlike(), ("o",)) == ["attention.output.dense"]
    assert target_names(Swinlike(), ("up",)) == ["intermediate.dense"]
    assert target_names(Swinlike(), ("down",)) == ["output.dense"]


def test_a_target_that_the_network_lacks_is_refused_with_those_it_has():
    with pytest.raises(InputError, match="no layer for the LoRA target 'gate'; it has q, k, v, o"):
        target_names(Fused(), ("q", "gate"))


def test_a_network_without_targets_is_refused_with_the_other_modes():
    with pytest.raises(InputError, match="frozen or full"):
        apply_lora(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)))


def test_parts_that_are_not_used_get_no_adapter():
    names = target_names(tiny_llama(), ("q",), unused=["model.layers.1."])
    assert names == ["model.layers.0.self_attn.q_proj"]


def test_an_adapter_adds_alpha_over_r_times_b_a_x():
    layer = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(5, 3)})
    weight, x = layer["q_proj"].weight.detach().clone(), torch.randn(7, 5)
    bias = layer["q_proj"].bias.detach().clone()
    filled(apply_lora(layer, r=2, alpha=6, dropout=0.5, targets=("q",))).eval()
    state = lora_state(layer)
    a, b = state["q_proj.lora_A.weight"], state["q_proj.lora_B.weight"]
    assert torch.allclose(layer["q_proj"](x), x @ (weight + 3 * b @ a).T + bias, atol=1e-5)


def test_dropout_acts_in_training_only():
    layer = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(50, 3)})
    filled(apply_lora(layer, dropout=0.5, targets=("q",)))
    x = torch.randn(2, 50)
    assert torch.equal(layer.eval()["q_proj"](x), layer["q_proj"](x))
    assert not torch.equal(layer.train()["q_proj"](x), layer["q_proj"](x))


def test_only_adapters_train_and_new_ones_change_nothing():
    model = tiny_llama()
    with torch.no_grad():
        before = model(IDS).logits
        apply_lora(model, targets=ROLES)
        assert torch.equal(model(IDS).logits, before)
    assert all(("lora_" in name) == parameter.requires_grad for name, parameter in model.named_parameters())


def test_adapters_of_a_half_precision_model_are_float32():
    model = apply_lora(tiny_llama().bfloat16())
    assert {tensor.dtype for tensor in lora_state(model).values()} == {torch.float32}
    assert model(IDS).logits.dtype == torch.bfloat16


def test_adapters_survive_a_file(tmp_path):
    model = filled(apply_lora(tiny_llama()))
    save_file(lora_state(model), tmp_path / "adapter.safetensors")
    fresh = apply_lora(tiny_llama())
    load_lora_state(fresh, load_file(tmp_path / "adapter.safetensors"))
    with torch.no_grad():
        assert torch.equal(fresh(IDS).logits, model(IDS).logits)
        assert not torch.equal(fresh(IDS).logits, tiny_llama()(IDS).logits)


def test_the_names_are_those_that_peft_saves(tmp_path):
    from peft import LoraConfig, get_peft_model

    theirs = get_peft_model(tiny_llama(), LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
    filled(theirs).save_pretrained(tmp_path)
    ours = apply_lora(tiny_llama())
    load_lora_state(ours, load_file(tmp_path / "adapter_model.safetensors"))
    with torch.no_grad():
        assert torch.equal(ours(IDS).logits, theirs.eval()(IDS).logits)


def test_adapters_that_do_not_fit_are_listed_and_nothing_is_changed():
    model = apply_lora(tiny_llama(), targets=("q",))
    state = {key: value + 1 for key, value in lora_state(model).items()}
    before = {key: value.clone() for key, value in lora_state(model).items()}
    first, second = "model.layers.0.self_attn.q_proj.lora_A.weight", "model.layers.1.self_attn.q_proj.lora_A.weight"
    state["other"] = state.pop(first)
    state[second] = torch.zeros(4, 16)
    with pytest.raises(InputError) as error:
        load_lora_state(model, state)
    for part in ("unknown: other", f"missing: {first}", f"{second} [4, 16] instead of [8, 16]"):
        assert part in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in lora_state(model).items())


def test_a_second_adapter_is_refused():
    with pytest.raises(InputError, match="adapters already"):
        apply_lora(apply_lora(tiny_llama()))


def test_tuning_by_lora_keeps_adapters_that_agree_and_refuses_others():
    model = filled(apply_lora(tiny_llama()))
    state = {key: value.clone() for key, value in lora_state(model).items()}
    tune(model, "lora", LoraOptions())
    assert all(torch.equal(value, state[key]) for key, value in lora_state(model).items())
    for other in (LoraOptions(r=4), LoraOptions(alpha=8), LoraOptions(targets=("q",)), LoraOptions(dropout=0.0)):
        with pytest.raises(InputError, match="make the options agree"):
            tune(model, "lora", other)
    with pytest.raises(InputError, match="merge the adapters"):
        tune(model, "full", LoraOptions())


def test_frozen_and_full_need_no_adapter():
    model = tiny_llama()
    tune(model, "frozen", LoraOptions())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    tune(model, "full", LoraOptions())
    assert all(parameter.requires_grad for parameter in model.parameters()) and not has_lora(model)
    assert lora_state(model) == {}


@given(
    st.builds(
        LoraOptions,
        st.integers(1, 256),
        st.floats(0.1, 512),
        st.floats(0, 0.9),
        st.lists(st.sampled_from(ROLES), min_size=1, unique=True).map(tuple),
    )
)
def test_options_survive_the_round_trip(options):
    assert LoraOptions.from_dict(options.to_dict()) == options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 0}, "rank"),
        ({"r": 2.0}, "rank"),
        ({"alpha": 0}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"targets": ()}, "targets"),
        ({"targets": "qv"}, "targets"),
        ({"targets": ("q", "mlp")}, "targets"),
    ],
)
def test_wrong_options_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        LoraOptions(**changes)
