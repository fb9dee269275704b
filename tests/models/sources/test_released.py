"""Released files: what is read, and what is refused in one sentence."""

import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from anykeypoint.errors import InputError
from anykeypoint.models.sources.released import part_of, read_released

STATE = {"backbone.weight": torch.arange(6.0).view(2, 3), "head.bias": torch.zeros(2, dtype=torch.int64)}


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def refused(path, match: str, **options) -> None:
    with pytest.raises(InputError, match=match) as error:
        read_released(path, **options)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and path.name in text


@pytest.mark.parametrize(
    "content",
    [STATE, {"meta": {"epoch": 3, "config": "x"}, "state_dict": STATE}, {"model": STATE, "optimizer": {"step": [1]}}],
)
@pytest.mark.parametrize("form", [True, False])  # the zip of today, the stream of before
def test_tensors_are_found_bare_or_beside_other_things(content, form, tmp_path):
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=form)
    assert same(read_released(tmp_path / "a.pth"), STATE)


def test_safetensors_are_read_as_well(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert same(read_released(str(tmp_path / "a.safetensors")), STATE)


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("form", [True, False])
@pytest.mark.parametrize("shell", [True, False])
def test_code_in_a_file_is_refused_and_never_run(form, shell, tmp_path):
    mark = tmp_path / "ran"
    evil = Evil(os.system, f"touch {mark}") if shell else Evil(open, str(mark), "w")
    file = tmp_path / "a.pth"
    torch.save({"state_dict": STATE, "meta": evil}, file, pickle_protocol=2, _use_new_zipfile_serialization=form)
    refused(file, "needs code of its own")
    file.write_bytes(pickle.dumps(evil, protocol=2))
    refused(file, "needs code of its own")
    assert not mark.exists()


@pytest.mark.parametrize("form", [True, False])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(form, part, tmp_path):
    file = tmp_path / "a.pth"
    torch.save({"state_dict": {"w": torch.randn(50, 50)}}, file, _use_new_zipfile_serialization=form)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * part)])
    refused(file, "no whole file")


@pytest.mark.parametrize(
    "junk", [b"not a checkpoint", b"\x80\x02}q\x00", bytes(range(256)) * 4, b"PK\x05\x06" + bytes(18)]
)
def test_a_file_of_something_else_is_refused(junk, tmp_path):
    (tmp_path / "a.pth").write_bytes(junk)
    refused(tmp_path / "a.pth", "no whole file")


def test_a_truncated_safetensors_file_and_a_missing_one_are_refused(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-5])
    refused(tmp_path / "a.safetensors", "Cannot read")
    refused(tmp_path / "nowhere.pth", "Cannot read")


def test_a_file_past_the_limit_is_refused_though_it_is_compressed(tmp_path):
    torch.save({"w": torch.zeros(10_000)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "at most 1000 are read", limit=1000)
    with zipfile.ZipFile(tmp_path / "a.pth") as old, zipfile.ZipFile(tmp_path / "b.pth", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert (tmp_path / "b.pth").stat().st_size < 10_000
    refused(tmp_path / "b.pth", "at most 10000 are read", limit=10_000)


def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path):
    torch.save({"w": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "w in .* is larger than")
    torch.save({"w": torch.zeros(3, 3).to_sparse()}, tmp_path / "b.pth")
    refused(tmp_path / "b.pth", "w in .* is larger than")


@pytest.mark.parametrize("content", [{}, [torch.zeros(1)], {"state_dict": {}}, torch.zeros(2)])
def test_a_file_without_tensors_by_name_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "holds no tensors by name")


def test_what_is_no_tensor_among_them_is_named(tmp_path):
    torch.save({"w": torch.zeros(1), "epoch": 3}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "'epoch' is a int")


def test_a_part_is_taken_by_its_prefix_and_all_where_there_is_none():
    assert same(part_of(STATE, ("encoder.", "backbone.")), {"weight": STATE["backbone.weight"]})
    assert same(part_of(STATE, ("encoder.",)), STATE)
