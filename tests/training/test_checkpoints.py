"""Checkpoints: a kill at any moment leaves the newest whole one in charge."""

import os
import signal
import subprocess
import sys
import time

import pytest

from anykeypoint.errors import InputError
from anykeypoint.training import checkpoints as module
from anykeypoint.training.checkpoints import (
    checkpoints,
    is_valid,
    newest_valid,
    remove_leftovers,
    save_checkpoint,
    step_of,
)


def write(text):
    def fill(folder):
        (folder / "a.bin").write_bytes(text.encode() * 1000)
        (folder / "b.bin").write_bytes(text.encode())

    return fill


def test_the_newest_checkpoints_are_kept_and_valid(tmp_path):
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, step, write(str(step)), keep=2)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [20, 30]
    assert all(is_valid(path) for path in checkpoints(tmp_path))
    assert step_of(newest_valid(tmp_path)) == 30


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove", "unseal"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, harm):
    save_checkpoint(tmp_path, 1, write("one"), keep=3)
    newest = save_checkpoint(tmp_path, 2, write("two"), keep=3)
    victim = newest / "a.bin"
    if harm == "truncate":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif harm == "flip":
        data = bytearray(victim.read_bytes())
        data[5] ^= 1
        victim.write_bytes(data)
    elif harm == "remove":
        victim.unlink()
    else:
        (newest / "complete.json").unlink()
    assert step_of(newest_valid(tmp_path)) == 1


def test_no_checkpoint_is_no_error(tmp_path):
    assert newest_valid(tmp_path / "nothing") is None


def test_a_failed_save_leaves_the_old_one(tmp_path):
    save_checkpoint(tmp_path, 1, write("one"), keep=1)

    def full_disk(folder):
        (folder / "a.bin").write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError):
        save_checkpoint(tmp_path, 2, full_disk, keep=1)
    assert step_of(newest_valid(tmp_path)) == 1


def test_a_failed_save_leaves_nothing_on_the_full_disk(tmp_path):
    def full_disk(folder):
        (folder / "a.bin").write_bytes(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError):
        save_checkpoint(tmp_path, 2, full_disk, keep=1)
    assert not list(tmp_path.iterdir())


def test_what_killed_saves_have_left_is_removed_and_what_is_being_saved_stays(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for process in (gone.pid, os.getpid(), os.getppid()):
        (tmp_path / f".step-00000002.{process}").mkdir()
        write("half")(tmp_path / f".step-00000002.{process}")
    save_checkpoint(tmp_path, 1, write("one"), keep=1)
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f".step-00000002.{os.getppid()}", "step-00000001"}


class Windows:
    """`os` as Windows has it: no folder can be opened, and what is not open for writing cannot be synced."""

    name = "nt"

    def __init__(self):
        self.synced, self.flags = [], {}

    def __getattr__(self, name):
        return getattr(os, name)

    def open(self, path, flags):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied")
        handle = os.open(path, flags)
        self.flags[handle] = path, flags
        return handle

    def fsync(self, handle):
        path, flags = self.flags[handle]
        if not flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(9, "Bad file descriptor")
        self.synced.append(path.name)


def test_checkpoints_are_saved_and_synced_on_windows(tmp_path, monkeypatch):
    windows = Windows()
    monkeypatch.setattr(module, "os", windows)
    assert is_valid(save_checkpoint(tmp_path, 1, write("one"), keep=1))
    assert windows.synced == ["a.bin", "b.bin", "complete.json"]


def test_a_kill_during_a_save_leaves_a_valid_checkpoint(tmp_path):
    code = """
import sys, itertools
from pathlib import Path
from anykeypoint.training.checkpoints import save_checkpoint
def fill(folder):
    for i in range(20):
        (folder / f"{i}.bin").write_bytes(bytes([i]) * 200_000)
for step in itertools.count(1):
    save_checkpoint(Path(sys.argv[1]), step, fill, keep=1)
    print(step, flush=True)
"""
    for wait in (0.0, 0.013, 0.031):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()  # at least one whole save
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = newest_valid(tmp_path)
        assert found is not None and (found / "19.bin").stat().st_size == 200_000


def test_a_foreign_folder_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="not a checkpoint folder"):
        step_of(tmp_path / "step-best")
