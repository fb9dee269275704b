"""Weights of image encoders: files under their authors' names, folders, and what published weights compute."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_encoders import PIXELS, TINY, loud, noise, tiny

from anykeypoint.errors import InputError
from anykeypoint.models.towers.efficientnet import EfficientNetLite2
from anykeypoint.models.towers.resnet import ResNetEncoder, load_official_resnet
from anykeypoint.models.towers.swinv2 import blocks_of
from anykeypoint.models.towers.vision import build_encoder, encoder_from_model, encoder_from_released
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

# --- weights ----------------------------------------------------------------------------------------------------------


def released(encoder) -> dict[str, torch.Tensor]:
    """The encoder's tensors under their authors' names."""
    own, places = encoder.model.state_dict(), encoder.official_names()
    return {
        key: torch.cat([own[part] for part in parts]) if parts[1:] else own[parts[0]] for key, parts in places.items()
    }


OFFICIAL = ["swinv2-t", "resnet50"]


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("prefix", ["", "backbone.", "encoder."])
def test_released_tensors_give_the_same_map_bare_or_under_a_prefix(name, prefix):
    encoder = loud(tiny(name))
    state = {f"{prefix}{key}": value for key, value in released(encoder).items()}
    state |= {"keypoint_head.weight": torch.zeros(1)} if prefix else {}
    options = {"sizes": {"window_size": 4}} if name == "swinv2-t" else {}
    again = encoder_from_released(state, VisionConfig(name, image_size=128, **options))
    with torch.no_grad():
        assert torch.equal(again.map(noise(128)), encoder.map(noise(128)))


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_released_file_serves_as_weights(name, tmp_path):
    encoder = loud(tiny(name))
    torch.save({"meta": {}, "state_dict": released(encoder)}, tmp_path / "a.pth")
    save_file(released(encoder), tmp_path / "a.safetensors")
    options = {"sizes": {"window_size": 4}} if name == "swinv2-t" else {}
    for file in ("a.pth", "a.safetensors"):
        again = build_encoder(VisionConfig(name, str(tmp_path / file), 128, **options))
        with torch.no_grad():
            assert torch.equal(again.map(noise(128)), encoder.map(noise(128)))


@pytest.mark.parametrize("name", OFFICIAL)
def test_unknown_missing_and_wrongly_shaped_tensors_are_listed_in_one_sentence(name):
    state = released(tiny(name))
    missing, shaped = [key for key in state if key.endswith("0.weight") or key.endswith("conv2.weight")][-2:]
    del state[missing]
    state[shaped] = state[shaped][1:]
    state["surprise"] = torch.zeros(1)
    with pytest.raises(InputError) as error:
        encoder_from_released(state, VisionConfig(name, image_size=128))
    text = str(error.value)
    assert "\n" not in text and "unknown: surprise; missing: " in text
    assert missing in text and f"of the wrong shape: {shaped} {list(state[shaped].shape)} instead of" in text


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("state", [{}, {"x": torch.zeros(1)}, {"patch_embed.proj.weight": torch.zeros(1)}])
def test_tensors_of_something_else_are_refused(name, state):
    with pytest.raises(InputError, match="weights must hold"):
        encoder_from_released(state, VisionConfig(name, image_size=128))


@pytest.mark.parametrize("name", OFFICIAL)
@given(data=st.data())
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_whatever_is_wrong_with_released_tensors_is_told_in_one_sentence(name, data):
    encoder = tiny(name)
    state = with_tables(encoder) if name == "swinv2-t" else released(encoder)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(state)))
        match data.draw(st.sampled_from(["gone", "other", "flat", "whole", "moved"])):
            case "gone":
                del state[key]
            case "other":
                state[key] = torch.zeros(data.draw(st.lists(st.integers(0, 5), max_size=5)))
            case "flat":
                state[key] = state[key].flatten()
            case "whole":
                state[key] = state[key].int()
            case "moved":
                state[key.replace("0", str(data.draw(st.integers(0, 10**6))))] = state[key]
    try:
        encoder_from_released(state, VisionConfig(name, image_size=128))
    except InputError as error:
        assert "\n" not in str(error)


def test_whole_numbers_are_no_weights():
    state = released(tiny("resnet50"))
    with pytest.raises(InputError, match=r"conv1.weight is torch.int8, but torch.float32 or alike is needed"):
        encoder_from_released({**state, "conv1.weight": state["conv1.weight"].to(torch.int8)}, VisionConfig("resnet50"))


def test_names_that_a_network_has_none_of_are_refused():
    with pytest.raises(InputError, match="cannot be read from a single file"):
        encoder_from_released({"x": torch.zeros(1)}, VisionConfig("efficientnet-lite2", image_size=64))


def test_the_classifier_and_old_files_without_counters_are_no_fault():
    encoder = tiny("resnet50")
    state = {key: value for key, value in released(encoder).items() if "num_batches" not in key}
    state |= {"fc.weight": torch.zeros(10, 20), "fc.bias": torch.zeros(10)}
    with torch.no_grad():
        again = encoder_from_released(state, VisionConfig("resnet50", image_size=128))
        assert torch.equal(again.map(noise(128)), encoder.map(noise(128)))


def test_a_saved_config_builds_the_same_network_without_fetching():
    for name in TINY:
        encoder = loud(tiny(name))
        config = VisionConfig.from_dict(json.loads(json.dumps(encoder.saved_config().to_dict())))
        assert config.source == RANDOM
        again = build_encoder(config)
        again.load_state_dict(encoder.state_dict())
        with torch.no_grad():
            assert torch.equal(again.map(noise(PIXELS[name])), encoder.map(noise(PIXELS[name])))


def test_a_folder_serves_as_weights(tmp_path):
    network = EfficientNetLite2()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    encoder = build_encoder(VisionConfig("efficientnet-lite2", str(tmp_path), 64))
    with torch.no_grad():
        expected = encoder_from_model(network, VisionConfig("efficientnet-lite2", image_size=64)).map(noise(64))
        assert torch.equal(encoder.map(noise(64)), expected)
    swin = tiny("swinv2-t")
    swin.model.save_pretrained(tmp_path / "swin")
    options = VisionConfig("swinv2-t", str(tmp_path / "swin"), 128)
    with torch.no_grad():
        assert torch.equal(build_encoder(options).map(noise(128)), swin.map(noise(128)))
    assert build_encoder(replace(options, sizes={"window_size": 8})).saved_config().sizes["window_size"] == 8


# --- Swin V2 ----------------------------------------------------------------------------------------------------------


def tables(side: int) -> dict[str, torch.Tensor]:
    """The stored tables of a block with windows of that side, from the formulas of Swin V2 (section 3.3)."""
    steps = torch.arange(1 - side, side).double() / (side - 1) * 8
    steps = steps.sign() * (steps.abs() + 1).log2() / 3
    rows, columns = (grid.flatten() for grid in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    index = (rows[:, None] - rows + side - 1) * (2 * side - 1) + columns[:, None] - columns + side - 1
    table = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)[None].float()
    return {"attn.relative_coords_table": table, "attn.relative_position_index": index}


def with_tables(encoder, side: int = 4) -> dict[str, torch.Tensor]:
    state = released(encoder)
    for i, stage in enumerate(encoder.model.encoder.layers):
        for j in range(len(stage.blocks)):
            state |= {f"layers.{i}.blocks.{j}.{key}": value for key, value in tables(side).items()}
    return state


def test_stored_tables_tell_the_window_and_are_those_that_are_built():
    encoder = loud(tiny("swinv2-t"))
    again = encoder_from_released(with_tables(encoder), VisionConfig("swinv2-t", image_size=128))
    assert again.saved_config().sizes["window_size"] == 4
    for block in blocks_of(again.model):
        attention, stored = block.attention.self, tables(4)
        assert torch.equal(attention.relative_position_index, stored["attn.relative_position_index"])
        assert torch.allclose(attention.relative_coords_table, stored["attn.relative_coords_table"], atol=1e-6)
    with torch.no_grad():
        assert torch.equal(again.map(noise(128)), encoder.map(noise(128)))


def test_another_window_or_size_may_be_asked_for_than_was_stored():
    config = VisionConfig("swinv2-t", image_size=256, sizes={"window_size": 8})
    encoder = encoder_from_released(with_tables(tiny("swinv2-t")), config)
    assert encoder.saved_config().sizes["window_size"] == 8 and encoder.map(noise(256)).shape[2:] == (16, 16)


def test_tables_that_do_not_fit_are_refused():
    config = VisionConfig("swinv2-t", image_size=128)
    state = with_tables(tiny("swinv2-t"))
    with pytest.raises(InputError, match=r"layers.0.blocks.0.attn.relative_position_index \[9, 9\] instead of"):
        encoder_from_released({**state, "layers.0.blocks.0.attn.relative_position_index": torch.zeros(9, 9)}, config)
    with pytest.raises(InputError, match=r"unknown: layers.9.blocks.0.attn_mask"):
        encoder_from_released({**state, "layers.9.blocks.0.attn_mask": torch.zeros(1, 16, 16)}, config)
    key = "layers.1.blocks.0.attn.relative_coords_table"
    with pytest.raises(InputError, match=f"{key} was made for windows enlarged"):
        encoder_from_released({**state, key: state[key] * 1.1}, config)


def test_a_shifted_window_hides_other_regions_by_minus_100_once():
    """Against the arithmetic of the published code, token by token, with attention as sharp as its scale allows."""
    encoder = loud(tiny("swinv2-t"))
    block = encoder.model.encoder.layers[1].blocks[1]
    assert block.shift_size == 2
    attention, side, dim, heads = block.attention.self, 16, 16, 2
    attention.logit_scale.data.fill_(9.0)  # past the clamp, log(100)
    for layer in (attention.query, attention.key):
        layer.weight.data[:] = torch.eye(dim) * torch.tensor([1.0, -1.0] * (dim // 2))[:, None]
        if layer.bias is not None:
            layer.bias.data.zero_()
    attention.query.weight.data.neg_()  # sees least what is most alike, so that the mask is put to the test
    x = torch.randn(1, side * side, dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (ours,) = block(x, (side, side))
        plain = torch.zeros(side * side, dim)
        q, k, v = (
            layer(x[0]).view(side * side, heads, -1) for layer in (attention.query, attention.key, attention.value)
        )
        bias = 16 * attention.continuous_position_bias_mlp(attention.relative_coords_table[0]).sigmoid()
        rolled = lambda n: (n - 2) % side  # noqa: E731
        region = lambda n: 0 if rolled(n) < side - 4 else 1 if rolled(n) < side - 2 else 2  # noqa: E731
        for token in range(side * side):
            row, column = divmod(token, side)
            corner = rolled(row) // 4, rolled(column) // 4
            near = [t for t in range(side * side) if (rolled(t // side) // 4, rolled(t % side) // 4) == corner]
            for head in range(heads):
                logits = []
                for other in near:
                    r, c = divmod(other, side)
                    logit = 100 * F.cosine_similarity(q[token, head], k[other, head], dim=0).item()
                    dy, dx = rolled(row) - rolled(r), rolled(column) - rolled(c)
                    logit += bias[dy + 3, dx + 3, head].item()
                    logit -= 0 if (region(r), region(c)) == (region(row), region(column)) else 100
                    logits.append(logit)
                weights = torch.tensor(logits).softmax(0)
                width = dim // heads
                plain[token, head * width : (head + 1) * width] = weights @ v[near, head]
        attended = block.layernorm_before(block.attention.output.dense(plain))
        hidden = x[0] + attended
        expected = hidden + block.layernorm_after(block.output(block.intermediate(hidden)))
    assert torch.allclose(ours[0], expected, atol=1e-3)


# --- ResNet -----------------------------------------------------------------------------------------------------------


def test_a_resnet_is_what_its_names_say():
    """Against the network of He et al. written out from a state dict with torchvision's names."""
    state = released(loud(tiny("resnet50")))

    def layer(x, convolution, norm, stride=1):
        weight = state[f"{convolution}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        names = (f"{norm}.{kind}" for kind in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *(state[name] for name in names))

    with torch.no_grad():
        x = F.max_pool2d(layer(noise(128), "conv1", "bn1", 2).relu(), 3, 2, 1)
        for s, depth in enumerate(TINY["resnet50"]["depths"]):
            for b in range(depth):
                stride, at = (2 if s and not b else 1), f"layer{s + 1}.{b}"
                y = layer(x, f"{at}.conv1", f"{at}.bn1").relu()
                y = layer(y, f"{at}.conv2", f"{at}.bn2", stride).relu()  # the stride is in the 3 x 3
                y = layer(y, f"{at}.conv3", f"{at}.bn3")
                shortcut = f"{at}.downsample.0"
                known = f"{shortcut}.weight" in state
                x = (y + (layer(x, shortcut, f"{at}.downsample.1", stride) if known else x)).relu()
        ours = encoder_from_released(state, VisionConfig("resnet50", image_size=128)).map(noise(128))
    assert torch.allclose(ours, x, rtol=1e-4, atol=1e-4 * x.abs().max().item())
    assert not load_official_resnet(state).training


def test_the_full_resnet_takes_torchvisions_names():
    with torch.device("meta"):
        encoder = build_encoder(VisionConfig("resnet50", RANDOM))
    names = encoder.official_names()
    assert len(names) == 318 and "layer3.5.bn3.num_batches_tracked" in names and "layer4.0.downsample.0.weight" in names
    assert set(ResNetEncoder.published["resnet50"].sizes) == {"embedding_size", "hidden_sizes", "depths"}


# --- golden numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", ["swinv2_a.safetensors", "swinv2_b.safetensors", "graphcape_ckpt.pth", "capex_ckpt.pth"]
)
def test_published_numbers_are_reproduced(file, shared):
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.syspath_prepend(Path(__file__).resolve().parents[3] / "tools")
        golden = importlib.import_module("golden_encoders")
        check = golden.check_checkpoint if file.endswith(".pth") else golden.check_swinv2
        measures = check(shared / "golden" / file)
    assert [measure.what for measure in measures if not measure.ok] == []
    assert len(measures) == (2 if file.endswith(".pth") else 7)
