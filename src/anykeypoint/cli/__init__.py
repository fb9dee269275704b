"""The command line: `main` runs it. `app` has the table of verbs; each verb is a module of its own."""

import os
from collections.abc import Sequence

SPIN_COUNT = "10000"  # number of checks before a waiting OpenMP thread sleeps; libgomp's own default is 300000
WAIT_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # environment variables by which users choose how threads wait


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments`, by default those of the process, and end the process with an exit code."""
    limit_spinning()
    from .app import main as run

    run(arguments)


def limit_spinning() -> None:
    """Let OpenMP's threads sleep soon when they wait for each other, unless the environment says how they wait.

    By default they spin, so that beside a busy process each holds a core that the thread it waits for would need: one
    prediction takes many times as long. Has an effect only before torch is loaded.
    """
    if not any(name in os.environ for name in WAIT_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
