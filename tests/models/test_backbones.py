"""Backbones: maps by name, their sizes and tuning."""

import json

import pytest
import torch
import torch.nn.functional as F
from tiny_backbones import PIXELS, TINY, loud, noise, tiny

from anykeypoint.errors import InputError
from anykeypoint.models.towers.backbones import BackboneConfig, build_backbone
from anykeypoint.models.towers.swinv2 import blocks_of
from anykeypoint.models.tuning import LoraOptions

CHANNELS = {"swinv2-t": 64, "resnet50": 20, "dinov2-s": 16, "efficientnet-lite2": 328}
STRIDES = {"swinv2-t": 16, "resnet50": 32, "dinov2-s": 14, "efficientnet-lite2": 16}


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
    # In float64: a processor may take another kernel for one picture than for three, and loud weights amplify rounding.
    backbone, pictures = loud(tiny(name)).double(), noise(PIXELS[name], batch=3).double()
    with torch.no_grad():
        together, alone = backbone(pictures), torch.cat([backbone(picture[None]) for picture in pictures])
    assert together.dtype == torch.float64
    assert (together - alone).abs().max() <= 1e-9 * together.abs().max()


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
