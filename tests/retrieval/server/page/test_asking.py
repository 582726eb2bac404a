"""Asking in a browser: by words, by pictures that are dropped, pasted, picked or taken, by hits and by parts of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.retrieval.server.page.looking import Page

GIVE = """
const [name, kind, done] = arguments;
fetch(name).then(answer => answer.blob()).then(async blob => {
  const given = new DataTransfer();
  given.items.add(new File([blob], "mine.jpg", {type: blob.type}));
  if (kind === "paste") {
    document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: given, bubbles: true, cancelable: true}));
  } else {
    const event = name => new DragEvent(name, {dataTransfer: given, bubbles: true, cancelable: true});
    document.body.dispatchEvent(event("dragenter"));
    const veiled = !document.getElementById("veil").hidden;
    document.body.dispatchEvent(event("dragover"));
    document.body.dispatchEvent(event("drop"));
    done(veiled && document.getElementById("veil").hidden);
    return;
  }
  done(true);
}).catch(error => done(String(error)));
"""


def give(page: Page, name: str, kind: str) -> None:
    """Drop or paste the picture of a hit, as if it came from another program."""
    address = page.run("return document.querySelector(arguments[0] + ' img').src", page.hit(name))
    assert page.browser.execute_async_script(GIVE, address, kind) is True


class TestWords:
    def test_are_searched_while_they_are_typed(self, page: Page) -> None:
        page.go()
        page.type("a cat")
        page.wait(lambda: page.asked().get("q") == ["a cat"])  # half of it may have found the cat already
        page.first("cat.png")

        assert page.browser.title == "a cat – retrieve"

    def test_going_back_finds_the_query_before_and_not_half_a_word(self, page: Page) -> None:
        page.go()
        from selenium.webdriver.common.keys import Keys

        page.type("a cat")
        page.first("cat.png")
        page.press(Keys.ENTER)
        page.rewrite("a cup of coffee")
        page.first("coffee.jpg")
        page.browser.back()
        page.first("cat.png")

        assert page.one("#words").get_attribute("value") == "a cat"

        page.browser.forward()
        page.first("coffee.jpg")

    def test_an_address_says_the_whole_query(self, page: Page) -> None:
        page.go("?q=an+astronaut&under=people")

        assert page.names() == ["portrait.jpg"]
        assert page.one("#words").get_attribute("value") == "an astronaut"

    def test_that_the_encoder_never_learned_are_named(self, page: Page) -> None:
        page.go()
        page.type("xqzvyq")
        page.wait(lambda: "xqzvyq" in page.text("#notice"))

    def test_become_a_chip_so_that_others_can_be_added(self, page: Page) -> None:
        page.go()
        from selenium.webdriver.common.keys import Keys

        page.type("a cat")
        page.one("#words").send_keys(Keys.SHIFT, Keys.ENTER)
        page.type("green")
        page.wait(lambda: page.asked().get("q") == ["green"])

        assert page.asked()["t"] == ["1:words::a cat"]

    def test_an_address_from_anywhere_breaks_nothing(self, page: Page) -> None:
        page.go("?q=a+cat&t=NaN:id::x&t=1:id:9,9,9,9:1&open=-1&from.width=abc&in=nowhere&t=1:image::0000")
        page.wait(lambda: "no longer in this browser" in page.text("#notice"))

    def test_an_address_of_another_collection_is_said(self, page: Page) -> None:
        page.go("?q=a+cat&in=nowhere")
        page.first("cat.png")

        assert "There is no collection nowhere here. This is photos." in page.text("#notice")


class TestPictures:
    @pytest.mark.parametrize("kind", ["drop", "paste"])
    def test_that_are_dropped_or_pasted_are_searched_by(self, page: Page, kind: str) -> None:
        page.go("?q=coffee")
        give(page, "portrait.jpg", kind)
        page.wait(lambda: "t" in page.asked())
        page.rewrite("")
        page.first("portrait.jpg")

        assert page.one(".chip img").get_attribute("src").startswith("blob:")

    def test_are_found_again_by_going_back_and_by_reloading(self, page: Page, photos: Path) -> None:
        page.go()
        page.one("#file").send_keys(str(photos / "food" / "coffee.jpg"))
        page.first("coffee.jpg")
        page.click("#clear")
        page.wait(lambda: "t" not in page.asked())
        page.browser.back()
        page.first("coffee.jpg")
        page.browser.refresh()
        page.first("coffee.jpg")

    def test_files_that_are_none_are_refused_in_a_sentence(self, page: Page, tmp_path: Path) -> None:
        page.go()
        (tmp_path / "words.txt").write_text("no picture")
        page.one("#file").send_keys(str(tmp_path / "words.txt"))
        page.wait(lambda: page.text("#notice").startswith("This is no picture."))

    def test_broken_ones_are_refused_by_the_server_in_a_sentence(self, page: Page, tmp_path: Path) -> None:
        page.go()
        (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(200))
        page.one("#file").send_keys(str(tmp_path / "broken.jpg"))
        page.wait(lambda: page.text("#notice"))

        assert "bug" not in page.text("#notice")

    def test_can_be_taken_with_the_camera(self, page: Page) -> None:
        page.go()
        page.click("#take")
        page.wait(lambda: page.run("return document.getElementById('camera-view').videoWidth"))
        page.click("#shutter")
        page.wait(lambda: page.asked().get("t", [""])[0].startswith("1:image::"))
        page.one(".chip img")

        assert not page.run("return document.getElementById('camera').open")


class TestHits:
    def test_more_like_this_makes_it_a_part_of_the_query(self, page: Page) -> None:
        page.go("?q=a+cat")
        page.click(f"{page.hit('coffee.jpg')} .more")
        page.wait(lambda: page.asked().get("t", [""])[0].startswith("1:id::"))
        page.wait(lambda: page.names()[0] != "coffee.jpg")  # a picture does not find itself

        assert len(page.all(".chip")) == 1

    def test_less_like_this_takes_it_away(self, page: Page) -> None:
        page.go("?q=a+cat")
        page.first("cat.png")
        page.click(f"{page.hit('cat.png')} .less")
        page.wait(lambda: page.asked().get("t", [""])[0].startswith("-0.25:id::"))
        page.wait(lambda: page.names()[0] != "cat.png")

    def test_chips_are_weighed_and_removed_by_keys(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat&t=1:words::coffee")
        page.run("document.querySelector('.chip-main').focus()")
        page.press(Keys.ARROW_UP)
        page.wait(lambda: page.asked()["t"] == ["1.25:words::coffee"])
        page.press(Keys.ARROW_DOWN)
        page.press(Keys.ARROW_DOWN)
        page.wait(lambda: page.asked()["t"] == ["0.75:words::coffee"])
        page.press(Keys.DELETE)
        page.wait(lambda: "t" not in page.asked())
        page.first("cat.png")

    def test_chips_are_weighed_by_the_pointer(self, page: Page) -> None:
        page.go("?q=a+cat&t=1:words::coffee")
        page.click(".chip-main")
        page.run(
            "const range = document.querySelector('#weigh input'); range.value = -1.5;"
            "range.dispatchEvent(new Event('input')); range.dispatchEvent(new Event('change'));"
        )
        page.wait(lambda: page.asked()["t"] == ["-1.5:words::coffee"])

        assert page.one(".chip-main").get_attribute("aria-label") == "less like coffee 1.5×"

    def test_the_cursor_returns_to_the_chip_that_was_weighed(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat&t=1:words::coffee")
        page.run("document.querySelector('.chip-main').focus()")
        page.press(Keys.ENTER)
        page.wait(lambda: page.focused() == "Weight")
        page.press(Keys.ARROW_RIGHT)
        page.wait(lambda: page.asked()["t"] == ["1.25:words::coffee"])
        page.press(Keys.ESCAPE)
        page.wait(lambda: page.focused() == "more like coffee 1.25×")

    def test_can_be_dragged_onto_the_box(self, page: Page) -> None:
        page.go("?q=a+cat")
        page.run(
            "const given = new DataTransfer(); given.setData('application/x-retrieve-row', '3');"
            "const event = name => new DragEvent(name, {dataTransfer: given, bubbles: true, cancelable: true});"
            "const box = document.getElementById('words');"
            "for (const name of ['dragenter', 'dragover', 'drop']) box.dispatchEvent(event(name));"
        )
        page.wait(lambda: page.asked().get("t") == ["1:id::3"])


class TestParts:
    def test_are_drawn_with_the_pointer(self, page: Page) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        page.go("?q=portrait")
        page.first("portrait.jpg")
        page.click("#hits li a")
        canvas = page.one("#stage .canvas")
        page.wait(lambda: page.run("return document.querySelector('#stage img').complete"))
        width, height = canvas.size["width"], canvas.size["height"]
        drawing = ActionChains(page.browser).move_to_element_with_offset(canvas, -width // 4, -height // 4)
        drawing.click_and_hold().move_by_offset(width // 2, height // 4).release().perform()
        page.click(".part-bar button")
        page.wait(lambda: "t" in page.asked())
        weight, kind, shares, _ = page.asked()["t"][0].split(":")
        drawn = [float(share) for share in shares.split(",")]

        assert (weight, kind) == ("1", "id")
        assert drawn == pytest.approx([0.25, 0.25, 0.5, 0.25], abs=0.02)
        page.wait(lambda: len(page.all(".chip-face.part img")) == 1)

    def test_are_moved_and_resized_by_keys(self, page: Page) -> None:
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        page.go("?q=an+astronaut&under=people")
        page.click("#hits li a")
        page.one("#stage .canvas")
        page.press("p")
        page.press(Keys.ARROW_RIGHT, Keys.ARROW_UP)
        resizing = ActionChains(page.browser).key_down(Keys.SHIFT)
        resizing.send_keys(Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
        page.press(Keys.ENTER)
        page.wait(lambda: "t" in page.asked())

        assert page.asked()["t"][0].split(":")[2] == "0.27,0.23,0.5,0.52"

    def test_that_are_given_up_leave_the_keys_to_the_details(self, page: Page) -> None:
        from selenium.webdriver.common.keys import Keys

        page.go("?q=a+cat")
        page.click("#hits li a")
        page.one("#stage .canvas")
        page.press("p")
        page.press(Keys.ESCAPE)
        assert page.one("#detail").is_displayed()
        assert not page.one(".part-box").is_displayed()

        second = page.names()[1]
        page.press(Keys.ARROW_RIGHT)
        page.wait(lambda: page.text("#detail-name") == second)

    def test_of_a_dropped_picture_are_encoded_by_themselves(self, page: Page, photos: Path) -> None:
        page.go()
        page.one("#file").send_keys(str(photos / "people" / "portrait.jpg"))
        page.first("portrait.jpg")
        whole = page.text("#hits li .score")
        page.click(".chip-main")
        page.run(
            "[...document.querySelectorAll('#weigh button')].find(one => one.textContent === 'Draw a part').click()"
        )
        page.one("#part .part-box")
        page.wait(lambda: page.run("return !document.querySelector('#part .part-bar').hidden"))
        page.click("#part .part-bar button")
        page.wait(lambda: page.asked()["t"][0].split(":")[2] == "0.25,0.25,0.5,0.5")
        page.wait(lambda: page.text("#hits li .score") != whole)
