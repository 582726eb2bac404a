"""What was found, in a browser: filters, copies, more and more hits, details, selections, keys."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import ids_by_key
from tests.retrieval.server.page.conftest import HOSTILE, MANY
from tests.retrieval.server.page.looking import Page

ALL = MANY + 4  # pictures, the copy folded


class TestFilters:
    def test_folders_open_one_by_one(self, page: Page) -> None:
        page.go("?q=an+animal")
        page.click("#filters-toggle")
        page.wait(lambda: len(page.all(".folders button")) == 4)

        assert page.text(".folders li:first-child").startswith("animals 2")

        page.click(".folders li:nth-child(3) button")
        page.wait(lambda: page.names() == ["coffee.jpg"])
        assert page.asked()["under"] == ["food"]

        page.click(".trail button")
        page.first("cat.png")
        assert "under" not in page.asked()

    def test_dates_are_of_the_column_that_has_times(self, page: Page) -> None:
        page.go("?q=a+picture")
        page.click("#filters-toggle")
        page.run(
            "const field = document.querySelector('[data-field=\"taken.to\"]'); field.value = '2019-07-20';"
            "field.dispatchEvent(new Event('change'));"
        )
        page.wait(lambda: page.names() == ["portrait.jpg"])

        assert page.asked()["to.taken"] == ["2019-07-20"]

    @pytest.mark.parametrize("width", [390, 1280, 2560])
    def test_dates_are_shown_whole(self, page: Page, width: int) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        try:
            page.go("?q=a+picture&from.taken=2019-07-20&to.taken=2021-10-20")
            page.click("#filters-toggle")
            begin, end = (page.one(f"[data-field='taken.{side}']").rect for side in ("from", "to"))
        finally:
            page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

        assert min(begin["width"], end["width"]) >= 125  # pixels of ten characters and a calendar
        assert begin["x"] + begin["width"] <= end["x"]

    def test_come_into_view_from_far_down(self, page: Page) -> None:
        page.go("?q=a+picture")
        page.run("scrollTo(0, document.body.scrollHeight)")
        page.click("#filters-toggle")

        assert page.run("return document.getElementById('filters').getBoundingClientRect().top") >= 0

    def test_a_least_score_is_a_number(self, page: Page) -> None:
        page.go("?q=a+picture&least=much")
        assert page.all(".pill") == []

        page.go("?least=0.3")
        assert page.text("#count").endswith("the least score counts once you search")

    def test_a_folder_is_shown_without_a_query(self, page: Page) -> None:
        page.go("?under=colours")
        assert page.text("#count") == f"{MANY} pictures"
        assert page.names()[:2] == ["000.png", "001.png"]

        page.run("scrollTo(0, document.body.scrollHeight)")
        page.wait(lambda: len(page.names()) == MANY)

    def test_numbers_have_a_range(self, page: Page) -> None:
        page.go("?q=a+picture&from.width=100")

        assert sorted(page.names()) == sorted(["cat.png", "portrait.jpg", "coffee.jpg", HOSTILE])

    def test_are_shown_and_dropped_one_by_one(self, page: Page) -> None:
        page.go("?q=a+cat&under=food&glob=**/*.jpg")
        assert [pill.text for pill in page.all(".pill")] == ["in food", "matches **/*.jpg"]
        assert page.text("#filters-count") == "2"

        page.click(".pill button")
        page.wait(
            lambda: (
                page.names() == ["portrait.jpg", "coffee.jpg"]
                or page.names() == ["coffee.jpg", "portrait.jpg"]
            )
        )
        assert "under" not in page.asked()

    def test_are_dropped_all_at_once_where_there_are_several(self, page: Page) -> None:
        page.go("?q=a+cat&under=food&glob=**/*.jpg&from.width=1")
        assert len(page.all(".pill")) == 3

        page.click(".clear-filters")
        page.wait(lambda: "cat.png" in page.names())

        assert (page.all(".pill"), page.all(".clear-filters"), page.text("#filters-count")) == ([], [], "")
        assert page.asked() == {"in": ["photos"], "q": ["a cat"]}
        assert page.run("return document.activeElement.id") == "filters-toggle"

        page.go("?q=a+cat&under=food")
        assert (len(page.all(".pill")), page.all(".clear-filters")) == (1, [])

    def test_a_condition_that_is_none_is_said(self, page: Page) -> None:
        page.go("?q=a+cat&condition=widt+%3E+3")

        assert "widt" in page.text("#notice")

    def test_no_name_of_a_column_or_value_leaves_its_quotes(self, page: Page) -> None:
        page.go("?q=a+cat&holds.camera=%27%29+OR+%281%3D1&from.no%22+OR+%22pe=1")

        assert page.names() == []
        assert "no" in page.text("#notice")


class TestSamePicture:
    @pytest.fixture(autouse=True)
    def opencv(self) -> None:
        pytest.importorskip("cv2", reason="the extra verify is not installed")

    @pytest.fixture
    def rows(self, photos: Path) -> dict[str, int]:
        with retrieval.open(photos) as collection:
            return ids_by_key(collection)

    def test_is_offered_beside_one_picture_only(self, page: Page, rows: dict[str, int]) -> None:
        page.go("?q=a+cat")
        assert not page.one("#compare").is_displayed()

        page.go(f"?t=1:id::{rows['animals/cat.png']}&t=1:id::{rows['food/coffee.jpg']}")
        assert not page.one("#compare").is_displayed()

    def test_comes_first_marked_and_outlined(self, page: Page, rows: dict[str, int]) -> None:
        page.go(f"?t=1:id:0.25,0.25,0.5,0.5:{rows['food/coffee.jpg']}")
        assert page.all(".facts .relation") == []

        page.click("#compare")
        page.wait(lambda: [one.text for one in page.all(".facts .relation")] == ["same picture"])
        assert page.asked()["check"] == ["1"]
        assert page.names()[0] == "coffee.jpg"
        frame = page.one("#hits li:first-child .frame").rect
        line = page.one("#hits li:first-child .outline polygon").rect
        assert line["width"] == pytest.approx(frame["width"] / 2, rel=0.1)
        assert line["x"] - frame["x"] == pytest.approx(frame["width"] / 4, rel=0.1)

        page.click("#hits li:first-child .frame")
        page.wait(lambda: "same picture" in page.text("#sheet"))
        assert len(page.all("#stage .outline")) == 1


class TestViews:
    """The part of a picture that answered is drawn, unless more is known of it."""

    @pytest.mark.parametrize(
        ("hit", "drawn"),
        [
            ("{region: [0.25, 0.5, 0.5, 0.25]}", "outline region 0.5,0.5 1.5,0.5 1.5,0.75 0.5,0.75"),
            ("{region: null}", ""),
            (
                "{region: [0, 0, 1, 1], relation: 'picture', outline: [[0, 0], [1, 0], [1, 0.5]]}",
                "outline picture 0,0 2,0 2,0.5",
            ),
        ],
    )
    def test_the_part_that_answered_is_drawn(self, page: Page, hit: str, drawn: str) -> None:
        page.go("?q=colours")
        said = page.run(
            "return import(new URL('dom.js', document.querySelector('script[type=module]').src))"
            f".then(({{outline}}) => outline({hit}, 2))"
            ".then((made) => made ? made.getAttribute('class') + ' ' + made.firstChild.getAttribute('points') : '')"
        )

        assert said == drawn


class TestMany:
    def test_copies_are_folded_and_named_in_the_details(self, page: Page) -> None:
        page.go("?q=a+cat&under=animals")

        assert page.names() == ["cat.png"]
        assert page.text(".copies-badge") == "+1"

        page.click(".copies-badge")
        page.wait(lambda: page.text(".copies li") == "animals/the same cat.png")

    def test_hits_go_on_as_one_scrolls(self, page: Page) -> None:
        page.go("?q=colours")
        assert len(page.names()) == 60

        page.run("scrollTo(0, document.body.scrollHeight)")
        page.wait(lambda: len(page.names()) == ALL)

        assert (
            len(set(page.run("return [...document.querySelectorAll('#hits li')].map(hit => hit.dataset.id)")))
            == ALL
        )
        assert f"{ALL + 1} pictures" in page.text("#count")  # and behind it what is likely nothing

    def test_pictures_below_are_not_loaded_before_they_come_near(self, page: Page) -> None:
        page.go("?q=colours")
        loaded = page.run(
            "return performance.getEntriesByType('resource').filter(one => one.name.includes('thumbnail')).length"
        )

        assert loaded < 60

    def test_something_is_shown_before_anything_is_asked(self, page: Page) -> None:
        page.go()
        assert 10 <= len(page.names()) <= ALL + 1
        assert page.text("#count") == f"{ALL + 1} pictures"


class TestDetails:
    def test_tell_what_is_known(self, page: Page) -> None:
        page.go("?q=a+cup+of+coffee&under=food")
        page.click("#hits li a")
        page.wait(lambda: "2021" in page.text("#sheet"))
        facts = page.run(
            "return [...document.querySelectorAll('#sheet dt')].map(one => [one.textContent, one.nextSibling.textContent])"
        )
        known = dict(facts)

        assert page.text("#detail-name") == "coffee.jpg"
        assert known["Folder"] == "food/"
        assert known["Pixels"] == "420 × 280"
        assert known["Size"].endswith(" kB")
        assert known["Taken"] == "2 Jan 2021, 08:30"
        assert "taken" not in known
        assert float(known["Score"]) > 0
        assert page.one("#sheet a.button").get_attribute("href").endswith("/original")

    def test_the_arrows_go_to_the_next_picture_and_going_back_closes(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat")
        first, second = page.names()[:2]
        page.click("#hits li a")
        page.wait(lambda: page.text("#detail-name") == first)
        page.press(Keys.ARROW_RIGHT)
        page.wait(lambda: page.text("#detail-name") == second)
        page.browser.back()
        page.wait(lambda: not page.run("return document.getElementById('detail').open"))

        assert page.asked()["q"] == ["a cat"]
        assert page.focused().startswith(second)

    def test_an_address_opens_them(self, page: Page) -> None:
        page.go("?q=a+cat&open=0")
        page.wait(lambda: page.run("return document.getElementById('detail').open"))

        assert page.text("#detail-name") != ""

    def test_escape_closes_them(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat")
        page.click("#hits li a")
        page.wait(lambda: page.text("#detail-name") == "cat.png")
        page.press(Keys.ESCAPE)
        page.wait(lambda: not page.run("return document.getElementById('detail').open"))

    def test_without_originals_nobody_is_sent_to_them(self, browser, photos: Path, serve) -> None:
        page = Page(browser, serve(photos))
        page.go("?q=a+cat")
        page.click("#hits li a")
        page.wait(lambda: page.text("#detail-name") == "cat.png")

        assert page.all("#sheet a") == []
        assert not page.one("#zip").is_displayed()


class TestSelection:
    @pytest.fixture
    def downloads(self, browser, tmp_path: Path) -> Path:
        behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        return tmp_path

    def select(self, page: Page) -> None:
        page.go("?q=a+cat&from.width=100")
        for name in ("cat.png", "coffee.jpg"):
            page.click(f"{page.hit(name)} .check")
        page.wait(lambda: page.text("#selected") == "2 pictures selected")

    def test_is_downloaded_as_a_list(self, page: Page, downloads: Path) -> None:
        self.select(page)
        page.click("#list")
        page.wait(lambda: list(downloads.glob("*.txt")))

        assert next(downloads.glob("*.txt")).read_text().splitlines() == [
            "animals/cat.png",
            "food/coffee.jpg",
        ]

    def test_is_downloaded_as_an_archive(self, page: Page, downloads: Path, photos: Path) -> None:
        from zipfile import ZipFile

        self.select(page)
        page.click("#zip")
        page.wait(lambda: list(downloads.glob("*.zip")))
        with ZipFile(next(downloads.glob("*.zip"))) as archive:
            assert archive.namelist() == ["animals/cat.png", "food/coffee.jpg"]
            assert archive.read("food/coffee.jpg") == (photos / "food" / "coffee.jpg").read_bytes()

    def test_others_can_be_like_all_of_it(self, page: Page) -> None:
        self.select(page)
        page.click("#alike")
        page.wait(lambda: len(page.asked().get("t", [])) == 2)

        assert not page.one("#selection").is_displayed()

    def test_shift_takes_everything_between(self, page: Page) -> None:
        page.go("?q=a+cat")
        page.run(
            "const press = (at, shiftKey) => document.querySelectorAll('.check')[at]"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true, shiftKey})); press(1, false); press(5, true);"
        )
        page.wait(lambda: page.text("#selected") == "5 pictures selected")
        assert page.text("#alike") == "More like these"

    def test_of_more_than_a_query_takes_says_so(self, page: Page) -> None:
        page.go("?q=a+cat")
        page.run("for (const check of [...document.querySelectorAll('.check')].slice(0, 14)) check.click()")
        page.wait(lambda: page.text("#selected") == "14 pictures selected")
        assert page.text("#alike") == "More like the first 12"

        page.click("#alike")
        page.wait(lambda: len(page.asked().get("t", [])) == 12)


class TestKeys:
    def test_reach_everything_that_a_hit_can_do(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat")
        first, second = page.names()[:2]
        page.run("document.activeElement.blur()")
        page.press("/")
        assert page.focused() == "Search by words"

        page.press(Keys.ARROW_DOWN)
        assert page.focused().startswith(first)
        page.press(Keys.ARROW_RIGHT)
        assert page.focused().startswith(second)
        page.press("x")
        page.wait(lambda: page.text("#selected") == "1 picture selected")
        page.press(Keys.TAB)
        assert page.focused() == f"Select {second}"
        page.press(Keys.TAB, Keys.TAB)
        assert page.focused() == f"More like {second}"
        page.press(Keys.ENTER)
        page.wait(lambda: page.asked().get("t", [""])[0].startswith("1:id::"))
        page.wait(lambda: page.focused().startswith(page.names()[0]))  # among the new hits, not lost

    def test_go_up_and_down_the_rows(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        place = "const box = document.activeElement.closest('li').getBoundingClientRect(); return [box.left, box.top + scrollY]"
        page.go("?q=colours")
        page.one("#words").send_keys(Keys.ARROW_DOWN)
        left, top = page.run(place)
        page.press(Keys.ARROW_DOWN)
        below = page.run(place)
        page.press(Keys.ARROW_UP)

        assert below[1] > top
        assert page.run(place) == [left, top]

    def test_open_a_hit_and_come_back_to_it(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat")
        page.one("#words").send_keys(Keys.ARROW_DOWN)
        page.press(Keys.ENTER)
        page.wait(lambda: page.text("#detail-name") == "cat.png")
        page.press(Keys.ESCAPE)
        page.wait(lambda: page.focused().startswith("cat.png"))
