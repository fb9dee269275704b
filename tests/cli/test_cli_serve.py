"""`anykeypoint serve`: what it refuses, and the shipped model from the command line to the client."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from anykeypoint import Category, Client, cli

CORNERS = "top left corner; top right corner; bottom right corner; bottom left corner"
SHEET = Path(__file__).resolve().parents[2] / "examples" / "paper_2.jpg"


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", *map(str, arguments)])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_what_cannot_be_served_is_refused_before_anything_is_loaded(capsys, tmp_path):
    (tmp_path / "token").write_text("short")
    assert "a token is needed" in refused(capsys, "--host", "0.0.0.0")
    assert "16 or more" in refused(capsys, "--token-file", tmp_path / "token")
    assert "cannot be read" in refused(capsys, "--token-file", tmp_path / "missing")
    assert "no model 'fsat'" in refused(capsys, "--model", "fsat")
    assert "--batch must be a whole number from 1" in refused(capsys, "--batch", 0)
    assert "--port" in refused(capsys, "--port", -1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "Cannot listen at 127.0.0.1" in refused(capsys, "--port", taken.getsockname()[1])


def test_two_models_that_clients_would_call_by_one_name_are_refused(capsys, tmp_path, monkeypatch):
    """Each training writes a folder called model."""
    for run in ("a", "b"):
        (tmp_path / run / "model").mkdir(parents=True)
    said = refused(capsys, "--model", tmp_path / "a" / "model", "--model", tmp_path / "b" / "model")
    assert "Clients would call both" in said and "'model'; rename one of the two folders" in said
    monkeypatch.chdir(tmp_path / "a" / "model")
    assert "Clients would call both" in refused(capsys, "--model", ".", "--model", tmp_path / "b" / "model")


def test_without_the_extra_the_command_to_install_it_is_said(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install 'anykeypoint[serve]'" in refused(capsys)


def test_the_library_and_the_client_need_no_extra():
    code = "import sys; sys.modules.update(fastapi=None, uvicorn=None); import anykeypoint; anykeypoint.Client"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_model_answers_over_http_as_in_python(shipped):
    model = shipped("accurate")
    command = [sys.executable, "-m", "anykeypoint", "serve", "--port", "0", "--device", "cpu", "-q"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True)
    try:
        client = Client(process.stdout.readline().strip())
        while client.progress()["state"] == "loading":
            time.sleep(0.1)
        assert client.progress()["names"] == ["accurate"]
        pose = client.predict(SHEET, CORNERS, noun="sheet of paper")
        corners = Category.from_text(CORNERS, "sheet of paper", "sheet of paper")
        expected = model.predict(SHEET, corners)
        assert np.allclose(pose.xy, expected.xy, atol=1e-3)
        assert np.allclose(pose.confidence, expected.confidence, atol=1e-4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_page_is_there_before_torch_is_loaded():
    """The server imports what computes in the thread that loads the model, as that takes seconds."""
    code = (
        "import sys\nfrom anykeypoint.cli.serve import check_name\nimport anykeypoint.serving.app\n"
        "import anykeypoint.serving.running\ncheck_name('fast')\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
