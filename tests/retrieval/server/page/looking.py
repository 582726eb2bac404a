"""Look at the page as a person does: go to it, wait, read what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECONDS = 60.0  # that anything may take; a busy machine takes longer than a person would wait


class Page:
    """A page in a browser.

    Args:
        browser: that shows it.
        address: of the page.
    """

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address

    def go(self, search: str = "") -> None:
        """Open the page, with a query if there is one, and wait until it shows hits or a word."""
        self.browser.get("about:blank")
        self.browser.get_log("browser")
        self.browser.get(self.address + search)
        self.wait(lambda: self.names() or self.text("#notice") or "Nothing" in self.text("#count"))

    def wait(self, holds: Callable[[], Any]) -> Any:
        """Wait until something holds, and return it."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = holds()
            if found or time.monotonic() > deadline:
                assert found, f"it did not come to pass within {SECONDS:g} seconds: {self.text('body')[:600]}"
                return found
            time.sleep(0.02)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.browser.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        """Return the first element that a selector finds, as soon as there is one."""
        return self.wait(lambda: next(iter(self.browser.find_elements("css selector", selector)), None))

    def all(self, selector: str) -> list[Any]:
        """Return the elements that a selector finds."""
        return list(self.browser.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        """Return the text of an element, whether it is shown or not; empty if there is none."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def names(self) -> list[str]:
        """Return the names of the hits, best first."""
        return self.run("return [...document.querySelectorAll('#hits .name')].map(name => name.textContent)")

    def first(self, name: str) -> None:
        """Wait until a picture is the first hit."""
        self.wait(lambda: self.names()[:1] == [name])

    def type(self, words: str) -> None:
        """Write words into the box."""
        self.one("#words").send_keys(words)

    def rewrite(self, words: str) -> None:
        """Write words into the box in place of those that stand there."""
        from selenium.webdriver.common.keys import Keys

        self.one("#words").send_keys(Keys.CONTROL, "a")
        self.one("#words").send_keys(words or Keys.BACKSPACE)

    def press(self, *keys: str) -> None:
        """Press keys where the cursor is."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def click(self, selector: str) -> None:
        """Click on an element, whether the pointer is over its picture or not."""
        self.run("arguments[0].click()", self.one(selector))

    def asked(self) -> dict[str, list[str]]:
        """Return what the address says."""
        return parse_qs(urlsplit(self.browser.current_url).query)

    def hit(self, name: str) -> str:
        """Return a selector of the hit of a name."""
        at = self.names().index(name) + 1
        return f"#hits li:nth-child({at})"

    def focused(self) -> str:
        """Return how a screen reader calls what has the cursor."""
        return self.run("return document.activeElement.ariaLabel ?? document.activeElement.id")

    def complaints(self) -> list[str]:
        """Return what the browser has complained about since the page was opened."""
        return [entry["message"] for entry in self.browser.get_log("browser")]
