"""Write a page of groups: what stands for each, what is odd in it, and which groups lie together.

The page is one file with thumbnails inside. It has no script and loads nothing from a network.
"""

from __future__ import annotations

from html import escape as markup
from typing import TYPE_CHECKING, Any, Final

from retrieval.curation.picks import figures, image_page, pictures
from retrieval.display import Thumbnail, escape
from retrieval.render import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from retrieval.curation.groups.group_report import Group, Groups

MOST_SHOWN: Final = 400
"""Groups of a page."""

_FAMILIES_FROM: Final = 8
"""Groups from which on those that lie together are shown together."""

_PER_FAMILY: Final = 4
_STYLE: Final = """
:root { --row: 132px; }
.odd { --row: 84px; opacity: .85; }
h2.family { margin-top: 48px; padding-top: 16px; border-top: 2px solid var(--line); }
h3 { font-size: 20px; }
.kind { margin: 14px 0 6px; color: var(--soft); font-size: 13px; }
nav a span { color: var(--soft); font-size: 12px; }
"""
_FOOTER: Final = """Groups are found by likeness alone. A name is the nearest word of a list, and may be wrong.
A number below an image is its cosine with the mean of its group."""


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
    made = pictures(image for group in shown for image in (*group.representatives, *group.odd))
    families = _families(found, shown)
    sections = []
    for family in families:
        if len(families) > 1:
            sections.append(f'<h2 class="family">{_family_title(found, family)}</h2>')
        sections += [_section(found, group, made, beside) for group in family]
    note = f"{len(found.ids):,} images."
    if len(shown) < len(found):
        note += f" The {len(shown):,} largest groups are shown."
    if found.unnamed:
        note += f" No names: {found.unnamed}."
    links = "".join(
        f'<a href="#g{group.number}">{markup(found.title(group.number))} <span>{group.size:,}</span></a>'
        for family in families
        for group in family
    )
    return image_page(
        f"{len(found):,} {'group' if len(found) == 1 else 'groups'}",
        note=note,
        contents=f'<nav aria-label="Groups">{links}</nav>\n',
        sections="\n".join(sections),
        footer=_FOOTER,
        style=_STYLE,
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
        f'<p class="kind">least like the others</p><ol class="hits odd">{figures(group.odd, made, beside)}</ol>'
        if group.odd
        else ""
    )
    return (
        f'<section id="g{group.number}" aria-labelledby="t{group.number}"><div class="query">'
        f'<h3 id="t{group.number}"><bdi>{markup(found.title(group.number))}</bdi></h3><p>{markup(escape(facts))}</p></div>\n'
        f'<ol class="hits">{figures(group.representatives, made, beside)}</ol>{odd}</section>'
    )
