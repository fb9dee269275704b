"""Backbones: maps by name, their sizes, tuning, and weights under their authors' names."""

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

from anykeypoint.errors import InputError
from anykeypoint.models.backbones import (
    SIZES,
    BackboneConfig,
    backbone_from_model,
    backbone_from_released,
    build_backbone,
)
from anykeypoint.models.efficientnet import EfficientNetLite2
from anykeypoint.models.lora import LoraOptions
from anykeypoint.models.resnet import load_official_resnet
from anykeypoint.models.resnet import official_places as resnet_places
from anykeypoint.models.swinv2 import blocks_of, official_places

TINY = {
    "swinv2-t": {"embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 4, 4), "window_size": 4},
    "resnet50": {"embedding_size": 8, "hidden_sizes": (8, 12, 16, 20), "depths": (1, 2, 1, 1)},
    "dinov2-s": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 70},
    "efficientnet-lite2": {},
}
CHANNELS = {"swinv2-t": 64, "resnet50": 20, "dinov2-s": 16, "efficientnet-lite2": 328}
STRIDES = {"swinv2-t": 16, "resnet50": 32, "dinov2-s": 14, "efficientnet-lite2": 16}
PIXELS = {"swinv2-t": 128, "resnet50": 128, "dinov2-s": 56, "efficientnet-lite2": 64}


def tiny(name: str, seed: int = 0, **options):
    torch.manual_seed(seed)
    options = {"image_size": PIXELS[name], "weights": None, "sizes": TINY[name], **options}
    return build_backbone(BackboneConfig(name, **options))


def loud(backbone):
    """Random weights, statistics and biases everywhere, so that no branch is silent."""
    source = torch.Generator().manual_seed(3)
    for key, tensor in backbone.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=source)
            tensor.copy_(noise.abs() + 0.5 if key.endswith("running_var") else tensor + 0.2 * noise)
    return backbone


