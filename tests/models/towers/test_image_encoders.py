"""Image encoders: layout of the tokens, sizes, statistics, weights from folders, DINOv2 under Meta's names."""

import copy
import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_encoders import NETWORKS, noise, tiny_encoder, tiny_model

from anykeypoint.errors import InputError
from anykeypoint.models.towers.dinov2 import load_official_dinov2
from anykeypoint.models.towers.efficientnet import POSITION_GAIN
from anykeypoint.models.towers.hiera import unrolled_order
from anykeypoint.models.towers.registry import IMAGE_ENCODERS
from anykeypoint.models.towers.vision import build_encoder, encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import LoraOptions, lora_state

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


@pytest.mark.parametrize(
    "pictures", [torch.zeros(1, 4, 4, 3), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), torch.zeros(4, 4, 3).byte()]
)
def test_normalise_refuses_what_is_no_batch_of_uint8_pictures(pictures):
    with pytest.raises(InputError, match="uint8 of shape B H W 3"):
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
    ("changes", "told"),
    [({"image_size": 0}, "image size"), ({"image_size": 224.0}, "image size"), ({"tuning": "half"}, "tuning mode")],
)
def test_wrong_values_in_a_config_are_refused(changes, told):
    with pytest.raises(InputError, match=told):
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


# --- DINOv2's positions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dinov2-s", "dinov2-reg-s"])
def test_positions_follow_the_weights_though_they_are_kept(name):
    encoder = tiny_encoder(name)
    embeddings = encoder.model.embeddings
    sample = lambda: embeddings.interpolate_pos_encoding(torch.zeros(1, 17, 32), 56, 56)  # noqa: E731
    first = sample()
    assert sample() is first  # kept
    with torch.no_grad():
        embeddings.position_embeddings.mul_(2)
    assert torch.allclose(sample(), 2 * first)
    assert torch.allclose(copy.deepcopy(encoder).double().model.embeddings._sample(56, 56), 2 * first.double())


def test_positions_kept_under_inference_mode_serve_training_later():
    encoder, fresh = (tiny_encoder("dinov2-s", tuning="lora") for _ in range(2))
    fresh.load_state_dict(encoder.state_dict())
    with torch.inference_mode():
        kept = encoder(noise(56))
    for one in (encoder, fresh):
        tokens = one(noise(56))
        assert torch.equal(tokens, kept)
        tokens.square().sum().backward()
    pairs = zip(encoder.parameters(), fresh.parameters(), strict=True)
    trained = [(ours.grad, other.grad) for ours, other in pairs if ours.requires_grad]
    assert all(torch.equal(ours, other) for ours, other in trained) and any(ours.any() for ours, _ in trained)


def test_position_embeddings_train_in_full_tuning():
    encoder = tiny_encoder("dinov2-s", tuning="full")
    encoder(noise(56)).square().sum().backward()
    assert encoder.model.embeddings.position_embeddings.grad.abs().sum() > 0


def test_transformers_own_models_keep_their_way():
    with torch.no_grad():
        model = tiny_model("dinov2-s").eval()
        before = model(noise(56)).last_hidden_state
        encoder_from_model(copy.deepcopy(model), VisionConfig("dinov2-s", image_size=56))(noise(56))
        assert torch.equal(model(noise(56)).last_hidden_state, before)


@pytest.mark.parametrize("size", [224, 238, 252, 336])
@pytest.mark.parametrize("registers", [False, True])
def test_positions_are_sampled_as_published_at_each_size(size, registers):
    """Against Meta's arithmetic, written out: scale (n + 0.1) / 37, or exact and antialiased with registers."""
    name = "dinov2-reg-s" if registers else "dinov2-s"
    model = tiny_model(name, image_size=518, num_hidden_layers=1)
    encoder = encoder_from_model(model, VisionConfig(name, image_size=size))
    n = size // 14
    embeddings = encoder.model.embeddings
    grid = embeddings.position_embeddings[:, 1:].detach().reshape(1, 37, 37, 32).permute(0, 3, 1, 2)
    if registers:
        grid = torch.nn.functional.interpolate(grid, (n, n), mode="bicubic", antialias=True)
    else:
        scale = ((n + 0.1) / 37, (n + 0.1) / 37)
        grid = torch.nn.functional.interpolate(grid, scale_factor=scale, mode="bicubic", antialias=False)
    sampled = embeddings.interpolate_pos_encoding(torch.zeros(1, 1 + n * n, 32), size, size)
    assert torch.equal(sampled[:, 1:], grid.permute(0, 2, 3, 1).reshape(1, -1, 32))
    assert torch.equal(sampled[:, :1], embeddings.position_embeddings[:, :1])


# --- DINOv2 under Meta's names ----------------------------------------------------------------------------------------


