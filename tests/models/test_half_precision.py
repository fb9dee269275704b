"""Half precision: every shipped model answers by every prompt, near its answers in float32; what stays float32 does."""

from pathlib import Path

import numpy as np
import pytest
import tiny_matchers
import torch
from tiny_matchers import FISH, matcher, picture

import anykeypoint as ak
from anykeypoint.errors import InputError
from anykeypoint.example import marked_category, read_marked, to_example
from anykeypoint.models.loading import from_folder
from anykeypoint.models.precision import to_precision

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
PROMPTS = ("text", "example", "both")


def asked(model, prompt, kind):
    """The pose of the second picture of a kind, asked as the prompt says with the first as example."""
    marked = read_marked(f"{EXAMPLES / f'{kind}_1.jpg'}:{EXAMPLES / f'{kind}_1.json'}")
    category = marked_category([marked], None)
    options = {} if prompt == "text" else {"example": to_example(marked, category), "words": prompt == "both"}
    return model.predict(EXAMPLES / f"{kind}_2.jpg", category, **options)


def shifts(ours, theirs):
    """Distances as shares of the longer side of the box."""
    return np.linalg.norm(ours.xy - theirs.xy, axis=1) / max(ours.box[2:])


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    ("name", "prompts", "step", "elsewhere"),
    [
        ("fast", PROMPTS, 0.002, 0.0),
        ("capellm-small", ["text"], 0.01, 0.1),
        ("kptllm-small", PROMPTS, 0.01, 0.1),
    ],
)
def test_a_shipped_model_answers_near_its_float32_answer(shipped, name, prompts, step, elsewhere, dtype):
    """Language models answer on a grid of hundredths of a crop of 1.25 boxes; a tenth of the points may lie elsewhere,
    those with two places that are nearly as good (docs/models.md has 2 to 3 % of thousands of points)."""
    exact, half, far = shipped(name), ak.load(name, device="cpu", dtype=dtype), []
    for kind in ("paper",) if name == "fast" else ("paper", "horse"):
        for prompt in prompts:
            ours, theirs = asked(half, prompt, kind), asked(exact, prompt, kind)
            far.extend(shifts(ours, theirs))
            assert np.isfinite(ours.xy).all() and np.abs(ours.confidence - theirs.confidence).max() < 0.02
    assert np.mean(np.array(far) > step) <= elsewhere and np.median(far) < 0.0005, far


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", tiny_matchers.NAMES)
def test_every_matcher_answers_by_every_prompt_it_takes(tmp_path, name, dtype):
    """The maps of random networks are flat, so that the highest cell of some may be another."""
    exact = matcher(name, tmp_path)
    exact.save_pretrained(tmp_path / "model")
    half = from_folder(tmp_path / "model", HALVES[dtype])
    assert next(half.head.parameters()).dtype == HALVES[dtype]
    for prompt in half.config.prompts:
        given = {"text": {}, "example": {"words": False}, "both": {}}[prompt]
        if prompt != "text":
            given = {**given, "example": tiny_matchers.example()}
        ours, theirs = (model.predict(picture(), FISH, **given) for model in (half, exact))
        assert np.isfinite(ours.xy).all()
        assert np.median(np.linalg.norm(ours.xy - theirs.xy, axis=1)) < {"bfloat16": 8, "float16": 1}[dtype]
        if name != "pomnet":  # it has no attention to explain
            sums = half.explain(picture(), FISH, density=20, **given).attention.sum(axis=(-2, -1))
            assert sums == pytest.approx(1, abs=0.02)


def test_what_rounding_would_spoil_stays_float32(shipped):
    model = ak.load("fast", device="cpu", dtype="bfloat16")
    kinds = {name: tensor.dtype for name, tensor in model.named_parameters()}
    kinds |= {name: tensor.dtype for name, tensor in model.named_buffers()}
    kept = {name for name, kind in kinds.items() if name.startswith("head.") and kind == torch.float32}
    ends = {name.split(".")[-1] for name in kept}
    assert ends == {"phrase_mean", "phrase_whitener", "weights", "log_scale"}
    assert {kind for name, kind in kinds.items() if name.startswith(("encoder.", "text_encoder."))} <= {
        torch.float32,
        torch.int64,
    }
    exact = dict(shipped("fast").named_buffers())
    assert torch.equal(model.head.phrase_whitener, exact["head.phrase_whitener"])


def test_a_module_says_what_stays_float32():
    class Part(torch.nn.Module):
        float32 = ("scale",)

        def __init__(self, stays=False):
            super().__init__()
            self.stays_float32 = stays
            self.scale, self.weight = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
            self.register_buffer("count", torch.zeros(1, dtype=torch.long))

    whole = torch.nn.ModuleDict({"a": Part(), "b": Part(stays=True)})
    to_precision(whole, torch.float16)
    kinds = {name: tensor.dtype for name, tensor in whole.state_dict().items()}
    assert {name for name, kind in kinds.items() if kind == torch.float16} == {"a.weight"}
    assert kinds["a.count"] == torch.int64


def test_an_unknown_precision_is_refused_before_anything_is_read():
    with pytest.raises(InputError, match="float32, bfloat16"):
        ak.load("fast", dtype="half")


@pytest.mark.parametrize("dtype", HALVES)
def test_the_mlps_of_a_language_model_behind_the_first_are_in_half_precision_and_the_rest_is_not(dtype):
    model, half = ak.load("capellm-small", device="cpu", dtype=dtype), HALVES[dtype]
    decoder = model.language.base_model
    assert model.language.layer_dtype == half
    weights = {name: tensor.dtype for name, tensor in decoder.named_parameters() if "lora" not in name}
    halves = {name for name, kind in weights.items() if kind == half}
    assert halves == {name for name in weights if ".mlp." in name and not name.startswith("layers.0.")} and halves
    seen = {}

    def note(name):
        def hook(_, inputs, output):
            seen[name] = (inputs[0].dtype, output.dtype)

        return hook

    layer = decoder.layers[1]
    parts = {"norm": layer.input_layernorm, "up": layer.mlp.up_proj.base_layer, "last": decoder.norm}
    for name, part in parts.items():
        part.register_forward_hook(note(name))
    view = model.encode(EXAMPLES / "paper_2.jpg")
    exact = (torch.float32, torch.float32)
    assert seen == {"norm": exact, "up": (half, half), "last": exact}
    assert {tensor.dtype for pair in view.prefix.layers for tensor in pair} == {torch.float32}
