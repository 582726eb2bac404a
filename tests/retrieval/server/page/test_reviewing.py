"""The review of duplicates, in a browser: a key decides, and the collection keeps it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from retrieval import build_index
from retrieval.curation.duplicates import DECISIONS
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill
from tests.retrieval.server.page.looking import Page


def test_a_key_decides_and_the_collection_keeps_it(
    browser, serve: Callable[..., str], tmp_path: Path
) -> None:
    folder = fill(tmp_path / "photos", ["a.png", "b.png"])
    shutil.copy(folder / "a.png", folder / "copy of a.png")
    build_index(folder, encoder=FakeEncoder(), progress=False)
    page = Page(browser, serve(folder, review=True))
    browser.get(page.address)
    page.wait(lambda: page.one("#duplicates").is_displayed())
    browser.get(page.one("#duplicates").get_attribute("href"))

    page.wait(lambda: page.run("return [...document.images].every(image => image.naturalWidth > 0)"))
    page.press("d")
    page.wait(lambda: page.text("#told") == "kept by the service")

    (kept,) = json.loads((folder / ".retrieve" / DECISIONS).read_text())["decisions"]
    assert (kept["first"]["path"], kept["second"]["path"], kept["decision"]) == (
        "a.png",
        "copy of a.png",
        "different",
    )
