"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("plain", deadline=None)  # a busy machine is no failure
settings.load_profile("plain")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden numbers and field data beside the checkout; skips where there is none."""
    folder = Path(os.environ.get("ANYKEYPOINT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("the shared folder with golden numbers and field data is not beside the checkout")
    return folder
