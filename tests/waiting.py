"""Waiting for what another thread or process does."""

import time
from typing import Any


def until(condition: Any, what: str = "what was waited for", seconds: float = 30) -> Any:
    """Wait until a condition holds, and give its value; the test fails where it never does."""
    ends = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < ends, f"never happened: {what}"
        time.sleep(0.01)
    return value
