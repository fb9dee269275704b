"""Image encoders: layout of the tokens, sizes, statistics, options, weights from folders, tuning."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_encoders import NETWORKS, noise, tiny_encoder, tiny_model

from anykeypoint.errors import InputError
from anykeypoint.models.towers.efficientnet import POSITION_GAIN
from anykeypoint.models.towers.hiera import unrolled_order
from anykeypoint.models.towers.registry import IMAGE_ENCODERS
from anykeypoint.models.towers.vision import build_encoder, encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import LoraOptions

FAMILIES = [*NETWORKS, "efficientnet-lite2"]


# --- layout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_token_at_row_r_column_c_sees_row_r_column_c_of_the_picture(name):
    encoder = tiny_encoder(name)
    for key, parameter in encoder.named_parameters():
        if name == "swinv2-t" and ".layernorm_" in key:  # its branches end in a norm: at random they drown the place
            parameter.data *= 0.1
    size = encoder.config.image_size
    rows, columns = encoder.grid(size)
    cell = size // rows
    picture = noise(size)
    with torch.no_grad():
        before = encoder(picture)
        for row, column in [(0, 0), (0, columns - 1), (rows - 1, 0), (1, 2), (2, 1)]:
            changed = picture.clone()
            patch = changed[:, :, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
            patch += 2 * noise(cell, seed=2)
            moved = (encoder(changed) - before).norm(dim=-1)[0]
            assert divmod(int(moved.argmax()), columns) == (row, column)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_answers_with_one_token_per_cell(name):
    _, _, size, rows, channels = NETWORKS[name]
    encoder = tiny_encoder(name)
    assert encoder.grid(size) == (rows, rows)
    assert encoder.dim == channels
    assert encoder(noise(size, batch=2)).shape == (2, rows * rows, channels)


def test_an_efficientnet_token_is_its_cell_of_the_maps_and_the_place_of_its_cell():
    # Random convolutions of this depth carry no trace of a place, so the maps themselves are looked at.
    encoder = tiny_encoder("efficientnet-lite2")
    assert encoder.dim == 392 and encoder.grid(256) == (16, 16)
    with torch.no_grad():
        tokens, (fine, coarse) = encoder(noise(64)), encoder.model(noise(64))
    assert tokens.shape == (1, 16, 392)
    coarse = torch.nn.functional.interpolate(coarse, (4, 4), mode="bilinear")
    for row, column in [(0, 0), (1, 2), (2, 1), (3, 0)]:
        token = tokens[0, 4 * row + column]
        features = torch.cat([fine, coarse], dim=1)[0, :, row, column]
        assert torch.allclose(token[:328], torch.nn.functional.layer_norm(features, (328,)), atol=1e-5)
        angles = torch.tensor([(column + 0.5) / 4, (row + 0.5) / 4]) * torch.pi  # the lowest octave of x and of y
        assert torch.allclose(token[[328, 360]], POSITION_GAIN * angles.sin(), atol=1e-5)


@pytest.mark.parametrize("pools", [1, 2, 3])
def test_hiera_tokens_are_those_that_transformers_itself_rolls_back(pools):
    model = tiny_model("hiera-t", num_query_pool=pools).eval()
    encoder = encoder_from_model(model, VisionConfig("hiera-t", image_size=64))
    with torch.no_grad():
        out = model(noise(64), output_hidden_states=True)
        expected = model.pooler.layernorm(out.reshaped_hidden_states[-1].flatten(1, 2))
        assert torch.equal(encoder(noise(64)), expected)
    assert pools == 3 or not torch.equal(unrolled_order(4, 4, 2, 3 - pools), torch.arange(16))


def test_clip_tokens_are_the_patches_after_the_second_to_last_layer():
    encoder = tiny_encoder("clip-vit-l-336")
    model = encoder.model
    with torch.no_grad():
        states = model.pre_layrnorm(model.embeddings(noise(56)))
        for layer in model.encoder.layers[:-1]:
            states = layer(states, attention_mask=None)
        assert torch.allclose(encoder(noise(56)), states[:, 1:], atol=1e-6)


def test_clip_takes_other_sizes_than_its_own():
    assert tiny_encoder("clip-vit-l-336", image_size=70)(noise(70)).shape == (1, 25, 32)


def test_clip_b16_tokens_are_the_patches_after_the_first_layers(tmp_path):
    model = tiny_model("clip-vit-b16", num_hidden_layers=8).eval()
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        states = model(noise(96), output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
        for layers, sizes in ((7, {}), (2, {"num_hidden_layers": 2})):
            encoder = build_encoder(VisionConfig("clip-vit-b16", str(tmp_path), 96, sizes=sizes))
            assert encoder.grid(96) == (6, 6) and torch.allclose(encoder(noise(96)), states[layers][:, 1:], atol=1e-6)
            names = {key.split(".")[2] for key in encoder.model.state_dict() if key.startswith("encoder.layers.")}
            assert len(names) == layers == encoder.saved_config().sizes["num_hidden_layers"]
    with pytest.raises(InputError, match=r"lack encoder\.layers\.8"):
        build_encoder(VisionConfig("clip-vit-b16", str(tmp_path), 96, sizes={"num_hidden_layers": 9}))
    with pytest.raises(InputError, match="known are num_hidden_layers"):
        VisionConfig("clip-vit-b16", sizes={"hidden_size": 16})


def test_swin_tokens_carry_the_final_norm():
    encoder = tiny_encoder("swinv2-t")
    with torch.no_grad():
        encoder.model.layernorm.bias.fill_(5.0)
        assert abs(encoder(noise(64)).mean().item() - 5.0) < 1e-4


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_normalise_takes_the_mean_and_deviation_of_the_family_out(name):
    encoder = tiny_encoder(name)
    pictures = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    pixels = encoder.normalise(pictures)
    assert pixels.shape == (2, 3, 4, 5) and pixels.dtype == torch.float32
    for channel in range(3):
        expected = (pictures[1, 3, 2, channel].item() / 255 - encoder.mean[channel]) / encoder.std[channel]
        assert pixels[1, channel, 3, 2].item() == pytest.approx(expected, abs=1e-6)


def test_the_statistics_are_those_of_the_training_data():
    assert tiny_encoder("dinov2-s").mean == (0.485, 0.456, 0.406)
    assert tiny_encoder("clip-vit-l-336").std[0] == 0.26862954
    lite = tiny_encoder("efficientnet-lite2").normalise(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8))
    assert torch.allclose(lite, torch.ones(1, 3, 1, 1))  # (255 - 127) / 128


def test_pictures_that_were_not_rounded_are_normalised_alike():
    encoder, pixels = tiny_encoder("dinov2-s"), torch.arange(48, dtype=torch.uint8).view(1, 4, 4, 3)
    assert torch.equal(encoder.normalise(pixels), encoder.normalise(pixels.float()))


@pytest.mark.parametrize(
    "pictures",
    [torch.zeros(1, 4, 4, 3).double(), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(4, 4, 3).byte()],
)
def test_normalise_refuses_what_is_no_batch_of_pictures(pictures):
    with pytest.raises(InputError, match="uint8 or float32 of shape B H W 3"):
        tiny_encoder("dinov2-s").normalise(pictures)


def test_pixels_that_are_not_normalised_are_refused():
    with pytest.raises(InputError, match="use normalise"):
        tiny_encoder("dinov2-s")(torch.zeros(1, 3, 56, 56, dtype=torch.uint8))


@pytest.mark.parametrize(("name", "size", "near"), [("dinov2-s", 60, 56), ("hiera-t", 72, 64), ("swinv2-t", 72, 64)])
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(name, size, near):
    with pytest.raises(InputError, match=f"use {near}"):
        tiny_encoder(name).grid(size)


def test_swin_refuses_pictures_its_windows_are_not_laid_out_for():
    with pytest.raises(InputError, match="takes pictures of 64 pixels, but got 128 x 128"):
        tiny_encoder("swinv2-t")(noise(128))


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_config_survives_the_round_trip_through_json():
    config = VisionConfig("hiera-bplus", "some/where", 448, "lora", LoraOptions(4, 8, 0.0, ("q", "o")))
    assert VisionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("former", "source"), [("published", None), (None, "random"), ("some/where", "some/where"), ("a.pth", "a.pth")]
)
def test_a_matchers_options_of_version_0_1_0_are_read(former, source):
    former = {"name": "swinv2-t", "weights": former, "tuning": "lora", "drop_path": 0.1, "sizes": {"window_size": 8}}
    config = VisionConfig.from_dict(former)
    assert config == VisionConfig("swinv2-t", source, 256, "lora", drop_path=0.1, sizes={"window_size": 8})


def test_a_language_models_options_of_version_0_1_0_are_read():
    lora = {"r": 8, "alpha": 16.0, "dropout": 0.05, "targets": ["q", "v"]}
    former = {"name": "dinov2-l", "source": None, "image_size": 224, "tuning": "lora", "lora": lora, "heads": None}
    assert VisionConfig.from_dict(former) == VisionConfig("dinov2-l", tuning="lora")


def test_a_family_fills_in_what_is_left_out():
    assert VisionConfig.from_dict({"name": "resnet50"}, tuning="full").tuning == "full"
    assert VisionConfig.from_dict({"name": "resnet50", "tuning": "frozen"}, tuning="full").tuning == "frozen"


def test_a_config_takes_size_from_its_preset_and_nothing_unknown():
    assert VisionConfig("clip-vit-l-336").image_size == 336
    with pytest.raises(InputError, match="unknown key 'imagesize'"):
        VisionConfig.from_dict({"name": "dinov2-s", "imagesize": 224})
    with pytest.raises(InputError, match="unknown key 'rank'"):
        VisionConfig.from_dict({"name": "dinov2-s", "lora": {"rank": 8}})


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(InputError) as error:
        VisionConfig("dino-v2")
    assert all(name in str(error.value) for name in IMAGE_ENCODERS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"image_size": 0}, "image size"), ({"image_size": 224.0}, "image size"), ({"tuning": "half"}, "tuning mode")],
)
def test_wrong_values_in_a_config_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        VisionConfig("dinov2-s", **changes)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_saved_folder_gives_the_same_tokens(name, tmp_path):
    model = tiny_model(name)
    model.save_pretrained(tmp_path)
    size = NETWORKS[name][2]
    config = VisionConfig(name, str(tmp_path), size)
    with torch.no_grad():
        assert torch.equal(build_encoder(config)(noise(size)), encoder_from_model(model, config)(noise(size)))


def test_efficientnet_loads_from_a_folder_and_refuses_other_weights(tmp_path):
    model = tiny_model("efficientnet-lite2")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = VisionConfig("efficientnet-lite2", str(tmp_path), 64)
    with torch.no_grad():
        assert torch.equal(build_encoder(config)(noise(64)), encoder_from_model(model.eval(), config)(noise(64)))
    save_file({"other": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="unknown: other; missing: _blocks"):
        build_encoder(config)


def test_swin_builds_its_windows_for_the_size_asked_for(tmp_path):
    tiny_model("swinv2-t").save_pretrained(tmp_path)
    assert build_encoder(VisionConfig("swinv2-t", str(tmp_path), 128))(noise(128)).shape == (1, 64, 32)


def test_clip_loads_from_a_checkpoint_that_also_has_a_text_tower(tmp_path):
    vision = {**NETWORKS["clip-vit-l-336"][1]}
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
    whole = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision)).eval()
    whole.save_pretrained(tmp_path)
    encoder = build_encoder(VisionConfig("clip-vit-l-336", str(tmp_path), 56))
    with torch.no_grad():
        states = whole.vision_model(noise(56), output_hidden_states=True).hidden_states
        assert torch.equal(encoder(noise(56)), states[-2][:, 1:])


def test_clip_b16_loads_from_such_a_checkpoint_too(tmp_path):
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
    vision = NETWORKS["clip-vit-b16"][1]
    whole = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision)).eval()
    whole.save_pretrained(tmp_path)
    encoder = build_encoder(VisionConfig("clip-vit-b16", str(tmp_path), 64))
    with torch.no_grad():
        states = whole.vision_model(noise(64), output_hidden_states=True).hidden_states
        assert torch.allclose(encoder(noise(64)), states[7][:, 1:], atol=1e-6)


def test_a_folder_of_another_family_is_refused(tmp_path):
    tiny_model("dinov2-reg-s").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="model of type dinov2_with_registers, but dinov2-s needs"):
        build_encoder(VisionConfig("dinov2-s", str(tmp_path)))
    with pytest.raises(InputError, match="needs a HieraModel, but got a Dinov2Model"):
        encoder_from_model(tiny_model("dinov2-s"), VisionConfig("hiera-t"))


def test_a_checkpoint_without_a_weight_that_is_needed_is_refused(tmp_path):
    tiny_model("hiera-t").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["pooler.layernorm.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack pooler\.layernorm\.weight"):
        build_encoder(VisionConfig("hiera-t", str(tmp_path), 64))


def test_a_folder_without_safetensors_is_refused_though_it_has_a_pickle(tmp_path):
    model = tiny_model("dinov2-s")
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="no safetensors weights"):
        build_encoder(VisionConfig("dinov2-s", str(tmp_path), 56))


def test_a_truncated_safetensors_file_is_refused_with_one_sentence(tmp_path):
    tiny_model("dinov2-s").save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be loaded") as error:
        build_encoder(VisionConfig("dinov2-s", str(tmp_path), 56))
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        build_encoder(VisionConfig("dinov2-s", str(tmp_path / "nowhere")))


# --- tuning -----------------------------------------------------------------------------------------------------------


def trained(encoder) -> set[str]:
    return {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_every_parameter_that_trains_gets_a_gradient(name, tuning):
    encoder = tiny_encoder(name, tuning=tuning)
    size = NETWORKS[name][2]
    (encoder(noise(size)) * noise(1, seed=3).mean()).square().sum().backward()
    parameters = dict(encoder.named_parameters())
    assert trained(encoder)
    assert [key for key in trained(encoder) if parameters[key].grad is None] == []
    assert all(("lora_" in key) == (tuning == "lora") for key in trained(encoder))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_frozen_encoder_trains_nothing(name):
    assert trained(tiny_encoder(name)) == set()


@pytest.mark.parametrize("name", NETWORKS)
def test_new_adapters_do_not_change_the_tokens(name):
    size = NETWORKS[name][2]
    with torch.no_grad():
        plain = tiny_encoder(name)(noise(size))
        assert torch.equal(tiny_encoder(name, tuning="lora")(noise(size)), plain)


def test_adapters_on_an_encoder_without_attention_are_refused():
    with pytest.raises(InputError, match="choose the tuning mode frozen or full"):
        tiny_encoder("efficientnet-lite2", tuning="lora")
