"""The papers' networks at full size, built without weights: their parameters are those of layers times widths."""

import pytest
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.counting import count_parameters
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.generative.kptllm_config import PRESETS, KptLLMConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.towers.language import LANGUAGE_MODELS, LanguageConfig
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.models.tuning import ROLES, LoraOptions
from anykeypoint.reproduction.networks import empty_encoder, empty_language, empty_model, empty_text, published_sizes


def linear(inputs, outputs, bias=True):
    return inputs * outputs + bias * outputs


def norm(width):
    return 2 * width


def transformer_layer(width):
    """Four projections, an MLP of four times the width, two norms."""
    return 4 * linear(width, width) + linear(width, 4 * width) + linear(4 * width, width) + 2 * norm(width)


def dinov2(width=1024, layers=24, registers=0):
    """Embeddings of CLS, of the mask, of registers and of 37 x 37 places; patches of 14 pixels; two scales a layer."""
    embedded = width * (2 + registers + 37 * 37 + 1) + linear(3 * 14 * 14, width)
    return embedded + layers * (transformer_layer(width) + 2 * width) + norm(width)


def clip(width=1024, layers=24):
    """24 x 24 places at 336 pixels; norms in front of and behind the layers."""
    embedded = width * (1 + 24 * 24 + 1) + linear(3 * 14 * 14, width, bias=False)
    return embedded + norm(width) + layers * transformer_layer(width) + norm(width)


def hiera(width=144, depths=(2, 6, 36, 4)):
    """56 x 56 places; the first block of each stage but the first doubles the width."""
    total, before = linear(3 * 7 * 7, width) + 56 * 56 * width, width
    for stage, depth in enumerate(depths):
        own = width * 2**stage
        for _ in range(depth):
            total += norm(before) + linear(before, 3 * own) + linear(own, own)
            total += norm(own) + linear(own, 4 * own) + linear(4 * own, own)
            total += linear(before, own) if before != own else 0
            before = own
    return total + norm(before)


def swinv2(depths, width=96):
    """Keys have no bias; each block has a scale a head and a small network for its table of relative places."""
    total = linear(3 * 4 * 4, width) + norm(width)
    for stage, depth in enumerate(depths):
        own, heads = width * 2**stage, 3 * 2**stage
        attention = 3 * linear(own, own) + linear(own, own, bias=False) + heads
        attention += linear(2, 512) + linear(512, heads, bias=False)
        total += depth * (attention + linear(own, 4 * own) + linear(4 * own, own) + 2 * norm(own))
        if stage < 3:
            total += linear(4 * own, 2 * own, bias=False) + norm(2 * own)
    return total + norm(own)


def resnet50():
    """Bottlenecks of 1 x 1, 3 x 3 and 1 x 1 convolutions, each with a batch norm; a shortcut in each stage's first."""

    def convolution(inputs, outputs, side):
        return inputs * outputs * side * side + norm(outputs)

    total, inputs = convolution(3, 64, 7), 64
    for outputs, depth in ((256, 3), (512, 4), (1024, 6), (2048, 3)):
        total += convolution(inputs, outputs, 1)
        for _ in range(depth):
            narrow = outputs // 4
            total += convolution(inputs, narrow, 1) + convolution(narrow, narrow, 3) + convolution(narrow, outputs, 1)
            inputs = outputs
    return total


