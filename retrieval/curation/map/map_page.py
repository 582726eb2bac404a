"""Write a map as a page: one file that pans, zooms, colours and searches, and loads nothing from a network.

Numbers and texts stand in it as gzip in base64, small pictures as sheets. The larger picture of an image is its own file, by a
relative link. A service may serve the file: then larger pictures come from there, and any words are searched.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from dataclasses import dataclass
from html import escape as markup
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import numpy as np

from retrieval.curation.map.drawing_order import drawing_order
from retrieval.curation.map.sprites import sprite_sheets
from retrieval.display import escape
from retrieval.errors import OptionError
from retrieval.progress import Progress
from retrieval.render import html_style, replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.curation.map.image_map import ImageMap
    from retrieval.progress import OnProgress

MOST_BYTES: Final = 100_000_000
"""Of the file: beyond that the last images are dots without a picture."""

_PACKAGE: Final = "retrieval.curation.map"
_NEIGHBORS: Final = 6
"""Neighbours that the page shows of an image."""

_SIDE: Final = 65_535
_HEAD: Final = 4_096
"""Bytes at the beginning of a file within which the policy stands."""

_POLICY: Final = re.compile(
    rb'content="(default-src \'none\'; img-src [^"]*; script-src (\'sha256-[A-Za-z0-9+/=]+\'); [^"]*)"'
)
_MADE: Final = '<meta name="generator" content="retrieve: map">'
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="$policy">
$made
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
<form id="ask" role="search">
<input id="words" type="search" list="list" placeholder="$asked" aria-label="$asked" autocomplete="off">
<datalist id="list"></datalist>
<button>Search</button>
</form>
<p class="note">$note</p>
</header>
<div id="stage">
<canvas id="dots" aria-hidden="true"></canvas>
<canvas id="over" role="img" aria-label="$title" tabindex="0"></canvas>
<div id="hands">
<button id="in" type="button" aria-label="Zoom in" title="Zoom in (+)">+</button>
<button id="out" type="button" aria-label="Zoom out" title="Zoom out (-)">−</button>
<button id="fit" type="button" aria-label="Show all" title="Show all (0)">⤢</button>
</div>
</div>
<aside>
<section>
<p class="row"><label for="colour">Colour</label> <select id="colour"></select>
<label><input id="pictures" type="checkbox" checked> pictures</label></p>
<p id="told" role="status"></p>
<button id="clear" type="button" hidden>Show all again</button>
</section>
<section id="one" hidden>
<h2>This image</h2>
<img id="picture" alt="">
<p id="path"></p>
<a id="open" target="_blank" rel="noopener">Open the file</a>
<dl id="known"></dl>
<h2>Nearest</h2>
<ol class="thumbs" id="near"></ol>
</section>
<section id="found" hidden>
<h2>First of them</h2>
<ol class="thumbs" id="hits"></ol>
</section>
<section>
<ol id="legend"></ol>
<noscript>The map needs scripts. They stand in this file, and load nothing.</noscript>
</section>
</aside>
<script type="text/plain" id="facts">$facts</script>
<script type="text/plain" id="numbers">$numbers</script>
"""
_END: Final = """<script>$script</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPage:
    """What was written.

    Attributes:
        bytes: of the file.
        pictures: images that have a small picture on the page.
        faults: why an image has none, by its path.
        left_out: images for whose pictures there was no room.
    """

    bytes: int
    pictures: int
    faults: dict[str, str]
    left_out: int


def write_map(found: ImageMap, path: Path, *, progress: OnProgress | None = None) -> MapPage:
    """Write the page; its images are linked relative to where it lies.

    Raises:
        StoreFull: no space left; a file that had the name stays.
    """
    order = drawing_order(found.positions)
    text = _facts(found, order, beside=path.absolute().parent)

    def tell(done: int) -> None:
        if progress is not None:
            progress(Progress(phase="sprites", done=done, total=len(order)))

    room = (MOST_BYTES - len(text) - _numbers_size(found)) * 3 // 4
    images = [found.origins.get(place) or found.links[place] for place in order.tolist()]
    made = sprite_sheets(images, most_bytes=max(room, 0), told=tell)
    faults = {found.paths[order[place]]: reason for place, reason in made.faults.items()}
    pictures = int((made.shapes > 0).sum())
    page = Template(_PAGE).substitute(
        policy=map_policy(html_style.script_source(_PACKAGE, "map.js")),
        made=_MADE,
        title=markup(found.title),
        note=markup(_note(found, faults, made.left_out)),
        asked="Search this map: a word, or part of a path",
        style=html_style.LOOK + html_style.page_file(_PACKAGE, "map.css"),
        facts=text,
        numbers=_packed(_numbers(found, order, made.shapes)),
    )
    with replacing(path) as file:
        size = file.write(page.encode())
        for number, sheet in enumerate(made.sheets):
            size += file.write(f'<script type="text/plain" id="sheet-{number}">'.encode())
            size += file.write(base64.b64encode(sheet))
            size += file.write(b"</script>\n")
        size += file.write(
            Template(_END).substitute(script=html_style.page_file(_PACKAGE, "map.js")).encode()
        )
    return MapPage(bytes=size, pictures=pictures, faults=faults, left_out=made.left_out)


def map_policy(script: str, *, served: bool = False) -> str:
    """Return the content security policy of the page.

    Args:
        script: the hash of its script.
        served: pictures and answers come from the server that it came from; otherwise it asks nobody.
    """
    images = "'self'" if served else "'self' file:"
    connect = "'self'" if served else "'none'"
    return f"default-src 'none'; img-src {images}; script-src {script}; style-src 'unsafe-inline'; connect-src {connect}"


def served_head(path: Path, *, search: str, collection: str, images: str) -> tuple[bytes, int, str]:
    """Return how a file that `write_map` wrote begins when a server gives it out: it then searches any words there.

    Args:
        path: the file.
        search: address that takes searches, by POST as JSON.
        collection: its name there.
        images: start of the addresses of its images.
    Returns:
        bytes that stand for the first ones of the file, how many these are, and the content security policy.
    Raises:
        OptionError: it cannot be read, or is no such file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise OptionError(f"{path}: cannot be read as a map: {error.strerror}") from error
    policy = _POLICY.search(head)
    if policy is None or _MADE.encode() not in head:
        raise OptionError(f"{path}: is no map that this program wrote; write one anew")
    allowed = map_policy(policy[2].decode(), served=True)
    told = (
        f'<meta name="search-url" content="{markup(search)}" data-collection="{markup(collection)}" '
        f'data-images="{markup(images)}">'
    )
    changed = head.replace(policy[1], allowed.encode(), 1)
    return changed.replace(_MADE.encode(), f"{_MADE}\n{told}".encode(), 1), len(head), allowed


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


