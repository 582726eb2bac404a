"""Write a page of groups: what stands for each, what is odd in it, and which groups lie together.

The page is one file with thumbnails inside. It has no script and loads nothing from a network.
"""

from __future__ import annotations

import os
from html import escape as markup
from string import Template
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from retrieval.display import Thumbnail, escape, thumbnails
from retrieval.render import html_style, replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from retrieval.curation.groups.group_report import Group, GroupImage, Groups

__all__ = ["MOST_SHOWN", "groups_html", "write_groups"]

MOST_SHOWN: Final = 400
"""Groups of a page."""

_SIZE: Final = (360, 240)
_FAMILIES_FROM: Final = 8
"""Groups from which on those that lie together are shown together."""

_PER_FAMILY: Final = 4
_NARROWEST, _WIDEST = 0.72, 2.4
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="retrieve">
<title>$title</title>
<style>$style
:root { --row: 132px; }
.odd { --row: 84px; opacity: .85; }
h2.family { margin-top: 48px; padding-top: 16px; border-top: 2px solid var(--line); }
h3 { font-size: 20px; }
.kind { margin: 14px 0 6px; color: var(--soft); font-size: 13px; }
nav a span { color: var(--soft); font-size: 12px; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p class="note">$note</p>
<nav aria-label="Groups">$contents</nav>
</header>
<main>
$sections
</main>
<footer>
Groups are found by likeness alone. A name is the nearest word of a list, and may be wrong. A number below an image is its
cosine with the mean of its group. Each picture links to its photograph as long as this page and the photographs stay where they are.
</footer>
</body>
</html>
"""


def write_groups(found: Groups, path: Path) -> None:
    """Write the page to a file; its pictures link to the images, relative to where it lies."""
    with replacing(path) as file:
        file.write(groups_html(found, beside=path.absolute().parent).encode())


def groups_html(found: Groups, *, beside: Path | None = None) -> str:
    """Return the page's HTML.

    Args:
        found: the groups; the first `MOST_SHOWN` are shown.
        beside: the folder where the page will lie; pictures then link to the images.
    """
    shown = found[:MOST_SHOWN]
    made = thumbnails(
        (_picture(image) for group in shown for image in (*group.representatives, *group.odd)), size=_SIZE
    )
    families = _families(found, shown)
    sections = []
    for family in families:
        if len(families) > 1:
            sections.append(f'<h2 class="family">{_family_title(found, family)}</h2>')
        sections += [_section(found, group, made, beside) for group in family]
    count = f"{len(found):,} {'group' if len(found) == 1 else 'groups'}"
    note = f"{len(found.ids):,} images."
    if len(shown) < len(found):
        note += f" The {len(shown):,} largest groups are shown."
    if found.unnamed:
        note += f" No names: {found.unnamed}."
    return Template(_PAGE).substitute(
        title=count,
        note=markup(escape(note)),
        style=html_style.STYLE,
        contents="".join(
            f'<a href="#g{group.number}">{markup(found.title(group.number))} <span>{group.size:,}</span></a>'
            for family in families
            for group in family
        ),
        sections="\n".join(sections) or "<p>There are none.</p>",
    )


def _families(found: Groups, shown: Sequence[Group]) -> list[list[Group]]:
    """Return groups that lie together, the family of the largest group first."""
    if len(found) < _FAMILIES_FROM:
        return [list(shown)] if shown else []
    families = found.level(-(-len(found) // _PER_FAMILY))
    return [some for family in families if (some := [found[one - 1] for one in family if one <= len(shown)])]


def _family_title(found: Groups, family: Sequence[Group]) -> str:
    names = [found.title(group.number) for group in family[:3]]
    return markup(", ".join(names) + (" …" if len(family) > len(names) else ""))


def _section(found: Groups, group: Group, made: dict[Any, Thumbnail], beside: Path | None) -> str:
    others = ", ".join(word for word, _ in group.words if word != group.name)
    facts = f"{group.size:,} {'image' if group.size == 1 else 'images'}" + (
        f" · also near: {others}" if others else ""
    )
    odd = (
        f'<p class="kind">least like the others</p><ol class="hits odd">{_figures(group.odd, made, beside)}</ol>'
        if group.odd
        else ""
    )
    return (
        f'<section id="g{group.number}" aria-labelledby="t{group.number}"><div class="query">'
        f'<h3 id="t{group.number}"><bdi>{markup(found.title(group.number))}</bdi></h3><p>{markup(escape(facts))}</p></div>\n'
        f'<ol class="hits">{_figures(group.representatives, made, beside)}</ol>{odd}</section>'
    )


def _figures(images: Sequence[GroupImage], made: dict[Any, Thumbnail], beside: Path | None) -> str:
    return "".join(_figure(image, made[_picture(image)], beside) for image in images)


def _figure(image: GroupImage, small: Thumbnail, beside: Path | None) -> str:
    whole = markup(escape(image.path))
    shape = min(max(small.width / small.height, _NARROWEST), _WIDEST)
    picture = (
        f'<img src="{small.uri}" alt="{whole}" width="{small.width}" height="{small.height}" loading="lazy" decoding="async">'
        if small.uri
        else f'<span class="fault">not shown: {markup(small.fault)}</span>'
    )
    href = _href(image, beside)
    framed = (
        f'<a class="frame" href="{href}">{picture}</a>' if href else f'<span class="frame">{picture}</span>'
    )
    return (
        f'<li style="--shape:{shape:.3f}">{framed}<p class="facts"><span class="score">{image.score:.3f}</span></p>'
        f'<p class="name" title="{whole}"><bdi>{whole}</bdi></p></li>'
    )


def _picture(image: GroupImage) -> Any:
    return image.origin or image.link


def _href(image: GroupImage, beside: Path | None) -> str:
    """Return a link to an image: a relative path, or the address of an image on the web; nothing for one in an archive."""
    if image.link.startswith(("https://", "http://")):
        return markup(image.link)
    if beside is None or not os.path.isfile(image.link):
        return ""
    return quote(os.fsencode(os.path.relpath(image.link, beside)))
