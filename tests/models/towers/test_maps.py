"""Image encoders as matchers use them: feature maps by name, their sizes and tuning."""

import json

import pytest
import torch
import torch.nn.functional as F
from tiny_encoders import PIXELS, TINY, loud, noise, tiny

from anykeypoint.errors import InputError
from anykeypoint.models.towers.swinv2 import blocks_of
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.models.tuning import LoraOptions

# Name -> channels of the map, side in pixels of the square that a cell stands for.
MAPS = {
    "swinv2-t": (64, 16),
    "resnet50": (20, 32),
    "dinov2-s": (16, 14),
    "dinov2-reg-s": (16, 14),
    "clip-vit-l-336": (16, 14),
    "clip-vit-b16": (16, 16),
    "hiera-t": (64, 32),
    "efficientnet-lite2": (328, 16),
    "efficientnet-lite2+clip-vit-b16": (336, 16),
}
STEPS = {"dinov2-s": 14, "dinov2-reg-s": 14, "clip-vit-l-336": 14}  # sides of pictures are multiples of these pixels


# --- maps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_a_map_has_the_channels_and_the_stride_that_the_encoder_names(name):
    encoder, size = tiny(name), PIXELS[name]
    assert (encoder.channels, encoder.map_stride) == MAPS[name]
    with torch.no_grad():
        assert encoder.map(noise(size, batch=2)).shape == (2, encoder.channels, *[size // encoder.map_stride] * 2)


@pytest.mark.parametrize("name", TINY)
def test_a_map_is_the_encoders_tokens_row_by_row(name):
    encoder, size = loud(tiny(name)), PIXELS[name]
    with torch.no_grad():
        features, tokens = encoder.map(noise(size)), encoder.tokens(noise(size))
    side = size // encoder.stride
    plain = torch.stack(
        [tokens[0, row * side + column, : encoder.channels] for row in range(side) for column in range(side)]
    )
    plain = plain.view(side, side, -1).permute(2, 0, 1)[None]
    if name == "swinv2-t":
        plain = F.interpolate(plain, (2 * side, 2 * side), mode="bilinear")
    assert torch.allclose(features, plain, atol=1e-6)


@pytest.mark.parametrize("name", TINY)
def test_a_picture_gets_the_same_map_alone_and_in_company(name):
    # In float64: a processor may take another kernel for one picture than for three, and loud weights amplify rounding.
    encoder, pictures = loud(tiny(name)).double(), noise(PIXELS[name], batch=3).double()
    with torch.no_grad():
        together, alone = encoder.map(pictures), torch.cat([encoder.map(picture[None]) for picture in pictures])
    assert together.dtype == torch.float64
    assert (together - alone).abs().max() <= 1e-9 * together.abs().max()


@pytest.mark.parametrize(
    ("name", "size"),
    [(name, size) for name in TINY for size in (224, 252, 256, 378, 384) if size % STEPS.get(name, 32) == 0],
)
def test_other_sizes_give_a_map_of_their_own(name, size):
    encoder = tiny(name, image_size=size, tuning="frozen")
    features = encoder.map(noise(size))
    assert features.shape[2:] == (size // encoder.map_stride,) * 2 and features.isfinite().all()


def test_a_published_window_of_16_takes_sizes_that_it_does_not_divide():
    sizes = {**TINY["swinv2-t"], "window_size": 16}
    for size, cells in ((224, 14), (384, 24)):
        encoder = tiny("swinv2-t", image_size=size, sizes=sizes, tuning="frozen")
        assert encoder.map(noise(size)).shape[2:] == (cells, cells)


def test_pictures_are_normalised_as_the_network_was_trained():
    picture = torch.full((1, 64, 64, 3), 255, dtype=torch.uint8)
    assert torch.allclose(tiny("efficientnet-lite2").normalise(picture), torch.ones(1))
    assert tiny("resnet50").normalise(picture)[0, 0, 0, 0].item() == pytest.approx((1 - 0.485) / 0.229)


@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [
        ("resnet50", 23_508_032, 2048),
        ("swinv2-t", 27_578_154, 768),
        ("dinov2-s", 22_056_576, 384),
        ("clip-vit-l-336", 303_507_456, 1024),
        ("hiera-t", 27_141_216, 768),
    ],
)
def test_a_named_encoder_has_its_published_size(name, parameters, channels):
    with torch.device("meta"):
        encoder = build_encoder(VisionConfig(name, RANDOM))
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert (count, encoder.channels) == (parameters, channels)


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_config_survives_the_round_trip_through_json():
    lora = LoraOptions(4, 8, 0.0, ("q",))
    config = VisionConfig("swinv2-t", RANDOM, 128, "lora", lora, drop_path=0.1, sizes=TINY["swinv2-t"])
    assert VisionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_takes_size_and_drop_path_from_its_name():
    assert [VisionConfig(name).image_size for name in TINY] == [256, 256, 224, 224, 336, 224, 224, 256, 320]
    assert [VisionConfig(name).drop_path for name in ("swinv2-t", "swinv2-s", "resnet50")] == [0.2, 0.3, 0.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "swin"}, "name of an image encoder must be one of dinov2-s, .*efficientnet-lite2.*, but got 'swin'"),
        ({"weights": None}, "must have a name"),
        ({"name": "swinv2-t", "source": "x", "weights": "x"}, "have both 'weights' and 'source'"),
        ({"name": "swinv2-t", "colour": "x"}, "unknown key 'colour'"),
        ({"name": "swinv2-t", "weights": 3}, "source of an image encoder .* must be text"),
        ({"name": "swinv2-t", "tuning": "some"}, "tuning mode"),
        ({"name": "swinv2-t", "image_size": 0}, "image size"),
        ({"name": "swinv2-t", "drop_path": 1}, "drop_path must be"),
        ({"name": "resnet50", "drop_path": 0.1}, "resnet50 has no drop_path"),
        ({"name": "swinv2-t", "sizes": {"embed_dim": 8}}, "given weights has no size 'embed_dim'"),
        ({"name": "swinv2-t", "weights": None, "sizes": {"depth": 8}}, "random weights has no size 'depth'"),
        (
            {"name": "swinv2-t", "weights": None, "sizes": {"depths": [2, 2]}},
            "depths of an image encoder must be 4",
        ),
        ({"name": "swinv2-t", "weights": None, "sizes": {"depths": 2}}, "depths of an image encoder must be 4"),
        (
            {"name": "swinv2-t", "weights": None, "sizes": {"window_size": 0}},
            "window_size of an image encoder must be a whole",
        ),
        ({"name": "swinv2-t", "sizes": [1]}, "must be a mapping"),
    ],
)
def test_wrong_options_are_refused(data, message):
    with pytest.raises(InputError, match=message) as error:
        VisionConfig.from_dict(data)
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


