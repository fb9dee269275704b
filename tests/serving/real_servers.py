"""Servers in processes of their own, what they use, and plain HTTP to them."""

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOAK = os.environ.get("ANYKEYPOINT_SOAK") == "1"  # all of a test under load or attack, instead of a tenth


@contextmanager
def process_of(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen]:
    """A Python process whose output is a pipe; it is killed at the end where it still runs."""
    path = os.pathsep.join([str(HERE), str(HERE.parent), *sys.path])
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            **options,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes of memory of a process: that it has now (VmRSS), or had at most (VmHWM); 0 where /proc does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))


@dataclass(frozen=True)
class Reply:
    """An answer of HTTP: its status, its headers, and its body as JSON, or as text where it is none."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def refused(self) -> bool:
        """Whether it is a refusal as the server promises it: one sentence, with the request's id."""
        return (
            400 <= self.status < 600
            and isinstance(self.body, dict)
            and set(self.body) <= {"error", "request_id", "field"}
            and self.body.get("request_id") == self.headers["x-request-id"]
            and self.body["error"].endswith(".")
            and "\n" not in self.body["error"]
        )


def post(port: int, picture: bytes, asked: Mapping[str, Any], path: str = "/v1/predict") -> Reply:
    """Ask about a picture, by a connection of its own. Raises OSError or HTTPException where there is no answer."""
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    text = (
        f'\r\n--{mark}\r\nContent-Disposition: form-data; name="request"\r\n\r\n{json.dumps(asked)}\r\n--{mark}--\r\n'
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    return request(port, "POST", path, head.encode() + picture + text.encode(), headers)


def get(port: int, path: str) -> Reply:
    """What an address of a server answers."""
    return request(port, "GET", path)


def request(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """A request by a connection of its own. Raises OSError or HTTPException where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    given = {name.lower(): value for name, value in response.getheaders()}
    try:
        return Reply(response.status, given, json.loads(data))
    except ValueError:
        return Reply(response.status, given, data.decode(errors="replace"))
