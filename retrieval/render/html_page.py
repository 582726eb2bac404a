"""Write a result page: one HTML file with thumbnails inside, no script, no network.

A file name is shown as text and nothing else: control characters as escapes, markup escaped, and the page forbids
scripts and everything that is not in it by its own content security policy.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from html import escape as markup
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from retrieval.collection.answers import label, link_of, sign
from retrieval.collection.queries import cut_out
from retrieval.display import Thumbnail, escape, thumbnail, thumbnails
from retrieval.errors import ImageError
from retrieval.render.hit_places import moment_text
from retrieval.render.html_style import PAGE, STYLE
from retrieval.render.output import (
    duplicates_counted,
    duplicates_named,
    likely_text,
    relation_text,
    replacing,
    score_text,
)
from retrieval.sources.decoding import decode
from retrieval.sources.media import decode_path, split_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrieval.collection.queries import Query, Region, Term
    from retrieval.render.hit_facts import HitLike
    from retrieval.sources.decoding import ImageSource

LINKS = "Each picture links to its photograph. Links work as long as this page and the photographs stay where they are."
# A row shares its height, so extreme shapes are framed: an image is never cropped, nor a caption squeezed.
NARROWEST, WIDEST = 0.72, 2.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a query, as a reader should see it.

    Attributes:
        label: the words, or what the image is called.
        image: what was asked with, if it was an image.
        weight: its share; negative if it was subtracted.
    """

    label: str
    image: ImageSource | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One query and its hits, best first."""

    query: Sequence[Part]
    hits: Sequence[HitLike]
    total: int | None = None  # images that could have been found, if it shall be said

    @property
    def title(self) -> str:
        """The query in one line, safe to show."""
        pieces = [
            f"{sign(part.weight, first=not at)}{escape(part.label)}" for at, part in enumerate(self.query)
        ]
        return " ".join(pieces)


def write(path: Path, answers: Sequence[Answer], *, root: Path, note: str = "") -> None:
    """Write the page to a file; its thumbnails link to the images, relative to where it lies."""
    text = page(answers, root=root, note=note, beside=path.absolute().parent)
    with replacing(path) as file:
        file.write(text.encode())


def page(answers: Sequence[Answer], *, root: Path, note: str = "", beside: Path | None = None) -> str:
    """Return the page's HTML.

    Args:
        answers: queries with their hits; each gets a section.
        root: the folder that hit paths are relative to.
        note: a line under the heading, such as which collection answered.
        beside: the folder where the page will lie; thumbnails then link to the images.
    """
    wanted = {_picture(hit, root): None for answer in answers for hit in answer.hits}
    made = thumbnails(wanted)
    several = len(answers) > 1
    heading = f"{len(answers):,} queries" if several else (answers[0].title if answers else "No query")
    sections = [
        _section(answer, number, made=made, root=root, beside=beside, tag="h2" if several else "h1")
        for number, answer in enumerate(answers, start=1)
    ]
    return Template(PAGE).substitute(
        title=markup(heading),
        style=STYLE,
        heading=f"<h1>{markup(heading)}</h1>" if several else "",
        note=f'<p class="note">{markup(escape(note))}</p>' if note else "",
        links=f"<p>{LINKS}</p>" if beside is not None else "",
        contents=_contents(answers) if several else "",
        sections="\n".join(sections),
    )


def parts(query: Query, *, name_of: Callable[[int], str], root: Path) -> list[Part]:
    """Show the terms of a query as the parts of an answer.

    Args:
        query: what was searched for.
        name_of: gives the relative path of a row.
        root: the folder that those paths are relative to.
    """
    return [_part(term, name_of=name_of, root=root) for term in query.terms]


def _part(term: Term, *, name_of: Callable[[int], str], root: Path) -> Part:
    if term.kind == "id":
        name = name_of(int(term.value))
        return Part(label=name, image=os.path.join(root, name), weight=term.weight)
    shown = term.value if term.kind == "image" else None
    if shown is not None and term.region is not None:
        shown = _cut(shown, term.region)
    return Part(label=label(term), image=shown, weight=term.weight)


def _cut(image: ImageSource, region: Region) -> ImageSource:
    """Return a part of an image; the whole of it where it cannot be read, which its thumbnail tells."""
    try:
        whole = decode_path(os.fspath(image)) if isinstance(image, str | os.PathLike) else decode(image)
        return cut_out(whole, region)
    except ImageError:
        return image


def _contents(answers: Sequence[Answer]) -> str:
    links = [
        f'<a href="#q{number}">{markup(answer.title)}</a>' for number, answer in enumerate(answers, start=1)
    ]
    return f'<nav aria-label="Queries">{"".join(links)}</nav>'


def _section(
    answer: Answer, number: int, *, made: dict[Any, Thumbnail], root: Path, beside: Path | None, tag: str
) -> str:
    shown = "".join(_query_part(part, first=not at) for at, part in enumerate(answer.query))
    top = max((hit.score for hit in answer.hits if not math.isnan(hit.score)), default=0.0)
    likely: int | None = getattr(answer.hits, "likely", None)
    line = likely_text(likely, len(answer.hits))
    drawn = [
        _figure(hit, made[_picture(hit, root)], top=top, href=_href(hit, root, beside)) for hit in answer.hits
    ]
    if line:
        drawn.insert(likely or 0, f'<li class="line">{line}</li>')
    figures = "\n".join(drawn)
    shown_hits = f"{len(answer.hits):,} {'hit' if len(answer.hits) == 1 else 'hits'}"
    if answer.total is not None:
        shown_hits = f"best {len(answer.hits):,} of {answer.total:,}"
    count = shown_hits if answer.hits else "Nothing qualifies"
    return (
        f'<section id="q{number}" aria-labelledby="t{number}">\n'
        f'<div class="query"><{tag} id="t{number}">{shown}</{tag}><p>{count}</p></div>\n'
        f'<ol class="hits">\n{figures}\n</ol>\n</section>'
    )


def _query_part(part: Part, *, first: bool) -> str:
    before = sign(part.weight, first=first)
    signed = f'<span class="sign">{markup(before.strip())}</span> ' if before else ""
    name = f"<bdi>{markup(escape(part.label))}</bdi>"
    if part.image is None:
        return f'<span class="part">{signed}{name}</span> '
    small = thumbnail(part.image)
    picture = (
        f'<img src="{small.uri}" alt="" width="{small.width}" height="{small.height}">' if small.uri else ""
    )
    return f'<span class="part image">{signed}{picture}{name}</span> '


def _figure(hit: HitLike, small: Thumbnail, *, top: float, href: str) -> str:
    folder, slash, name = escape(hit.path).rpartition("/")
    whole = markup(folder + slash + name)
    shape = min(max(small.width / small.height, NARROWEST), WIDEST)
    if small.uri:
        picture = (
            f'<img src="{small.uri}" alt="{whole}" width="{small.width}" height="{small.height}" '
            f'loading="lazy" decoding="async">'
        )
    else:
        picture = f'<span class="fault">not shown: {markup(small.fault)}</span>'
    if small.uri:
        picture += _outline(hit, small)
    framed = (
        f'<a class="frame" href="{href}">{picture}</a>' if href else f'<span class="frame">{picture}</span>'
    )
    share = max(0.0, min(1.0, hit.score / top)) if top > 0 and not math.isnan(hit.score) else 0.0
    counted = duplicates_counted(hit)
    duplicates = f'<span class="duplicates">{counted}</span>' if counted else ""
    time = moment_text(hit)
    moment = f'<span class="moment">{time}</span>' if time else ""
    found = relation_text(hit)
    relation = f'<span class="relation {hit.relation}">{found}</span>' if found else ""
    place = (
        f'<p class="folder" title="{whole}"><bdi>{markup(folder + slash)}</bdi></p>'
        if folder or slash
        else ""
    )
    same = "".join(
        f'<p class="folder" title="{markup(path)}">= <bdi>{markup(path)}</bdi></p>'
        for path in duplicates_named(hit)
    )
    return (
        f'<li style="--shape:{shape:.3f}">{framed}'
        f'<span class="bar" aria-hidden="true"><span style="width:{share:.1%}"></span></span>'
        f'<p class="facts"><span class="rank">{hit.rank}</span><span class="score">{score_text(hit, decimals=3)}</span>{_by_name(hit)}'
        f'{relation}{moment}{duplicates}</p><p class="name" title="{whole}"><bdi>{markup(name)}</bdi></p>{place}{same}</li>'
    )


def _outline(hit: HitLike, small: Thumbnail) -> str:
    """Draw where the picture that was asked with lies in a hit; where nobody looked, the part that answered."""
    corners, kind = hit.outline, hit.relation
    if not corners and hit.region is not None:
        x, y, width, height = hit.region
        corners, kind = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)], "region"
    if not corners:
        return ""
    points = " ".join(f"{x * small.width:.1f},{y * small.height:.1f}" for x, y in corners)
    return (
        f'<svg class="outline {kind}" viewBox="0 0 {small.width} {small.height}" aria-hidden="true">'
        f'<polygon points="{points}"/></svg>'
    )


def _by_name(hit: HitLike) -> str:
    """Say what had the words, of a hit that is there because of its name."""
    if not hit.matched or "image" in hit.matched:
        return ""
    return f'<span class="matched">by {markup(escape(", ".join(hit.matched)))}</span>'


def _picture(hit: HitLike, root: Path) -> Any:
    """Return what the image of a hit is read from."""
    return hit.origin or link_of(hit.path, None, root=os.fspath(root))


def _href(hit: HitLike, root: Path, beside: Path | None) -> str:
    """Return a link to a hit: a relative path, or the address of an image on the web; nothing for one in an archive."""
    if beside is None:
        return ""
    whole = link_of(hit.path, hit.origin, root=os.path.abspath(root))
    if hit.origin is not None:
        if whole.startswith(("https://", "http://")):
            return markup(whole)
        if not os.path.isfile(whole) and split_path(whole) is None:
            return ""
    # quote() leaves neither a colon nor a quotation mark, so the result is a relative path whatever the name is.
    part = split_path(whole)
    if part is None:
        return quote(os.fsencode(os.path.relpath(whole, beside)))
    return f"{quote(os.fsencode(os.path.relpath(part[0], beside)))}#{part[1]}"  # browsers go to the moment or page
