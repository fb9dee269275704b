"""Picture files changed by chance: each is answered or refused with a sentence, and costs no other request anything.

A tenth of the 1,000 files is sent by default, and all of them with ANYKEYPOINT_SOAK=1 (`make soak`).
"""

import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from mutated_pictures import FORMS, WAYS, mutated, picture
from real_servers import HERE, SOAK, get, memory, post, process_of, request

from anykeypoint.images.limits import MAX_PIXELS

ALL, SHARE = 1000, 10
SEEDS = range(ALL) if SOAK else range(3, ALL, SHARE - 1)[: ALL // SHARE]
ASKED = {"keypoints": "nose; tail tip"}
ANSWERS = (200, 413, 415, 422)  # a refusal says that the picture is too large, none, or damaged
STORED = 4  # one of so many files goes to the project, too
# Two pictures are decoded at once, each of MAX_PIXELS at most: as it is in its file, as RGBA, on white, and as RGB.
DECODING = 2 * MAX_PIXELS * (4 + 4 + 4 + 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The process and the port of a server of a project, whose model is a stand-in."""
    folder = tmp_path_factory.mktemp("mutated")
    command = [str(HERE / "served.py"), "10", "0", "0", str(folder / "project")]
    with process_of(command, folder / "log") as process:
        port = int(process.stdout.readline())
        while get(port, "/readyz").status != 200:
            assert process.poll() is None
        yield process, port


def whole():
    file = io.BytesIO()
    picture(9).save(file, "PNG")
    return file.getvalue()


def stored(port, seed):
    """The answers to a file that is put into the project, and to a wish to see it."""
    answer = request(port, "POST", f"/v1/project/pictures?name={seed}.png", mutated(seed)[1])
    if answer.status != 200:
        return [answer]
    return [answer, get(port, f"/v1/project/pictures/{answer.body['id']}/image?side=128")]


def test_the_seeds_change_every_form_in_every_way():
    def tried(seeds):
        return {(seed % len(FORMS), seed // len(FORMS) % len(WAYS)) for seed in seeds}

    assert len(tried(range(ALL))) == len(FORMS) * len(WAYS) and len(tried(SEEDS)) >= 0.9 * min(len(SEEDS), 91)
    some = {mutated(seed)[1] for seed in range(50)}
    assert some == {mutated(seed)[1] for seed in range(50)} and len(some) >= 48


def test_changed_files_are_answered_or_refused_and_cost_no_other_request_anything(server):
    process, port = server
    good = whole()
    expected = post(port, good, ASKED).body["poses"]
    before = memory(process.pid)

    def send(seed):
        name, data = mutated(seed)
        reply = post(port, data, ASKED)
        along = post(port, good, {**ASKED, "presence": 0.5}) if seed % 10 == 0 else None
        return name, reply, along, stored(port, seed) if seed % STORED == 0 else []

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(send, SEEDS))
    for name, reply, along, kept in results:
        assert reply.status in ANSWERS, (name, reply)
        assert reply.refused or (reply.status == 200 and len(reply.body["poses"]) == 1), (name, reply)
        assert along is None or along.body["poses"] == expected, name
        assert all(one.status == 200 or (one.status in ANSWERS and one.refused) for one in kept), (name, kept)
        assert not kept or (kept[0].status == 200) == (reply.status == 200), (name, reply, kept)
        assert len(kept) < 2 or kept[1].headers["content-type"] == "image/jpeg", (name, kept)
    counts = Counter(reply.status for _, reply, *_ in results)
    assert counts[200] >= len(SEEDS) // 20 and counts[422] >= len(SEEDS) // 20, counts
    assert process.poll() is None and get(port, "/healthz").body == {"alive": True}
    assert post(port, good, ASKED).body["poses"] == expected
    assert 'kept_bytes{what="decoding"} 0.0' in get(port, "/metrics").body
    assert memory(process.pid, "VmHWM") <= before + DECODING and memory(process.pid) <= before + 4 * MAX_PIXELS
