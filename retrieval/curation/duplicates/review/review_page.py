"""Write a page to review sets of duplicates: side by side, with the outline, decided by keyboard.

The page is one file that loads nothing from a network. Its own script keeps decisions in the browser and saves them as a file
for `ignore`. A service gives addresses of pictures and one to post decisions to; then they are kept there, too.
"""

from __future__ import annotations

import json
import os
from html import escape as markup
from string import Template
from typing import TYPE_CHECKING, Any, Final

from retrieval.curation.duplicates.judgements import Judgement
from retrieval.display import Thumbnail, escape, path_json, thumbnails
from retrieval.render import html_style, image_href, replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from retrieval.curation.duplicates.sets import DuplicateImage, Duplicates, DuplicateSet

MOST_SETS: Final = 1_000
"""Sets of a page that holds its pictures."""

_PACKAGE: Final = "retrieval.curation.duplicates.review"
_SIZE: Final = (640, 480)
_MOST: Final = 60_000
"""Characters of one picture."""

_WORDS: Final = {
    "bytes": "Same bytes",
    "pixels": "Same pixels",
    "picture": "Same picture",
    "scene": "Same scene",
}
_CHOICES: Final = (
    ("second-goes", "g", "this one goes"),
    ("first-goes", "x", "the first one goes"),
    ("keep-both", "b", "both stay"),
    ("different", "d", "different"),
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="retrieve">
<link rel="icon" href="data:,">
$post<title>$title</title>
<style>$style</style>
</head>
<body data-collection="$collection">
<header>
<h1>$title</h1>
<p class="note">$note</p>
$kinds</header>
<div class="bar-of-keys">
<p id="count"></p>
<p class="keys"><span><kbd>j</kbd> <kbd>k</kbd> next, previous</span> <span><kbd>g</kbd> goes</span>
<span><kbd>x</kbd> the first one goes</span> <span><kbd>b</kbd> both stay</span>
<span><kbd>d</kbd> different</span> <span><kbd>a</kbd> all that are listed to go in this set</span> <span><kbd>u</kbd> undecide</span>
<span><kbd>n</kbd> next set</span> <span><kbd>s</kbd> save</span></p>
<button id="save" type="button">Save decisions</button><p id="told" role="status"></p>
</div>
<main>
$sections
</main>
<footer>
The first image of each set stays. Likeness is the cosine of two images' vectors, at most 1. A dashed line shows where one image lies in the other. Nothing is changed here: save your
decisions, and give the file to the next run, which follows them (<code>ignore</code>). Pairs that you leave undecided follow the
rule.
</footer>
<script>$script</script>
</body>
</html>
"""


def write_review(found: Duplicates, path: Path) -> int:
    """Write the page to a file; its pictures link to the images, relative to where it lies.

    Returns:
        how many sets are on it: the first `MOST_SETS`.
    Raises:
        StoreFull: no space left; a file that had the name stays.
    """
    with replacing(path) as file:
        file.write(review_html(found, beside=path.absolute().parent).encode())
    return min(len(found), MOST_SETS)


def review_html(
    found: Duplicates,
    *,
    beside: Path | None = None,
    pictures: Callable[[DuplicateImage], str] | None = None,
    post_to: str = "",
) -> str:
    """Return the page's HTML.

    Args:
        found: the sets; a page that holds its pictures shows the first `MOST_SETS`.
        beside: the folder where the page will lie; pictures then link to the images.
        pictures: gives the address of an image's picture on a service; without it the page holds small ones.
        post_to: address that takes decisions as they are made, by POST as JSON; without it they are only saved.
    """
    sets = found.sets if pictures is not None else found.sets[:MOST_SETS]
    made = {} if pictures is not None else _thumbnails(sets)
    sections = [_section(one, number, made, pictures, beside) for number, one in enumerate(sets, start=1)]
    title = f"{len(found):,} sets of duplicates"
    going = found.going
    note = f"{len(going):,} of {found.images:,} images could go."
    if len(sets) < len(found):
        note += f" The first {len(sets):,} sets are shown: narrow the search down for the others."
    return Template(_PAGE).substitute(
        title=title,
        note=markup(note),
        kinds=_kinds(sets),
        style=html_style.STYLE + html_style.page_file(_PACKAGE, "review.css"),
        script=html_style.page_file(_PACKAGE, "review.js"),
        policy=review_policy(pictures=pictures is not None, post=bool(post_to)),
        post=f'<meta name="decisions-url" content="{markup(post_to)}">\n' if post_to else "",
        collection=markup(escape(os.fspath(found.directory))),
        sections="\n".join(sections) or "<p>There are none.</p>",
    )


def _kinds(sets: tuple[DuplicateSet, ...]) -> str:
    """Return links to the first set of each kind; nothing where there is one kind only."""
    first: dict[str, int] = {}
    for number, one in enumerate(sets, start=1):
        first.setdefault(one.kind, number)
    if len(first) < 2:
        return ""
    counts = {kind: sum(one.kind == kind for one in sets) for kind in first}
    links = " · ".join(
        f'<a href="#t{number}">{_WORDS[kind]}</a> {counts[kind]:,}' for kind, number in first.items()
    )
    return f'<p class="note">{links}</p>\n'


def review_policy(*, pictures: bool, post: bool) -> str:
    """Return the content security policy of the page.

    Args:
        pictures: they come from a service; otherwise the page holds them.
        post: decisions are posted to that service.
    """
    images = "data: 'self'" if pictures else "data:"
    connect = "'self'" if post else "'none'"
    source = html_style.script_source(_PACKAGE, "review.js")
    return f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'; script-src {source}; connect-src {connect}"


def _thumbnails(sets: tuple[DuplicateSet, ...]) -> dict[Any, Thumbnail]:
    return thumbnails((_picture(image) for one in sets for image in one.images), size=_SIZE, most=_MOST)


def _picture(image: DuplicateImage) -> Any:
    return image.origin or image.link


def _section(
    one: DuplicateSet,
    number: int,
    made: dict[Any, Thumbnail],
    pictures: Callable[[DuplicateImage], str] | None,
    beside: Path | None,
) -> str:
    stays = one.stays
    inside = [
        _polygon(image.outline, name=f"o{number}-{place}")
        for place, image in enumerate(one.images[1:], start=1)
        if image.outline is not None
    ]
    left = _figure(stays, made, pictures, beside, drawn="".join(inside), kind="kept")
    right = "\n".join(
        _pair(stays, image, f"o{number}-{place}", made, pictures, beside)
        for place, image in enumerate(one.images[1:], start=1)
    )
    return (
        f'<section class="set" aria-labelledby="t{number}"><h2 id="t{number}">{_WORDS[one.kind]} '
        f"<span>{len(one):,} images</span></h2>\n"
        f'<div class="sides">{left}<div class="others">{right}</div></div></section>'
    )


def _pair(
    stays: DuplicateImage,
    image: DuplicateImage,
    outline: str,
    made: dict[Any, Thumbnail],
    pictures: Callable[[DuplicateImage], str] | None,
    beside: Path | None,
) -> str:
    judged = {"first": _named(stays), "second": _named(image)}
    turned = Judgement(relation="", outline=image.outline).reversed().outline
    drawn = _polygon(turned) if turned is not None and image.outline is not None else ""
    state = (" data-decided" if image.decided else "") + ("" if image.keep else " data-goes")
    choices = "".join(
        f'<button type="button" data-word="{word}" aria-pressed="false">{label} <kbd>{key}</kbd></button>'
        for word, key, label in _CHOICES
    )
    return (
        f'<div class="pair" data-pair="{markup(json.dumps(judged))}" data-outline="{outline}"{state}>'
        f'{_figure(image, made, pictures, beside, drawn=drawn, kind="")}<div class="choices">{choices}</div></div>'
    )


def _named(image: DuplicateImage) -> dict[str, Any]:
    return path_json(image.path) | {"content": image.content}


def _figure(
    image: DuplicateImage,
    made: dict[Any, Thumbnail],
    pictures: Callable[[DuplicateImage], str] | None,
    beside: Path | None,
    *,
    drawn: str,
    kind: str,
) -> str:
    shown = markup(escape(image.path))
    small = Thumbnail(uri=pictures(image)) if pictures is not None else made[_picture(image)]
    size = f' width="{small.width}" height="{small.height}"' if pictures is None else ""
    inner = (
        f'<img src="{markup(small.uri)}" alt="{shown}"{size} loading="lazy" decoding="async">'
        if small.uri
        else f'<span class="fault">not shown: {markup(small.fault)}</span>'
    )
    if drawn:
        inner += f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
    href = image_href(image.link, beside)
    framed = (
        f'<a class="shot {kind}" href="{href}">{inner}</a>'
        if href
        else f'<div class="shot {kind}">{inner}</div>'
    )
    facts = " · ".join(
        filter(
            None,
            (
                f"{image.width} × {image.height}" if image.width else "",
                f"{image.size_bytes / 1000:,.0f} kB" if image.size_bytes else "",
                f"likeness {image.score:.3f}" if image.score is not None else "",
                "in the other collection" if image.against else "",
            ),
        )
    )
    state = "stays" if image.keep else "goes"
    return (
        f'<figure>{framed}<figcaption><span class="name"><bdi>{shown}</bdi></span>'
        f'<span class="size">{markup(facts)}</span>'
        f'<span class="why">{state}: {markup(escape(image.reason))}</span></figcaption></figure>'
    )


def _polygon(outline: Any, *, name: str = "") -> str:
    points = " ".join(f"{x:.4f},{y:.4f}" for x, y in outline)
    return f'<polygon{f" id={chr(34)}{name}{chr(34)}" if name else ""} points="{points}"/>'
