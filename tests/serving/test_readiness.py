"""When a server is ready, what it says until then, and that clients that went away cost nothing."""

import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from server_calls import WORDS, ask, live, png
from stand_in import StandIn
from test_uploads import refused
from waiting import until

from anykeypoint import Client, InputError
from anykeypoint.serving.client import ServerError
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service, try_out


def test_a_server_is_alive_before_it_is_ready_and_says_what_it_does(serving):
    go_on = threading.Event()

    def load():
        assert go_on.wait(60)
        return StandIn()

    client = serving({"first": StandIn, "second": load}, ready=False)
    until(lambda: client.get("/readyz").json()["model"] == "second", seconds=60)
    early = client.get("/readyz")
    assert early.status_code == 503 and client.get("/healthz").status_code == 200
    assert {name: early.json()[name] for name in ("state", "step", "loaded", "models")} == {
        "state": "loading",
        "step": "loading second",
        "loaded": 1,
        "models": 2,
    }
    refused(ask(client, keypoints=WORDS), 503, "not ready", "loading second")
    go_on.set()
    until(lambda: client.get("/readyz").status_code == 200, seconds=60)
    assert client.get("/readyz").json()["names"] == ["first", "second"]
    assert ask(client, keypoints=WORDS, model="second").status_code == 200


@pytest.mark.parametrize("error", [InputError("There is no model."), RuntimeError("a fault")])
def test_a_model_that_cannot_be_loaded_is_said_and_the_server_stays(serving, error):
    def load():
        raise error

    client = serving({"broken": load}, ready=False)
    until(lambda: client.get("/readyz").json()["state"] == "failed", seconds=60)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and "broken could not be loaded" in answer.json()["step"]
    refused(ask(client, keypoints=WORDS), 503, "could not be loaded")
    assert client.get("/page/").status_code == 200


def test_a_model_that_gives_two_answers_to_one_question_is_not_served():
    class Moody(StandIn):
        def predict(self, image, category, **options):
            pose = super().predict(image, category, **options)
            from dataclasses import replace

            return replace(pose, xy=pose.xy + len(self.asked))

    try_out(StandIn())
    with pytest.raises(InputError, match="two answers"):
        try_out(Moody())


def test_a_client_that_closes_its_connection_is_dropped():
    model = StandIn()
    service = Service({"stand-in": lambda: model}, ServerLimits(batch=1))
    with live(service) as (url, _):
        model.hold.clear()
        first = threading.Thread(target=lambda: Client(url).predict(png(), "slow;"))
        first.start()
        assert model.began.wait(30)
        body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + png(1)
        body += b'\r\n--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n'
        body += json.dumps({"keypoints": "nobody waits"}).encode() + b"\r\n--x--\r\n"
        head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as gone:
            gone.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
            until(lambda: service.metrics.queue._value.get() == 2, seconds=60)
        until(lambda: b'status="499"' in service.metrics.text(), seconds=60)
        model.hold.set()
        first.join()
        assert Client(url).predict(png(), "after;").names == ["after"]
        assert ["nobody waits"] not in model.asked
        assert b'anykeypoint_dropped_total{reason="disconnected"} 1.0' in service.metrics.text()


def test_memory_is_given_back(serving):
    client = serving(StandIn())
    for seed in range(30):
        assert ask(client, image=png(seed), keypoints=WORDS).status_code == 200
        ask(client, image=b"no picture", keypoints=WORDS)
    assert 'anykeypoint_kept_bytes{what="decoding"} 0.0' in client.get("/metrics").text
    assert "anykeypoint_queue_length 0.0" in client.get("/metrics").text


def test_a_server_that_is_not_there_is_said_by_the_client():
    with pytest.raises(ServerError, match="is it running"):
        Client("http://127.0.0.1:1").progress()
