"""A page that is open for thousands of pictures holds few of them, and those that are in sight always."""

import pytest
from browser import Watched
from page_steps import OTHER, add_pictures, current, known
from PIL import Image
from waiting import until

from anykeypoint.labelling.project import Project

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


MOST = 400  # small pictures that are kept
THUMBS = """
(() => {
  const real = window.fetch;
  window.late = null; // what small pictures wait for
  window.came = 0;
  window.fetch = async (path, options) => {
    const response = await real(path, options);
    if (!String(path).includes("side=128")) return response;
    await window.late;
    window.came += 1;
    return response;
  };
})();
"""
PASS_ALL = """
async () => {
  const list = document.getElementById("pictures");
  const frames = async () => { for (const _ of [1, 2]) await new Promise((done) => requestAnimationFrame(done)); };
  while (list.scrollTop + list.clientHeight < list.scrollHeight - 1) {
    list.scrollTop += list.clientHeight;
    await frames();
  }
  list.scrollTop = 0;
  await frames();
}
"""
BLANK = """
() => {
  const frame = document.getElementById("pictures").getBoundingClientRect();
  const inSight = (one) => one.bottom > frame.top && one.top < frame.bottom;
  const all = [...document.querySelectorAll("#list img")].filter((one) => inSight(one.getBoundingClientRect()));
  return all.filter((one) => !one.naturalWidth).length;
}
"""


def test_small_pictures_that_are_in_sight_are_not_forgotten_for_those_that_were_passed(browser, serve, tmp_path):
    """The last ones of a long list come when its beginning is looked at again already."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(MOST + 50):
        Image.new("RGB", (8, 6), (number % 256, 90, 120)).save(photos / f"{number:03d}.png")
    project = Project(tmp_path / "project")
    project.add_folder(photos)
    project.close()
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.page.add_init_script(THUMBS)
        page = watched.open()
        until(lambda: page.locator("#list img[src^=blob] >> nth=4").count(), "the first small pictures")
        page.evaluate("window.late = new Promise((come) => { window.letCome = come; }), null")
        page.evaluate(PASS_ALL)
        page.evaluate("letCome()")
        page.wait_for_function("(all) => came === all", arg=MOST + 50)
        until(lambda: page.evaluate(BLANK) == 0, "all that are in sight", seconds=10)
        until(lambda: page.locator("#list img[src^=blob]").count() == MOST, "no more are held")
        watched.close()
