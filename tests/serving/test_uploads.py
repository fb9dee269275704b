"""What is uploaded: bytes are counted before they are read, pixels before they are decoded, and nothing is fetched."""

import asyncio
import io
import json
import socket
import zlib

import numpy as np
import pytest
from PIL import Image
from server_calls import WORDS, ask, png, xy

from anykeypoint.images import opening
from anykeypoint.serving import uploads
from anykeypoint.serving.server_limits import ServerLimits


def call(app, receive, method="POST", path="/v1/predict", **headers):
    """The status and JSON of a request, whose body `receive` gives."""
    raw = {"host": "127.0.0.1", "content-type": "multipart/form-data; boundary=x", **headers}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in raw.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def refused(answer, status, *words, field=None):
    """The answer is a refusal of one sentence that has these words."""
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert set(body) <= {"error", "request_id", "field"} and body["request_id"] == answer.headers["x-request-id"]
    assert all(word in body["error"] for word in words), body["error"]
    assert body["error"].endswith(".") and "\n" not in body["error"]
    if field is not None:
        assert body["field"] == field
    return body


def test_a_body_that_says_that_it_is_too_large_is_refused_before_a_byte_is_read(client):
    async def receive():
        raise AssertionError("nothing is to be read")

    status, body = call(client.app, receive, content_length=str(21 * 2**20))
    assert status == 413 and "20971520 bytes" in body["error"]


def test_a_body_that_does_not_say_its_size_is_read_up_to_the_limit(serving):
    client, read = serving(body_bytes=100_000), []
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'

    async def receive():
        read.append(20_000)
        return {"type": "http.request", "body": head if len(read) == 1 else bytes(20_000), "more_body": True}

    status, body = call(client.app, receive)
    assert status == 413 and "100000 bytes" in body["error"] and sum(read) <= 140_000


def test_a_body_that_stops_coming_is_given_up(serving):
    async def receive():
        await asyncio.sleep(60)

    status, body = call(serving(body_seconds=0.05).app, receive)
    assert status == 408 and "0.05 s" in body["error"]


@pytest.mark.parametrize("path", ["/v1/project/pictures/1/label", "/v1/project/category"])
def test_a_body_of_a_page_that_is_too_large_or_stops_coming_is_refused_as_any_other(serving, tmp_path, path):
    client, parts = serving(project=tmp_path / "project", body_seconds=0.05, body_bytes=1000), []

    async def receive():
        if not parts:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": parts.pop(), "more_body": True}

    for sent, expected, said in (([b'{"points": {'], 408, "0.05 s"), ([bytes(2000)], 413, "1000 bytes")):
        parts[:] = sent
        status, body = call(client.app, receive, "PUT", path, **{"content-type": "application/json"})
        assert (status, said in body["error"]) == (expected, True), body


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(serving, monkeypatch, form):
    client = serving(image_pixels=5_000)
    monkeypatch.setattr(uploads, "read_picture", lambda *_: pytest.fail("it was decoded"))
    file = io.BytesIO()
    Image.new("RGB", (100, 60)).save(file, form)
    answer = ask(client, image=file.getvalue(), keypoints=WORDS)
    if form == "GIF":
        refused(answer, 415, "JPEG, PNG", field="image")
    else:
        refused(answer, 413, "100 x 60 pixels", "5000", field="image")


def test_the_sides_of_a_picture_are_limited_too(client):
    answer = ask(client, image=png(width=90, height=1), keypoints=WORDS)
    assert answer.status_code == 200
    file = io.BytesIO()
    Image.new("1", (16_385, 1)).save(file, "PNG")
    refused(ask(client, image=file.getvalue(), keypoints=WORDS), 413, "16385 x 1", "16384 a side")


def test_a_bomb_costs_nothing(client):
    """A PNG of some bytes that says that it has 400 million pixels."""
    file = io.BytesIO()
    Image.new("1", (20_000, 1)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[20:24] = (20_000).to_bytes(4, "big")  # the height in the header, whose check sum follows
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    refused(ask(client, image=bytes(data), keypoints=WORDS), 413, "20000 x 20000")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_every_form_of_the_library_is_taken(client, form):
    assert np.isfinite(xy(ask(client, image=png(form=form), keypoints=WORDS))).all()


def test_what_is_no_picture_is_damaged_or_moves_has_a_sentence(client):
    whole = png(form="JPEG")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    refused(ask(client, image=b"hello", keypoints=WORDS), 415, "JPEG, PNG", field="image")
    refused(ask(client, image=b"", keypoints=WORDS), 415, "empty", field="image")
    refused(ask(client, image=whole[: len(whole) // 2], keypoints=WORDS), 422, "uploaded picture", "cut off")
    refused(ask(client, image=file.getvalue(), keypoints=WORDS), 422, "animated")


def test_pictures_in_use_at_once_are_bounded(serving):
    client = serving(decoding_bytes=3 * 90 * 70 + 10)
    assert ask(client, keypoints=WORDS).status_code == 200 == ask(client, image=png(3), keypoints=WORDS).status_code
    points = {"points": {"nose": [10, 10]}}
    refused(ask(client, along=[png(1)], marked=[points]), 413, "too large together", field="example")


def test_nothing_is_fetched_and_no_file_of_the_server_is_read(client, monkeypatch, tmp_path):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was made"))
    (tmp_path / "secret.json").write_text('{"keypoints": ["nose"]}')
    url = "http://127.0.0.1:9/a.png"
    form = {"image": (None, url), "request": (None, json.dumps({"keypoints": WORDS}))}
    refused(client.post("/v1/predict", files=form), 422, "must be a file", field="image")
    refused(ask(client, image=url.encode(), keypoints=WORDS), 415)
    refused(client.post("/v1/predict", json={"image_id": url, "keypoints": WORDS}), 404)
    for name in (str(tmp_path / "secret.json"), f"{url}.json", "../../secret.yaml", "file:///etc/a.yml"):
        refused(ask(client, category=name), 422, "send its content as definition", field="category")


def test_headers_are_read_by_the_library_s_own_opening():
    assert opening.header_size(png(), lambda *_: None) == (90, 70)
    assert ServerLimits().image_pixels == 40_000_000 and ServerLimits().body_bytes == 20 * 2**20
