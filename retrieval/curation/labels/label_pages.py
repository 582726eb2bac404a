"""Write pages of guessed labels, and of doubted ones beside the images that contradict them."""

from __future__ import annotations

import os
from html import escape as markup
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from retrieval.collection import open_collection
from retrieval.display import escape, thumbnails
from retrieval.render import LOOK, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrieval.curation.labels.guesses import Classification, Guess, Suspect, Suspects

__all__ = ["MOST_OF_LABEL", "MOST_SUSPECTS", "write_classification", "write_suspects"]

MOST_SUSPECTS: Final = 200
"""Doubted images of a page."""
MOST_OF_LABEL: Final = 12
"""Images of one label on a page: half of them the surest ones, half the least sure."""
_MOST_LABELS: Final = 100
_SIZE: Final = (400, 300)
_MOST: Final = 40_000
"""Characters of one picture."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="retrieve">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><h1>$title</h1><p class="note">$note</p></header>
<main>
$sections
</main>
</body>
</html>
"""


def write_suspects(found: Suspects, path: Path) -> int:
    """Write a page with each doubted image and its nearest labelled ones.

    Returns:
        how many doubted images are on it: the first `MOST_SUSPECTS`.
    Raises:
        CollectionNotFound: the collection is no longer there.
        StoreFull: no space left; a file that had the name stays.
    """
    shown = found[:MOST_SUSPECTS]
    pictures = _Pictures(
        found.directory,
        {one.id: one.path for one in shown} | {voter.id: voter.path for one in shown for voter in one.voters},
        root=found.root,
        beside=path.absolute().parent,
    )
    first = f" The first {len(shown):,} are shown." if len(shown) < len(found) else ""
    _write(
        path,
        title=f"{len(found):,} doubtful labels",
        note=f"{found.judged:,} labels were judged, each as if it were not known.{first} After each image come the nearest others, "
        "with their labels.",
        sections=[_suspect(one, pictures) for one in shown],
        none="No label is doubtful.",
    )
    return len(shown)


def write_classification(found: Classification, path: Path) -> int:
    """Write a page with some images of each label, and of those that got none.

    Returns:
        how many images are on it.
    Raises:
        CollectionNotFound: the collection is no longer there.
        StoreFull: no space left; a file that had the name stays.
    """
    groups: dict[str | None, list[Guess]] = {}
    for one in found:
        groups.setdefault(one.label, []).append(one)
    without = groups.pop(None, [])
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0] or ""))[:_MOST_LABELS]
    chosen = [(label or "", len(every), _some(every)) for label, every in largest]
    if without:
        chosen.append(("no label", len(without), _some(without)))
    shown = [one for _, _, some in chosen for one in some]
    pictures = _Pictures(
        found.directory, {one.id: one.path for one in shown}, root=found.root, beside=path.absolute().parent
    )
    more = (
        f" The {_MOST_LABELS} most frequent of {len(groups):,} labels are shown."
        if len(groups) > len(largest)
        else ""
    )
    _write(
        path,
        title=f"{found.guessed:,} guessed labels",
        note=f"{found.labelled:,} images had a label. Of each label you see the surest guesses, then the least sure ones.{more}",
        sections=[_group(label, count, some, pictures) for label, count, some in chosen],
        none="Every image has a label already.",
    )
    return len(shown)


def _some(every: list[Guess]) -> list[Guess]:
    """Return the surest and the least sure of the images."""
    ordered = sorted(every, key=lambda one: (-one.probability, one.id))
    if len(ordered) <= MOST_OF_LABEL:
        return ordered
    half = MOST_OF_LABEL // 2
    return ordered[:half] + ordered[-half:]


def _write(path: Path, *, title: str, note: str, sections: list[str], none: str) -> None:
    text = Template(_PAGE).substitute(
        title=title,
        note=markup(note),
        style=LOOK + (files("retrieval.curation.labels") / "label_pages.css").read_text("utf-8"),
        sections="\n".join(sections) or f"<p>{none}</p>",
    )
    with replacing(path) as file:
        file.write(text.encode())


def _suspect(one: Suspect, pictures: _Pictures) -> str:
    label, likely = markup(escape(one.label)), markup(escape(one.likely))
    doubted = pictures.figure(
        one.id, one.path, f"labelled {one.label} ({one.probability:.0%})", kind="doubted"
    )
    others = "".join(
        pictures.figure(voter.id, voter.path, f"{voter.label} ({voter.score:.2f})") for voter in one.voters
    )
    return (
        f"<section><h2><bdi>{label}</bdi>? Likely <bdi>{likely}</bdi> <span>{one.likely_probability:.0%}</span></h2>"
        f'<div class="shots">{doubted}{others}</div></section>'
    )


def _group(label: str, count: int, some: Iterable[Guess], pictures: _Pictures) -> str:
    inner = "".join(
        pictures.figure(
            one.id,
            one.path,
            f"{one.probability:.0%}"
            if one.label is not None
            else f"{one.reason}: {one.best} {one.probability:.0%}",
        )
        for one in some
    )
    images = "image" if count == 1 else "images"
    return (
        f"<section><h2><bdi>{markup(escape(label))}</bdi> <span>{count:,} {images}</span></h2>"
        f'<div class="shots">{inner}</div></section>'
    )


class _Pictures:
    """Small pictures of rows.

    Args:
        directory: the collection's.
        wanted: paths by row.
        root: the folder that these are relative to.
        beside: the folder where the page will lie.
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
                    self._links[number] = self._sources[number] = os.path.join(root, path)
        self._made = thumbnails(self._sources.values(), size=_SIZE, most=_MOST)

    def figure(self, number: int, path: str, words: str, *, kind: str = "") -> str:
        """Return one picture with words below it; it links to the image."""
        small, shown, link = self._made[self._sources[number]], markup(escape(path)), self._links[number]
        inner = (
            f'<img src="{markup(small.uri)}" alt="{shown}" width="{small.width}" height="{small.height}" loading="lazy">'
            if small.uri
            else f'<span class="fault">not shown: {markup(small.fault)}</span>'
        )
        if link.startswith(("https://", "http://")):
            inner = f'<a href="{markup(link)}">{inner}</a>'
        elif os.path.isfile(link):
            inner = f'<a href="{quote(os.fsencode(os.path.relpath(link, self._beside)))}">{inner}</a>'
        return (
            f'<figure class="{kind}">{inner}<figcaption><b>{markup(escape(words))}</b> <bdi>{shown}</bdi>'
            "</figcaption></figure>"
        )
