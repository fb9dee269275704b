"""The page while the server does not answer: all work goes on and is kept, and it says when the server is back."""

import shutil
import urllib.request

import pytest
from browser import Watched, server
from page_steps import (
    add_pictures,
    current,
    drag,
    finish,
    image_place,
    is_saved,
    is_settled,
    known,
    label,
    pictures,
    say_points,
)
from waiting import until

from anykeypoint.serving.app import build_app
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service

AWAY = "#connection >> text=The server does not answer"


@pytest.fixture
def starts(tiny_model, tmp_path):
    """Starts the server of one project again and again at one address: `with starts(port) as (url, folder)`."""
    from contextlib import contextmanager

    folder = tmp_path / "project"

    @contextmanager
    def start(port=0, project=folder):
        service = Service({"tiny": lambda: tiny_model}, ServerLimits())
        with server(build_app(service, project=project), port) as url:
            yield url, project

    return start


def opened(browser, url, count):
    """The page of a server that may go away, with this many pictures whose points are answered."""
    watched = Watched(browser, url)
    watched.allowed.append("Failed to load resource")
    page = watched.open()
    add_pictures(page, count)
    say_points(page)
    page.wait_for_selector(".dot")
    is_settled(page)
    return watched, page


def test_a_server_that_was_started_again_gets_all_that_was_done_meanwhile(browser, starts):
    with starts() as (url, folder):
        watched, page = opened(browser, url, 4)
        first = current(page)
        here = "import('./kept_pictures.js').then(({ isKept }) => [1, 2, 3, 4].filter(isKept).length)"
        until(lambda: page.evaluate(here) == 4, "the pictures that come next")
    drag(page, "nose", 30, 20)
    page.wait_for_selector(AWAY)
    said = page.locator("text=The server does not answer").evaluate_all("found => found.map((one) => one.outerHTML)")
    assert len(said) == 1, "it is said once"
    moved = image_place(page, "nose")
    finish(page)
    until(lambda: current(page) != first, "the next picture, though the server is away")
    page.wait_for_selector(".dot")
    second = current(page)
    until(lambda: known(page, "bitmap !== null"), "its pixels")
    drag(page, "left ear", 25, 15)
    page.keyboard.press("PageDown")
    until(lambda: current(page) not in (first, second), "and the one after it")
    page.keyboard.press("PageUp")
    until(lambda: current(page) == second, "and back")
    assert page.locator("#list li.done").count() == 1
    assert not label(folder, first).get("done"), "the server has not got it"
    with starts(int(url.rsplit(":", 1)[1])):
        page.wait_for_selector("#connection >> text=The server is back, and everything is saved.", timeout=60_000)
        is_saved(page)
        assert label(folder, first)["done"] and abs(label(folder, first)["points"]["nose"][0] - moved[0]) < 1.5
        assert "left ear" in label(folder, second)["points"]
        page.wait_for_selector("#connection", state="hidden")
        watched.close()


def test_the_server_is_tried_again_with_growing_pauses(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    pauses = page.evaluate(
        """async () => {
          const { pause, isBack } = await import("./connection.js");
          isBack();
          const all = Array.from({ length: 8 }, pause);
          isBack();
          return [...all, pause()];
        }"""
    )
    assert pauses == [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 1000]
    page.context.set_offline(True)
    drag(page, "nose", 20, 20)
    page.wait_for_selector(AWAY)
    page.click("#open-export")
    page.wait_for_selector("#export-refused >> text=does not answer")
    page.keyboard.press("Escape")
    page.context.set_offline(False)
    page.wait_for_selector("#connection >> text=The server is back")
    is_saved(page)


def test_work_is_never_saved_in_another_project_at_the_same_address(browser, starts, tmp_path):
    with starts() as (url, folder):
        watched, page = opened(browser, url, 2)
        number = current(page)
    drag(page, "nose", 30, 20)
    page.wait_for_selector(AWAY)
    port = int(url.rsplit(":", 1)[1])
    with starts(port, tmp_path / "other"):
        page.wait_for_selector("text=Drop your pictures here", timeout=60_000)
        add_pictures(page, 2)
        assert not (tmp_path / "other" / "labels").exists()
    with starts(port):
        page.wait_for_selector("text=0 of 2 finished", timeout=60_000)
        until(lambda: "nose" in label(folder, number)["points"], "what was kept is saved where it belongs", 90)
        watched.close()


MARK = """
Promise.all([import("./history.js"), import("./labels.js"), import("./state.js")]).then(
  ([{ change }, { withMark }, { state }]) => change(withMark(state.picture.label, "nose", [40, 50, 2])))
"""


@pytest.mark.parametrize("again", [False, True], ids=["elsewhere", "begun anew in its folder"])
def test_a_label_is_refused_by_another_project_that_the_page_has_not_noticed(browser, starts, tmp_path, again):
    """Its pictures have the same numbers; the page learns of it by the refusal alone."""
    other = tmp_path / ("project" if again else "other")
    with starts() as (url, folder):
        watched, page = opened(browser, url, 2)
        number = current(page)
        page.route("**/v1/project", lambda route: None)
    if again:
        folder.rename(tmp_path / "before")
    port = int(url.rsplit(":", 1)[1])
    with starts(port, other):
        for one in pictures(2):
            urllib.request.urlopen(f"{url}/v1/project/pictures?name={one['name']}", one["buffer"]).close()
        page.evaluate(MARK)
        page.wait_for_selector("text=Another project is served at this address now")
        page.unroute_all()
        page.reload()
        page.wait_for_selector("text=0 of 2 finished")
        assert not (other / "labels").exists()
    if again:
        shutil.rmtree(other)
        (tmp_path / "before").rename(folder)
    with starts(port):
        until(lambda: "nose" in label(folder, number)["points"], "what was kept is saved where it belongs", 90)
        watched.close()


def test_a_server_without_a_project_costs_no_label(browser, starts, tmp_path):
    with starts() as (url, folder):
        watched, page = opened(browser, url, 2)
        number = current(page)
        page.route("**/v1/project", lambda route: None)
    port = int(url.rsplit(":", 1)[1])
    with starts(port, None):
        page.evaluate(MARK)
        page.wait_for_selector(AWAY)
        page.unroute_all()
    with starts(port):
        until(lambda: "nose" in label(folder, number)["points"], "it is saved when the project is back", 90)
        watched.close()


def test_that_the_server_was_away_at_first_is_not_said_any_longer_when_it_is_back(browser, serve):
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")
        asked = []
        watched.page.route("**/v1/project", lambda route: route.fallback() if asked else asked.append(route.abort()))
        page = watched.open()
        page.wait_for_selector("text=Drop your pictures here")
        assert asked and page.inner_text("#said") == ""
        watched.close()


def test_what_a_server_that_was_started_again_found_is_said_though_the_one_before_found_as_much(tiny):
    page, _ = tiny
    is_settled(page)
    notes = ["One label cannot be read."]

    def told(route):
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "notes": notes})

    page.route("**/v1/project", told)
    page.wait_for_selector(f"#refused >> text={notes[0]}")
    notes[:] = ["Three pictures are gone."]
    page.wait_for_selector(f"#refused >> text={notes[0]}")
    assert page.locator("#refused p").count() == 2
