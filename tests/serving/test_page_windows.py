"""The page in windows of every size: the picture comes first, and the names of its points keep apart."""

import math

import pytest
from browser import Watched
from page_steps import add_pictures, is_settled, pictures, say_points
from waiting import until

MARGIN = 7  # CSS pixels round the picture in a small window, as view.js has it
SMALL = [  # width and height in CSS pixels: telephones, a tablet, and common windows at 200 %
    (390, 844),
    (390, 664),
    (360, 640),
    (768, 1024),
    (720, 450),
    (683, 384),
    (960, 540),
]


def test_a_small_window_has_all_its_width_and_half_its_height_for_the_picture(tiny):
    page, _ = tiny
    is_settled(page)
    for width, height in SMALL:
        page.set_viewport_size({"width": width, "height": height})
        stage = page.locator("#stage").bounding_box()
        assert stage["width"] == width and stage["height"] >= height / 2, (width, height, stage)
        fitted = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(async () => {
          const [{ scale }, { state }] = [await import("./view.js"), await import("./state.js")];
          done(state.picture.size.map((side) => side * scale()));
        })))"""
        shown = page.evaluate(fitted)
        left = min(width - shown[0], stage["height"] - shown[1])
        assert left <= 2 * MARGIN + 2, (width, height, shown)  # the frame's line besides
        assert page.evaluate("document.body.scrollHeight <= innerHeight"), (width, height)
        beside = page.evaluate(
            """[...document.querySelectorAll(".tools button, .bar button")].filter((one) => one.checkVisibility())
              .map((one) => [one.id, one.getBoundingClientRect()])
              .filter(([, box]) => box.left < 0 || box.right > innerWidth + 0.5 || box.bottom > innerHeight + 0.5)
              .map(([id]) => id)"""
        )
        assert beside == [], (width, height)


def test_in_a_low_window_the_points_are_a_drawer(tiny):
    page, _ = tiny
    page.set_viewport_size({"width": 720, "height": 450})
    assert page.locator("#panel").is_hidden()
    page.click("#show-panel")
    assert page.locator("#points li").count() == 4 and page.locator("#panel").is_visible()
    drawer, desk = (page.locator(one).bounding_box() for one in ("#panel", "#desk"))
    assert (drawer["y"], drawer["height"]) == (desk["y"], desk["height"]), "it has all of the height"
    assert page.get_attribute("#show-panel", "aria-expanded") == "true"
    page.keyboard.press("Escape")
    assert page.locator("#panel").is_hidden()
    page.click("#show-list")
    assert page.locator("#pictures").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#pictures").is_hidden()


def test_a_drawer_does_not_lie_over_what_is_to_be_clicked(tiny):
    page, _ = tiny
    page.set_viewport_size({"width": 720, "height": 450})
    is_settled(page)
    page.click("#show-panel")
    page.click("#add-point")
    assert page.locator("#panel").is_hidden()
    page.keyboard.press("Escape")
    page.click("#show-panel")
    page.click("#add-object")
    until(lambda: page.locator("#mode-box").get_attribute("aria-pressed") == "true", "its box can be drawn")
    assert page.locator("#panel").is_hidden()


LEAST = 40  # CSS pixels of what a finger is to hit
TARGETS = """
(key) => [...document.querySelectorAll(`#points [data-key="${key}"] .states button`)].map((one) => {
  one.scrollIntoView({ block: "nearest" });
  const { left, top, width, height } = one.getBoundingClientRect();
  const hit = document.elementFromPoint(left + width / 2, top + height / 2);
  return [width, height, hit === one];
})
"""


@pytest.mark.parametrize("size", [(390, 844), (360, 640), (768, 1024), (683, 384)], ids=str)
def test_a_finger_takes_a_point_out_of_the_list_in_a_small_window(browser, serve, size):
    with serve() as (url, _):
        watched = Watched(browser, url, has_touch=True)
        page = watched.open()
        page.set_input_files("#file-input", pictures(1))
        say_points(page)
        page.wait_for_selector(".dot")
        is_settled(page)
        page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
        if page.locator("#show-panel").is_visible():
            page.tap("#show-panel")
        targets = page.evaluate(TARGETS, "left ear")
        assert len(targets) == 4, "visible, hidden, absent, and gone"
        assert all(width >= LEAST and height >= LEAST and hit for width, height, hit in targets), targets
        name = page.locator('#points [data-key="right ear"] .name')
        assert name.evaluate("(one) => one.scrollWidth <= one.clientWidth"), "the names have room beside it"
        page.tap("[aria-label='Remove the point left ear']")
        until(lambda: page.locator("#points li").count() == 3, "it is gone")
        until(lambda: page.locator('.dot[data-key="left ear"]').count() == 0, "and its dot, which is drawn next")
        assert page.locator("#points input:focus").count() == 0, "no keyboard comes over the picture"
        watched.close()


def test_what_is_refused_in_a_small_window_is_seen_while_the_list_is_closed(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    page.set_viewport_size({"width": 390, "height": 844})
    is_settled(page)
    page.set_input_files("#file-input", [{"name": "notes.txt", "mimeType": "image/png", "buffer": b"no picture"}])
    page.wait_for_selector("#refused >> text=notes.txt is not a readable")
    assert page.locator("#list").is_hidden() and page.locator("#add-pictures").is_hidden()
    page.click("#show-list")
    assert page.locator("#list").is_visible() and page.locator("#refused .refusal").is_visible()
    page.click("#show-list")
    page.locator("#refused").get_by_role("button").click()
    assert page.locator("#pictures").is_hidden()


NAMES = """
async ([places]) => {
  const { set, state, keys } = await import("./state.js");
  const points = Object.fromEntries(keys().map((key, number) => [key, [...places[number], 0.9, 1]]));
  set({ picture: { ...state.picture, answer: { ...state.picture.answer, points } }, selected: null, hovered: null });
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const edges = ({ left, top, right, bottom }) => [left, top, right, bottom];
  return [...document.querySelectorAll(".dot")].map((dot) => {
    const [box, name] = [dot.getBoundingClientRect(), dot.querySelector(".dot-name")];
    const shown = getComputedStyle(name).opacity === "1";
    return { key: dot.dataset.key, middle: [(box.left + box.right) / 2, (box.top + box.bottom) / 2], shown,
      box: edges(name.getBoundingClientRect()) };
  });
}
"""


def face() -> list[tuple[float, float]]:
    """68 places in a picture of 320 x 240 pixels, as the points of a face lie."""

    def arc(count, x, y, wide, high, begin, end):
        turns = [math.radians(begin + (end - begin) * i / max(1, count - 1)) for i in range(count)]
        return [(x + wide * math.cos(turn), y + high * math.sin(turn)) for turn in turns]

    jaw = arc(17, 160, 100, 90, 120, 180, 0)
    brows = arc(5, 120, 85, 30, 14, 200, 340) + arc(5, 200, 85, 30, 14, 200, 340)
    nose = [(160, 95 + 12 * i) for i in range(4)] + arc(5, 160, 136, 18, 8, 160, 20)
    eyes = arc(6, 122, 98, 16, 7, 180, -120) + arc(6, 198, 98, 16, 7, 180, -120)
    mouth = arc(12, 160, 172, 34, 14, 180, -150) + arc(8, 160, 172, 24, 6, 180, -135)
    return jaw + brows + nose + eyes + mouth


@pytest.mark.parametrize(("size", "least"), [((390, 844), 6), ((1440, 900), 25)])
def test_names_cover_neither_each_other_nor_a_point(browser, serve, size, least):
    """Also the 68 of a face on a telephone: what does not fit is shown when the pointer is on its point."""
    with serve() as (url, _):
        watched = Watched(browser, url, viewport=dict(zip(("width", "height"), size, strict=True)))
        page = watched.open()
        page.set_input_files("#file-input", pictures(1))
        page.wait_for_selector("#stage[aria-label='Picture a.png']")
        page.click("#open-category")
        page.fill("#library-search", "human face")
        page.click("#library button >> nth=0")
        page.wait_for_selector(".dot >> nth=67")
        is_settled(page)
        page.mouse.move(5, 5)
        found = page.evaluate(NAMES, [face()])
        stage = page.locator("#stage").bounding_box()
        named = [one for one in found if one["shown"]]
        assert len(found) == 68 and len(named) >= least, len(named)
        for one in named:
            left, top, right, bottom = one["box"]
            assert stage["x"] <= left + 0.5 and right <= stage["x"] + stage["width"] + 0.5
            for other in named:
                a, b, c, d = other["box"]
                apart = other is one or a >= right - 0.5 or c <= left + 0.5 or b >= bottom - 0.5 or d <= top + 0.5
                assert apart, f"{one['key']} and {other['key']} cover each other"
            for other in found:
                x, y = other["middle"]
                far = max(left - x, x - right, top - y, y - bottom)
                assert far >= 6, f"the name {one['key']} covers the point {other['key']}"
        waits = next(one for one in found if not one["shown"])
        page.locator(f'.dot[data-key="{waits["key"]}"]').focus()
        until(
            lambda: page.locator(f'.dot[data-key="{waits["key"]}"] .dot-name').evaluate(
                "(name) => getComputedStyle(name).opacity === '1'"
            ),
            "the name of the selected point",
        )
        watched.close()


def test_the_export_begins_at_its_first_choice(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")  # nothing is labelled yet, which the server refuses
    page.focus("#stage")
    page.keyboard.press("x")
    page.wait_for_selector("#export-dialog[open]")
    assert page.evaluate("document.activeElement.id") == "export-form"


def test_a_picture_that_is_gone_is_said_once(browser, serve):
    with serve() as (url, folder):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")
        page = watched.open()
        add_pictures(page, 2)
        for name in ("a.png", "b.png"):
            (folder / "images" / name).unlink()
        page.reload()
        page.wait_for_selector(".row >> nth=1")
        say_points(page)
        page.wait_for_selector("#list li.failed >> nth=1")
        page.wait_for_selector("#welcome .refusal")
        until(lambda: page.locator("#centre, #panel").get_by_text(".png").count() == 1, "one sentence")
        assert page.inner_text("#said") == "" and page.inner_text("#answered-by") == ""
        card = page.query_selector("#welcome .card")
        with page.expect_response("**/v1/project"):
            page.evaluate("document.getElementById('try-now').click()")  # looks at the server now
        page.wait_for_timeout(200)
        assert card.evaluate("(one) => one.isConnected"), "it is not read out again with each look at the server"
        watched.close()
