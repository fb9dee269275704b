"""The configuration of 1.2 billion parameters trains: two steps with random weights, on a GPU where there is one.

Elsewhere with two layers of each tower, whose widths are the full ones. The memory is measured against the estimate.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

GIB = 2**30


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    if not Path("/proc/self/clear_refs").exists() and not torch.cuda.is_available():
        pytest.skip("the highest memory of a process is read from /proc, which this system has not")
    layers = "0" if torch.cuda.is_available() else "2"
    command = [
        sys.executable,
        str(Path(__file__).with_name("two_steps.py")),
        str(tmp_path_factory.mktemp("one")),
        layers,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_steps_are_taken_and_move_what_trains(trained):
    assert len(trained["losses"]) == 2 and all(0 < loss < 30 for loss in trained["losses"])
    assert trained["moved"] == trained["trained"] and trained["frozen"]


def test_the_memory_is_the_estimated_one(trained):
    assert trained["held"] == pytest.approx(trained["estimated"]["weights"], rel=0.05)
    assert trained["reached"] == pytest.approx(trained["estimated"]["total"], rel=0.15)
    assert trained["reached"] < 6 * GIB
