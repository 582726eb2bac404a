"""The map of a collection, in a browser: it is found from the page, and any words are searched on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import fill
from tests.retrieval.server.page.looking import Page

pytest.importorskip("openTSNE", reason="the extra map is not installed")


def test_any_words_are_searched_on_a_map_that_is_served(
    browser, serve: Callable[..., str], tmp_path: Path
) -> None:
    folder = fill(tmp_path / "photos", [f"{number}.png" for number in range(12)])
    retrieval.build_index(folder, encoder="fake", progress=False)
    retrieval.map_images(folder).write_page(tmp_path / "map.html")
    page = Page(browser, serve(folder, maps=(str(tmp_path / "map.html"),)))
    browser.get(page.address)
    page.wait(lambda: page.one("#map").is_displayed())
    browser.get(page.one("#map").get_attribute("href"))
    page.wait(lambda: page.run("return document.body.dataset.ready") == "yes")

    page.one("#words").send_keys("something red\n")
    page.wait(lambda: page.run("return document.body.dataset.lit") == "12")
    page.one("#hits button").click()

    page.wait(lambda: page.run("return document.getElementById('picture').naturalWidth") > 0)
    assert page.text("#told") == "The 12 images nearest to “something red”."
    assert "/thumbnail?size=512" in page.one("#picture").get_attribute("src")
