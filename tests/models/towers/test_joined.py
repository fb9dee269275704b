"""EfficientNet-Lite2 and CLIP side by side: each sees the picture in its own form, and the map between is kept."""

import numpy as np
import pytest
import tiny
import tiny_matchers
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tiny_encoders import TINY, loud, noise
from transformers import CLIPVisionConfig, CLIPVisionModel

import anykeypoint
from anykeypoint.errors import InputError
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.generative.storage import build
from anykeypoint.models.matching.heads.evidence import EvidenceConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import build as build_matcher
from anykeypoint.models.needed_weights import needed_weights
from anykeypoint.models.precision import to_precision
from anykeypoint.models.towers import joined
from anykeypoint.models.towers.clip import CLIP_COLOURS
from anykeypoint.models.towers.efficientnet import EfficientNetEncoder, EfficientNetLite2
from anykeypoint.models.towers.image_encoder import ImageEncoder
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.models.towers.vision import build_encoder, encoder_from_model
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

NAME = "efficientnet-lite2+clip-vit-b16"


def encoder(tuning: str = "frozen", **sizes: object) -> ImageEncoder:
    """For crops of 96 pixels, with every weight and the affine map loud."""
    torch.manual_seed(0)
    return loud(build_encoder(VisionConfig(NAME, RANDOM, 96, tuning, sizes={**TINY[NAME], **sizes})))


def picture(side: int = 96) -> torch.Tensor:
    """1 side side 3 uint8."""
    values = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(values)


