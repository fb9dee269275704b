"""Temporary files and folders beside what they become, `.NAME.PID`, and what killed processes have left of them."""

import contextlib
import os
import re
import shutil
from pathlib import Path

import psutil


def scratch_of(target: Path) -> Path:
    """Where this process writes what then takes the target's place."""
    return target.with_name(f".{target.name}.{os.getpid()}")


def remove_killed(folder: Path, name: str, own: bool = False) -> None:
    """Remove what killed processes have left, each as large as what they were saving; what cannot be removed stays.

    That of processes that run is left, as they may be saving.

    folder: of the targets.
    name: of the target; a pattern of regular expressions.
    own: also remove what has the number of this process, which must not be saving; a killed one may have had it.
    """
    for scratch in folder.glob(".*"):
        found = re.fullmatch(rf"\.{name}\.(\d{{1,9}})", scratch.name, re.ASCII)
        if found is None:
            continue
        process = int(found[1])
        if own if process == os.getpid() else not psutil.pid_exists(process):
            with contextlib.suppress(OSError):
                shutil.rmtree(scratch) if scratch.is_dir() else scratch.unlink()
