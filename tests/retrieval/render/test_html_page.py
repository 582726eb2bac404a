"""The page: it holds what was found, shows any name harmlessly, and works in a browser without a network."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from PIL import Image

from retrieval.collection.queries.terms import image, row, text
from retrieval.display.previews import SIZE, thumbnail
from retrieval.render.html_page import Answer, Part, page, parts, write
from tests.retrieval.browser import chromium, luminance, window
from tests.retrieval.folders import fill, picture
from tests.retrieval.render.fake_hit import FakeHit

NAMES = [
    "cat.png",
    "deep/er/dog.png",
    "<script>document.title='pwned'<",
    "x\"><img src=x onerror=document.title='pwned'>.png",
    "'onmouseover='alert(1).png",
    "a&amp;b.png",
    "javascript:alert(1).png",
    "new\nline\x1b[31m.png",
    os.fsdecode(b"bad\xff.png"),
    "東京.png",
    "long " * 40 + ".png",
    "$title ${style}.png",
]


class Reader(HTMLParser):
    """The tags and the text of a page, and whether every tag that opens is closed in order."""

    VOID = frozenset({"meta", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def attributes(self, tag: str, name: str) -> list[str]:
        return [
            str(attributes[name]) for found, attributes in self.tags if found == tag and name in attributes
        ]


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def answer(names: list[str], *, label: str = "a cat", top: float = 0.9) -> Answer:
    found = [FakeHit(at + 1, top - at / 100, name) for at, name in enumerate(names)]
    return Answer(query=[Part(label=label)], hits=found)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


def test_each_hit_is_a_thumbnail_with_score_and_path(root: Path) -> None:
    found = [
        FakeHit(1, 0.8312, "cat.png", n_duplicates=2),
        FakeHit(2, 0.5, "deep/er/dog.png", n_duplicates=1),
    ]
    reader = read(page([Answer(query=[Part(label="a cat")], hits=found)], root=root))
    words = "".join(reader.words)

    assert reader.attributes("img", "alt") == ["cat.png", "deep/er/dog.png"]
    for expected in (
        "a cat",
        "2 hits",
        "0.831",
        "0.500",
        "+2 duplicates",
        "+1 duplicate",
        "dog.png",
        "deep/er/",
    ):
        assert expected in words


def test_a_thumbnail_looks_like_its_image(root: Path) -> None:
    reader = read(page([answer(["cat.png"])], root=root))
    (uri,) = reader.attributes("img", "src")
    raw = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    shown = Image.open(io.BytesIO(raw)).convert("RGB")
    original = picture(0)

    assert shown.size == original.size
    for at in ((5, 5), (24, 24), (40, 10)):
        assert shown.getpixel(at) == pytest.approx(original.getpixel(at), abs=24)


def test_a_large_image_is_shrunk_and_a_tall_one_kept_whole(tmp_path: Path) -> None:
    picture(1).resize((3000, 2000)).save(tmp_path / "large.jpg")
    picture(2).resize((100, 1000)).save(tmp_path / "tall.png")
    large, tall = (thumbnail(tmp_path / name) for name in ("large.jpg", "tall.png"))

    assert large.width <= SIZE[0]
    assert large.height <= SIZE[1]
    assert large.width / large.height == pytest.approx(1.5, abs=0.01)
    assert tall.width / tall.height == pytest.approx(0.1, abs=0.01)


def test_names_stay_text(root: Path) -> None:
    html = page([answer(NAMES, label="<script>document.title='pwned'</script> & $title")], root=root)
    reader = read(html)
    used = {tag for tag, _ in reader.tags}
    events = [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]

    assert used & {"script", "iframe", "object", "embed", "link", "base", "form"} == set()
    assert len(reader.attributes("img", "src")) == len(NAMES)
    assert events == []
    assert reader.attributes("img", "alt")[3] == NAMES[3]
    assert "$title ${style}.png" in reader.words
    html.encode()  # no surrogate is left


def test_control_characters_do_not_reach_the_page(root: Path) -> None:
    html = page([answer(NAMES)], root=root)

    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", html) == []
    assert "new\\nline\\x1b[31m.png" in html
    assert "bad\\xff.png" in html


def test_nothing_is_fetched(root: Path) -> None:
    html = page([answer(NAMES)], root=root)
    reader = read(html)
    policy = [value for value in reader.attributes("meta", "content") if "default-src" in value]

    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in reader.attributes("img", "src"))
    assert not re.search(r"https?://|url\(|@import", html)


def test_links_lead_to_the_files_from_where_the_page_lies(root: Path) -> None:
    target = root.parent / "pages" / "out.html"
    target.parent.mkdir()
    write(target, [answer(NAMES)], root=root)
    links = [href for href in read(target.read_text()).attributes("a", "href") if not href.startswith("#")]

    assert len(links) == len(NAMES)
    for href, name in zip(links, NAMES, strict=True):
        assert ":" not in href
        found = os.path.join(os.fsencode(target.parent), unquote_to_bytes(href))
        assert os.path.samefile(found, os.path.join(os.fsencode(root), os.fsencode(name)))


def test_an_image_that_cannot_be_read_is_named_with_its_reason(root: Path) -> None:
    (root / "empty.png").write_bytes(b"")
    reader = read(page([answer(["gone.png", "empty.png", "cat.png"])], root=root))

    assert reader.words.count("not shown: vanished") == 1
    assert reader.words.count("not shown: empty") == 1
    assert reader.attributes("img", "alt") == ["cat.png"]


def test_several_queries_each_get_a_section_and_a_link(root: Path) -> None:
    reader = read(page([answer(["cat.png"], label="one"), answer(["cat.png"], label="two")], root=root))

    assert [href for href in reader.attributes("a", "href") if href.startswith("#")] == ["#q1", "#q2"]
    assert reader.attributes("section", "id") == ["q1", "q2"]
    assert [tag for tag, _ in reader.tags if tag in {"h1", "h2"}] == ["h1", "h2", "h2"]


def test_no_hit_is_said(root: Path) -> None:
    assert "Nothing qualifies" in "".join(read(page([answer([])], root=root)).words)


def test_scores_below_zero_draw_an_empty_bar(root: Path) -> None:
    html = page([Answer(query=[Part(label="x")], hits=[FakeHit(1, -0.1, "cat.png")])], root=root)

    assert "-0.100" in html
    assert "width:0.0%" in html


def test_terms_become_parts(root: Path) -> None:
    shown = parts(
        image(root / "cat.png") + 2 * text("red") + row(7) + b"bytes" - text("snow"),
        name_of=lambda number: f"row{number}.png",
        root=root,
    )

    assert [part.label for part in shown] == ["cat.png", "red", "row7.png", "an image", "snow"]
    assert [part.weight for part in shown] == [1, 2, 1, 1, -1]
    assert Answer(query=shown, hits=[]).title == "cat.png + 2 × red + row7.png + an image − snow"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


class TestInABrowser:
    @pytest.fixture
    def shown(self, browser, root: Path):
        target = root.parent / "out.html"
        write(
            target, [answer(NAMES[:6]), answer(NAMES[6:], label="<i>two</i>" * 30)], root=root, note="photos"
        )
        browser.set_window_size(1280, 900)
        browser.get(target.as_uri())
        return browser

    def test_every_thumbnail_is_drawn(self, shown) -> None:
        shown.execute_script("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        shown.execute_async_script(
            "const done = arguments[0];"
            "Promise.all([...document.images].map(image => image.decode())).then(() => done(true), done)"
        )
        drawn = shown.execute_script("return [...document.images].map(i => i.naturalWidth * i.clientWidth)")

        assert len(drawn) == len(NAMES)
        assert all(drawn)

    def test_no_name_runs(self, shown) -> None:
        assert shown.title == "2 queries"
        assert shown.execute_script("return document.scripts.length") == 0
        assert shown.execute_script("return document.querySelectorAll('i, b').length") == 0

    def test_nothing_is_asked_of_the_network(self, shown) -> None:
        names = shown.execute_script(
            "return performance.getEntriesByType('resource').map(entry => entry.name)"
        )

        assert [name for name in names if not name.startswith("data:")] == []

    @pytest.mark.parametrize("width", [320, 500, 768, 1280, 2400])
    def test_nothing_overflows_sideways(self, shown, width: int) -> None:
        with window(shown, width):
            spill = shown.execute_script("return document.documentElement.scrollWidth - window.innerWidth")

        assert spill <= 0

    def test_light_and_dark_are_readable(self, shown) -> None:
        for scheme in ("light", "dark"):
            feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            shown.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
            ground = luminance(
                shown.find_element("css selector", "body").value_of_css_property("background-color")
            )
            for selector in ("h1", "section p", ".name", ".score", ".rank", "footer", ".sign, .note"):
                colour = shown.find_element("css selector", selector).value_of_css_property("color")
                light, dark = sorted([ground, luminance(colour)], reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, selector)  # WCAG 2.2, 1.4.3
            assert (ground > 0.5) == (scheme == "light")

    def test_the_keyboard_reaches_every_image(self, shown) -> None:
        from selenium.webdriver.common.keys import Keys

        reached = []
        for _ in range(len(NAMES) + 2):
            shown.switch_to.active_element.send_keys(Keys.TAB)
            active = shown.switch_to.active_element
            reached.append(active.get_attribute("class"))
            assert active.value_of_css_property("outline-style") == "solid"

        assert reached == ["", ""] + ["frame"] * len(NAMES)


def test_the_page_says_best_of_how_many_where_its_links_work_and_what_copies_are_called(tmp_path):
    fill(tmp_path, ["a.png"])
    hits = [
        FakeHit(1, 0.5, "a.png", n_duplicates=5, duplicates=("b/<i>.png", "c.png", "d.png", "e.png", "f.png"))
    ]
    write(tmp_path / "p.html", [Answer(query=[Part(label="cat")], hits=hits, total=3000)], root=tmp_path)
    html = (tmp_path / "p.html").read_text()

    assert "best 1 of 3,000" in html
    assert "Links work as long as this page and the photographs stay where they are." in html
    assert "<bdi>b/&lt;i&gt;.png</bdi>" in html
    assert "<bdi>d.png</bdi></p>" in html
    assert "<bdi>2 more</bdi>" in html
    assert "e.png" not in html


def test_a_page_without_links_says_nothing_of_them(tmp_path):
    fill(tmp_path, ["a.png"])
    html = page([Answer(query=[Part(label="cat")], hits=[FakeHit(1, 0.5, "a.png")])], root=tmp_path)

    assert "href" not in html
    assert "Links work" not in html


def test_the_outline_of_the_query_is_drawn_in_a_hit(root: Path) -> None:
    corners = [[0.5, 0.0], [1.0, 0.0], [1.0, 0.5], [0.5, 0.5]]
    found = [
        FakeHit(1, 0.8, "cat.png", verified=True, relation="picture", outline=corners),
        FakeHit(2, 0.7, "cat.png", verified=False, relation="none"),
    ]
    html = page([Answer(query=[Part(label="a")], hits=found)], root=root)
    width, height = (int(read(html).attributes("img", name)[0]) for name in ("width", "height"))

    assert html.count("<polygon") == 1
    assert (
        f'points="{width / 2:.1f},0.0 {width:.1f},0.0 {width:.1f},{height / 2:.1f} {width / 2:.1f},{height / 2:.1f}"'
        in html
    )
    assert html.count("same picture") == 1
