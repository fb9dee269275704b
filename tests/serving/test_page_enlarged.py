"""A picture that is enlarged on the page shows what the photo holds."""

from pathlib import Path

import numpy as np
import pytest
from browser import Watched
from page_steps import current, known, pictures, seen
from PIL import Image
from waiting import until

LARGEST = "Math.max(...['width', 'height'].map((side) => state.bitmap?.[side] ?? 0))"


@pytest.fixture
def large(browser, serve, tmp_path):
    """A page that shows a photo of 2400 x 1600 pixels, and has a smaller one of 320 x 240."""
    for name, size in (("large.jpg", (2400, 1600)), ("small.jpg", (320, 240))):
        Image.effect_noise(size, 80).save(tmp_path / name)
    with serve() as (url, _):
        watched = Watched(browser, url)
        page = watched.open()
        page.set_input_files("#file-input", [tmp_path / "large.jpg", tmp_path / "small.jpg"])
        page.locator(".row", has_text="large.jpg").click()
        until(lambda: known(page, "picture?.name") == "large.jpg" and known(page, "bitmap !== null"), "its pixels")
        yield page
        watched.close()


def longest(page) -> int:
    """The longer side of what the stage draws, in pixels."""
    return page.evaluate(f"import('./state.js').then(({{ state }}) => {LARGEST})")


def sides_asked_for(page) -> list[str]:
    """The sides in which the picture that is looked at is fetched from now on, as they come."""
    asked = []
    own = f"/{current(page)}/image?side="
    page.on("request", lambda one: own in one.url and asked.append(one.url.partition(own)[2]))
    return asked


def enlarge(page, times: int = 4) -> None:
    page.focus("#stage")
    for _ in range(times):
        page.keyboard.press("+")


def test_a_picture_that_is_enlarged_has_all_pixels_that_the_server_gives(large):
    assert longest(large) == 1024, "no more than this window shows of the whole picture"
    asked = sides_asked_for(large)
    enlarge(large)
    until(lambda: longest(large) == 2048, "the pixels that the server gives at most")
    assert asked == ["2048"], "they are fetched once"
    large.keyboard.press("0")
    large.keyboard.press("+")
    large.wait_for_timeout(200)
    assert asked == ["2048"] and longest(large) == 2048, "they stay"


def test_a_picture_of_few_pixels_is_not_fetched_again_when_it_is_enlarged(large):
    large.locator(".row", has_text="small.jpg").click()
    until(lambda: known(large, "picture.name") == "small.jpg" and longest(large) == 320, "all its pixels")
    asked = sides_asked_for(large)
    enlarge(large, 8)
    large.wait_for_timeout(200)
    assert asked == []


def test_pixels_of_an_enlarged_picture_that_come_late_are_not_put_into_another(large):
    held = []
    large.route("**/image?side=2048", lambda route: held.append(route))
    enlarge(large)
    seen(large, lambda: held, "more pixels were asked for")
    first = current(large)
    large.locator(".row", has_text="small.jpg").click()
    until(lambda: current(large) != first and longest(large) == 320, "the other picture")
    held[0].continue_()
    large.wait_for_timeout(300)
    assert longest(large) == 320


SHOWN = """
import("./state.js").then(({ state: { part } }) => {
  const { width, height } = document.getElementById("canvas");
  const row = document.getElementById("canvas").getContext("2d").getImageData(width / 2 - 40, height / 2, 80, 1).data;
  const steps = Array.from({ length: 79 }, (_, x) => Math.abs(row[4 * x] - row[4 * x + 4]));
  return { share: part ? part.bitmap.width / part.box[2] : 0, steepest: Math.max(...steps) };
})
"""


def lines(folder: Path) -> Path:
    """A picture of 6000 x 4000 pixels whose lines of one pixel, which none of 2048 a side has, are black and white."""
    Image.fromarray(np.tile(np.uint8([0, 255]), (4000, 3000))).save(folder / "lines.png")
    return folder / "lines.png"


def test_a_photo_of_more_pixels_than_the_page_holds_shows_its_own_where_it_is_enlarged(browser, serve, tmp_path):
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.allowed.append("willReadFrequently")  # the test looks at the canvas more than once
        page = watched.open()
        page.set_input_files("#file-input", [lines(tmp_path)])
        until(lambda: known(page, "bitmap !== null"), "its pixels")
        asked = []
        page.on("request", lambda one: "/part?" in one.url and asked.append(one.url))
        enlarge(page, 2)
        page.wait_for_timeout(300)
        assert asked == [], "the pixels of the whole are enough for this screen"
        enlarge(page, 12)
        until(lambda: page.evaluate(SHOWN)["share"] == 1, "all pixels of what is in sight")
        until(lambda: page.evaluate(SHOWN)["steepest"] > 200, "they are on the screen")
        before = known(page, "part.box")
        box = page.locator("#stage").bounding_box()

        def moved_out() -> bool:
            """Whether another part is there after a further drag: one that was fetched on the way to here may be wider
            than a drag."""
            page.mouse.move(box["x"] + 20, box["y"] + 300)
            page.mouse.down()
            page.mouse.move(box["x"] + 300, box["y"] + 300)
            page.mouse.move(box["x"] + 600, box["y"] + 300)
            page.mouse.up()
            return known(page, "part.box") != before

        until(moved_out, "what came into sight is fetched")
        until(lambda: page.evaluate(SHOWN)["steepest"] > 200, "and shown")
        page.set_input_files("#file-input", [{**pictures(1)[0], "name": "b.png"}])
        page.locator(".row", has_text="b.png").click()
        until(lambda: known(page, "picture.name") == "b.png", "another picture")
        assert known(page, "part") is None, "its pixels are of the other one"
        watched.close()


def test_what_is_in_sight_of_a_large_photo_is_fetched_when_the_server_is_back(browser, serve, tmp_path):
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.allowed += ["Failed to load resource", "willReadFrequently"]
        page = watched.open()
        page.set_input_files("#file-input", [lines(tmp_path)])
        until(lambda: known(page, "bitmap !== null"), "its pixels")
        page.route("**/part?*", lambda route: route.abort())
        enlarge(page, 14)
        until(lambda: known(page, "away"), "the server does not answer")
        page.unroute_all()
        until(lambda: page.evaluate(SHOWN)["share"] == 1, "all pixels of what is in sight, which nobody moved")
        watched.close()


def test_a_question_stays_open_when_more_pixels_come(large):
    """What is there was asked about the place, which stays where it is."""
    held = []
    large.route("**/image?side=2048", lambda route: held.append(route))
    large.route("**/identify", lambda route: route.fulfill(json={"names": [{"name": "nose", "probability": 1.0}]}))
    enlarge(large)
    seen(large, lambda: held, "more pixels were asked for")
    box = large.locator("#stage").bounding_box()
    large.mouse.click(box["x"] + 200, box["y"] + 200)
    large.wait_for_selector("#ask button >> text=nose")
    held[0].continue_()
    until(lambda: longest(large) == 2048, "they are there")
    assert large.locator("#ask").is_visible()
    large.locator(".row", has_text="small.jpg").click()
    until(lambda: known(large, "picture.name") == "small.jpg", "another picture")
    assert large.locator("#ask").is_hidden(), "it was of the other picture"
