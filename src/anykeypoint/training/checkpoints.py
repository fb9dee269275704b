"""Checkpoints that survive a kill at any moment: written in a temporary folder, synced to disk, then renamed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..io import file_digest
from ..models.scratch import remove_killed, scratch_of

_MANIFEST = "complete.json"  # sizes and hashes of all files of a checkpoint; written last


def save_checkpoint(folder: Path, step: int, write: Callable[[Path], None], keep: int) -> Path:
    """Write a checkpoint and delete older ones. Returns its folder, `folder/step-N`.

    folder: folder of all checkpoints of the run; it is created.
    step: number of optimiser steps that were taken.
    write: writes the files of the checkpoint into a folder that it is given.
    keep: number of checkpoints that are kept, this one included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{step:08d}"
    scratch = scratch_of(target)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        write(scratch)
        files = {}
        for path in sorted(p for p in scratch.rglob("*") if p.is_file()):
            files[str(path.relative_to(scratch))] = [path.stat().st_size, file_digest(path)]
            _sync(path)
        manifest = scratch / _MANIFEST
        manifest.write_text(json.dumps({"step": step, "files": files}))
        _sync(manifest)
        _sync(scratch)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(scratch, target)
    except BaseException:  # such as a full disk, which the part that was written would keep full
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    _sync(folder)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def remove_leftovers(folder: Path) -> None:
    """Remove what killed saves have left in the folder of all checkpoints; this process must not be saving one."""
    remove_killed(folder, r"step-\d+", own=True)


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoint folders below `folder`, valid or not, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir()) if folder.is_dir() else []


def newest_valid(folder: Path) -> Path | None:
    """The newest checkpoint below `folder` whose files all have the size and hash of its manifest; None if none has."""
    for path in reversed(checkpoints(folder)):
        if is_valid(path):
            return path
    return None


def is_valid(checkpoint: Path) -> bool:
    """Whether a checkpoint is complete and its files have the size and hash of its manifest."""
    try:
        files = json.loads((checkpoint / _MANIFEST).read_text())["files"]
        return all(
            (checkpoint / name).stat().st_size == size and file_digest(checkpoint / name) == digest
            for name, (size, digest) in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def step_of(checkpoint: Path) -> int:
    """The number of optimiser steps before a checkpoint. Raises InputError for a folder that is named otherwise."""
    try:
        return int(checkpoint.name.removeprefix("step-"))
    except ValueError as error:
        raise InputError(f"{checkpoint} is not a checkpoint folder; its name should be like step-00000200.") from error


def _sync(path: Path) -> None:
    """Have the operating system write a file or folder to disk; Windows does not open folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows writes what is open for writing
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
