"""Many clients at once: every request has its own answer or a refusal that is promised, and memory stays as it is.

20 clients ask a few hundred times by default; with ANYKEYPOINT_SOAK=1 (`make soak`) 200 clients ask for two minutes.
The server is the verb `serve` in a process of its own, its model a tiny random one.
"""

import copy
import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest
import torch
from real_servers import SOAK, get, memory, post, process_of
from server_calls import png

import anykeypoint
from anykeypoint.category import Category

CLIENTS, SECONDS, LEAST = (200, 120, 1000) if SOAK else (20, 0, 300)
QUEUE = CLIENTS * 3 // 5  # less than there are clients, so that some requests find it full
SETTLED = 200  # requests after which memory may no longer grow
PICTURES = 2  # of each client
WORDS = ("nose; left ear; right ear", "tail tip; rear paw")
QUESTIONS = [{"keypoints": WORDS[0]}, {"keypoints": WORDS[1], "boxes": [[8.0, 6.0, 60.0, 50.0]]}]


def bytes_of(client, number):
    """A picture that no other client has, in one of several forms."""
    return png(1000 + PICTURES * client + number, form=("PNG", "WEBP")[number % 2])


@dataclass
class Run:
    """What clients asked and what came of it.

    answers: (client, number of the picture, number of the question) -> points of every answer to it.
    counts: answers by status; "none" where the connection ended without one.
    wrong: refusals that are not as promised.
    memory: bytes that the server had, behind every 100 answers.
    """

    answers: dict = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    memory: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self):
        return sum(self.counts.values())

    def note(self, key, reply, pid):
        with self.lock:
            self.counts[reply.status] += 1
            if reply.status == 200:
                self.answers.setdefault(key, []).append([pose["xy"] for pose in reply.body["poses"]])
            elif reply.status not in (429, 503) or not reply.refused or "retry-after" not in reply.headers:
                self.wrong.append((key, reply))
            if self.total % 100 == 0:
                self.memory.append((self.total, memory(pid)))


def ask_until(run, process, port, client, over):
    """One client: asks about its pictures in turn until it is over; where it is refused, it asks again a bit later."""
    files = [bytes_of(client, number) for number in range(PICTURES)]
    for turn in count(client):
        if over():
            return
        key = (client, turn % PICTURES, turn // PICTURES % len(QUESTIONS))
        try:
            reply = post(port, files[key[1]], QUESTIONS[key[2]])
        except (OSError, http.client.HTTPException) as error:
            with run.lock:
                run.counts["none"] += 1
                run.wrong.append((key, error))
            return
        run.note(key, reply, process.pid)
        if reply.status != 200:
            time.sleep(0.05)


def clients(run, process, port, over):
    """Threads of all clients, started."""
    threads = [
        threading.Thread(target=ask_until, args=(run, process, port, client, over), daemon=True)
        for client in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory):
    """The model's folder.

    Its features are as large as a trained model's. With random ones of about 90 attention has scores of thousands, so
    that another last digit, as another size of batch gives, moves points by a thousandth of a pixel.
    """
    place = tmp_path_factory.mktemp("model") / "tiny"
    model = copy.deepcopy(tiny_model)
    with torch.no_grad():
        for parameter in model.head.head.image_projection.parameters():
            parameter *= 0.02
    model.save_pretrained(place)
    return str(place)


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    """The process and the port of a server that is ready."""
    log = tmp_path_factory.mktemp("load") / "log"
    command = ["-m", "anykeypoint", "serve", "-q", "--model", folder, "--port", "0", "--queue", str(QUEUE)]
    with process_of([*command, "--device", "cpu"], log) as process:
        port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        while get(port, "/readyz").status != 200:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield process, port


@pytest.fixture(scope="module")
def expected(folder):
    """The points that the model finds in this process, for a question of a client."""
    model = anykeypoint.load(folder, device="cpu")

    def points(key):
        client, number, question = key
        asked = QUESTIONS[question]
        category = Category.from_text(asked["keypoints"], name="object", noun="object")
        return [model.predict(bytes_of(client, number), category, box=asked.get("boxes", [None])[0]).xy]

    return points


def same(answers, points):
    return all(np.allclose(np.array(one, dtype=float), points, rtol=0, atol=1e-3) for one in answers)


def test_each_client_gets_its_own_answers_and_memory_stays(server, expected):
    process, port = server
    run, ends = Run(), time.monotonic() + SECONDS
    for thread in clients(run, process, port, lambda: time.monotonic() > ends and run.total >= LEAST):
        thread.join()
    assert not run.wrong, run.wrong[:3]
    assert set(run.counts) <= {200, 429, 503} and run.counts[200] >= LEAST // 2, run.counts
    assert process.poll() is None
    text = get(port, "/metrics").body
    for status, number in run.counts.items():
        line = f'anykeypoint_requests_total{{route="/v1/predict",status="{status}"}} {float(number)}'
        assert line in text, (line, text)
    settled = [size for at, size in run.memory if at >= SETTLED]
    print(f"{run.counts}; MiB after {SETTLED} requests {settled[0] >> 20}, at most {max(settled) >> 20}")
    assert max(settled) <= 1.05 * settled[0], run.memory
    keys = sorted(run.answers)
    assert {client for client, *_ in keys} == set(range(CLIENTS))
    for key in keys:
        assert same(run.answers[key], expected(key)), key
    some = keys[:: max(1, len(keys) // 40)]
    known = [expected(key) for key in some]
    pairs = [(one, other) for place, one in enumerate(known) for other in known[:place]]
    apart = [np.abs(np.subtract(*pair)).max() for pair in pairs if np.shape(pair[0]) == np.shape(pair[1])]
    assert min(apart) > 1e-3, "answers of two clients could be exchanged unnoticed"


def test_sigterm_under_load_leaves_no_request_without_an_answer(server, expected):
    process, port = server
    run, stopped = Run(), threading.Event()
    threads = clients(run, process, port, stopped.is_set)
    while run.counts[200] < 2 * CLIENTS:
        assert process.poll() is None and not run.wrong, run.wrong[:3]
        time.sleep(0.01)
    process.terminate()
    code = process.wait(90)
    stopped.set()
    for thread in threads:
        thread.join()
    print(run.counts)
    refused = [error for _, error in run.wrong if isinstance(error, ConnectionRefusedError)]
    # The system resets a connection that it completed between the last one accepted and the end of listening.
    reset = [error for _, error in run.wrong if isinstance(error, ConnectionResetError)]
    lost = [one for one in run.wrong if not isinstance(one[1], ConnectionRefusedError | ConnectionResetError)]
    assert code == 0 and not lost and len(reset) <= 2, (code, len(lost), lost[:3], len(reset))
    assert len(refused) + len(reset) == run.counts["none"]
    for key in list(run.answers)[:: max(1, len(run.answers) // 100)]:
        assert same(run.answers[key], expected(key)), key
