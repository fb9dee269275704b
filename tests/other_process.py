"""A second process that trains in a folder."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CODE = """
import sys
from pathlib import Path
from anykeypoint.training.claims import claimed
with claimed(Path(sys.argv[1])):
    print("trains", flush=True)
    sys.stdin.read()
"""


@contextmanager
def training_in(folder: Path) -> Iterator[subprocess.Popen]:
    """A context within which another process trains in a folder; it is killed at the end, or before by the test."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder)], stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout.readline() == "trains\n"
        yield process
    finally:
        process.kill()
        process.communicate()