def noise(size: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


# --- maps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_a_map_has_the_channels_and_the_stride_that_are_told(name):
    backbone, size = tiny(name), PIXELS[name]
    assert (backbone.channels, backbone.stride) == (CHANNELS[name], STRIDES[name])
    with torch.no_grad():
        assert backbone(noise(size, batch=2)).shape == (2, backbone.channels, *[size // backbone.stride] * 2)


@pytest.mark.parametrize("name", TINY)
def test_a_map_is_the_encoders_tokens_row_by_row(name):
    backbone, size = loud(tiny(name)), PIXELS[name]
    with torch.no_grad():
        features, tokens = backbone(noise(size)), backbone.encoder(noise(size))
    side = size // backbone.encoder.stride
    plain = torch.stack(
        [tokens[0, row * side + column, : backbone.channels] for row in range(side) for column in range(side)]
    )
    plain = plain.view(side, side, -1).permute(2, 0, 1)[None]
    if name == "swinv2-t":
        plain = F.interpolate(plain, (2 * side, 2 * side), mode="bilinear")
    assert torch.allclose(features, plain, atol=1e-6)


@pytest.mark.parametrize("name", TINY)
def test_a_picture_gets_the_same_map_alone_and_in_company(name):
    backbone, pictures = loud(tiny(name)), noise(PIXELS[name], batch=3)
    with torch.no_grad():
        together, alone = backbone(pictures), torch.cat([backbone(picture[None]) for picture in pictures])
    assert (together - alone).abs().max() <= 1e-5 * together.abs().max()


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in TINY for size in (224, 256, 384) if name != "dinov2-s" or size % 14 == 0]
    + [("dinov2-s", 252), ("dinov2-s", 378)],
)
def test_other_sizes_give_a_map_of_their_own(name, size):
    backbone = tiny(name, image_size=size, tuning="frozen")
    features = backbone(noise(size))
    assert features.shape[2:] == (size // backbone.stride,) * 2 and features.isfinite().all()


def test_a_published_window_of_16_takes_sizes_that_it_does_not_divide():
    sizes = {**TINY["swinv2-t"], "window_size": 16}
    for size, cells in ((224, 14), (384, 24)):
        assert tiny("swinv2-t", image_size=size, sizes=sizes, tuning="frozen")(noise(size)).shape[2:] == (cells, cells)


def test_pictures_are_normalised_as_the_network_was_trained():
    picture = torch.full((1, 64, 64, 3), 255, dtype=torch.uint8)
    assert torch.allclose(tiny("efficientnet-lite2").normalise(picture), torch.ones(1))
    assert tiny("resnet50").normalise(picture)[0, 0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229)


@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [("resnet50", 23_508_032, 2048), ("swinv2-t", 27_578_154, 768), ("dinov2-s", 22_056_576, 384)],
)
def test_a_named_backbone_has_its_published_size(name, parameters, channels):
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig(name, None))
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert (count, backbone.channels) == (parameters, channels)


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_config_survives_the_round_trip_through_json():
    lora = LoraOptions(4, 8, 0.0, ("q",))
    config = BackboneConfig("swinv2-t", None, 128, "lora", lora, 0.1, TINY["swinv2-t"])
    assert BackboneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_takes_size_and_drop_path_from_its_name():
    assert [BackboneConfig(name).image_size for name in TINY] == [256, 256, 224, 256]
    assert [BackboneConfig(name).drop_path for name in ("swinv2-t", "swinv2-s", "resnet50")] == [0.2, 0.3, 0.0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"name": "swin"}, "no backbone 'swin'; known are swinv2-t, swinv2-s, resnet50, dinov2-s"),
        ({"weights": None}, "must have a name"),
        ({"name": "swinv2-t", "source": "x"}, "unknown key 'source'"),
        ({"name": "swinv2-t", "weights": 3}, "weights of a backbone must be"),
        ({"name": "swinv2-t", "tuning": "some"}, "tuning mode"),
        ({"name": "swinv2-t", "image_size": 0}, "image size"),
        ({"name": "swinv2-t", "drop_path": 1}, "drop_path must be"),
        ({"name": "resnet50", "drop_path": 0.1}, "resnet50 has no drop_path"),
        ({"name": "swinv2-t", "sizes": {"embed_dim": 8}}, "given weights has no size 'embed_dim'"),
        ({"name": "swinv2-t", "weights": None, "sizes": {"depth": 8}}, "random weights has no size 'depth'"),
        ({"name": "swinv2-t", "weights": None, "sizes": {"depths": [2, 2]}}, "depths of a backbone must be 4 whole"),
        ({"name": "swinv2-t", "weights": None, "sizes": {"depths": 2}}, "depths of a backbone must be 4 whole"),
        (
            {"name": "swinv2-t", "weights": None, "sizes": {"window_size": 0}},
            "window_size of a backbone must be a whole",
        ),
        ({"name": "swinv2-t", "sizes": [1]}, "must be a mapping"),
    ],
)
def test_wrong_options_are_refused(data, told):
    with pytest.raises(InputError, match=told) as error:
        BackboneConfig.from_dict(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "size"), [("swinv2-t", 240), ("resnet50", 250), ("dinov2-s", 256)])
def test_a_size_that_does_not_fit_is_refused(name, size):
    with pytest.raises(InputError, match=f"multiples of .* pixels, but got {size}"):
        tiny(name, image_size=size)


def test_sizes_that_cannot_be_built_are_refused():
    with pytest.raises(InputError, match="cannot be built"):
        tiny("swinv2-t", sizes={**TINY["swinv2-t"], "num_heads": (3, 3, 3, 3)})


def test_pixels_that_are_not_normalised_are_refused():
    with pytest.raises(InputError, match="use normalise"):
        tiny("resnet50")(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))


# --- tuning -----------------------------------------------------------------------------------------------------------


