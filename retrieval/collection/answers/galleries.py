"""Show hits and collections as images in a notebook."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from retrieval.display import notebook

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.collection.answers.hit import Hit
    from retrieval.collection.answers.hits import Hits

_SOME = 8  # images of a collection


def hits_html(hits: Hits) -> str | None:
    """Return the first hits with their images, and how many there are."""
    best = f"best {len(hits):,} of {hits.searched:,}" if hits else "no image qualifies"
    return notebook.shown(lambda: notebook.gallery(hits.query, [_picture(hit) for hit in hits], note=best))


def hit_html(hit: Hit) -> str | None:
    """Return one hit's image and its facts."""
    facts = {
        "row": str(hit.id),
        "file": hit.link,
        "duplicates": hit.duplicates,
        "ranked by": hit.ranked_by,
        "space": hit.space,
    }
    return notebook.shown(lambda: notebook.gallery("", [_picture(hit)]) + notebook.facts("", facts))


def collection_html(collection: Collection) -> str | None:
    """Return what a collection is, and some of its images, evenly spread."""
    return notebook.shown(lambda: _collection_html(collection))


def _collection_html(collection: Collection) -> str:
    live = np.flatnonzero(collection.live)  # (n,)
    some = live[np.linspace(0, len(live) - 1, min(_SOME, len(live))).astype(np.int64)]
    pictures = [_row_picture(collection, int(number)) for number in some]
    facts = {name: value for name, value in collection.info().items() if name != "images"}
    title = f"{len(live):,} rows"
    return notebook.gallery(title, pictures) + notebook.facts("", facts)


def _row_picture(collection: Collection, number: int) -> notebook.Picture:
    path = collection.key_of(number)
    row = collection[number]
    return notebook.Picture(file=row.origin or row.link, name=path)


def _picture(hit: Hit) -> notebook.Picture:
    number = hit.n_duplicates
    return notebook.Picture(
        file=hit.origin or hit.link,
        name=hit.path,
        facts=f"{hit.rank:,} · {hit.score:.3f}" if not math.isnan(hit.score) else f"{hit.rank:,}",
        more=f"+{number:,} duplicate{'' if number == 1 else 's'}" if number else "",
    )
