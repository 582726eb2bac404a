"""Write a page that shows the worst pairs of a copy detection, side by side: originals that were missed, and false copies."""

from __future__ import annotations

import os
from html import escape as markup
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from retrieval.display import Thumbnail, escape, thumbnails
from retrieval.render import HEAD, LOOK, replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrieval.evaluation.copy_detection.curves import Interval
    from retrieval.evaluation.copy_detection.report import CopyDetection, PairRanking, WorstPair

_SIZE: Final = (480, 360)
_MOST: Final = 60_000
"""Characters of one picture."""

_PAGE: Final = (
    HEAD
    + """<header><h1>$title</h1><p class="note">$note</p>$table</header>
<main>
$sections
</main>
</body>
</html>
"""
)


def write(found: CopyDetection, path: str | os.PathLike[str]) -> None:
    """Write the page to a file; its pictures link to the images, relative to where it lies."""
    where = Path(path)
    with replacing(where) as file:
        file.write(page(found, beside=where.absolute().parent).encode())


def page(found: CopyDetection, *, beside: Path) -> str:
    """Return the page's HTML."""
    sources: dict[str, Any] = {pair.query: pair.query for pair in (*found.missed, *found.mistaken)}
    made = thumbnails([*sources.values(), *found.pictures.values()], size=_SIZE, most=_MOST)
    small = {name: made[source] for name, source in (sources | dict(found.pictures)).items()}
    shown = _Shown(small=small, pictures=found.pictures, beside=beside)
    sections = [
        shown.section("Originals that were missed", "query", "its original", found.missed),
        shown.section("Taken for the original", "query", "another image", found.mistaken),
    ]
    return Template(_PAGE).substitute(
        title=f"{found.pairs:,} copies among {found.queries + found.distractors:,} queries",
        note=markup(
            f"{found.distractors:,} queries have no original. The first {found.depth:,} hits of each were looked at. The worst pairs are shown: "
            f"by the last of these orders."
        ),
        table=_table(found.rankings),
        style=LOOK + (files("retrieval.evaluation.copy_detection") / "page.css").read_text("utf-8"),
        sections="\n".join(filter(None, sections))
        or "<p>No copy was missed, and no image taken for one.</p>",
    )


def _table(rankings: Sequence[PairRanking]) -> str:
    heads = ("ranked by", "micro-AP", "recall at precision 0.9", "at 0.99", "first")
    rows = [
        (
            ranking.by + (", normalised" if ranking.normalised else ""),
            *map(_interval, (ranking.micro_ap, ranking.recall_at_precision_90, ranking.recall_at_precision_99, ranking.recall_at_1)),
        )
        for ranking in rankings
    ]  # fmt: skip
    head = "".join(f'<th scope="col">{markup(word)}</th>' for word in heads)
    body = "".join(
        f'<tr><th scope="row">{markup(row[0])}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} <span>{found.low:.3f} to {found.high:.3f}</span>"


class _Shown:
    """Shows pairs.

    Args:
        small: the picture of each path or key.
        pictures: from what the images of rows are read.
        beside: the folder where the page will lie.
    """

    def __init__(self, *, small: Mapping[str, Thumbnail], pictures: Mapping[str, Any], beside: Path) -> None:
        self._small, self._pictures, self._beside = small, pictures, beside

    def section(self, heading: str, one: str, other: str, pairs: Sequence[WorstPair]) -> str:
        if not pairs:
            return ""
        inner = "\n".join(
            f"<li>{self._figure(pair.query, pair.query, one)}{self._figure(pair.row, self._pictures[pair.row], other)}"
            f"<p>{_facts(pair)}</p></li>"
            for pair in pairs
        )
        return f"<section><h2>{heading}</h2><ol>{inner}</ol></section>"

    def _figure(self, name: str, source: Any, role: str) -> str:
        small, text = (
            self._small[name],
            markup(escape(name if source is not name else os.path.basename(name))),
        )
        inner = (
            f'<img src="{markup(small.uri)}" alt="{text}" width="{small.width}" height="{small.height}" loading="lazy">'
            if small.uri
            else f'<span class="fault">not shown: {markup(small.fault)}</span>'
        )
        if isinstance(source, str) and os.path.isfile(source):
            inner = f'<a href="{quote(os.fsencode(os.path.relpath(source, self._beside)))}">{inner}</a>'
        return f"<figure>{inner}<figcaption>{role}: {text}</figcaption></figure>"


def _facts(pair: WorstPair) -> str:
    words = [
        "not among the first hits" if pair.place is None else f"hit {pair.place:,}, score {pair.score:.3f}"
    ]
    if pair.probability is not None:
        words.append(f"probability {pair.probability:.3f}, relation {pair.relation}")
    return markup("; ".join(words))