def trained(backbone) -> set[str]:
    return {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", TINY)
def test_a_frozen_backbone_takes_no_gradient_and_stays_in_eval_mode(name):
    backbone = tiny(name, tuning="frozen").train()
    features = backbone(noise(PIXELS[name]))
    assert not features.requires_grad and trained(backbone) == set()
    assert not any(module.training for module in backbone.encoder.modules())
    assert torch.equal(features, backbone(noise(PIXELS[name])))


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_of_a_full_backbone_gets_a_gradient(name):
    backbone = tiny(name, tuning="full", **({"drop_path": 0.0} if name == "swinv2-t" else {})).train()
    features = backbone(noise(PIXELS[name], batch=2))
    (features * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    without = {key for key, parameter in backbone.named_parameters() if parameter.grad is None}
    assert trained(backbone) and not without & trained(backbone)


@pytest.mark.parametrize("name", ["resnet50", "efficientnet-lite2"])
def test_batch_norm_keeps_its_statistics_in_training(name):
    backbone = loud(tiny(name, tuning="full"))
    before = {key: buffer.clone() for key, buffer in backbone.named_buffers()}
    with torch.no_grad():
        still = backbone(noise(PIXELS[name], batch=2))
        assert torch.equal(backbone.train()(noise(PIXELS[name], batch=2)), still)
    assert all(torch.equal(buffer, before[key]) for key, buffer in backbone.named_buffers())


def test_adapters_go_where_there_is_attention():
    assert all("lora_" in key for key in trained(tiny("swinv2-t", tuning="lora")))
    with pytest.raises(InputError, match="choose the tuning mode frozen or full"):
        tiny("resnet50", tuning="lora")


def test_drop_path_rises_from_block_to_block_and_acts_in_training_alone():
    backbone = tiny("swinv2-t", drop_path=0.4)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks_of(backbone.encoder.model)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    backbone = tiny("swinv2-t", drop_path=0.9)
    with torch.no_grad():
        still = backbone(noise(128))
        assert torch.equal(backbone(noise(128)), still)
        assert not torch.equal(backbone.train()(noise(128)), still)


# --- weights ----------------------------------------------------------------------------------------------------------


def released(backbone, name: str) -> dict[str, torch.Tensor]:
    """The backbone's tensors under their authors' names."""
    own = backbone.encoder.model.state_dict()
    places = (official_places if name == "swinv2-t" else resnet_places)(backbone.encoder.model)
    return {
        key: torch.cat([own[part] for part in parts]) if parts[1:] else own[parts[0]] for key, parts in places.items()
    }


OFFICIAL = ["swinv2-t", "resnet50"]


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("prefix", ["", "backbone.", "encoder."])
def test_released_tensors_give_the_same_map_bare_or_under_a_prefix(name, prefix):
    backbone = loud(tiny(name))
    state = {f"{prefix}{key}": value for key, value in released(backbone, name).items()}
    state |= {"keypoint_head.weight": torch.zeros(1)} if prefix else {}
    options = {"sizes": {"window_size": 4}} if name == "swinv2-t" else {}
    again = backbone_from_released(state, BackboneConfig(name, image_size=128, **options))
    with torch.no_grad():
        assert torch.equal(again(noise(128)), backbone(noise(128)))


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_released_file_serves_as_weights(name, tmp_path):
    backbone = loud(tiny(name))
    torch.save({"meta": {}, "state_dict": released(backbone, name)}, tmp_path / "a.pth")
    save_file(released(backbone, name), tmp_path / "a.safetensors")
    options = {"sizes": {"window_size": 4}} if name == "swinv2-t" else {}
    for file in ("a.pth", "a.safetensors"):
        again = build_backbone(BackboneConfig(name, str(tmp_path / file), 128, **options))
        with torch.no_grad():
            assert torch.equal(again(noise(128)), backbone(noise(128)))


@pytest.mark.parametrize("name", OFFICIAL)
def test_unknown_missing_and_wrongly_shaped_tensors_are_listed_in_one_sentence(name):
    state = released(tiny(name), name)
    missing, shaped = [key for key in state if key.endswith("0.weight") or key.endswith("conv2.weight")][-2:]
    del state[missing]
    state[shaped] = state[shaped][1:]
    state["surprise"] = torch.zeros(1)
    with pytest.raises(InputError) as error:
        backbone_from_released(state, BackboneConfig(name, image_size=128))
    text = str(error.value)
    assert "\n" not in text and "unknown: surprise; missing: " in text
    assert missing in text and f"of the wrong shape: {shaped} {list(state[shaped].shape)} instead of" in text


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("state", [{}, {"x": torch.zeros(1)}, {"patch_embed.proj.weight": torch.zeros(1)}])
def test_tensors_of_something_else_are_refused(name, state):
    with pytest.raises(InputError, match="weights must hold"):
        backbone_from_released(state, BackboneConfig(name, image_size=128))


@pytest.mark.parametrize("name", OFFICIAL)
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
def test_whatever_is_wrong_with_released_tensors_is_told_in_one_sentence(name, data):
    backbone = tiny(name)
    state = with_tables(backbone) if name == "swinv2-t" else released(backbone, name)
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
        backbone_from_released(state, BackboneConfig(name, image_size=128))
    except InputError as error:
        assert "\n" not in str(error)


def test_whole_numbers_are_no_weights():
    state = released(tiny("resnet50"), "resnet50")
    with pytest.raises(InputError, match=r"conv1.weight is torch.int8, but torch.float32 or alike is needed"):
        backbone_from_released(
            {**state, "conv1.weight": state["conv1.weight"].to(torch.int8)}, BackboneConfig("resnet50")
        )


def test_names_that_a_network_has_none_of_are_refused():
    with pytest.raises(InputError, match="cannot be read from a single file"):
        backbone_from_released({"x": torch.zeros(1)}, BackboneConfig("efficientnet-lite2", image_size=64))


def test_the_classifier_and_old_files_without_counters_are_no_fault():
    backbone = tiny("resnet50")
    state = {key: value for key, value in released(backbone, "resnet50").items() if "num_batches" not in key}
    state |= {"fc.weight": torch.zeros(10, 20), "fc.bias": torch.zeros(10)}
    with torch.no_grad():
        again = backbone_from_released(state, BackboneConfig("resnet50", image_size=128))
        assert torch.equal(again(noise(128)), backbone(noise(128)))


def test_a_saved_config_builds_the_same_network_without_fetching():
    for name in TINY:
        backbone = loud(tiny(name))
        config = BackboneConfig.from_dict(json.loads(json.dumps(backbone.saved_config().to_dict())))
        assert config.weights is None
        again = build_backbone(config)
        again.load_state_dict(backbone.state_dict())
        with torch.no_grad():
            assert torch.equal(again(noise(PIXELS[name])), backbone(noise(PIXELS[name])))


def test_a_folder_serves_as_weights(tmp_path):
    network = EfficientNetLite2()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    backbone = build_backbone(BackboneConfig("efficientnet-lite2", str(tmp_path), 64))
    with torch.no_grad():
        expected = backbone_from_model(network, BackboneConfig("efficientnet-lite2", image_size=64))(noise(64))
        assert torch.equal(backbone(noise(64)), expected)
    swin = tiny("swinv2-t")
    swin.encoder.model.save_pretrained(tmp_path / "swin")
    options = BackboneConfig("swinv2-t", str(tmp_path / "swin"), 128)
    with torch.no_grad():
        assert torch.equal(build_backbone(options)(noise(128)), swin(noise(128)))
    assert build_backbone(replace(options, sizes={"window_size": 8})).saved_config().sizes["window_size"] == 8


# --- Swin V2 ----------------------------------------------------------------------------------------------------------


def tables(side: int) -> dict[str, torch.Tensor]:
    """The stored tables of a block with windows of that side, from the formulas of Swin V2 (section 3.3)."""
    steps = torch.arange(1 - side, side).double() / (side - 1) * 8
    steps = steps.sign() * (steps.abs() + 1).log2() / 3
    rows, columns = (grid.flatten() for grid in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    index = (rows[:, None] - rows + side - 1) * (2 * side - 1) + columns[:, None] - columns + side - 1
    table = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)[None].float()
    return {"attn.relative_coords_table": table, "attn.relative_position_index": index}


def with_tables(backbone, side: int = 4) -> dict[str, torch.Tensor]:
    state = released(backbone, "swinv2-t")
    for i, stage in enumerate(backbone.encoder.model.encoder.layers):
        for j in range(len(stage.blocks)):
            state |= {f"layers.{i}.blocks.{j}.{key}": value for key, value in tables(side).items()}
    return state


def test_stored_tables_tell_the_window_and_are_those_that_are_built():
    backbone = loud(tiny("swinv2-t"))
    again = backbone_from_released(with_tables(backbone), BackboneConfig("swinv2-t", image_size=128))
    assert again.saved_config().sizes["window_size"] == 4
    for block in blocks_of(again.encoder.model):
        attention, told = block.attention.self, tables(4)
        assert torch.equal(attention.relative_position_index, told["attn.relative_position_index"])
        assert torch.allclose(attention.relative_coords_table, told["attn.relative_coords_table"], atol=1e-6)
    with torch.no_grad():
        assert torch.equal(again(noise(128)), backbone(noise(128)))


def test_another_window_or_size_may_be_asked_for_than_was_stored():
    config = BackboneConfig("swinv2-t", image_size=256, sizes={"window_size": 8})
    backbone = backbone_from_released(with_tables(tiny("swinv2-t")), config)
    assert backbone.saved_config().sizes["window_size"] == 8 and backbone(noise(256)).shape[2:] == (16, 16)


def test_tables_that_do_not_fit_are_refused():
    config = BackboneConfig("swinv2-t", image_size=128)
    state = with_tables(tiny("swinv2-t"))
    with pytest.raises(InputError, match=r"layers.0.blocks.0.attn.relative_position_index \[9, 9\] instead of"):
        backbone_from_released({**state, "layers.0.blocks.0.attn.relative_position_index": torch.zeros(9, 9)}, config)
    with pytest.raises(InputError, match=r"unknown: layers.9.blocks.0.attn_mask"):
        backbone_from_released({**state, "layers.9.blocks.0.attn_mask": torch.zeros(1, 16, 16)}, config)
    key = "layers.1.blocks.0.attn.relative_coords_table"
    with pytest.raises(InputError, match=f"{key} was made for windows enlarged"):
        backbone_from_released({**state, key: state[key] * 1.1}, config)


def test_a_shifted_window_hides_other_regions_by_minus_100_once():
    """Against the arithmetic of the published code, token by token, with attention as sharp as its scale allows."""
    backbone = loud(tiny("swinv2-t"))
    block = backbone.encoder.model.encoder.layers[1].blocks[1]
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
    state = released(loud(tiny("resnet50")), "resnet50")

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
        ours = backbone_from_released(state, BackboneConfig("resnet50", image_size=128))(noise(128))
    assert torch.allclose(ours, x, rtol=1e-4, atol=1e-4 * x.abs().max().item())
    assert not load_official_resnet(state).training


def test_the_full_resnet_takes_torchvisions_names():
    with torch.device("meta"):
        model = build_backbone(BackboneConfig("resnet50", None)).encoder.model
    names = resnet_places(model)
    assert len(names) == 318 and "layer3.5.bn3.num_batches_tracked" in names and "layer4.0.downsample.0.weight" in names
    assert set(SIZES["resnet50"]) == {"embedding_size", "hidden_sizes", "depths"}


# --- golden numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", ["swinv2_a.safetensors", "swinv2_b.safetensors", "graphcape_ckpt.pth", "capex_ckpt.pth"]
)
def test_published_numbers_are_reproduced(file, shared):
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.syspath_prepend(Path(__file__).resolve().parents[2] / "tools")
        golden = importlib.import_module("golden_backbones")
        check = golden.check_checkpoint if file.endswith(".pth") else golden.check_swinv2
        measures = check(shared / "golden" / file)
    assert [measure.what for measure in measures if not measure.ok] == []
    assert len(measures) == (2 if file.endswith(".pth") else 7)
