"""The tiny random models that all tests of KptLLM ask."""

import pytest
import tiny
from plain_kptllm import LIMIT

from anykeypoint.models.generative import kptllm_view


@pytest.fixture(autouse=True)
def short_names(monkeypatch):
    """A random model seldom ends a name."""
    monkeypatch.setattr(kptllm_view, "NAME_TOKENS", LIMIT)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def model(place):
    return tiny.kptllm(place, "lora")


@pytest.fixture(scope="module")
def plain_model(place):
    return tiny.kptllm(place, "lora", identify_first=False)


@pytest.fixture(scope="module")
def view(model):
    return model.encode(tiny.picture(60, 40))