def official_state(width: int = 8, depth: int = 2, registers: int = 0, gated: bool = False, r: int = 0) -> dict:
    """A random state dict with Meta's names."""
    torch.manual_seed(0)
    hidden = (int(width * 4 * 2 / 3) + 7) // 8 * 8 if gated else 4 * width
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 26, width), "mask_token": (1, width)}
    shapes |= {"patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,)}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    if registers:
        shapes["register_tokens"] = (1, registers, width)
    for i in range(depth):
        block = {"norm1": (width,), "norm2": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width)}
        block |= (
            {"mlp.w12": (2 * hidden, width), "mlp.w3": (width, hidden)}
            if gated
            else {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
        )
        for name, shape in block.items():
            shapes[f"blocks.{i}.{name}.weight"], shapes[f"blocks.{i}.{name}.bias"] = shape, shape[:1]
        shapes |= {f"blocks.{i}.ls1.gamma": (width,), f"blocks.{i}.ls2.gamma": (width,)}
        for role in "qv" if r else "":
            shapes |= {f"blocks.{i}.attn.lora_A_{role}": (r, width), f"blocks.{i}.attn.lora_B_{role}": (width, r)}
    return {key: torch.randn(shape) for key, shape in shapes.items()}


def reference_block(x: torch.Tensor, state: dict, heads: int, scale: float) -> torch.Tensor:
    """One DINOv2 block as Meta's names describe it, adapters included: the plain reference of the tests."""
    import torch.nn.functional as F

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    y = norm(x, "norm1")
    q, k, v = linear(y, "attn.qkv").chunk(3, dim=-1)
    if "attn.lora_A_q" in state:
        q = q + scale * y @ state["attn.lora_A_q"].T @ state["attn.lora_B_q"].T
        v = v + scale * y @ state["attn.lora_A_v"].T @ state["attn.lora_B_v"].T
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x + state["ls1.gamma"] * linear(y, "attn.proj")
    y = norm(x, "norm2")
    if "mlp.w12.weight" in state:
        gate, up = linear(y, "mlp.w12").chunk(2, dim=-1)
        y = linear(F.silu(gate) * up, "mlp.w3")
    else:
        y = linear(F.gelu(linear(y, "mlp.fc1")), "mlp.fc2")
    return x + state["ls2.gamma"] * y


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("lora", ["merge", "peft"])
def test_official_weights_compute_what_their_names_say(gated, lora):
    state = official_state(gated=gated, registers=3, r=2)
    model = load_official_dinov2(state, heads=2, lora=lora, alpha=5.0)
    assert bool(lora_state(model)) == (lora == "peft")
    with torch.no_grad():
        x = model.embeddings(noise(70))
        for i in range(2):
            block = {key.removeprefix(f"blocks.{i}."): value for key, value in state.items()}
            x = reference_block(x, block, heads=2, scale=5.0 / 2)
        expected = torch.nn.functional.layer_norm(x, (8,), state["norm.weight"], state["norm.bias"], 1e-6)
        assert torch.allclose(model(noise(70)).last_hidden_state, expected, atol=1e-4)


def test_official_weights_that_do_not_fit_are_listed():
    state = official_state(r=2)
    state["head.weight"] = state.pop("norm.weight")
    state["blocks.1.ls2.gamma"] = torch.zeros(7)
    del state["blocks.1.attn.lora_B_v"]
    with pytest.raises(InputError) as error:
        load_official_dinov2(state, heads=2)
    for part in (
        "unknown: head.weight",
        "missing: blocks.1.attn.lora_B_v, norm.weight",
        "blocks.1.ls2.gamma [7] instead of [8]",
    ):
        assert part in str(error.value)


def test_official_weights_without_sizes_or_heads_are_refused():
    with pytest.raises(InputError, match="must hold pos_embed with 3 dimensions, but it is missing"):
        load_official_dinov2({"a": torch.zeros(1)})
    with pytest.raises(InputError, match="pass heads"):
        load_official_dinov2(official_state())


def test_loading_official_weights_leaves_them_alone():
    state = official_state(r=2)
    before = {key: value.clone() for key, value in state.items()}
    model = load_official_dinov2(state, heads=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(torch.equal(state[key], before[key]) for key in state)


@pytest.mark.parametrize("registers", ["dinov2", "dinov2_reg4"])
@pytest.mark.parametrize("lora", ["merge", "peft"])
def test_dinov2_matches_the_reference_numbers(shared, registers, lora):
    golden = load_file(shared / "golden" / f"{registers}.safetensors")
    config = json.loads((shared / "golden" / "dinov2.json").read_text())[registers]["config"]
    state = {key.removeprefix("weights/"): value for key, value in golden.items() if key.startswith("weights/")}
    model = load_official_dinov2(state, heads=config["num_heads"], lora=lora, alpha=config["lora"]["alpha"])
    name = "dinov2-reg-s" if config["num_register_tokens"] else "dinov2-s"
    options = LoraOptions(config["lora"]["r"], config["lora"]["alpha"])
    encoder = encoder_from_model(model, VisionConfig(name, tuning="lora" if lora == "peft" else "frozen", lora=options))
    for size in (224, 252):
        expected = golden[f"out/x_norm_patchtokens_{size}"]
        with torch.no_grad():
            tokens = encoder(golden[f"in/image_{size}"].float())
        assert (tokens - expected).abs().max() <= 1e-5 * expected.abs().max() + 2e-5
