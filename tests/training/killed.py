"""A training that is killed, by the signal that no process hears of."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path


def run_until_killed(log: Path, lines: int, train: Callable[[], object]) -> int:
    """Train in a process forked from this one, kill it once its log has so many lines, and give how many it has.

    A fork has all libraries loaded, which takes a new process longer than the training; this one must compute with one
    thread (`one_thread`), as OpenMP's other threads are not in the fork.
    """
    process = multiprocessing.get_context("fork").Process(target=train)
    process.start()
    ends = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= lines):
        assert process.is_alive() and time.monotonic() < ends, "the training ended by itself, or takes too long"
        time.sleep(0.01)
    process.kill()
    process.join()
    return len(log.read_text().splitlines())