def of_clip(made: ImageEncoder, side: int) -> torch.Tensor:
    """CLIP's channels on the grid of a picture of `side` pixels, by transformers alone."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in CLIP_COLOURS)
    colours = picture().permute(0, 3, 1, 2).float() / 255
    colours = F.interpolate(colours, (side, side), mode="bilinear", antialias=True)
    pixels = (colours - mean) / deviation
    states = made.model.clip(pixels, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
    tokens = (states[2][:, 1:] - made.model.mean) @ made.model.projection
    return tokens.transpose(1, 2).unflatten(2, (side // 16, side // 16))


# --- what it computes ------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_map_is_lite2_on_the_crop_beside_clip_on_the_smaller_picture():
    made = encoder()
    cells = made.map(made.normalise(picture()))
    alone = encoder_from_model(made.model.lite, VisionConfig("efficientnet-lite2", image_size=96))
    assert isinstance(alone, EfficientNetEncoder) and made.groups == (120, 208, 8)
    assert torch.equal(cells[:, :328], alone.map(alone.normalise(picture())))
    expected = F.interpolate(of_clip(made, 80), (6, 6), mode="bilinear")  # 0.8 x 96 pixels are 4.8 patches, nearly 5
    assert torch.allclose(cells[:, 328:], expected, atol=1e-4) and expected.std() > 0.1


@torch.no_grad()
def test_at_scale_one_both_grids_are_the_same_cells():
    made = encoder(clip_scale=1.0)
    assert torch.allclose(made.map(made.normalise(picture()))[:, 328:], of_clip(made, 96), atol=1e-4)


@torch.no_grad()
def test_the_details_of_a_patch_are_lite2s_alone():
    made = encoder()
    pixels = made.normalise(picture())
    assert torch.equal(made.details(pixels), made.map(pixels)[:, :328])
    assert made.detail_groups == made.groups[:2]


@torch.no_grad()
def test_a_language_models_tokens_have_the_place_of_their_cell_too():
    made = encoder()
    pixels = made.normalise(picture())
    tokens = made.tokens(pixels)
    assert tokens.shape == (1, 36, made.dim) and made.dim == 120 + 208 + 8 + 64
    assert torch.equal(tokens[0, :, :336].T.unflatten(1, (6, 6)), made.map(pixels)[0])
    lite = encoder_from_model(made.model.lite, VisionConfig("efficientnet-lite2", image_size=96))
    assert torch.equal(tokens[..., 336:], lite.tokens(pixels)[..., 328:])


@torch.no_grad()
def test_in_half_precision_clip_alone_is_rounded():
    made = encoder()
    pixels = made.normalise(picture())
    exact = made.map(pixels)
    to_precision(made, torch.bfloat16)
    halves = {key for key, tensor in made.model.state_dict().items() if tensor.dtype == torch.bfloat16}
    assert halves and all(key.startswith("clip.") for key in halves)
    cells = made.map(pixels)
    assert cells.dtype == torch.float32 and torch.equal(cells[:, :328], exact[:, :328])
    assert not torch.equal(cells, exact) and torch.allclose(cells, exact, atol=0.2)


def test_adapters_are_on_clip_alone_and_the_affine_map_never_trains():
    made = encoder("lora")
    trained = [key for key, parameter in made.model.named_parameters() if parameter.requires_grad]
    assert trained and all(key.startswith("clip.encoder.layers.") and "lora_" in key for key in trained)
    assert {"mean", "projection"} <= {key for key, _ in made.model.named_buffers()}


# --- its weights -----------------------------------------------------------------------------------------------------


def test_the_affine_map_of_the_package_is_for_seven_layers_of_clip_b16():
    mean, projection = joined.published_projection(7)
    assert mean.shape == (768,) and projection.shape == (768, 256)
    assert mean.dtype == projection.dtype == torch.float32 and projection.isfinite().all()
    with pytest.raises(InputError, match="is for 7 layers of CLIP, but got num_hidden_layers: 6"):
        joined.published_projection(6)


def test_a_config_states_layers_and_scale_and_takes_no_other_size():
    config = VisionConfig(NAME)
    assert config.image_size == 320 and config.sizes == {"num_hidden_layers": 7, "clip_scale": 0.8}
    assert VisionConfig.from_dict(config.to_dict()) == config
    assert VisionConfig(NAME, sizes={"clip_scale": 1}).sizes["clip_scale"] == 1
    for scale in (0, -1.0, "0.8", True, float("nan")):
        with pytest.raises(InputError, match="size clip_scale of an image encoder"):
            VisionConfig(NAME, sizes={"clip_scale": scale})
    with pytest.raises(InputError, match="known are num_hidden_layers, clip_scale"):
        VisionConfig(NAME, sizes={"projected": 128})


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Both packages in the cache, with a tiny CLIP of nine layers, and an affine map for it."""
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 9, "num_attention_heads": 2}
    clip = CLIPVisionModel(CLIPVisionConfig(**sizes, patch_size=16, image_size=64))
    lite, clip_folder = (tmp_path / "cache" / name for name in ("efficientnet-lite2", "clip-vit-b16"))
    lite.mkdir(parents=True)
    save_file(EfficientNetLite2().state_dict(), lite / "model.safetensors")
    clip.save_pretrained(clip_folder)
    for folder in (lite, clip_folder):
        (folder / "complete").touch()
    monkeypatch.setattr(joined, "published_projection", lambda layers: (torch.zeros(16), torch.randn(16, 8)))
    return clip


def test_both_networks_come_from_their_packages_clip_up_to_its_seventh_layer(fetched):
    made = build_encoder(VisionConfig(NAME, image_size=64))
    assert len(made.model.clip.encoder.layers) == 7 and made.channels == 336
    kept = made.model.clip.state_dict()
    assert all(torch.equal(tensor, fetched.state_dict()[key]) for key, tensor in kept.items())
    assert type(made).packages_of(NAME) == ("efficientnet-lite2", "clip-vit-b16")


