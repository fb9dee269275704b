"""Calls of a server in tests."""

import io
import json
import threading
from contextlib import contextmanager

import numpy as np
import tiny_matchers
from PIL import Image

WORDS = "nose; left ear; right ear; tail tip; rear paw"


def png(seed=0, width=90, height=70, form="PNG"):
    """The bytes of a picture."""
    file = io.BytesIO()
    Image.fromarray(tiny_matchers.picture(seed, width, height)).save(file, form)
    return file.getvalue()


def ask(client, path="/v1/predict", image=None, along=(), headers=None, **request):
    """An answer of the API; the picture is that of seed 0 where none is given. along: pictures of examples."""
    files = [("image", ("a.png", png() if image is None else image, "image/png"))]
    if "image_id" in request:
        files = []
    files += [("example", (f"{i}.png", one, "image/png")) for i, one in enumerate(along)]
    files.append(("request", (None, json.dumps(request), "application/json")))
    return client.post(path, files=files, headers=headers or {})


def xy(answer):
    """The points of all poses of an answer, [N, K, 2]."""
    assert answer.status_code == 200, answer.text
    return np.array([pose["xy"] for pose in answer.json()["poses"]], dtype=float)


@contextmanager
def live(service, **options):
    """A server of a service in another thread, with all models loaded; gives its address and its app.

    The app's state has the server.
    """
    from anykeypoint.serving.app import build_app
    from anykeypoint.serving.running import DrainingServer, listen, running_config

    app = build_app(service, **options)
    sock = listen("127.0.0.1", 0)
    app.state.server = server = DrainingServer(running_config(app, service), service)
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        assert service.wait(60), service.progress
        yield f"http://127.0.0.1:{sock.getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join()
