"""The page in a real browser: what goes wrong, and two windows of one project."""

import numpy as np
import pytest
from browser import Watched
from page_steps import (
    current,
    drag,
    finish,
    image_place,
    is_saved,
    is_settled,
    label,
    pictures,
)
from waiting import until


def test_refusals_stand_beside_what_caused_them(browser, serve):
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")  # a browser's own word for a refusal
        page = watched.open()
        broken = {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture"}
        page.set_input_files("#file-input", [broken, *pictures(1)])
        page.wait_for_selector("#refused >> text=broken.jpg")
        until(lambda: page.locator(".row").count() == 1, "the good one is there")
        page.click("#open-category")
        page.fill("#points-text", "nose\nnose")
        page.click("text=Look for these")
        page.wait_for_selector("#category-refused >> text=Two keypoints")
        assert page.input_value("#points-text") == "nose\nnose", "what was written is kept"
        page.fill("#points-text", "nose\ntail")
        page.click("text=Look for these")
        page.wait_for_selector("#category-dialog", state="hidden")
        page.click("#open-export")
        page.wait_for_selector("#export-refused >> text=no labelled object")
        assert page.is_disabled("#export-go")
        watched.close()


def test_a_large_file_is_refused_before_it_is_sent(browser, serve):
    with serve(body_bytes=3000) as (url, folder):
        watched = Watched(browser, url)
        page = watched.open()
        page.set_input_files("#file-input", pictures(1))
        page.wait_for_selector("#refused >> text=more than the 0.0 MB")
        assert not (folder / "images").exists()
        watched.close()


@pytest.fixture
def windows(tiny, browser):
    """Two windows that look at the same picture, which is settled: (one, other, labels of the picture)."""
    page, folder = tiny
    is_settled(page)
    number = current(page)
    other = Watched(browser, page.watched.url)
    second = other.open()
    second.locator(f'#list li[data-id="{number}"] button').click()
    second.wait_for_selector(".dot")
    until(lambda: current(second) == number, "the same picture")
    yield page, second, lambda: label(folder, number)["points"]
    other.close()


def test_two_windows_each_move_a_point_and_both_are_kept(windows):
    page, second, saved = windows
    drag(page, "nose", 30, 10)
    is_saved(page)
    nose = saved()["nose"]
    drag(second, "left ear", 20, 10)
    second.wait_for_selector("text=Another window changed “nose” of")
    assert set(saved()) == {"nose", "left ear"} and saved()["nose"] == nose
    assert np.allclose(image_place(second, "nose"), nose[:2], atol=1), "it shows what the other one did"
    page.wait_for_selector("text=Another window changed “left ear” of")
    assert np.allclose(image_place(page, "left ear"), saved()["left ear"][:2], atol=1)


def test_of_one_point_the_later_window_counts_and_both_say_so(windows):
    page, second, saved = windows
    second.route("**/v1/project", lambda route: None)  # it hears nothing of the other one until it saves
    second.route("**/v1/project/pictures?*", lambda route: None)
    drag(page, "nose", 30, 10)
    is_saved(page)
    first = saved()["nose"]
    drag(second, "nose", -20, -10)
    second.wait_for_selector("text=the change made here is the later one and counts")
    later = saved()["nose"]
    assert not np.allclose(first, later)
    page.wait_for_selector("text=Another window changed “nose” of this picture")
    assert np.allclose(image_place(page, "nose"), later[:2], atol=1)


def test_undo_takes_back_what_this_window_did_and_nothing_else(windows):
    page, second, saved = windows
    drag(page, "nose", 30, 10)
    is_saved(page)
    drag(page, "tail tip", 12, -8)
    is_saved(page)
    nose = saved()["nose"]
    second.wait_for_selector("text=Another window changed")
    until(lambda: np.allclose(image_place(second, "nose"), nose[:2], atol=1), "the nose is there")
    drag(second, "left ear", 20, 10)
    is_saved(second)
    drag(second, "nose", -10, -10)
    is_saved(second)
    later = saved()
    page.wait_for_selector("text=Another window changed")
    until(lambda: np.allclose(image_place(page, "nose"), later["nose"][:2], atol=1), "the nose of the other window")
    page.keyboard.press("z")
    is_saved(page)
    assert saved() == {name: later[name] for name in ("nose", "left ear")}, "the tail tip alone is taken back"
    page.keyboard.press("z")
    page.wait_for_selector("text=Another window changed that since")
    assert saved() == {name: later[name] for name in ("nose", "left ear")}
    page.keyboard.press("Shift+z")
    is_saved(page)
    assert saved() == later
    second.keyboard.press("z")
    is_saved(second)
    assert saved()["nose"] == nose and saved()["tail tip"] == later["tail tip"]


def test_a_list_of_which_one_entry_changed_is_fetched_for_that_entry(tiny):
    page, _ = tiny
    is_settled(page)
    fetched = []
    page.on("response", lambda one: "pictures?since=" in one.url and fetched.append(len(one.json())))
    first = current(page)
    finish(page)
    page.wait_for_selector("text=1 of 3 finished")
    until(lambda: current(page) != first, "the next picture")
    until(lambda: page.wait_for_timeout(50) or fetched, "the changed entry")  # answers are noted while waiting
    assert max(fetched) == 1
    order = page.evaluate("[...document.querySelectorAll('#list li')].map((row) => Number(row.dataset.id))")
    whole = page.evaluate("fetch('/v1/project/pictures').then((one) => one.json())")
    assert order == [one["id"] for one in whole] and order[-1] == first


def test_a_server_with_a_token_asks_for_it(browser, serve):
    with serve(token="a-token-of-a-good-length") as (url, _):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")
        page = watched.open()
        page.fill("#token", "a-token-of-a-good-length")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Drop your pictures here")
        page.set_input_files("#file-input", pictures(1))
        page.wait_for_selector(".row img[src^=blob]")
        watched.close()


def test_a_server_without_a_project_says_how_to_have_one(browser, serve):
    with serve(project=False) as (url, _):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")
        watched.open().wait_for_selector("text=anykeypoint serve --project")
        watched.close()
