"""How soon does the page show something, and how soon after a key does it show hits?

    python benchmarks/serve_page.py PHOTOS [--repeats 9]

PHOTOS is an indexed folder of photographs. A browser without a window and without a graphics card looks at the page, with an
empty cache for each first paint. Words are typed as people do; hits are there when the browser has painted the frame that
shows them, and first thumbnails when those of the first row are decoded, too.

Expected: the first paint within 300 ms; hits within 250 ms of the last key, of which 90 ms are waited for a further key.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import save, spread, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["page"]

WORDS = (
    "a red bus", "a church", "a dog on grass", "a boat on the sea", "a kitchen", "yellow flowers", "a horse race", "snow",
    "a man with a fish",
)  # fmt: skip

TYPED = """
const [words, done] = [arguments[0], arguments[1]];
const box = document.getElementById("words");
const list = document.getElementById("hits");
const frame = () => new Promise(drawn => requestAnimationFrame(() => setTimeout(drawn)));
let began = 0;
new MutationObserver(async (_, watching) => {
  watching.disconnect();
  await frame();
  const hits = performance.now() - began;
  const top = list.firstElementChild.offsetTop;
  const row = [...list.children].filter(hit => hit.offsetTop === top).map(hit => hit.querySelector("img"));
  await Promise.all(row.map(image => image.decode().catch(() => 0)));
  await frame();
  done([hits, performance.now() - began, list.children.length]);
}).observe(list, {childList: true});
box.focus();
box.value = words;
began = performance.now();
box.dispatchEvent(new Event("input", {bubbles: true}));
"""

PAINTED = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def page(photos: Path, *, repeats: int) -> dict[str, Any]:
    """Return milliseconds: to the first paint, from the last key to hits, and to the first row of thumbnails."""
    paint: list[float] = []
    hits: list[float] = []
    thumbnails: list[float] = []
    with _serving(photos) as address, _browser() as browser:
        for round_ in range(-1, repeats):
            browser.execute_cdp_cmd("Network.clearBrowserCache", {})
            browser.get("about:blank")
            browser.get(address)
            while not (painted := browser.execute_script(PAINTED)):
                time.sleep(0.02)
            time.sleep(1)  # somebody looks first, and then types
            words = WORDS[round_ % len(WORDS)]
            shown, decoded, count = browser.execute_async_script(TYPED, words)
            assert count > 0, words
            if round_ >= 0:  # the first one reads files that nobody has read before
                paint.append(round(painted, 1))
                hits.append(round(shown, 1))
                thumbnails.append(round(decoded, 1))
    return {
        "first_paint_ms": spread(paint),
        "hits_after_last_key_ms": spread(hits),
        "first_row_of_thumbnails_ms": spread(thumbnails),
    }


@contextmanager
def _serving(photos: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "retrieval", "serve", str(photos), "--port", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not _ready(f"{address}readyz"):
            if server.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{' '.join(command[1:])} did not start")
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait(60)


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - an address of this machine
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.set_window_size(1280, 900)
        browser.set_script_timeout(120)
        yield browser
    finally:
        browser.quit()


def main() -> None:
    """Measure, print and keep."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("photos", type=Path)
    arguments.add_argument("--repeats", type=int, default=9)
    options = arguments.parse_args()
    with watch() as load:
        found = page(options.photos, repeats=options.repeats)
    print(json.dumps(found, indent=1))
    save("serve_page", load=load, parameters={"repeats": options.repeats}, **found)


if __name__ == "__main__":
    main()
