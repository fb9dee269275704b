"""The page in a real browser: by the keyboard alone, on a telephone, and for those who do not see all of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from browser import Watched
from page_steps import (
    POINTS,
    current,
    finish,
    image_place,
    is_saved,
    is_settled,
    label,
    open_list,
    pictures,
    place_of,
)
from waiting import until


def test_the_keyboard_alone_does_everything(browser, serve):
    """Not one pointer event: add pictures, say points, correct, hide, ask, draw a box, finish, go back, export."""
    with serve() as (url, folder):
        watched = Watched(browser, url, accept_downloads=True)
        page = watched.open()
        page.on("filechooser", lambda chooser: chooser.set_files(pictures(2)))
        page.wait_for_selector("text=Drop your pictures here")
        keys = page.keyboard
        keys.press("o")
        page.wait_for_selector(".row >> nth=1")
        keys.press("c")
        page.wait_for_selector("#library button")
        while page.evaluate("document.activeElement.id") != "noun-input":
            keys.press("Tab")
        keys.type("fox")
        keys.press("Tab")
        keys.insert_text(POINTS)
        keys.press("Tab")
        keys.press("Enter")
        page.wait_for_selector(".dot >> nth=3")
        is_settled(page)
        number = current(page)
        page.focus("#stage")
        keys.press("Tab")
        focused = "document.activeElement.dataset.key"
        assert page.evaluate(focused) == "nose"
        outline = page.evaluate("getComputedStyle(document.activeElement, '::after').boxShadow")
        assert outline not in ("", "none"), "the focus is seen"
        before = image_place(page, "nose")
        for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown"):
            keys.press(key)
        is_saved(page)
        moved = label(folder, number)["points"]["nose"]
        assert moved[0] > before[0] and moved[1] - before[1] > 5 * (moved[0] - before[0]) / 2 - 1
        keys.press("Tab")
        assert page.evaluate(focused) == "left ear"
        keys.press("h")
        keys.press("Tab")
        keys.press("a")
        is_saved(page)
        points = label(folder, number)["points"]
        assert points["left ear"][2] == 1 and points["right ear"] == [None, None, 0]
        keys.press("z")
        is_saved(page)
        assert "right ear" not in label(folder, number)["points"]
        keys.press("w")
        page.wait_for_selector("#ask .choice")
        keys.press("Escape")
        keys.press("b")
        keys.press("Space")
        for _ in range(5):
            keys.press("ArrowRight")
            keys.press("ArrowDown")
        keys.press("Space")
        is_saved(page)
        x, y, w, h = label(folder, number)["box"]
        assert np.allclose((x, y), (160, 120), atol=1) and min(w, h) > 10
        finish(page, "e")
        until(lambda: label(folder, number).get("example"), "an example")
        until(lambda: current(page) != number, "the next picture")
        keys.press("PageUp")
        until(lambda: current(page) == number, "back again")
        keys.press("?")
        page.wait_for_selector("#help-dialog kbd")
        keys.press("Escape")
        keys.press("x")
        page.wait_for_selector("#export-look code")
        page.focus("#export-go")
        with page.expect_download() as download:
            keys.press("Enter")
        assert len(json.loads(Path(download.value.path()).read_text())["annotations"]) == 1
        watched.close()


def test_a_phone_has_all_of_it(browser, serve):
    """390 px: nothing beside the screen, targets for a finger, the list a drawer, a point dragged by touch."""
    with serve() as (url, folder):
        watched = Watched(browser, url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
        page = watched.open()
        page.set_input_files("#file-input", pictures(2))
        page.wait_for_selector("text=What should be found?")
        page.tap("#open-category")
        page.fill("#points-text", POINTS)
        page.tap("text=Look for these")
        page.wait_for_selector(".dot >> nth=3")
        is_settled(page)
        number = current(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        sizes = page.evaluate(
            """[...document.querySelectorAll(".tools button, .bar button, .dot, .states button")]
              .filter((one) => one.offsetParent).map((one) => one.getBoundingClientRect())
              .map((box) => [box.left, box.right, box.width, box.height])"""
        )
        assert sizes and min(min(width, height) for _, _, width, height in sizes) >= 35
        assert all(right <= 391 for _, right, _, _ in sizes[:12])
        stage = page.locator("#stage").bounding_box()
        assert stage["height"] > 320
        x, y = place_of(page, "nose")
        touch = page.context.new_cdp_session(page)
        for kind, places in (
            ("touchStart", [(x, y)]),
            ("touchMove", [(x + 20, y + 8)]),
            ("touchMove", [(x + 40, y + 16)]),
        ):
            points = [{"x": a, "y": b} for a, b in places]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert page.locator("#loupe").is_visible(), "what is under the finger is shown beside it"
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        until(lambda: len(label(folder, number)["points"]) == 1, "the point is saved")
        assert page.locator("#loupe").is_hidden()
        open_list(page)
        page.locator(f'#list li:not([data-id="{number}"]) button').tap()
        until(lambda: current(page) != number, "the other picture")
        assert page.locator("#pictures").is_hidden()
        watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_controls_have_names(tiny, scheme):
    page, _ = tiny
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(50)
    faults = page.evaluate(
        """() => {
          const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          const rgb = (text) => {
            pen.clearRect(0, 0, 1, 1);
            pen.fillStyle = text;
            pen.fillRect(0, 0, 1, 1);
            return [...pen.getImageData(0, 0, 1, 1).data];
          };
          const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
            .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
            .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
          const ground = (one) => {
            for (; one; one = one.parentElement) {
              const colour = rgb(getComputedStyle(one).backgroundColor);
              if (colour[3] > 250) return colour;
            }
            return [255, 255, 255, 255];
          };
          const found = [];
          for (const one of document.querySelectorAll("body *")) {
            if (!one.checkVisibility() || one.closest(".dot, #stage, :disabled")) continue;
            const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
            if (text) {
              const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))].sort((p, q) => q - p);
              const contrast = (a + 0.05) / (b + 0.05);
              if (contrast < 4.5) found.push(`${one.className || one.id}: ${contrast.toFixed(2)}`);
            }
          }
          for (const one of document.querySelectorAll("button, input, select, textarea, [role=application]")) {
            const label = one.id && document.querySelector(`label[for="${one.id}"]`);
            const named = one.getAttribute("aria-label") || one.textContent.trim() || label || one.closest("label");
            if (!named) found.push(`no name: ${one.outerHTML.slice(0, 80)}`);
          }
          return found;
        }"""
    )
    assert faults == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(23, 26, 25)") == (scheme == "dark")
