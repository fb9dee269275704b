"""How OpenMP's threads wait for each other: set by the package before torch loads, unless the user has set it."""

import os
import subprocess
import sys

import pytest

VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
CODE = """
import os, sys
import anykeypoint
print("torch" in sys.modules, os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"))
"""


def waits(**chosen):
    """Whether `import anykeypoint` loads torch, and the variables after it, in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES} | chosen
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_threads_sleep_soon_by_default():
    assert waits() == ["False", "10000", "None"]


@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "ACTIVE")])
def test_what_the_user_has_set_stays(name, value):
    assert waits(**{name: value}) == ["False", *(value if name == other else "None" for other in VARIABLES)]
