"""How OpenMP's threads wait for each other: set by the command line before torch loads, unless the user has set it."""

import os
import subprocess
import sys

import pytest

from anykeypoint import cli

CODE = """
import os, sys
from anykeypoint import cli
before = "torch" in sys.modules
try:
    cli.main(["--version"])
except SystemExit:
    pass
print(before, *(os.environ.get(name) for name in cli.WAIT_VARIABLES))
"""


def waits(**chosen):
    """Whether torch was loaded before `main`, and the variables after it, in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in cli.WAIT_VARIABLES} | chosen
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_threads_sleep_soon_by_default():
    assert waits() == ["False", cli.SPIN_COUNT, "None"]


@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "ACTIVE")])
def test_what_the_user_has_set_stays(name, value):
    found = waits(**{name: value})
    assert found == ["False", *(value if name == other else "None" for other in cli.WAIT_VARIABLES)]
