"""The page as a whole: safe with any name, readable by anybody, at any width, and true while its collection changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval import build_index
from retrieval.server.page import CONTENT_SECURITY_POLICY
from retrieval.server.settings import Limits
from tests.retrieval.browser import luminance, window
from tests.retrieval.folders import fill
from tests.retrieval.server.page.conftest import HOSTILE
from tests.retrieval.server.page.looking import Page

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text("utf-8")
SHOWN = "what-the-server-shows-once"


class TestSafety:
    def test_a_hostile_name_is_text(self, page: Page) -> None:
        page.go("?q=a+rocket")
        page.wait(lambda: HOSTILE in page.names())
        page.click(f"{page.hit(HOSTILE)} a")
        page.wait(lambda: page.text("#detail-name") == HOSTILE)

        assert page.browser.title == "a rocket – retrieve"
        assert page.run("return document.querySelectorAll('[onerror], [src=x]').length") == 0

    def test_hostile_words_are_text(self, page: Page) -> None:
        page.go("?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&t=1:words::%3Cb%3Ebold&under=%3Ci%3Ex")

        assert page.run("return document.querySelectorAll('[onerror], b, i').length") == 0
        assert page.text(".chip-words") == "<b>bold"

    def test_everything_comes_from_this_server(self, page: Page) -> None:
        page.go("?q=a+cat")
        names = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")

        assert [name for name in names if not name.startswith((page.address, "blob:"))] == []
        assert len(names) > 20

    def test_the_policy_forbids_what_is_in_the_page_itself(self, page: Page) -> None:
        page.go("?q=a+cat&t=1:id:.1,.1,.5,.5:2&under=animals")
        page.click("#filters-toggle")
        page.wait(lambda: page.all(".folders"))
        page.click("#hits li a")
        page.wait(lambda: page.text("#detail-name") == "cat.png")

        assert page.complaints() == []
        assert (
            page.run("return document.querySelectorAll('style, [style*=url], script:not([src])').length") == 0
        )
        assert "unsafe" not in CONTENT_SECURITY_POLICY
        with pytest.raises(Exception, match="TrustedHTML"):
            page.run("document.body.innerHTML = '<p>markup'")


class TestToken:
    def test_is_asked_for_once(self, browser, photos: Path, serve) -> None:
        page = Page(browser, serve(photos, token=SHOWN))
        browser.get(f"{page.address}?q=a+cat")
        page.one("#token").send_keys("something else\n")
        page.wait(lambda: "not the token" in page.text("body"))
        browser.get(f"{page.address}?q=a+cat")
        page.one("#token").send_keys(f"{SHOWN}\n")
        page.first("cat.png")

        assert page.run("return document.cookie") == ""

    def test_is_asked_for_again_where_the_cookie_is_gone(self, browser, photos: Path, serve) -> None:
        page = Page(browser, serve(photos, token=SHOWN))
        browser.get(page.address)
        page.one("#token").send_keys(f"{SHOWN}\n")
        page.wait(page.names)
        browser.delete_all_cookies()
        page.type("a cat")
        page.one("#token")


class TestReaders:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [390, 1280])
    def test_axe_finds_nothing(self, page: Page, scheme: str, width: int) -> None:
        found = []

        def look(what: str) -> None:
            script = (
                AXE
                + "; const done = arguments[0]; axe.run({resultTypes: ['violations']}).then("
                + "found => done(found.violations.map(one => [one.id, one.nodes[0].html])), error => done(String(error)))"
            )
            found.extend((what, one) for one in page.browser.execute_async_script(script))

        with window(page.browser, width, scheme=scheme):
            page.go()
            look("start")
            page.go("?q=a+cat&under=animals&t=-0.5:words::coffee&t=1:id:.1,.1,.5,.5:2")
            page.click("#filters-toggle")
            page.wait(lambda: page.all(".folder-field"))
            page.click("#hits .check")
            page.wait(lambda: page.text("#selected"))
            look("hits, chips, filters, selection")
            page.click(".chip-main")
            look("a chip's window")
            page.go("?q=a+cat")
            page.click("#hits li a")
            page.wait(lambda: page.text("#detail-name") == "cat.png")
            page.press("p")
            look("details and a part")
            page.go("?q=a+cat&condition=widt+%3E+3")
            page.click("#help")
            look("a fault, and the keys")

        assert found == []

    @pytest.mark.parametrize("width", [320, 390, 720, 1000, 1280, 2560])
    def test_nothing_overflows_sideways(self, page: Page, width: int) -> None:
        with window(page.browser, width):
            page.go("?q=a+cat&from.width=100&t=-0.5:words::coffee&t=1:id:.1,.1,.5,.5:2")
            page.click("#filters-toggle")
            page.wait(lambda: page.all(".folders"))
            page.click("#hits .check")
            spill = page.run("return document.documentElement.scrollWidth - window.innerWidth")
            box = page.one("#words").size["width"]
            page.click("#hits li a")
            page.wait(lambda: page.text("#detail-name"))
            sheet = page.run(
                "const sheet = document.getElementById('sheet'); return sheet.scrollWidth - sheet.clientWidth"
            )

        assert spill <= 0
        assert sheet <= 0
        assert box >= 100

    def test_light_and_dark_follow_the_reader(self, page: Page) -> None:
        page.go()
        grounds = {}
        for scheme in ("light", "dark"):
            with window(page.browser, 1280, scheme=scheme):
                grounds[scheme] = luminance(page.one("body").value_of_css_property("background-color"))

        assert grounds["light"] > 0.5 > grounds["dark"]

    def test_what_was_found_is_told(self, page: Page) -> None:
        page.go()
        page.type("a cat")
        page.first("cat.png")
        page.wait(lambda: page.text("#announcer").startswith("60 hits"))

    def test_the_size_of_pictures_is_remembered(self, page: Page) -> None:
        page.go()
        page.run(
            "const range = document.getElementById('size'); range.value = 300;"
            "range.dispatchEvent(new Event('input')); range.dispatchEvent(new Event('change'));"
        )
        page.go("?q=a+cat")
        page.first("cat.png")
        tall = page.one("#hits li .frame").size["height"]
        page.run("localStorage.clear()")

        assert tall >= 290


class TestChanges:
    def test_a_collection_that_changes_is_told_and_searched_anew(
        self, browser, serve, tmp_path: Path
    ) -> None:
        folder = fill(tmp_path / "photos", [f"{number:02d}.png" for number in range(70)])
        build_index(folder, progress=False)
        page = Page(browser, serve(folder, limits=Limits(generations=0)))
        page.go("?q=colours")
        assert len(page.names()) == 60

        fill(folder, ["new.png"], first=500)
        build_index(folder, progress=False)
        page.wait(lambda: self.told(page))
        page.run("scrollTo(0, document.body.scrollHeight)")  # the cursor's generation is gone
        page.wait(lambda: len(page.names()) == 71)
        page.click("#notice button")
        page.wait(lambda: page.text("#notice") == "")
        page.go("?q=new")
        page.first("new.png")

    def test_a_notice_that_was_closed_stays_closed(self, browser, serve, tmp_path: Path) -> None:
        folder = fill(tmp_path / "photos", ["0.png", "1.png"])
        build_index(folder, progress=False)
        page = Page(browser, serve(folder))
        page.go("?q=colours")
        fill(folder, ["new.png"], first=500)
        build_index(folder, progress=False)
        page.wait(lambda: self.told(page))
        page.click("#notice button:last-child")
        asked = "return performance.getEntriesByType('resource').filter(one => /v1.collections$/.test(one.name)).length"
        before = page.run(asked)
        page.wait(lambda: not self.told(page) and page.run(asked) > before + 1)

        assert page.text("#notice") == ""

    def test_the_newest_state_has_the_newest_folders(self, browser, serve, tmp_path: Path) -> None:
        folder = fill(tmp_path / "photos", ["old/0.png", "old/1.png"])
        build_index(folder, progress=False)
        page = Page(browser, serve(folder))
        page.go("?q=colours")
        page.click("#filters-toggle")
        page.wait(lambda: len(page.all(".folders button")) == 1)
        fill(folder, ["new/2.png"], first=500)
        build_index(folder, progress=False)
        page.wait(lambda: self.told(page))
        page.click("#notice button")
        page.wait(lambda: len(page.all(".folders button")) == 2)
        page.wait(lambda: len(page.names()) == 3)

    @staticmethod
    def told(page: Page) -> bool:
        page.run(
            "document.dispatchEvent(new Event('visibilitychange'))"
        )  # as when somebody comes back to the tab
        return "The collection has changed." in page.text("#notice")


def test_it_works_below_a_prefix(browser, photos: Path, serve) -> None:
    page = Page(browser, serve(photos, prefix="/of/photos"))
    page.address = page.address.rstrip("/")
    page.go("?q=a+cat")
    page.first("cat.png")
    page.click("#hits li a")
    page.wait(lambda: page.text("#detail-name") == "cat.png")

    assert page.run("return document.querySelector('#hits img').naturalWidth") > 0
    assert page.run("return document.querySelector('#bar use').getBBox().width") > 0
    assert [entry for entry in page.complaints() if "404" in entry] == []
