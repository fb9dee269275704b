"""Fixtures shared by all tests."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import anykeypoint
from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.example import Example, marked_category, read_marked, to_example

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: more threads would only wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("plain", deadline=None)  # a busy machine is no failure
settings.load_profile("plain")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden numbers and field data beside the checkout; skips where there is none."""
    folder = Path(os.environ.get("ANYKEYPOINT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared folder with golden numbers and field data is not beside the checkout")
    return folder


@pytest.fixture
def hide() -> Callable[[Path], None]:
    """A function that hides files in a folder: what macOS puts beside each on other drives, and copies of tools."""

    def hidden(folder: Path) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
            copy = path.parent / ".kept" / path.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())

    return hidden


@pytest.fixture(scope="session")
def shipped():
    """A shipped model by name, loaded once; skips where its base weights are not here and cannot be fetched."""

    @cache
    def load(name: str) -> Any:
        try:
            return anykeypoint.load(name, device="cpu")
        except InputError as error:
            if "could not download" in str(error):
                pytest.skip(f"the base weights of {name} are not here and cannot be fetched: {error}")
            raise

    return load


@pytest.fixture
def one_thread():
    """Computing with one thread, as a process beside this one does: their number may change the last bit of a sum."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sheet() -> tuple[Category, Example]:
    """The four corners of a sheet of paper, and a photo on which they are marked."""
    folder = Path(__file__).resolve().parents[1] / "examples"
    marked = read_marked(f"{folder / 'paper_1.jpg'}:{folder / 'paper_1.json'}")
    category = marked_category([marked], None)
    return category, to_example(marked, category)