ENCODERS = {
    "dinov2-l": dinov2(),
    "dinov2-reg-l": dinov2(registers=4),
    "hiera-l": hiera(),
    "clip-vit-l-336": clip(),
    "swinv2-t": swinv2((2, 2, 6, 2)),
    "swinv2-s": swinv2((2, 2, 18, 2)),
    "resnet50": resnet50(),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_image_encoder_has_the_parameters_of_its_layers(name):
    with torch.device("meta"):
        encoder = empty_encoder(VisionConfig(name))
    assert count_parameters(encoder) == ENCODERS[name]
    assert all(parameter.is_meta for parameter in encoder.parameters())


def decoder(vocabulary, width, inner, layers, keys, tied=False):
    """Embeddings, layers of attention (keys: channels of keys and of values), gated MLP and two norms, output layer."""
    attention = 2 * width * width + 2 * width * keys
    return vocabulary * width * (1 if tied else 2) + layers * (attention + 3 * width * inner + 2 * width) + width


DECODERS = {
    "llama-3.1-8b": (decoder(128_256, 4096, 14_336, 32, 1024), 8_030_261_248),
    "llama-3.2-1b": (decoder(128_256, 2048, 8192, 16, 512, tied=True), 1_235_814_400),
    "vicuna-7b": (decoder(32_000, 4096, 11_008, 32, 4096), 6_738_415_616),
    "vicuna-13b": (decoder(32_000, 5120, 13_824, 40, 5120), 13_015_864_320),
    "mistral-7b": (decoder(32_768, 4096, 14_336, 32, 1024), 7_248_023_552),
    "smollm2-135m": (decoder(49_152, 576, 1536, 30, 192, tied=True), 134_515_008),
}


@pytest.mark.parametrize("name", DECODERS)
def test_a_language_model_has_the_parameters_of_its_layers_and_those_that_are_published(name):
    with torch.device("meta"):
        language, _ = empty_language(LanguageConfig(name))
    by_layers, published = DECODERS[name]
    assert count_parameters(language) == by_layers == published


def test_every_named_language_model_has_its_sizes():
    assert set(published_sizes()["language"]) == set(LANGUAGE_MODELS) == set(DECODERS)


def test_text_encoders_have_the_parameters_of_their_layers():
    with torch.device("meta"):
        gte, clip_text = (empty_text(TextConfig(name)) for name in ("gte-base-en-v1.5", "clip"))
    gated = linear(768, 3 * 768) + linear(768, 768) + linear(768, 2 * 3072, bias=False) + linear(3072, 768)
    assert count_parameters(gte) == 30_528 * 768 + norm(768) + 12 * (gated + 2 * norm(768)) == 136_776_192
    embedded = (49_408 + 77) * 512
    assert count_parameters(clip_text) == embedded + 12 * transformer_layer(512) + norm(512) + 512 * 512
    assert (gte.dim, clip_text.dim) == (768, 512)


# --- what trains ----------------------------------------------------------------------------------------------------


def trainable(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def pairs(rank, *layers):
    """Parameters of LoRA beside layers of (inputs, outputs)."""
    return sum(rank * (inputs + outputs) for inputs, outputs in layers)


ADAPTED = {
    "llama-3.1-8b": 32 * pairs(8, (4096, 4096), (4096, 1024)),
    "llama-3.2-1b": 16 * pairs(8, (2048, 2048), (2048, 512)),
    "vicuna-7b": 32 * pairs(8, (4096, 4096), (4096, 4096)),
    "mistral-7b": 32 * pairs(8, (4096, 4096), (4096, 1024)),
}


@pytest.mark.parametrize("name", ADAPTED)
def test_a_capellm_trains_both_towers_adapters_and_its_projection(name):
    """Sec. 4.1: rank 8 on queries and values of both towers."""
    with torch.device("meta"):
        model = empty_model(CapeLLMConfig(language=LanguageConfig(name, tuning="lora")))
    width = model.language.config.hidden_size
    vision, projection = 24 * pairs(8, (1024, 1024), (1024, 1024)), linear(1024, width)
    assert trainable(model) == vision + projection + ADAPTED[name]
    assert count_parameters(model) == dinov2() + DECODERS[name][0] + trainable(model)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dinov2-reg-l", 24 * pairs(8, (1024, 1024), (1024, 1024))),
        # Its queries, keys and values are one layer, so that keys are adapted with them.
        ("hiera-l", sum(pairs(8, *[(i, 3 * o)]) for i, o in [(144, 144)] * 2 + [(144, 288)] + [(288, 288)] * 5
                        + [(288, 576)] + [(576, 576)] * 35 + [(576, 1152)] + [(1152, 1152)] * 3)),
    ],
)  # fmt: skip
def test_the_other_encoders_of_table_14_train_their_adapters(name, expected):
    with torch.device("meta"):
        assert trainable(empty_encoder(VisionConfig(name, tuning="lora"))) == expected


