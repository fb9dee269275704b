"""ONNX files read as data, and the quantised CLIP tower that is made of one."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from anykeypoint.errors import InputError
from anykeypoint.models.sources import onnx_file
from anykeypoint.models.sources.onnx_file import Operation, read_onnx
from anykeypoint.models.towers.clip import convert_package
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import VisionConfig


def saved(path, tensors, nodes=()):
    graph = helper.make_graph(list(nodes), "graph", [], [], list(tensors))
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def tensors():
    """Tensors of every kind that is read, with their numbers as raw bytes and as numbers."""
    values = np.array([[1, -2, 3], [-128, 5, 127]])
    made = [
        numpy_helper.from_array(values.astype(kind), kind)
        for kind in ("float32", "int8", "int32", "int64", "float16", "float64")
    ]
    made.append(helper.make_tensor("listed floats", TensorProto.FLOAT, [2], [0.5, -1.25]))
    made.append(helper.make_tensor("listed bytes", TensorProto.INT8, [3], [-128, 0, 127]))
    made.append(helper.make_tensor("one", TensorProto.UINT8, [], [200]))
    return made


def test_tensors_and_operations_are_those_that_onnx_reads(tmp_path):
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"], name="/first/MatMul"), helper.make_node("Add", ["c"], ["d"])]
    found, operations = read_onnx(saved(tmp_path / "a.onnx", tensors(), nodes))
    assert operations == [Operation("/first/MatMul", "MatMul", ("a", "b")), Operation("", "Add", ("c",))]
    assert list(found) == [tensor.name for tensor in tensors()]
    for tensor in tensors():
        expected = numpy_helper.to_array(tensor)
        assert found[tensor.name].dtype == expected.dtype and np.array_equal(found[tensor.name], expected), tensor.name


def test_a_file_that_was_cut_off_is_refused_wherever_it_ends(tmp_path):
    whole = saved(tmp_path / "a.onnx", tensors()[:2]).read_bytes()
    graph = whole.rindex(b"float32") + 8  # behind this the graph's length promises more than there is
    for length in range(graph, len(whole) - 12, 7):
        (tmp_path / "b.onnx").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"no whole ONNX file .*; copy it anew"):
            read_onnx(tmp_path / "b.onnx")


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_are_read_or_refused_in_one_sentence(tmp_path, seed):
    whole = bytearray(saved(tmp_path / "a.onnx", tensors()).read_bytes())
    draw = np.random.default_rng(seed)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        for place in draw.integers(len(whole), size=3):
            damaged[place] = draw.integers(256)
        (tmp_path / "b.onnx").write_bytes(damaged)
        try:
            read_onnx(tmp_path / "b.onnx")
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 20


def test_tensors_that_are_elsewhere_or_no_numbers_are_refused(tmp_path, monkeypatch):
    outside = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    outside.data_location = TensorProto.EXTERNAL
    with pytest.raises(InputError, match="the tensor 'w' lies in another file"):
        read_onnx(saved(tmp_path / "a.onnx", [outside]))
    words = helper.make_tensor("words", TensorProto.STRING, [1], [b"x"])
    with pytest.raises(InputError, match="the tensor 'words' is of type 8"):
        read_onnx(saved(tmp_path / "b.onnx", [words]))
    short = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    short.dims[0] = 2**40
    with pytest.raises(InputError, match=r"of shape \[1099511627776\] has 3 numbers"):
        read_onnx(saved(tmp_path / "c.onnx", [short]))
    with pytest.raises(InputError, match="holds no tensors"):
        read_onnx(saved(tmp_path / "d.onnx", []))
    monkeypatch.setattr(onnx_file, "LIMIT", 10)
    with pytest.raises(InputError, match="but at most 10 are read"):
        read_onnx(tmp_path / "a.onnx")


# --- a quantised CLIP ------------------------------------------------------------------------------------------------


def quantised(model, left_out=""):
    """The tensors and operations of a CLIP tower as quantisation leaves them, and each matrix as it then is."""
    made, nodes, expected = [], [], {}
    for number, (key, tensor) in enumerate(model.state_dict().items()):
        value, layer = tensor.numpy(), f"vision_model.{key}"
        if value.ndim != 2 or key.startswith("embeddings."):
            made.append(numpy_helper.from_array(value, layer))
            continue
        matrix, name = value.T, f"onnx::MatMul_{number}"  # inputs x outputs
        scale = (np.ptp(matrix, axis=0) / 254).astype(np.float32)
        zero = np.round(-128 - matrix.min(axis=0) / scale).clip(-128, 127).astype(np.int8)
        whole = np.round(matrix / scale + zero).clip(-128, 127).astype(np.int8)
        expected[key] = torch.from_numpy(((whole.astype(np.float32) - zero) * scale).T.copy())
        parts = {"_quantized": whole, "_scale": scale, "_zero_point": zero}
        made += [numpy_helper.from_array(part, name + end) for end, part in parts.items() if end != left_out]
        path = f"/{layer.removesuffix('.weight').replace('.', '/').replace('layers/', 'layers.')}/MatMul_quant"
        nodes.append(helper.make_node("MatMulInteger", ["x", f"{name}_quantized"], ["y"], name=path))
    made.append(numpy_helper.from_array(np.zeros((4, 4), np.int8), "onnx::MatMul_99_quantized"))
    nodes.append(helper.make_node("MatMulInteger", ["x", "onnx::MatMul_99_quantized"], ["y"], "/visual_projection/M"))
    return made, nodes, expected


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    config = {"hidden_size": 128, "intermediate_size": 48, "num_hidden_layers": 8, "num_attention_heads": 2}
    return CLIPVisionModel(CLIPVisionConfig(**config, patch_size=16, image_size=64)).eval()


def test_the_packaged_clip_is_the_matrices_that_the_numbers_stand_for(tmp_path, tower):
    made, nodes, expected = quantised(tower)
    convert_package([saved(tmp_path / "clip.onnx", made, nodes)], tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "patch_size"):
        assert config[key] == getattr(tower.config, key)
    assert (config["image_size"], config["hidden_act"], config["model_type"]) == (64, "quick_gelu", "clip_vision_model")
    weights = load_file(tmp_path / "model.safetensors")
    assert weights.keys() == tower.state_dict().keys() and len(expected) == 8 * 6
    for key, tensor in tower.state_dict().items():
        assert torch.equal(weights[key], expected.get(key, tensor).half()), key
        assert torch.allclose(weights[key].float(), tensor, atol=1e-2), key
    encoder = build_encoder(VisionConfig("clip-vit-b16", str(tmp_path), 64))
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states = tower(pixels, output_hidden_states=True).hidden_states
        assert torch.allclose(encoder(pixels), states[7][:, 1:], atol=0.1)
        assert not torch.allclose(encoder(pixels), states[6][:, 1:], atol=0.1)


@pytest.mark.parametrize("end", ["_quantized", "_scale", "_zero_point"])
def test_a_matrix_without_its_scale_or_zero_is_refused(tmp_path, tower, end):
    made, nodes, _ = quantised(tower, left_out=end)
    with pytest.raises(InputError, match=r"lacks the matrix of vision_model\.encoder\.layers\.0"):
        convert_package([saved(tmp_path / "clip.onnx", made, nodes)], tmp_path)


def test_a_file_of_another_network_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"lack embeddings\.patch_embedding\.weight"):
        convert_package([saved(tmp_path / "other.onnx", tensors())], tmp_path)
    assert onnx.load(tmp_path / "other.onnx").graph.initializer  # it is a whole file
