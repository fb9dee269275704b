"""A page that is open for thousands of pictures holds few of them, and those that are in sight always."""

import pytest
from browser import Watched
from page_steps import OTHER, add_pictures, current, known
from waiting import until

BITMAPS = """
(() => {
  const real = window.createImageBitmap;
  window.made = [];
  window.late = null; // what the next ones wait for
  window.createImageBitmap = async (...given) => {
    const waited = window.late;
    const one = await real(...given);
    made.push(one);
    await waited;
    return one;
  };
  window.openBitmaps = () => made.filter((one) => one.width > 0).length; // one that was closed has no width
})();
"""


@pytest.fixture
def counted(browser, serve):
    """A page with eight pictures that counts the bitmaps which it has not closed."""
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.page.add_init_script(BITMAPS)
        page = watched.open()
        add_pictures(page, 8)
        until(lambda: known(page, "bitmap !== null"), "the pixels of the first picture")
        yield page
        watched.close()


def look_at(page, number: int) -> None:
    page.evaluate(OTHER % number)
    until(lambda: current(page) == number and known(page, "bitmap !== null"), f"picture {number}")


def test_the_pixels_of_the_picture_that_is_looked_at_alone_are_held(counted):
    for number in range(1, 9):
        look_at(counted, number)
    until(lambda: counted.evaluate("openBitmaps()") == 1, "those of the seven pictures before are given back")
    assert known(counted, "bitmap.width") > 0, "those that are on the screen are not"


def test_the_pixels_that_objects_of_a_picture_share_are_held_once(counted):
    look_at(counted, 3)
    counted.keyboard.press("g")
    until(lambda: current(counted) == 9, "another object of picture 3")
    assert known(counted, "bitmap.width") > 0, "its pixels stay on the screen"
    look_at(counted, 3)
    until(lambda: counted.evaluate("openBitmaps()") == 1, "once for both")
    assert known(counted, "bitmap.width") > 0


def test_pixels_that_come_when_another_picture_is_looked_at_are_given_back(counted):
    look_at(counted, 1)
    before = counted.evaluate("made.length")
    counted.evaluate("window.late = new Promise((come) => { window.letCome = come; }), null")
    for number in (2, 3, 4):
        counted.evaluate("(number) => { import('./pictures.js').then(({ open }) => { open(number); }); }", number)
        counted.wait_for_function("(many) => made.length === many", arg=before + number - 1)
    counted.evaluate("letCome()")
    until(lambda: known(counted, "bitmap !== null"), "those of picture 4")
    until(lambda: counted.evaluate("openBitmaps()") == 1, "those of 2 and 3 are given back")
    assert current(counted) == 4 and known(counted, "bitmap.width") > 0
