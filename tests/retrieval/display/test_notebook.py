"""What a notebook shows: escaped, bounded, with everything inside, and never an error."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.display import notebook
from retrieval.display.notebook import LIMIT, Picture, facts, gallery, report, sentence, shown, table

NAMES = [
    "<script>alert(1)</script>.png",
    'x"><img src=x onerror=alert(1)>.png',
    "'onmouseover='alert(1).png",
    "a&amp;b.png",
    "new\nline\x1b[31m.png",
    "\u202egnp.exe",
    os.fsdecode(b"bad\xff.png"),
    "z" + "\u0301" * 5000,
    "long " * 800,
]


class Reader(HTMLParser):
    """The tags of some HTML, with every tag closed in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def harmless(html: str) -> Reader:
    reader = Reader(html)
    allowed = {"div", "span", "b", "bdi", "img", "table", "tr", "th", "td", "small", "caption"}
    for tag, attributes in reader.tags:
        assert tag in allowed
        assert set(attributes) <= {"style", "src", "alt"}
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert "url(" not in (attributes.get("style") or "")
    assert not any(character in html for character in "\x1b\u202e\udcff")
    return reader


def noise(path: Path, size: tuple[int, int] = (800, 600)) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_is_text_and_nothing_else(tmp_path: Path, name: str) -> None:
    file = str(noise(tmp_path / "a.png", (40, 30)))
    pictures = [Picture(file=file, name=name, facts=name, more=name)]

    for html in (
        gallery(name, pictures, note=name),
        gallery(name, [Picture(file=str(tmp_path / "none"), name=name)]),
        facts(name, {name: name}),
        table(name, [name], [[name]]),
        report(name, {name: [{name: name}]}),
        sentence(name),
    ):
        reader = harmless(html)
        assert len(html) < 30_000
        assert all(tag != "script" for tag, _ in reader.tags)


def test_a_gallery_of_the_worst_images_and_names_stays_small(tmp_path: Path) -> None:
    """Noise does not compress, and each character of the name takes six."""
    pictures = [
        Picture(
            file=str(noise(tmp_path / f"{number}.png")),
            name='"' * 4000,
            facts='"' * 4000,
            more='"' * 4000,
        )
        for number in range(30)
    ]
    html = gallery('"' * 4000, pictures, note='"' * 4000)
    reader = harmless(html)

    assert len(html.encode()) <= LIMIT
    assert sum(tag == "img" for tag, _ in reader.tags) == notebook.MOST_PICTURES
    assert "and 10 more" in reader.text


def test_an_image_that_cannot_be_read_shows_its_name_and_why(tmp_path: Path) -> None:
    noise(tmp_path / "good.png", (40, 30))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    pictures = [
        Picture(file=str(tmp_path / name), name=name) for name in ("good.png", "broken.jpg", "gone.png")
    ]
    reader = harmless(gallery("a query", pictures))

    assert sum(tag == "img" for tag, _ in reader.tags) == 1
    assert "not shown: truncated" in reader.text
    assert "not shown: vanished" in reader.text
    assert "broken.jpg" in reader.text
    assert "gone.png" in reader.text


def test_rows_without_files_are_a_table() -> None:
    reader = harmless(gallery("a query", [Picture(file="/none/7", name="item 7", facts="1 · 0.900")]))

    assert "not shown" not in reader.text
    assert [tag for tag, _ in reader.tags if tag == "td"] == ["td"] * 3
    assert "item 7" in reader.text


def test_facts_leave_out_what_there_is_not_and_group_digits() -> None:
    reader = harmless(
        facts("a build", {"images": 1234567, "none": None, "off": False, "share": 0.95, "by": {"x": 1000}})
    )

    assert "1,234,567" in reader.text
    assert "none" not in reader.text
    assert "offno" in reader.text
    assert "0.95" in reader.text
    assert "x: 1,000" in reader.text


def test_a_long_table_shows_its_first_lines_and_says_how_many_more() -> None:
    reader = harmless(table("rows", ["number"], [[number] for number in range(1000)]))

    assert sum(tag == "td" for tag, _ in reader.tags) == notebook.MOST_LINES
    assert "and 950 more" in reader.text


def test_what_fails_or_is_too_much_is_not_shown() -> None:
    def fail() -> str:
        raise OSError("no")

    assert shown(fail) is None
    assert shown(lambda: "x" * (LIMIT + 1)) is None
    assert shown(lambda: "x") == "x"
