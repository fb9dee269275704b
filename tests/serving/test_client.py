"""`anykeypoint.Client` against a server on a socket."""

import http.server
import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import tiny_matchers
from server_calls import WORDS, live, png

from anykeypoint import Category, Client, Example, InputError
from anykeypoint.images import read_picture
from anykeypoint.library.lookup import names_for_people
from anykeypoint.serving.client import ServerError
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service

FISH = tiny_matchers.FISH
TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def served(tiny_model):
    """A client of a server in another thread."""
    service = Service({"tiny": lambda: tiny_model}, ServerLimits(body_bytes=2_000_000))
    with live(service, token=TOKEN) as (url, _):
        yield Client(url, TOKEN)


def test_a_client_answers_as_the_model_does(served, tiny_model, tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    picture, box = tiny_matchers.picture(0), (5.0, 6.0, 60.0, 50.0)
    expected = tiny_model.predict(picture, FISH)
    for image in (png(), tmp_path / "a.png", str(tmp_path / "a.png"), picture, read_picture(picture)):
        pose = served.predict(image, FISH)
        assert np.allclose(pose.xy, expected.xy, atol=1e-3) and pose.names == FISH.names
        assert pose.skeleton == expected.skeleton
    boxed = served.predict(picture, FISH, box, density=True, grid=10)
    again = tiny_model.predict(picture, FISH, box, density=10)
    assert np.allclose(boxed.xy, again.xy, atol=1e-3) and boxed.box == box
    assert np.allclose(boxed.density["nose"].grid, again.density["nose"].grid, atol=1e-5)
    both = served.predict_boxes(picture, WORDS, [box, (0, 0, 40, 40)])
    assert len(both) == 2 and np.allclose(both[0].xy, tiny_model.predict(picture, Category.from_text(WORDS), box).xy)


def test_examples_go_along_or_are_kept(served, tiny_model):
    example, other = tiny_matchers.example(1, hidden=(1,)), tiny_matchers.example(2)
    picture = tiny_matchers.picture(0)
    expected = tiny_model.predict(picture, FISH, example=example, words=False)
    pose = served.predict(picture, example=example, words=False)
    kept = served.keep_example(example)
    by_id = served.predict(served.encode(picture), FISH, example=kept, words=False)
    for one in (pose, by_id):
        assert np.allclose(one.xy, expected.xy, atol=1e-3, equal_nan=True) and not one.present[1]
    assert kept.names == tuple(FISH.names)
    two = served.predict(picture, FISH, example=[kept, other])
    assert np.allclose(two.xy, tiny_model.predict(picture, FISH, example=[example, other]).xy, atol=1e-3)
    with pytest.raises(InputError, match="names for its points"):
        served.predict(picture, example=Example(picture, example.points))


def test_points_are_named_and_the_library_listed(served, tiny_model):
    picture, points = tiny_matchers.picture(0), [(40, 30), (10, 60)]
    expected = tiny_model.identify(picture, np.array(points), category=FISH)
    answers = served.identify(picture, points, FISH)
    assert [one.name for one in answers] == [one.name for one in expected]
    names = [*names_for_people(), *(f"mp100/{number}" for number in range(1, 101))]
    assert list(served.categories()) == names
    assert served.progress()["state"] == "ready"


def test_refusals_are_errors_with_all_that_the_server_said(served):
    with pytest.raises(ServerError, match="no category") as refused:
        served.predict(png(), "beek")
    error = refused.value
    assert (error.status, error.field) == (422, "category") and len(error.request_id) == 16
    with pytest.raises(ServerError, match="bytes") as large:
        served.predict(np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), dtype=np.uint8), FISH)
    assert large.value.status == 413
    with pytest.raises(ServerError, match="token") as unknown:
        Client(served.url, "another-token-of-some-length").categories()
    assert unknown.value.status == 401


