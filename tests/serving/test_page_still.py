"""The picture stays where it is while the page says something, so that no click misses its point."""

import pytest
from page_steps import is_settled, place_of, view_of

WINDOWS = [(1280, 800), (768, 1024), (390, 844), (360, 640), (720, 450), (683, 384)]
LONG = "Another window changed “nose”, “left ear” and “tail tip” of this picture; what you did is kept too. " * 2
SAY = "import('./saving.js').then(({ say }) => say(%r))"
TIP = "import('./state.js').then(({ set }) => set({ tip: %r }))"
PROGRESS = """
(text) => import("./state.js").then(({ set, state }) => {
  set({ project: { ...state.project, model: { ...state.project.model, state: "failed", step: text } } });
})
"""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
HIDDEN = """
(id) => {
  const one = document.getElementById(id);
  const [box, frame] = [one.getBoundingClientRect(), one.closest("header, section").getBoundingClientRect()];
  const beside = box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom;
  return beside || !one.checkVisibility() || one.scrollHeight > one.clientHeight || one.scrollWidth > one.clientWidth;
}
"""


def places(page) -> tuple:
    """Where the stage, the picture and a point are on the screen."""
    page.evaluate(DRAWN)
    return page.locator("#stage").bounding_box(), view_of(page), place_of(page, "nose")


@pytest.mark.parametrize("size", WINDOWS, ids=str)
def test_the_picture_stays_where_it_is_while_the_page_says_something(tiny, size):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    is_settled(page)
    before = places(page)

    page.context.set_offline(True)
    page.evaluate("document.getElementById('try-now').click()")  # looks at the server now
    page.wait_for_selector("#connection >> text=The server does not answer")
    assert places(page) == before
    assert not page.evaluate(HIDDEN, "connection-says"), "all of the sentence is seen"
    assert not page.evaluate(HIDDEN, "try-now")
    page.context.set_offline(False)
    page.wait_for_selector("#connection >> text=The server is back")
    assert places(page) == before
    page.wait_for_selector("#connection", state="hidden")
    assert places(page) == before

    for text in (LONG, ""):
        page.evaluate(SAY % text)
        assert places(page) == before and page.inner_text("#said") == text.strip()
    for text in (LONG, ""):
        page.evaluate(TIP % text)
        assert places(page) == before
    page.evaluate(PROGRESS, LONG)
    assert places(page) == before


def test_a_sentence_below_the_picture_can_be_taken_away_and_takes_no_click(tiny):
    """A long one reaches over the lower edge of the picture, in which a point may be."""
    page, _ = tiny
    page.set_viewport_size({"width": 390, "height": 844})
    is_settled(page)
    page.evaluate(SAY % LONG)
    said = page.locator("#said").bounding_box()
    stage = page.locator("#stage").bounding_box()
    assert said["y"] < stage["y"] + stage["height"], "it lies over the picture"
    under = "([x, y]) => document.elementFromPoint(x, y).closest('#stage') !== null"
    assert page.evaluate(under, [said["x"] + said["width"] / 2, said["y"] + 4])
    page.click("#unsay")
    assert page.inner_text("#said") == "" and page.locator("#unsay").is_hidden()
