"""A run of a training as `accelerate launch ... train ...`, on the GPUs and hosts of a config file of accelerate's."""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from ..configs.checks import check_whole
from ..configs.yaml_files import load_yaml
from ..errors import InputError
from ..io import write_bytes
from ..training.run_config import RunConfig

OPEN = -1  # accelerate's num_processes of a file that leaves the number to the command line


def processes_of(launch: Path | None) -> int:
    """The number of processes of a config file of `accelerate launch`; 1 where there is none.

    Where the file leaves it open, it is the number of this machine's GPUs. Raises InputError where there are none, or
    several machines, of which this one does not know the others' GPUs.
    """
    if launch is None:
        return 1
    given = load_yaml(launch)
    count = given.get("num_processes") if isinstance(given, Mapping) else None
    if count != OPEN:
        return check_whole(count, f"num_processes in {launch}")
    if given.get("num_machines", 1) == 1 and torch.cuda.is_available():
        return torch.cuda.device_count()
    where = "this machine has no GPU" if given.get("num_machines", 1) == 1 else "it is for several machines"
    raise InputError(
        f"{launch} leaves num_processes open (-1), and {where}; write the number of all processes into a copy of it."
    )


def run_launched(
    launch: Path,
    description: Mapping[str, Any] | None,
    recipe: RunConfig,
    labels: tuple[str, Path | None],
    start: Path | None,
    folder: Path,
    features: Path | None = None,
    quiet: bool = False,
) -> None:
    """Run `train` in the processes of a config file, and wait for it; a run that was stopped goes on.

    launch: the config file.
    description: of a new model; None where a saved one is trained further.
    recipe: how to train.
    labels: FORM:FILE and the folder of the pictures.
    start: folder of the model to start from; None for none.
    folder: of the run, where the files of model and recipe are written too.
    features: folder of the image features that several runs share; None for a run without such.
    Raises InputError where it fails; what it printed says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["train", "--data", labels[0], "-o", str(folder), "--held-out", "0"]
    for name, content in (("model", description), ("recipe", recipe.to_dict())):
        if content is not None:
            write_bytes(folder / f"{name}.yaml", yaml.safe_dump(content, sort_keys=False).encode())
            arguments += [f"--{name}", str(folder / f"{name}.yaml")]
    if labels[1] is not None:
        arguments += ["--images", str(labels[1])]
    if start is not None:
        arguments += ["--start", str(start)]
    if features is not None:
        arguments += ["--features", str(features)]
    if quiet:
        arguments.append("-q")
    before = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(launch)]
    before += ["--num_processes", str(processes_of(launch))]
    command = [*before, "-m", "anykeypoint.cli", *arguments]
    if code := subprocess.run(command).returncode:
        raise InputError(f"A training ended with exit code {code}: {shlex.join(command)}")
