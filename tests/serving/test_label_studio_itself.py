"""Label Studio's own server, driven over its API: it asks the backend, is corrected, and the next answer changes.

Runs where the environment variable LABEL_STUDIO names its executable, or `label-studio` is on the path, as after
`pip install label-studio` in an environment of its own. It takes minutes, most of them its first start.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from anykeypoint.example import Example
from anykeypoint.serving.adapters.label_studio import label_studio_router
from anykeypoint.serving.adapters.served import ServedTool
from anykeypoint.serving.adapters.tool_adapter import ToolAdapter
from anykeypoint.serving.app import build_app
from anykeypoint.serving.service import Service

PROGRAM = os.environ.get("LABEL_STUDIO") or shutil.which("label-studio")
PICTURES = Path(__file__).resolve().parents[2] / "examples"
SIZES = {"paper_1.jpg": (435, 480), "paper_2.jpg": (447, 437)}
KEY = "0123456789abcdef" * 2 + "01234567"  # of the user, chosen at the start
TOKEN = "a-token-of-24-characters"  # of the backend
MINUTES = 8 * 60  # for the first start, with its database

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Label Studio is not installed (see LABEL_STUDIO)")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Calls of a Label Studio server with an empty data folder, which may read the pictures."""
    folder, port = tmp_path_factory.mktemp("label_studio"), free_port()
    (folder / "files" / "photos").mkdir(parents=True)
    for name in SIZES:
        shutil.copy(PICTURES / name, folder / "files" / "photos")
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / "files"),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "ML_BLOCK_LOCAL_IP": "false",  # else it refuses a backend on this machine
        "SSRF_PROTECTION_ENABLED": "false",  # else it sends it no events
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    start = [PROGRAM, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    start += ["--username", "a@example.com", "--password", "pass-word-1", "--user-token", KEY]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(start, env={**ours, **settings}, stdout=log, stderr=log, cwd=folder)
    try:
        calls = Calls(f"http://127.0.0.1:{port}", folder / "files" / "photos")
        ends = time.monotonic() + MINUTES
        while not calls.alive():
            assert process.poll() is None and time.monotonic() < ends, (folder / "log.txt").read_text()[-2000:]
            time.sleep(1)
        yield calls
    finally:
        process.terminate()
        process.wait(60)


class Calls:
    """Calls of Label Studio's API. photos: the folder that it serves as /data/local-files/?d=photos/."""

    def __init__(self, address, photos):
        self.address, self.photos = address, photos

    def __call__(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:500]!r}") from error

    def alive(self):
        try:
            return bool(self("/api/version"))
        except (OSError, AssertionError):
            return False


@pytest.fixture(scope="module")
def backend(tiny_model, sheet, studio):
    """The address of a server of the tiny model, with a token, and its adapter."""
    service = Service({"tiny": lambda: tiny_model})
    adapter = ToolAdapter(replace(sheet[0], name="object"))
    router = label_studio_router(ServedTool(service, adapter), studio.photos)
    port = free_port()
    app = build_app(service, token=TOKEN, tools=[router])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    ends = time.monotonic() + 120
    while not service.ready:
        assert thread.is_alive() and time.monotonic() < ends, service.progress
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/label-studio", adapter
    server.should_exit = True
    thread.join(30)


def places(result, size):
    points = [one["value"] for one in result if one["type"] == "keypointlabels"]
    return np.array([[one["x"] * size[0] / 100, one["y"] * size[1] / 100] for one in points])


def test_predictions_come_and_a_correction_changes_the_next_ones(studio, backend, tiny_model):
    address, adapter = backend
    request = urllib.request.Request(f"{address}/config.xml", headers={"Authorization": f"Bearer {TOKEN}"})
    setup = urllib.request.urlopen(request, timeout=30).read().decode()
    project = studio("/api/projects", {"title": "sheets", "label_config": setup})["id"]
    studio("/api/storages/localfiles", {"project": project, "path": str(studio.photos), "title": "photos"})
    tasks = [{"image": f"/data/local-files/?d=photos/{name}"} for name in SIZES]
    assert studio(f"/api/projects/{project}/import", tasks)["task_count"] == 2
    access = {"auth_method": "BASIC_AUTH", "basic_auth_user": "label-studio", "basic_auth_pass": TOKEN}
    connected = studio("/api/ml", {"project": project, "url": address, "title": "anykeypoint", **access})
    assert connected["state"] == "CO" and connected["model_version"] == "tiny"
    (webhook,) = studio(f"/api/webhooks/?project={project}")  # which it made itself, without the token
    headers = {"Authorization": f"Bearer {TOKEN}"}
    studio(f"/api/webhooks/{webhook['id']}/", {"headers": headers, "url": webhook["url"]}, "PATCH")

    def retrieved():
        chosen = {"selectedItems": {"all": True, "excluded": []}, "project": project}
        studio(f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", chosen)
        listed = studio(f"/api/tasks?project={project}&fields=all")["tasks"]
        names = {task["id"]: task["data"]["image"].rpartition("/")[2] for task in listed}
        found = studio(f"/api/predictions?project={project}")
        return {(names[one["task"]], one["model_version"]): one for one in found}

    first = retrieved()
    assert set(first) == {(name, "tiny") for name in SIZES}
    for name, size in SIZES.items():
        expected = tiny_model.predict(PICTURES / name, adapter.category)
        found = places(first[name, "tiny"]["result"], size)
        assert np.allclose(found, expected.xy[expected.present], atol=1e-2)

    corrected = first["paper_1.jpg", "tiny"]
    regions = corrected["result"]
    for region in regions[1:]:
        region["value"]["x"] = min(95, region["value"]["x"] + 10)
    studio(f"/api/tasks/{corrected['task']}/annotations", {"result": regions, "was_cancelled": False})
    ends = time.monotonic() + 30
    while not adapter.chosen() and time.monotonic() < ends:
        time.sleep(0.2)
    (example,) = [one.example for one in adapter.chosen()]
    assert np.allclose(example.points[example.marked], places(regions, SIZES["paper_1.jpg"]), atol=1e-6)

    second = retrieved()
    (version,) = {version for _, version in second} - {"tiny"}
    shown = Example(PICTURES / "paper_1.jpg", example.points, example.box, adapter.category)
    expected = tiny_model.predict(PICTURES / "paper_2.jpg", adapter.category, example=shown)
    found = places(second["paper_2.jpg", version]["result"], SIZES["paper_2.jpg"])
    assert np.allclose(found, expected.xy[expected.present], atol=1e-2)
    assert second["paper_2.jpg", version]["result"] != first["paper_2.jpg", "tiny"]["result"]
