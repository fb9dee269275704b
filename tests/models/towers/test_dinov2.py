"""DINOv2: position embeddings at any size, and weights under Meta's names."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_encoders import noise, tiny_encoder, tiny_model

from anykeypoint.errors import InputError
from anykeypoint.models.towers.dinov2 import load_official_dinov2
from anykeypoint.models.towers.vision import encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import LoraOptions, lora_state

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
