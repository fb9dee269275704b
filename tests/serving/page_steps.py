"""What a person does on the page, and what is seen of it, for tests of the page."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from waiting import until

POINTS = "nose: the tip\nleft ear\nright ear\ntail tip"
OTHER = "import('./pictures.js').then(({ open }) => open(%d))"


def pictures(count: int = 3) -> list[dict]:
    """Pictures of noise as a file chooser takes them."""
    files = []
    for seed in range(count):
        noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(file, "PNG")
        files.append({"name": f"{'abcdefgh'[seed]}.png", "mimeType": "image/png", "buffer": file.getvalue()})
    return files


def add_pictures(page, count: int = 3) -> None:
    """Choose pictures of noise, and wait until the list has as many."""
    page.set_input_files("#file-input", pictures(count))
    page.wait_for_selector(f".row >> nth={count - 1}")


def say_points(page, text: str = POINTS, noun: str = "fox") -> None:
    page.wait_for_selector(".row")
    page.click("#open-category")
    page.fill("#noun-input", noun)
    page.fill("#points-text", text)
    page.click("text=Look for these")
    page.wait_for_selector("#category-dialog", state="hidden")


def label(folder: Path, number: int) -> dict:
    file = folder / "labels" / f"{number:06d}.json"
    return json.loads(file.read_text()) if file.exists() else {"points": {}}


def current(page) -> int:
    """The id of the picture that is looked at."""
    return int(page.locator("[aria-current=true]").locator("..").get_attribute("data-id"))


def open_export(page) -> None:
    """Open the dialog of exports where a label is there to be exported."""
    is_settled(page)
    drag(page, "nose", 20, 20)
    is_saved(page)
    page.keyboard.press("x")
    page.wait_for_selector("#export-go:not([disabled])")


def another(page) -> int:
    """The id of a picture that is not looked at."""
    number = current(page)
    return next(one for one in (1, 2, 3) if one != number)


def seen(page, condition, what) -> None:
    """`until`, while requests that the test holds come in."""
    until(lambda: page.wait_for_timeout(20) or condition(), what)


def is_saved(page) -> None:
    """The server has all that was done; the answers may still be made."""
    until(lambda: page.evaluate("import('./state.js').then(({ state }) => state.saving)") == "saved", "saved")


def is_settled(page) -> None:
    """Nothing is left to answer."""
    page.wait_for_selector("text=Everything is saved.")
    until(
        lambda: page.evaluate("import('./state.js').then(({ state }) => state.project.answers.state)") == "idle", "idle"
    )


def hold_picture(page) -> None:
    """The page asks for the open picture in vain, so that what a test puts into it is not replaced."""

    def held(route):
        if route.request.method != "GET":
            route.fallback()

    page.route(f"**/v1/project/pictures/{current(page)}", held)
    await_answers(page)


def await_answers(page) -> None:
    """Answers that were under way when a test began to hold or change them have come."""
    page.wait_for_timeout(500)


def place_of(page, key: str) -> tuple[float, float]:
    """Where the middle of a point's button is on the screen."""
    box = page.locator(f'.dot[data-key="{key}"]').bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page, key: str, dx: float, dy: float) -> None:
    """Drag a point. Points may lie on one another: on top is the one under the mouse, or else the selected one."""
    on_top = "([x, y]) => document.elementFromPoint(x, y)?.closest('.dot')?.dataset.key"

    def taken() -> tuple[float, float] | None:
        page.mouse.move(0, 0)
        page.focus(f'.dot[data-key="{key}"]')
        x, y = place_of(page, key)
        if page.evaluate(on_top, [x, y]) != key:
            return None
        page.mouse.move(x, y)
        page.mouse.down()
        if page.evaluate("document.activeElement.dataset.key") == key:
            return x, y
        page.mouse.move(0, 0)  # an answer that came in this instant moved the point away from under the mouse:
        page.mouse.up()  # without this way it would be a click, which asks what is there
        return None

    x, y = until(taken, f"{key} in the hand")
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def view_of(page) -> dict:
    """How the picture lies on the stage: scale, and the place of its corner on the screen."""
    return page.evaluate(
        """async () => {
          const view = await import("./view.js");
          const frame = document.getElementById("stage").getBoundingClientRect();
          const [x, y] = view.toScreen(0, 0);
          return { scale: view.scale(), x: x + frame.left, y: y + frame.top };
        }"""
    )


def click_image(page, place) -> None:
    view = view_of(page)
    page.mouse.click(view["x"] + place[0] * view["scale"], view["y"] + place[1] * view["scale"])


def image_place(page, key: str) -> tuple[float, float]:
    view, (x, y) = view_of(page), place_of(page, key)
    return (x - view["x"]) / view["scale"], (y - view["y"]) / view["scale"]


def finish(page, key: str = "Enter") -> None:
    """Finish the picture, also where the page asks first as too many points are in doubt (a random model's are)."""
    page.keyboard.press(key)
    if page.locator("#sure-dialog").is_visible():
        page.keyboard.press("y")


def open_list(page) -> None:
    """Open the list of pictures with a finger. A busy browser may take a tap for a long press, which opens nothing."""

    def opened() -> bool:
        page.tap("#show-list")
        return page.locator("#show-list").get_attribute("aria-expanded") == "true"

    until(opened, "the list is open")


def known(page, what: str):
    """A part of what the page knows, such as "project.done"."""
    return page.evaluate(f"import('./state.js').then(({{ state }}) => state.{what})")
