"""A server of a tiny random matcher, asked in this process or by a page in a browser."""

from contextlib import contextmanager

import pytest
import tiny_matchers
from browser import Watched, chromium, server
from page_steps import pictures, say_points
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


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def serve(tiny_model, tmp_path):
    """Serves a new project with a tiny model: `with serve() as (url, folder)`."""

    @contextmanager
    def start(token=None, project=True, **limits):
        service = Service({"tiny": lambda: tiny_model}, ServerLimits(**limits))
        folder = tmp_path / "project"
        with server(build_app(service, token=token, project=folder if project else None)) as url:
            yield url, folder

    return start


@pytest.fixture
def tiny(browser, serve):
    """A page of a tiny model, with three pictures and four points in words that are answered: (page, folder)."""
    with serve() as (url, folder):
        watched = Watched(browser, url)
        page = watched.open()
        page.watched = watched
        page.set_input_files("#file-input", pictures())
        say_points(page)
        page.wait_for_selector(".dot")
        yield page, folder
        watched.close()