def test_kptllm_pp_trains_adapters_of_rank_128_the_projections_and_the_prompt_extractor():
    """Sec. 4.1.3; the adapted layers, which are not named, are LLaVA-1.5's: all of the language model's."""
    with torch.device("meta"):
        model = empty_model(KptLLMConfig())
    attention = [(4096, 4096)] * 4
    mlp = [(4096, 11_008), (4096, 11_008), (11_008, 4096)]
    assert trainable(model.language) == 32 * pairs(128, *attention, *mlp)
    assert trainable(model.encoder) == 24 * pairs(128, *[(1024, 1024)] * 4, (1024, 4096), (4096, 1024))
    places = linear(4 * 64, 1024) + linear(1024, 1024)
    assert trainable(model.extractor) == places + 2 * transformer_layer(1024)
    beside = linear(1024, 4096) * 2 + trainable(model.extractor)
    assert trainable(model) == trainable(model.language) + trainable(model.encoder) + beside


def test_kptllm_trains_its_encoder_whole_but_for_the_layer_behind_its_features():
    """Sec. 4.1.3: LLaVA-1.5-7B, whose vocabulary has 64 tokens more than Vicuna's."""
    with torch.device("meta"):
        model = empty_model(PRESETS["kptllm"])
        base = count_parameters(empty_language(LanguageConfig("vicuna-7b"))[0])
    assert trainable(model.encoder) == clip() - transformer_layer(1024) - norm(1024)
    assert trainable(model.projection) == linear(1024, 4096) + linear(4096, 4096)
    adapters = trainable(model.language)
    assert count_parameters(model.language) == base + 2 * 64 * 4096 + adapters


def test_the_13b_of_table_16_trains_adapters_in_all_layers():
    options = LoraOptions(r=128, alpha=256, targets=ROLES)
    with torch.device("meta"):
        language, _ = empty_language(LanguageConfig("vicuna-13b", tuning="lora", lora=options))
    layers = [*[(5120, 5120)] * 4, (5120, 13_824), (5120, 13_824), (13_824, 5120)]
    assert trainable(language) == 40 * pairs(128, *layers)


UNUSED = 768 * 1000 + 1000  # the classifier of the backbone, which the paper counts


@pytest.mark.parametrize(
    ("name", "printed"), [("graphcape", 58.742), ("capex", 195.519), ("flf", 195.715), ("dlf", 203.742)]
)
def test_the_matchers_of_the_fusion_paper_have_the_parameters_of_table_5(name, printed):
    with torch.device("meta"):
        model = empty_model(MatcherConfig(name, VisionConfig("swinv2-s")))
    assert round((count_parameters(model) + UNUSED) / 1e6, 3) == printed


def test_the_matchers_train_all_but_the_words():
    with torch.device("meta"):
        model = empty_model(MatcherConfig("flf", VisionConfig("swinv2-s", tuning="full")))
    assert trainable(model) == count_parameters(model) - 136_776_192


def test_a_network_of_unknown_sizes_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"sizes of the language model 'someone/else' are not known.*llama-3.1-8b"):
        empty_language(LanguageConfig("someone/else"))
    with pytest.raises(InputError, match=r"sizes of the text encoder 'bert' are not known.*gte-base"):
        empty_text(TextConfig("bert", "someone/bert"))
    with pytest.raises(InputError, match=r"size of a model is known of a CapeLLM.*TextConfig"):
        empty_model(TextConfig("clip"))
