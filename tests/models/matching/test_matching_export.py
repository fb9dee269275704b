"""A matcher as an ONNX file: ONNX Runtime answers as the model does, for any number of keypoints and examples."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_encoders import TINY
from tiny_matchers import FISH, example, matcher, picture

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.example import Example
from anykeypoint.models.matching.export import export, prompt_inputs
from anykeypoint.models.matching.parts.skeleton import adjacency
from anykeypoint.models.towers import joined

SIDE, DINO = 64, {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
BOX = (5, 5, 60, 50)
NAMES = ("nose", "left ear", "right ear", "tail tip", "rear paw", "paw", "tip")


GRAPH = {"image_width": 16, "token_width": 24, "width": 16, "heads": 2, "hidden": 24, "gate": 8}
GRAPH |= {"encoder_layers": 1, "decoder_layers": 1}  # small, as exporting takes its time for every layer
EVIDENCE = {"image_width": 16, "text_width": 24, "groups": [16], "width": 16, "heads": 2, "likeness": 4}
EVIDENCE |= {"layers": 1, "blocks": 1, "members": 2}
ONE = {"members": 1, "reading": "window"}
JOINED = "efficientnet-lite2+clip-vit-b16"
DINO_S, LITE_CLIP = ({"name": name, "sizes": sizes} for name, sizes in (("dinov2-s", DINO), (JOINED, TINY[JOINED])))
MODELS = {  # matcher, image encoder, head
    "flf": ("flf", DINO_S, {"guest_width": 16, "gamma": 2.0, "graph_head": GRAPH}),
    "evidence": ("evidence", DINO_S, EVIDENCE | {"groups": [6, 10], "competition": 0.7}),
    "joined": ("evidence", LITE_CLIP, EVIDENCE | {"image_width": 336, "groups": [120, 208, 8]} | ONE),
}


class ShortLite(torch.nn.Module):
    """In the place of EfficientNet-Lite2, whose 49 layers take a minute to export: the shapes of its two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = torch.nn.Conv2d(3, 120, 16, 16), torch.nn.Conv2d(120, 208, 2, 2)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.fine(pixels)
        return fine, self.coarse(fine)


@pytest.fixture(scope="module", params=list(MODELS))
def exported(request, tmp_path_factory):
    """A model that reads and looks, its file's path, and a session with it."""
    pytest.importorskip("onnx", reason="exporting needs anykeypoint[onnx]")
    pytest.importorskip("onnxscript", reason="exporting needs anykeypoint[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="the exported file is run by ONNX Runtime: anykeypoint[onnx]")
    folder = tmp_path_factory.mktemp("export")
    name, vision, head = MODELS[request.param]
    vision = {"source": "random", "image_size": SIDE if vision is LITE_CLIP else 56, **vision}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(joined, "EfficientNetLite2", ShortLite)
        model = matcher(name, folder, vision=vision, head=head, temperature={"both": 1.7})
    path = folder / "model.onnx"
    export(model, path)
    return model, path, runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


def asked(keypoints: int, shots: int) -> tuple[Category, list[Example]]:
    """A category of so many points with every other pair joined, and examples that miss a point now and then."""
    names = "; ".join(NAMES[:keypoints])
    edges = tuple((i, i + 1) for i in range(0, keypoints - 1, 2))
    draw = np.random.default_rng([keypoints, shots])
    examples = []
    for seed in range(shots):
        points = draw.uniform([10, 10], [80, 60], (keypoints, 2))
        points[1 + seed :: 3] = np.nan
        examples.append(Example(picture(seed + 1), points))
    return replace(Category.from_text(names), skeleton=edges), examples


def pixels(model, view) -> np.ndarray:
    """The crop as a user of the file would cut it, from what the file says of itself."""
    from anykeypoint.models.matching.inputs import cut

    return cut(picture(), view.box, model.config).pixels


def test_it_answers_as_the_model_does_for_any_number_of_keypoints_and_examples(exported):
    model, path, session = exported
    side = model.config.vision.image_size
    import onnx

    said = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}["anykeypoint"]
    assert (said["model"], said["prompt"], said["image_size"], said["crop_scale"]) == (
        model.config.name,
        "both",
        side,
        1.25,
    )
    assert said["temperature"] == 1.7
    view = model.encode(picture(), BOX)
    crop = pixels(model, view).transpose(2, 0, 1)[None] / 255
    mean, deviation = (np.array(said[key]).reshape(3, 1, 1) for key in ("mean", "deviation"))
    given = {"pixels": ((crop - mean) / deviation).astype(np.float32)}
    for keypoints, shots in ((1, 1), (2, 3), (5, 1), (7, 2)):
        category, examples = asked(keypoints, shots)
        inputs = prompt_inputs(model, category, examples)
        points, similarity, features = session.run(None, {**given, **inputs})
        assert np.allclose(features, view.features, atol=1e-4)
        pose = view.predict(category, examples, density=True)
        assert points.shape == (1, keypoints, 2) and pose.present.all()
        assert np.abs(points[0] - view.crop.normalise(pose.xy)).max() * side < 0.05
        grids = [pose.density[key].grid for key in pose.keys]
        assert np.allclose(similarity[0], grids, atol=1e-4)


