"""The page of a map in Chromium: it pans, zooms, colours, searches and shows images, and asks nobody."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from retrieval.curation.map import ImageMap, map_page, served_head
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.browser import chromium, window


@pytest.fixture(scope="module")
def page(coloured: Path, found: ImageMap) -> Path:
    path = coloured.parent / "map.html"
    found.write_page(path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Any, page: Path) -> Iterator[Any]:
    with window(browser, 1200, 800):
        browser.get(page.as_uri())
        wait_for(browser, lambda: told(browser)["ready"] == "yes")
        yield browser
        assert [entry["message"] for entry in browser.get_log("browser")] == []


def told(browser: Any) -> dict[str, str]:
    """Return what the page says of its state."""
    state: dict[str, str] = browser.execute_script("return {...document.body.dataset}")
    return {"ready": "", "lit": "", "chosen": ""} | state


def wait_for(browser: Any, done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, told(browser)
        time.sleep(0.02)


def view(browser: Any) -> tuple[float, ...]:
    """Return how far the map is moved right and down, and how large it is, once it is drawn."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return tuple(map(float, told(browser)["view"].split()))


def search(browser: Any, words: str) -> None:
    field = browser.find_element("id", "words")
    field.clear()
    field.send_keys(words + "\n")


def test_dragging_moves_it_and_the_wheel_zooms_at_the_pointer(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    stage = opened.find_element("id", "stage")
    left, top, scale = view(opened)

    ActionChains(opened, duration=0).drag_and_drop_by_offset(stage, 60, -35).perform()
    moved = view(opened)
    origin = ScrollOrigin.from_element(stage)
    ActionChains(opened).scroll_from_origin(origin, 0, -120).perform()
    larger = view(opened)

    assert moved == pytest.approx((left + 60, top - 35, scale), abs=1)
    assert larger[2] > 1.2 * scale
    x, y = stage.size["width"] / 2, stage.size["height"] / 2
    assert [(x - larger[0]) / larger[2], (y - larger[1]) / larger[2]] == pytest.approx(
        [(x - moved[0]) / moved[2], (y - moved[1]) / moved[2]], rel=0.02
    )


def test_keys_and_buttons_move_and_show_all(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    whole = view(opened)
    body = opened.find_element("tag name", "body")

    body.send_keys(Keys.ARROW_LEFT, "+")
    away = view(opened)
    opened.find_element("id", "fit").click()

    assert away[2] == pytest.approx(1.4 * whole[2], rel=0.01)
    assert view(opened) == pytest.approx(whole, abs=0.01)


def test_a_stored_word_lights_the_images_nearest_to_it(opened: Any, found: ImageMap) -> None:
    search(opened, "green")
    wait_for(opened, lambda: told(opened)["lit"] == "20")

    first = opened.find_element("css selector", "#hits button").get_attribute("aria-label")
    assert found.words is not None
    assert first == found.paths[found.words.places[found.words.words.index("green")][0]]
    assert "nearest to “green”" in opened.find_element("id", "told").text

    opened.find_element("id", "clear").click()
    wait_for(opened, lambda: told(opened)["lit"] == "")


def test_a_word_that_likely_no_image_shows_says_so(browser: Any, coloured: Path, found: ImageMap) -> None:
    assert found.words is not None
    words = replace(found.words, absent=np.array([word == "green" for word in found.words.words]))
    path = coloured.parent / "absent.html"
    replace(found, words=words).write_page(path)

    with window(browser, 1200, 800):
        browser.get(path.as_uri())
        wait_for(browser, lambda: told(browser)["ready"] == "yes")
        said = []
        for word in ("green", "red"):
            search(browser, word)
            wait_for(browser, lambda word=word: f"“{word}”" in browser.find_element("id", "told").text)
            said.append(browser.find_element("id", "told").text)

    assert said == [
        "Likely nothing matches. The 20 images nearest to “green”.",
        "The 20 images nearest to “red”.",
    ]


def test_other_words_are_looked_for_in_paths(opened: Any) -> None:
    search(opened, "Blue/0")
    wait_for(opened, lambda: told(opened)["lit"] == "6")

    assert "not among the 3 words of this map. 6 paths contain it." in opened.find_element("id", "told").text


def test_a_click_shows_the_image_its_file_and_the_nearest(opened: Any, found: ImageMap) -> None:
    search(opened, "red/07.png")
    wait_for(opened, lambda: told(opened)["lit"] == "1")
    opened.find_element("css selector", "#hits button").click()
    wait_for(opened, lambda: told(opened)["chosen"] == "red/07.png")

    place = found.paths.index("red/07.png")
    near = [one.get_attribute("aria-label") for one in opened.find_elements("css selector", "#near button")]
    assert near == [found.paths[other] for other in found.neighbors.places[place][:6]]
    size = "return document.getElementById('picture').naturalWidth"
    wait_for(opened, lambda: opened.execute_script(size) == 32)
    assert opened.find_element("id", "open").get_attribute("href").endswith("/photos/red/07.png")


def test_a_click_on_the_map_chooses_what_lies_there(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    search(opened, "blue/03.png")
    wait_for(opened, lambda: told(opened)["lit"] == "1")
    opened.find_element("id", "fit").click()
    view(opened)

    ActionChains(opened, duration=0).move_to_element(opened.find_element("id", "over")).click().perform()

    wait_for(opened, lambda: told(opened)["chosen"] == "blue/03.png")


def test_a_value_of_the_legend_lights_its_images(opened: Any) -> None:
    opened.execute_script(
        "const c = document.getElementById('colour'); c.value = 1; c.dispatchEvent(new Event('change'))"
    )
    values = [one.text for one in opened.find_elements("css selector", "#legend bdi")]

    opened.find_element("css selector", "#legend button").click()
    wait_for(opened, lambda: told(opened)["lit"] == "12")

    assert values == ["red", "green", "blue"]


def test_small_pictures_are_drawn_in_their_colours(opened: Any) -> None:
    count = (
        "const o = document.getElementById('over'), c = new OffscreenCanvas(o.width, o.height), p = c.getContext('2d');"
        "p.drawImage(o, 0, 0); const d = p.getImageData(0, 0, c.width, c.height).data;"
        "let red = 0; for (let i = 0; i < d.length; i += 4) if (d[i] > 170 && d[i + 1] < 60 && d[i + 2] < 60) red++; return red"
    )
    wait_for(opened, lambda: opened.execute_script(count) > 1_000)

    opened.find_element("id", "pictures").click()
    wait_for(opened, lambda: told(opened)["drawn"] == "0")
    opened.find_element("id", "pictures").click()
    wait_for(opened, lambda: told(opened)["drawn"] != "0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(browser: Any, page: Path, scheme: str) -> None:
    with window(browser, 390, 800, scheme=scheme):
        browser.get(page.as_uri())
        wait_for(browser, lambda: told(browser)["ready"] == "yes")

        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        assert browser.find_element("id", "stage").size["height"] > 250


def test_the_page_asks_nobody(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text
    assert "http://" not in text.replace("http-equiv", "")
    assert "https://" not in text.replace('"https://', "")


def test_odd_names_are_text_and_have_links(coloured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(coloured / "red", folder)
    os.rename(folder / "00.png", folder / "<script>alert(1) #%?&.png")
    os.rename(os.fsencode(folder / "01.png"), os.path.join(os.fsencode(folder), b"raw\xff.png"))
    (folder / "02.png").write_bytes((folder / "02.png").read_bytes()[:40])
    retrieval.build_index(folder, encoder=FakeEncoder())
    (folder / "03.png").write_bytes(b"")
    with retrieval.open(folder, encoder=FakeEncoder()) as collection:
        found = retrieval.map_images(collection)

    made = found.write_page(tmp_path / "map.html")

    assert made.faults == {"03.png": "empty"}
    assert made.bytes == (tmp_path / "map.html").stat().st_size
    assert (tmp_path / "map.html").read_text().count("<script>") == 1
    packed = map_page._facts(found, np.arange(len(found)), beside=tmp_path)
    facts = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert facts["base"] == "photos/"
    assert list(facts["links"].values()) == ["photos/raw%FF.png"]


def test_a_page_holds_no_more_than_it_may(
    found: ImageMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_page, "MOST_BYTES", 10_000)

    made = found.write_page(tmp_path / "map.html")

    assert (made.pictures, made.left_out) == (0, len(found))
    assert "have no picture: the file would be too large" in (tmp_path / "map.html").read_text()


def test_a_server_gives_it_another_beginning(page: Path, tmp_path: Path) -> None:
    head, read, policy = served_head(page, search="/v1/search", collection='a"b', images="/v1/images/")

    assert "connect-src 'self'" in policy
    assert policy.encode() in head
    assert b'<meta name="search-url" content="/v1/search" data-collection="a&quot;b"' in head
    assert head.endswith(page.read_bytes()[:read][-100:])
    (tmp_path / "other.html").write_text("<html></html>")
    with pytest.raises(OptionError, match="is no map"):
        served_head(tmp_path / "other.html", search="", collection="", images="")
    with pytest.raises(OptionError, match="cannot be read"):
        served_head(tmp_path / "none.html", search="", collection="", images="")