def test_clip_may_come_from_elsewhere_but_must_have_the_channels_of_the_map(fetched, tmp_path):
    fetched.save_pretrained(tmp_path / "mine")
    towers = [build_encoder(VisionConfig(NAME, source, 64)).model.clip for source in (None, str(tmp_path / "mine"))]
    assert torch.equal(*(clip.embeddings.class_embedding for clip in towers))
    wide = CLIPVisionConfig(hidden_size=32, intermediate_size=24, num_hidden_layers=7, num_attention_heads=2)
    CLIPVisionModel(wide).save_pretrained(tmp_path / "wide")
    with pytest.raises(InputError, match="has 32 channels, but efficientnet-lite2"):
        build_encoder(VisionConfig(NAME, str(tmp_path / "wide"), 64))


def test_a_matchers_folder_keeps_the_affine_map_and_neither_network(fetched, tmp_path, monkeypatch):
    text = TextConfig("bert", tiny_matchers.text_encoder(tmp_path / "text"))
    head = {"members": 1, "width": 16, "heads": 2, "layers": 1, "blocks": 1, "likeness": 8}
    head |= {"image_width": 336, "text_width": 24, "groups": (120, 208, 8)}
    config = MatcherConfig("evidence", VisionConfig(NAME, image_size=64), text, EvidenceConfig(**head))
    model = build_matcher(config)
    example = tiny_matchers.example()
    pose = model.predict(tiny_matchers.picture(), tiny_matchers.FISH, example=example)
    model.save_pretrained(tmp_path / "model")
    names = [key for key in load_file(tmp_path / "model" / "model.safetensors") if not key.startswith("head.")]
    assert sorted(names) == ["encoder.model.mean", "encoder.model.projection"]
    monkeypatch.setattr(joined, "published_projection", lambda layers: (torch.ones(16), torch.ones(16, 8)))
    again = anykeypoint.load(str(tmp_path / "model"), device="cpu")
    assert torch.equal(again.encoder.model.projection, model.encoder.model.projection)
    assert np.array_equal(again.predict(tiny_matchers.picture(), tiny_matchers.FISH, example=example).xy, pose.xy)
    assert needed_weights(str(tmp_path / "model")) == ["efficientnet-lite2", "clip-vit-b16"]


def test_an_evidence_head_has_a_cosine_for_each_of_the_three_groups(fetched, tmp_path):
    text = TextConfig("bert", tiny_matchers.text_encoder(tmp_path / "text"))
    model = build_matcher(MatcherConfig("evidence", VisionConfig(NAME, image_size=64), text))
    assert model.head.config.groups == (120, 208, 8) and model.head.config.image_width == 336
    given = {"name": "evidence", "vision": {"name": NAME, "image_size": 64, "tuning": "frozen"}, "text": text.to_dict()}
    model = build_matcher(MatcherConfig.from_dict({**given, "head": {"members": 2}}))
    assert model.head.config.groups == (120, 208, 8) and model.head.config.text_width == 24
    assert model.config.head == model.head.config and len(model.head.members) == 2
    with pytest.raises(InputError, match="image_width is 328, but image encoder and text encoder need 336"):
        build_matcher(MatcherConfig.from_dict({**given, "head": {"image_width": 328, "groups": [120, 208]}}))


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_a_language_models_folder_keeps_the_affine_map(fetched, tmp_path, monkeypatch, tuning):
    _, language = tiny.towers(tmp_path, "frozen", "digits")
    model = build(CapeLLM, CapeLLMConfig(VisionConfig(NAME, image_size=64, tuning=tuning), language), seed=3)
    model.save_pretrained(tmp_path / "model")
    names = {key for key in load_file(tmp_path / "model" / "model.safetensors") if key.startswith("encoder.")}
    assert {"encoder.mean", "encoder.projection"} <= names
    assert (len(names) > 2) == (tuning != "frozen")
    monkeypatch.setattr(joined, "published_projection", lambda layers: (torch.ones(16), torch.ones(16, 8)))
    again = anykeypoint.load(str(tmp_path / "model"), device="cpu")
    assert torch.equal(again.encoder(noise(64)), model.encoder(noise(64)))
    assert again.config.vision == model.config.vision
