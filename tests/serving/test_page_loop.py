"""The page in a real browser: the whole loop with the shipped model, as people start it."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import DROP, Watched
from page_steps import (
    click_image,
    current,
    drag,
    finish,
    image_place,
    is_saved,
    label,
)
from PIL import Image
from waiting import until

from anykeypoint.forms import registry

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def start_real(folder: Path, port: int) -> tuple[subprocess.Popen, str]:
    """`anykeypoint serve` with the shipped model, as people start it."""
    command = [sys.executable, "-m", "anykeypoint", "serve", "--project", str(folder), "--port", str(port)]
    quiet = {**os.environ, "ANYKEYPOINT_TOKEN": ""}
    quiet.pop("ANYKEYPOINT_TOKEN")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=quiet)
    url = process.stdout.readline().strip().rstrip("/")
    assert url.startswith("http://"), "the server did not start"
    return process, url


def test_the_whole_loop_with_the_shipped_model(browser, tmp_path):
    """Drop, click an example, re-answer, correct, export; kill the server and the browser: nothing is lost."""
    folder = tmp_path / "sheets"
    process, url = start_real(folder, 0)
    try:
        watched = Watched(browser, url, accept_downloads=True)
        page = watched.open()
        names = ["paper_1.jpg", "paper_2.jpg"]
        data = [base64.b64encode((EXAMPLES / name).read_bytes()).decode() for name in names]
        page.wait_for_selector("text=Drop your pictures here")
        page.evaluate(DROP, [names, data])
        page.locator(".row", has_text="paper_1").click()
        page.wait_for_selector("#stage[aria-label='Picture paper_1.jpg']")

        marked = json.loads((EXAMPLES / "paper_1.json").read_text())
        corners = {name.removesuffix(" of the sheet"): place for name, place in marked.items()}
        page.click("text=Click it on this picture")
        for name, place in corners.items():
            click_image(page, place)
            page.wait_for_selector("#points input:focus")
            page.keyboard.type(name)
            page.keyboard.press("Enter")
            page.wait_for_selector(f'.dot[data-key="{name}"]')
        page.click("#make-example")
        page.wait_for_selector("#stage[aria-label='Picture paper_2.jpg']")
        failed = page.locator("#progress.failed")
        until(lambda: page.locator(".dot").count() == 4 or failed.count(), "an answer from the example", 120)
        if "could not download" in page.inner_text("#progress"):
            pytest.skip("the base weights of fast are not here and cannot be fetched")
        found = {name: image_place(page, name) for name in corners}
        size = Image.open(EXAMPLES / "paper_2.jpg").size
        for name, place in SHEET_2.items():
            assert np.hypot(*np.subtract(found[name], place)) < 0.1 * max(size), f"{name} is at {found[name]}"

        number = current(page)
        drag(page, "top left corner", 30, 20)
        is_saved(page)
        moved = label(folder, number)["points"]["top left corner"]
        assert np.allclose(moved[:2], image_place(page, "top left corner"), atol=1) and moved[2] == 2

        process.send_signal(signal.SIGKILL)
        process.wait()
        watched.allowed.append("Failed to load resource")
        drag(page, "top right corner", -25, 15)
        page.wait_for_selector("text=The server does not answer")
        process, _ = start_real(folder, int(url.rsplit(":", 1)[1]))
        is_saved(page)
        assert label(folder, number)["points"]["top left corner"] == moved, "it was saved before the server was killed"
        assert np.allclose(
            label(folder, number)["points"]["top right corner"][:2], image_place(page, "top right corner"), atol=1
        )

        finish(page)
        until(lambda: label(folder, number).get("done"), "finished")
        page.click("#open-export")
        with page.expect_download() as download:
            page.click("#export-go")
        written = json.loads(Path(download.value.path()).read_text())
        assert len(written["annotations"]) == 2 and written["categories"][0]["keypoints"] == list(corners)
        watched.close()  # the browser is gone, and another one comes

        watched = Watched(browser, url)
        page = watched.open()
        page.wait_for_selector("text=2 of 2 finished")
        page.locator(".row", has_text="paper_1").click()
        page.wait_for_selector("#stage[aria-label='Picture paper_1.jpg']")
        page.wait_for_function("import('./state.js').then(({ state }) => state.bitmap !== null)")
        assert np.allclose(image_place(page, "top left corner"), corners["top left corner"], atol=2)
        watched.close()
        objects = registry.read(f"coco:{folder / 'labels.json'}", folder / "images", strict=True).objects
        assert [item.visibility.tolist() for item in objects] == [[2] * 4] * 2
    finally:
        process.kill()
        process.wait()


SHEET_2 = {  # the corners of the sheet in examples/paper_2.jpg, by eye
    "top left corner": (98, 92),
    "top right corner": (254, 57),
    "bottom right corner": (349, 284),
    "bottom left corner": (174, 340),
}
