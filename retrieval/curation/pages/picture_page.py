"""Write a page of small pictures with words below them: one file, no script, no network."""

from __future__ import annotations

import os
from html import escape as markup
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from retrieval.collection import open_collection
from retrieval.collection.answers import link_of
from retrieval.display import escape, thumbnails
from retrieval.render import HEAD, LOOK, image_href, replacing

if TYPE_CHECKING:
    from pathlib import Path

_SIZE: Final = (400, 300)
_MOST: Final = 40_000
"""Characters of one picture."""

_PAGE: Final = (
    HEAD
    + """<header><h1>$title</h1><p class="note">$note</p></header>
<main>
$sections
</main>
</body>
</html>
"""
)


def write_picture_page(path: Path, *, title: str, note: str, sections: list[str], none: str) -> None:
    """Write a page.

    Args:
        path: its file.
        title, note, none: text, which is escaped here; `none` stands where there are no sections.
        sections: HTML.
    Raises:
        StoreFull: no space left; a file that had the name stays.
    """
    text = Template(_PAGE).substitute(
        title=markup(escape(title)),
        note=markup(note),
        style=LOOK + (files("retrieval.curation.pages") / "picture_page.css").read_text("utf-8"),
        sections="\n".join(sections) or f"<p>{markup(none)}</p>",
    )
    with replacing(path) as file:
        file.write(text.encode())


class Pictures:
    """Small pictures of rows.

    Args:
        directory: the collection's.
        wanted: paths by row.
        root: the folder that these are relative to.
        beside: the folder where the page will lie.
    Raises:
        CollectionNotFound: the collection is no longer there.
    """

    def __init__(self, directory: Path, wanted: dict[int, str], *, root: Path, beside: Path) -> None:
        self._beside = beside
        self._sources: dict[int, Any] = {}
        self._links: dict[int, str] = {}
        with open_collection(directory, root=root) as collection:
            for number, path in wanted.items():
                if path in collection:  # it may have been deleted since
                    row = collection[path]
                    self._links[number] = row.link
                    self._sources[number] = row.origin or row.link
                else:
                    self._links[number] = self._sources[number] = link_of(path, None, root=os.fspath(root))
        self._made = thumbnails(self._sources.values(), size=_SIZE, most=_MOST)

    def figure(self, number: int, path: str, words: str, *, kind: str = "") -> str:
        """Return one picture with words below it; it links to the image."""
        small, shown, link = self._made[self._sources[number]], markup(escape(path)), self._links[number]
        inner = (
            f'<img src="{markup(small.uri)}" alt="{shown}" width="{small.width}" height="{small.height}" loading="lazy">'
            if small.uri
            else f'<span class="fault">not shown: {markup(small.fault)}</span>'
        )
        if href := image_href(link, self._beside):
            inner = f'<a href="{href}">{inner}</a>'
        broken = shown.replace("/", "/<wbr>")  # a line ends between folders, where it can
        return (
            f'<figure class="{kind}">{inner}<figcaption><b>{markup(escape(words))}</b> <bdi>{broken}</bdi>'
            "</figcaption></figure>"
        )