def trained(encoder) -> set[str]:
    return {key for key, parameter in encoder.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", TINY)
def test_a_frozen_encoder_takes_no_gradient_and_stays_in_eval_mode(name):
    encoder = tiny(name, tuning="frozen").train()
    features = encoder.map(noise(PIXELS[name]))
    assert not features.requires_grad and trained(encoder) == set()
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(features, encoder.map(noise(PIXELS[name])))


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_of_a_full_encoder_gets_a_gradient(name):
    encoder = tiny(name, tuning="full", **({"drop_path": 0.0} if name == "swinv2-t" else {})).train()
    features = encoder.map(noise(PIXELS[name], batch=2))
    (features * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    without = {key for key, parameter in encoder.named_parameters() if parameter.grad is None}
    assert trained(encoder) and not without & trained(encoder)


@pytest.mark.parametrize("name", ["resnet50", "efficientnet-lite2"])
def test_batch_norm_keeps_its_statistics_in_training(name):
    encoder = loud(tiny(name, tuning="full"))
    before = {key: buffer.clone() for key, buffer in encoder.named_buffers()}
    with torch.no_grad():
        still = encoder.map(noise(PIXELS[name], batch=2))
        assert torch.equal(encoder.train().map(noise(PIXELS[name], batch=2)), still)
    assert all(torch.equal(buffer, before[key]) for key, buffer in encoder.named_buffers())


def test_adapters_go_where_there_is_attention():
    assert all("lora_" in key for key in trained(tiny("swinv2-t", tuning="lora")))
    with pytest.raises(InputError, match="choose the tuning mode frozen or full"):
        tiny("resnet50", tuning="lora")


def test_drop_path_rises_from_block_to_block_and_acts_in_training_alone():
    encoder = tiny("swinv2-t", drop_path=0.4)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in blocks_of(encoder.model)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    encoder = tiny("swinv2-t", drop_path=0.9)
    with torch.no_grad():
        still = encoder.map(noise(128))
        assert torch.equal(encoder.map(noise(128)), still)
        assert not torch.equal(encoder.train().map(noise(128)), still)