def test_what_cannot_be_sent_is_refused_here(served, tmp_path):
    for image in ("http://example.org/a.png", tmp_path / "missing.png", 5):
        with pytest.raises(InputError):
            served.predict(image, FISH)
    with pytest.raises(InputError, match="cannot be sent"):
        served.predict(png(), FISH, presence=float("nan"))
    for points in ("x", [(float("nan"), 5)], (1, 2, 3), None):
        with pytest.raises(InputError, match="Points to name"):
            served.identify(png(), points, FISH)
    for box in (5, "1,2,3,4", (0, 0, float("inf"), 5), [(0, 0, 5, 5)]):
        with pytest.raises(InputError, match="A box must be"):
            served.predict(png(), FISH, box=box)
        with pytest.raises(InputError, match="A box must be"):
            served.identify(png(), (1, 2), FISH, box=box)
    for boxes in ((0, 0, 5, 5), [(0, 0, 5, 5), None], 5):
        with pytest.raises(InputError, match=r"[Bb]ox"):
            served.predict_boxes(png(), FISH, boxes)
    for example in ("a.jpg", [None], served.predict(png(), FISH), (one for one in ())):
        with pytest.raises(InputError, match="An example must be"):
            served.predict(png(), FISH, example=example)
        with pytest.raises(InputError, match="An example must be"):
            served.keep_example(example, FISH)
    for url in (
        "127.0.0.1:8000",
        "ftp://a",
        "http://",
        "http://a:b",
        "http://[a",
        "http://a?x=1",
        "",
        "http://a#b",
        "http://a b",
        5,
    ):
        with pytest.raises(InputError, match="URL"):
            Client(url)
    with pytest.raises(InputError, match="user and password"):
        Client("http://user:secret@127.0.0.1:8000")
    for token in ("", "a b", "пароль", "a\nb", 5):
        with pytest.raises(InputError, match="A token must be"):
            Client("http://127.0.0.1:9", token)
    for timeout in (0, -1, "5", None):
        with pytest.raises(InputError, match="timeout"):
            Client("http://127.0.0.1:9", timeout=timeout)
    with pytest.raises(ServerError, match="cannot be reached"):
        Client("http://127.0.0.1:9").categories()


def test_a_clients_prompt_and_options_are_given_as_to_a_model(served, tiny_model, tmp_path):
    (tmp_path / "fish.json").write_text(json.dumps(FISH.to_dict()))
    expected = tiny_model.predict(tiny_matchers.picture(0), FISH).xy
    for prompt in (FISH.names, tuple(FISH.keypoints), tmp_path / "fish.json", str(tmp_path / "fish.json")):
        assert np.allclose(served.predict(tiny_matchers.picture(0), prompt).xy, expected, atol=1e-3)
    options = {"presence": np.float64(0.5), "density": np.True_, "grid": np.int64(7)}
    assert served.predict(png(), FISH, **options).density["nose"].grid.shape == (7, 7)


def test_a_clients_pose_knows_its_picture(served, tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    pose = served.predict(tmp_path / "a.png", FISH)
    assert pose.image == str(tmp_path / "a.png") and pose.draw().size
    assert served.predict(png(), FISH).image == ""


def test_a_token_may_have_the_line_end_of_its_file(served):
    assert Client(served.url, f"{TOKEN}\n").categories() == served.categories()


@contextmanager
def other_server(status, body, headers=()):
    """The URL of a server of something else, which answers one request."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            for header in headers:
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("body", [b'"busy"', b"[]", b'{"error": "Busy."}'])
def test_a_refusal_of_a_proxy_is_a_server_error_too(body):
    """It may be JSON of another shape, and say with a date when to try again."""
    date = ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")
    with other_server(503, body, [date]) as url, pytest.raises(ServerError) as refused:
        Client(url).categories()
    assert refused.value.status == 503 and refused.value.retry_after is None


@pytest.mark.parametrize("body", [b'{"results": []}', b"[]", b"7"])
def test_a_server_of_something_else_is_told_by_its_answer(body):
    with other_server(200, body) as url, pytest.raises(ServerError, match=r"no server of any.*'categories'"):
        Client(url).categories()