def _note(found: ImageMap, faults: dict[str, str], left_out: int) -> str:
    said = ["Near images are alike; distances across the map say little."]
    if found.sampled < found.total:
        said.append(f"{found.sampled:,} of {found.total:,} images are shown, taken by chance.")
    if faults:
        said.append(f"{len(faults):,} cannot be read and have no picture.")
    if left_out:
        said.append(f"{left_out:,} have no picture: the file would be too large.")
    if found.unsearchable:
        said.append(f"No words: {found.unsearchable}.")
    return escape(" ".join(said))


def _facts(found: ImageMap, order: NDArray[np.int64], *, beside: Path) -> str:
    """Return the texts of the page, packed: paths, links, colourings, groups and words, rows in the order given."""
    base = found.root and quote(os.fsencode(os.path.relpath(found.root, beside))) + "/"
    facts: dict[str, Any] = {
        "paths": [escape(found.paths[place]) for place in order.tolist()],
        "base": base or None,
        "links": {
            rank: link
            for rank, place in enumerate(order.tolist())
            if (link := _own_link(found, place, beside)) is not None
        },
        "colorings": [coloring.to_json() for coloring in found.colorings],
        "groups": [
            {"name": escape(name), "x": round(float(x) * _SIDE), "y": round(float(y) * _SIDE)}
            for name, (x, y) in found.group_places()
        ],
        "words": list(found.words.words) if found.words else [],
        "absent": []
        if found.words is None or found.words.absent is None
        else np.flatnonzero(found.words.absent).tolist(),
        "per_word": found.words.places.shape[1] if found.words else 0,
        "neighbors": min(_NEIGHBORS, found.neighbors.places.shape[1]),
    }
    return _packed(json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode())


def _own_link(found: ImageMap, place: int, beside: Path) -> str | None:
    """Return the link of an image that is no file below the root by its key; empty for what a page cannot open."""
    link = found.links[place]
    if link.startswith(("https://", "http://")):
        return link
    if not os.path.isfile(link):
        return ""
    path = found.paths[place]
    if found.root and link == os.path.join(found.root, path) and escape(path) == path:
        return None
    return quote(os.fsencode(os.path.relpath(link, beside)))


def _numbers(found: ImageMap, order: NDArray[np.int64], shapes: NDArray[np.uint8]) -> bytes:
    """Return the arrays of the page one after another, rows in the order given; those of wider numbers come first."""
    rank = np.empty(len(order), dtype=np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    near = found.neighbors.places[order][:, :_NEIGHBORS]
    places = np.clip(np.round(found.positions[order] * _SIDE), 0, _SIDE).astype("<u2")
    arrays = [
        found.ids[order].astype("<f8"),
        *([rank[found.words.places].astype("<u4")] if found.words else []),
        rank[near].astype("<u4"),
        places[:, 0],
        places[:, 1],
        shapes,
        *(coloring.codes[order] for coloring in found.colorings),
    ]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def _numbers_size(found: ImageMap) -> int:
    """Return how many characters the numbers take, before small pictures are made."""
    rows = np.arange(len(found.ids))
    return len(_packed(_numbers(found, rows, np.zeros(len(rows), dtype=np.uint8)))) + 1_000_000
