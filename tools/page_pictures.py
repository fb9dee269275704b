"""Take the pictures of the page for docs/labelling.md and README: docs/img/page*.jpg, from real answers of `accurate`.

    python tools/page_pictures.py [FOLDER]

The first horse of examples/ is the example, with its labels; the second one, and the pictures of FOLDER, are answered.
Some points of the picture that is shown are dragged, as a person would. Needs Debian's chromium and playwright.
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES, OUT = ROOT / "examples", ROOT / "docs" / "img"
LARGEST = 200_000  # bytes of a picture
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def main() -> None:
    """Serve a project of horses, label the first one, and take the pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for path in [*EXAMPLES.glob("horse_*.jpg"), *(Path(sys.argv[1]).glob("*.jpg") if sys.argv[1:] else ())]:
            shutil.copy(path, photos)
        command = [sys.executable, "-m", "anykeypoint", "serve", "--port", "0", "--pictures", str(photos)]
        server = subprocess.Popen(
            [*command, "--project", str(Path(scratch) / "horses")], stdout=subprocess.PIPE, text=True
        )
        try:
            url = server.stdout.readline().strip().rstrip("/")
            label(url)
            take(url)
        finally:
            server.terminate()
            server.wait()


def ask(url: str, path: str, method: str = "GET", body: Any = None) -> Any:
    """What the server answers to JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{url}/v1/project{path}", data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request) as response:
        return json.load(response)


def label(url: str) -> None:
    """Say the points, make the first horse an example, and wait for the answers of the others."""
    marked = json.loads((EXAMPLES / "horse_1.json").read_text())
    kind, (one,) = marked["categories"][0], marked["annotations"]
    points = [{"name": name} for name in kind["keypoints"]]
    edges = [[a - 1, b - 1] for a, b in kind["skeleton"]]
    ask(url, "/category", "PUT", {"points": points, "noun": "horse", "skeleton": edges})
    number = next(entry["id"] for entry in ask(url, "/pictures") if entry["name"] == "horse_1.jpg")
    places = {name: one["keypoints"][3 * k : 3 * k + 3] for k, name in enumerate(kind["keypoints"])}
    revision = ask(url, f"/pictures/{number}")["label"]["revision"]
    ask(
        url, f"/pictures/{number}/label", "PUT", {"points": places, "done": True, "example": True, "revision": revision}
    )
    while ask(url, "")["answers"]["state"] != "idle":
        time.sleep(0.5)


def take(url: str) -> None:
    """The page at 1440 pixels, a density, and the page at 390 pixels."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=WIDE)
        show(page, url)
        for name, dx, dy in (("left front hoof", 4, 3), ("right front knee", -3, 4), ("left hind hoof", 5, 2)):
            drag(page, name, dx, dy)
        page.wait_for_selector("text=Everything is saved.")
        page.keyboard.press("Escape")
        page.mouse.move(700, 5)
        save(page, "page.jpg")
        page.mouse.move(*middle(page, "right hind hoof"))
        page.wait_for_function("import('./state.js').then(({ state }) => state.densities !== null)")
        page.wait_for_timeout(300)
        save(page, "page_density.jpg")
        page = browser.new_page(viewport=NARROW, device_scale_factor=2, has_touch=True, is_mobile=True)
        show(page, url)
        save(page, "page_narrow.jpg")
        browser.close()


def show(page: Page, url: str) -> None:
    """Open the second horse."""
    page.goto(url)
    page.wait_for_selector(".row", state="attached")  # in a small window the list is a drawer
    page.evaluate("document.querySelector('.row[title=\"horse_2.jpg\"]').click()")
    page.wait_for_selector("#stage[aria-label='Picture horse_2.jpg']")
    page.wait_for_function("import('./state.js').then(({ state }) => state.bitmap !== null)")
    page.wait_for_selector("text=Everything is saved.", state="attached")
    page.wait_for_timeout(500)


def middle(page: Page, name: str) -> tuple[float, float]:
    """Where a point is on the screen."""
    box = page.locator(f'.dot[data-key="{name}"]').bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, name: str, dx: float, dy: float) -> None:
    """Drag a point by screen pixels."""
    x, y = middle(page, name)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 12, y + 12)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def save(page: Page, name: str) -> None:
    """Write what the page shows, as good as the size allows."""
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in range(90, 40, -5):
        file = io.BytesIO()
        shown.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() < LARGEST:
            break
    (OUT / name).write_bytes(file.getvalue())
    print(name, shown.size, file.tell())


if __name__ == "__main__":
    main()
