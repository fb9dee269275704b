"""What tests of the page share: a browser, servers of tiny models in this process, and a watch on all a page does."""

import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None)
NEEDED = "the page is tested in Debian's chromium, which is not here: sudo apt-get install chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium():
    """A browser; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip(NEEDED)
    playwright = pytest.importorskip("playwright.sync_api", reason="the tests of the page need playwright")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page, and whatever it did that it should not do: asked elsewhere, failed, or complained.

    allowed: phrases of complaints that a test brings about itself, such as that the server is away.
    """

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        self.url, self.faults, self.allowed = url, [], []
        self.context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **context})
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.page.on("console", lambda one: one.type in ("error", "warning") and self.faults.append(one.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"error of the page: {error}"))
        self.page.on("request", self._requested)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.faults.append(f"asked {request.url}")

    def open(self) -> Any:
        self.page.goto(self.url)
        return self.page

    def close(self) -> None:
        """Close the page, and fail for what it did."""
        self.context.close()
        faults = [fault for fault in self.faults if not any(phrase in fault for phrase in self.allowed)]
        assert faults == []


@contextmanager
def server(app: Any, port: int = 0):
    """The address of an app that is served in a thread of this process. port: 0 is any that is free."""
    import uvicorn

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # at once where another server was before
    sock.bind(("127.0.0.1", port))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    ends = time.monotonic() + 30
    while not running.started and time.monotonic() < ends:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(20)
        sock.close()


DROP = """
async ([names, urls]) => {
  const all = new DataTransfer();
  for (const [place, name] of names.entries()) {
    const bytes = Uint8Array.from(atob(urls[place]), (one) => one.charCodeAt(0));
    all.items.add(new File([bytes], name));
  }
  const stage = document.getElementById("stage");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    stage.dispatchEvent(new DragEvent(kind, { dataTransfer: all, bubbles: true, cancelable: true }));
  }
}
"""
