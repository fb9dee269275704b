"""Signals: requests under way are finished, the others refused, and a second signal ends the server at once."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from server_calls import live, png
from stand_in import StandIn
from waiting import until

from anykeypoint import Client
from anykeypoint.serving import running
from anykeypoint.serving.client import ServerError
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service

HERE = Path(__file__).parent


@pytest.fixture
def started(tmp_path):
    """Starts the server of served.py; gives the process and a client."""
    running = []

    def start(*seconds):
        path = os.pathsep.join([str(HERE), str(HERE.parent), *sys.path])
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            [sys.executable, str(HERE / "served.py"), *map(str, seconds)],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": path},
        )
        running.append(process)
        return process, Client(f"http://127.0.0.1:{int(process.stdout.readline())}", timeout=60)

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def ready(client):
    until(lambda: client.progress()["state"] == "ready", seconds=60)


def asked(client, *words):
    """Threads that ask, one behind the other, and what came of each."""
    results = [None] * len(words)

    def ask(place):
        try:
            results[place] = client.predict(png(place), f"{words[place]};").names
        except ServerError as error:
            results[place] = error

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(words))]
    for count, thread in enumerate(threads):
        thread.start()
        until(lambda count=count: f"queue_length {count + 1}.0" in metrics(client), seconds=60)
    return threads, results


def metrics(client):
    import urllib.request

    with urllib.request.urlopen(f"{client.url}/metrics", timeout=60) as answer:
        return answer.read().decode()


def test_what_is_under_way_and_what_waits_is_finished(started):
    process, client = started(30, 0.7)
    ready(client)
    threads, results = asked(client, "slow 1", "slow 2", "quick")
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert results == [["slow 1"], ["slow 2"], ["quick"]]
    assert process.wait(60) == 0
    with pytest.raises(ServerError, match="cannot be reached"):
        client.progress()


def test_behind_the_time_for_draining_what_waits_is_refused(started):
    process, client = started(0.2, 1.5)
    ready(client)
    threads, results = asked(client, "slow", "quick")
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert results[0] == ["slow"] and results[1].status == 503 and "shutting down" in str(results[1])
    assert process.wait(60) == 0


def test_a_second_signal_ends_it_at_once(started, tmp_path):
    process, client = started(60, 60)
    ready(client)
    threads, results = asked(client, "slow")
    process.send_signal(signal.SIGTERM)
    until(lambda: b"second signal" in (tmp_path / "log").read_bytes(), seconds=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    threads[0].join()
    assert results[0].status == 0


def test_while_the_model_loads_the_server_is_alive_not_ready_and_can_be_ended(started):
    process, client = started(1, 0, 60)
    until(lambda: client.progress()["step"] == "loading stand-in", seconds=60)
    assert client.progress()["state"] == "loading" and client.progress()["models"] == 1
    with pytest.raises(ServerError, match="not ready") as refused:
        client.predict(png(), "nose;")
    assert refused.value.status == 503 and refused.value.retry_after == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_who_had_connected_before_is_answered_though_its_request_comes_later(monkeypatch):
    monkeypatch.setattr(running, "ARRIVING", 30)
    with live(Service({"stand-in": StandIn}, ServerLimits())) as (url, app):
        server, port = app.state.server, int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 60) as early:
            server.should_exit = True
            until(lambda: refuses(port), seconds=60)
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert early.recv(100).startswith(b"HTTP/1.1 200 OK")


def refuses(port):
    """Whether nothing listens there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False
