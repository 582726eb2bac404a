"""The page to review: safe whatever files are called, decided by keyboard, decisions saved and posted."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

import retrieval
from retrieval.curation.duplicates import parse_decisions
from retrieval.curation.duplicates.review.review_page import MOST_SETS, review_html
from retrieval.testing import FakeEncoder


def test_the_page_shows_every_image_and_loads_nothing(folder: Path, tmp_path: Path) -> None:
    found = retrieval.duplicates(folder)

    found.write_page(tmp_path / "review.html")

    page = (tmp_path / "review.html").read_text()
    assert page.count('class="pair"') == sum(len(one) - 1 for one in found)
    assert page.count("<img ") == sum(map(len, found))
    assert "default-src 'none'" in page
    assert "connect-src 'none'" in page
    assert "http://" not in page.replace("http-equiv", "")
    assert 'href="photos/0.jpg"' in page
    assert 'href="photos/exports/0%20copy.jpg"' in page


def test_odd_names_are_text(folder: Path) -> None:
    odd = "<script>alert(1)</script>\"'&\x1b\n.jpg".replace("/", "_")
    shutil.copy2(folder / "0.jpg", folder / odd)
    shutil.copy2(folder / "0.jpg", os.fsdecode(os.path.join(os.fsencode(folder), b"raw\xff.jpg")))
    retrieval.build_index(folder, encoder=FakeEncoder())

    page = review_html(retrieval.duplicates(folder, kinds=("bytes",)), beside=folder)

    assert page.count("<script>") == 1
    assert "\x1b" not in page
    assert "raw\\xff.jpg" in page


def test_a_service_gives_addresses_of_pictures_and_takes_decisions(folder: Path) -> None:
    found = retrieval.duplicates(folder)

    page = review_html(
        found, pictures=lambda image: f"/v1/images/{image.id}/thumbnail", post_to="/v1/decisions?a=1&b"
    )

    assert 'src="/v1/images/0/thumbnail"' in page
    assert 'content="/v1/decisions?a=1&amp;b"' in page
    assert "connect-src 'self'" in page
    assert "data:image" not in page


def test_a_page_says_how_many_sets_it_leaves_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.curation.duplicates.review.review_page.MOST_SETS", 2)

    page = review_html(retrieval.duplicates(folder))

    assert page.count('class="set"') == 2
    assert "The first 2 sets are shown" in page
    assert MOST_SETS > 100


class _Taker(BaseHTTPRequestHandler):
    taken: ClassVar[list[bytes]] = []
    page = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    chrome, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chrome is None or driver is None:
        pytest.skip("Chromium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chrome
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


def test_decisions_by_keyboard_are_saved_and_followed(folder: Path, tmp_path: Path, browser) -> None:
    import time

    from selenium.webdriver.common.by import By

    found = retrieval.duplicates(folder)
    found.write_page(tmp_path / "review.html")
    (tmp_path / "downloads").mkdir()
    browser.get((tmp_path / "review.html").as_uri())
    body = browser.find_element(By.TAG_NAME, "body")

    body.send_keys("x")  # of the first pair the first one goes
    body.send_keys("b")  # of the second both stay
    body.send_keys("g")
    body.send_keys("k")
    body.send_keys("u")  # no decision about the third
    browser.refresh()
    assert browser.find_element(By.ID, "count").text == "2 of 4 decided"
    browser.find_element(By.TAG_NAME, "body").send_keys("s")
    saved = tmp_path / "downloads" / "decisions.json"
    for _ in range(100):
        if saved.exists():
            break
        time.sleep(0.1)

    assert [one["level"] for one in browser.get_log("browser")] == []
    assert [one.word for one in parse_decisions(saved.read_bytes(), name="saved")] == [
        "first-goes",
        "keep-both",
    ]
    after = retrieval.duplicates(folder, ignore=saved)
    assert [one.stays.path for one in after] == ["exports/0 copy.jpg", *(one.stays.path for one in found[2:])]

    after.write_page(tmp_path / "review.html")  # who stays has changed sides, and one pair is gone
    browser.refresh()
    assert browser.find_element(By.ID, "count").text == "1 of 3 decided"
    browser.execute_script("localStorage.clear()")  # another browser
    browser.refresh()
    assert browser.find_element(By.ID, "count").text == "1 of 3 decided"


def test_decisions_are_posted_to_a_service(folder: Path, browser) -> None:
    import time

    from selenium.webdriver.common.by import By

    _Taker.page = review_html(retrieval.duplicates(folder), post_to="/decisions")
    _Taker.taken = []
    with HTTPServer(("127.0.0.1", 0), _Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.get(f"http://127.0.0.1:{server.server_port}/")
        browser.find_element(By.TAG_NAME, "body").send_keys("d")
        for _ in range(100):
            if _Taker.taken:
                break
            time.sleep(0.1)
        server.shutdown()

    (decision,) = parse_decisions(_Taker.taken[0], name="posted")
    assert (decision.first.path, decision.second.path, decision.word) == (
        "0.jpg",
        "exports/0 copy.jpg",
        "different",
    )
    assert json.loads(_Taker.taken[0])["format"] == 1


def test_keys_decide_a_whole_set_and_go_to_the_next_one(folder: Path, tmp_path: Path, browser) -> None:
    from selenium.webdriver.common.by import By

    found = retrieval.duplicates(folder)
    found.write_page(tmp_path / "review.html")
    browser.get((tmp_path / "review.html").as_uri())
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("a")
    pressed = browser.find_elements(By.CSS_SELECTOR, 'button[aria-pressed="true"]')

    assert len(pressed) == sum(not image.keep for image in found[0])
    assert {button.get_attribute("data-word") for button in pressed} == {"second-goes"}
    body.send_keys("k")
    body.send_keys("n")
    active = browser.find_element(By.CSS_SELECTOR, ".pair.active")
    assert active == browser.find_elements(By.CSS_SELECTOR, ".set")[1].find_element(By.CSS_SELECTOR, ".pair")
    assert [one["level"] for one in browser.get_log("browser")] == []
