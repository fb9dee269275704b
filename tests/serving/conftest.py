"""A server of a tiny random matcher, asked in this process."""

import pytest
import tiny_matchers
from starlette.testclient import TestClient

from anykeypoint.serving.app import build_app
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A random matcher that takes words, examples and both."""
    return tiny_matchers.matcher("dlf", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def serving(tiny_model):
    """Starts apps: a TestClient of a server with these limits and options, ready to answer."""
    started = []

    def start(model=None, token=None, hosts=(), project=None, ready=True, tools=lambda service: (), **limits):
        model = tiny_model if model is None else model
        loaders = model if isinstance(model, dict) else {"tiny": lambda: model}
        service = Service(loaders, ServerLimits(**limits))
        app = build_app(service, token=token, hosts=hosts, project=project, tools=tools(service))
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.__enter__()
        started.append(client)
        client.service = service
        if ready:
            assert service.wait(60), service.progress
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture(scope="session")
def client(serving):
    return serving()
