"""Write a page of picked images: one file with thumbnails inside, no script, no network."""

from __future__ import annotations

from html import escape as markup
from string import Template
from typing import TYPE_CHECKING, Any, Final

from retrieval.display import Thumbnail, escape, thumbnails
from retrieval.render import html_style, image_href

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from retrieval.curation.picks.picked_image import PickedImage

_SIZE: Final = (360, 240)
_NARROWEST, _WIDEST = 0.72, 2.4
_PAGE: Final = (
    html_style.HEAD
    + """<header>
<h1>$title</h1>
<p class="note">$note</p>
$contents</header>
<main>
$sections
</main>
<footer>
$footer
Each picture links to its photograph as long as this page and the photographs stay where they are.
</footer>
</body>
</html>
"""
)


def image_page(
    title: str, *, note: str, sections: str, footer: str, contents: str = "", style: str = ""
) -> str:
    """Return a page's HTML.

    Args:
        title, note: text, which is escaped here.
        sections, footer, contents: HTML.
        style: CSS besides that of all pages.
    """
    return Template(_PAGE).substitute(
        title=markup(escape(title)),
        note=markup(escape(note)),
        style=html_style.STYLE + style,
        contents=contents,
        sections=sections or "<p>There are none.</p>",
        footer=footer,
    )


def pictures(images: Iterable[PickedImage]) -> dict[Any, Thumbnail]:
    """Make the thumbnails that `figures` shows."""
    return thumbnails((_picture(image) for image in images), size=_SIZE)


def figures(images: Sequence[PickedImage], made: dict[Any, Thumbnail], beside: Path | None) -> str:
    """Return the items of a list of images.

    Args:
        images: what to show.
        made: from `pictures`.
        beside: the folder where the page will lie; pictures then link to the images.
    """
    return "".join(_figure(image, made[_picture(image)], beside) for image in images)


def _figure(image: PickedImage, small: Thumbnail, beside: Path | None) -> str:
    whole = markup(escape(image.path))
    shape = min(max(small.width / small.height, _NARROWEST), _WIDEST)
    picture = (
        f'<img src="{small.uri}" alt="{whole}" width="{small.width}" height="{small.height}" loading="lazy" decoding="async">'
        if small.uri
        else f'<span class="fault">not shown: {markup(small.fault)}</span>'
    )
    href = image_href(image.link, beside)
    framed = (
        f'<a class="frame" href="{href}">{picture}</a>' if href else f'<span class="frame">{picture}</span>'
    )
    counted = (
        "" if image.stands_for is None else f'<span class="duplicates">for {image.stands_for:,} images</span>'
    )
    broken = whole.replace("/", "/<wbr>")  # a line ends between folders, where it can
    return (
        f'<li style="--shape:{shape:.3f}">{framed}<p class="facts"><span class="score">{image.score:.3f}</span>{counted}</p>'
        f'<p class="name" title="{whole}"><bdi>{broken}</bdi></p></li>'
    )


def _picture(image: PickedImage) -> Any:
    return image.origin or image.link
