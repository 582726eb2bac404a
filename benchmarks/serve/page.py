"""How soon does the page show something, and how soon after a key does it show hits?

A browser without a window and without a graphics card looks at the page, with an empty cache for each first paint. Hits are
there when the browser has painted the frame that shows them; 60 ms of the time are waited for a further key. Beside the
page, in turns, a line of text of the same server is looked at: what the browser takes for anything on this machine.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.frame import spread
from benchmarks.serve.processes import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def page(photos: Path, *, work: Path, repeats: int) -> dict[str, Any]:
    """Return milliseconds: to the first paint, from the last key to hits, and to the first row of thumbnails.

    Args:
        photos: an indexed folder of photographs.
        work: where the server's log is written.
        repeats: after a first round that does not count.
    """
    paint: list[float] = []
    line: list[float] = []
    hits: list[float] = []
    thumbnails: list[float] = []
    with serving(photos, work=work) as server, _browser() as browser:
        for round_ in range(-1, repeats):
            address = f"http://127.0.0.1:{server.port}/"
            bare = _first_paint(browser, f"{address}healthz")
            painted = _first_paint(browser, address)
            time.sleep(1)  # somebody looks first, and then types
            words = WORDS[round_ % len(WORDS)]
            shown, decoded, count = browser.execute_async_script(TYPED, words)
            assert count > 0, words
            if round_ >= 0:  # the first one reads files that nobody has read before
                paint.append(round(painted, 1))
                line.append(round(bare, 1))
                hits.append(round(shown, 1))
                thumbnails.append(round(decoded, 1))
    return {
        "first_paint_ms": spread(paint),
        "first_paint_of_a_line_ms": spread(line),
        "hits_after_last_key_ms": spread(hits),
        "first_row_of_thumbnails_ms": spread(thumbnails),
    }


def _first_paint(browser: Any, address: str) -> float:
    """Return milliseconds from asking for a page to its first paint, with an empty cache."""
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.get("about:blank")
    browser.get(address)
    while not (painted := browser.execute_script(PAINTED)):
        time.sleep(0.02)
    return float(painted)


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