def test_features_are_what_an_example_is_looked_at_with(exported):
    model, _, session = exported
    category, examples = asked(3, 2)
    inputs = prompt_inputs(model, category, examples)
    from anykeypoint.models.matching.inputs import encode_example

    for i, one in enumerate(examples):
        crop = model.encoder.normalise(torch.from_numpy(encode_example(one, model.config).pixels)[None])
        (features,) = session.run(["features"], {**inputs, "pixels": crop.numpy()})
        assert np.allclose(features, inputs["examples"][:, i], atol=1e-4)


def test_the_skeleton_matters_in_the_file(exported):
    model, _, session = exported
    side = model.config.vision.image_size
    if "skeleton" not in {one.name for one in session.get_inputs()}:
        assert model.config.name == "evidence"  # it has no graph
        return
    category, examples = asked(5, 1)
    draw = np.random.default_rng(0).normal(size=(1, 3, side, side)).astype(np.float32)
    inputs = {"pixels": draw, **prompt_inputs(model, category, examples)}
    linked = session.run(["points"], inputs)[0]
    alone = session.run(["points"], {**inputs, "skeleton": np.zeros_like(inputs["skeleton"])})[0]
    assert np.abs(linked - alone).max() * side > 0.5


def test_a_skeleton_as_a_matrix_is_the_one_as_pairs():
    valid = torch.tensor([[True, True, False, True], [True] * 4])
    pairs = [[(0, 1), (1, 0), (1, 2)], [(3, 0)]]
    matrix = torch.zeros(2, 4, 4)
    for row, edges in zip(matrix, pairs, strict=True):
        for a, b in edges:
            row[a, b] = row[b, a] = 1
    assert torch.equal(adjacency(pairs, valid), adjacency(matrix, valid))


def test_what_cannot_be_exported_is_refused_in_one_sentence(tmp_path, monkeypatch):
    model = matcher("capex", tmp_path)
    with pytest.raises(InputError, match=r"answers to text, but the prompt was 'example'"):
        export(model, tmp_path / "a.onnx", "example")
    with pytest.raises(InputError, match=r"must end in \.onnx"):
        export(model, tmp_path / "a.pt")
    with pytest.raises(InputError, match="pomnet has an image encoder of its own for examples"):
        export(matcher("pomnet", tmp_path), tmp_path / "a.onnx")
    with pytest.raises(InputError, match="no folder"):
        export(model, tmp_path / "no" / "a.onnx")
    with pytest.raises(InputError, match=r"float32 on the cpu, but is in torch\.bfloat16"):
        export(matcher("capex", tmp_path).bfloat16(), tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'anykeypoint\[onnx\]'"):
        export(model, tmp_path / "a.onnx")
    with pytest.raises(InputError, match="leave the example out"):
        prompt_inputs(model, FISH, example())
