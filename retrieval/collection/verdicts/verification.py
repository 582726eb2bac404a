"""Check the first hits of an answer against the picture that was asked with; those that show the same come first."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from indexes.engine import ThreadPool, allowed_cores
from indexes.vectors import integer
from retrieval.collection.answers import Hits, link_of, origin_of, with_verdict
from retrieval.collection.queries import cut_out, open_picture
from retrieval.collection.rows import hand_number, is_by_hand
from retrieval.collection.verdicts.feature_store import FeatureStore
from retrieval.errors import ImageError, OptionError, StoreCorrupt
from retrieval.views import cut

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from retrieval.collection.answers import Hit
    from retrieval.collection.queries import Query, Term
    from retrieval.collection.snapshots import Opened
    from retrieval.matching import Features, Verdict

CHECKED = 50
"""Hits that are checked unless a caller says how many: of 20 % crops, 99 in 100 are among the first 50."""


def pictured(query: Query) -> Term:
    """Return the part of a query that hits are compared with: its one image or row.

    Raises:
        OptionError: it has none, or several.
    """
    found = [term for term in query.terms if term.weight > 0 and term.kind in {"image", "id"}]
    if len(found) != 1:
        raise OptionError(
            f"`verify` compares the hits with one picture, and the query has {len(found) or 'none'}; ask with one image"
        )
    return found[0]


def query_picture(term: Term, opened: Opened, *, root: Path) -> Image:
    """Decode the picture that was asked with.

    Raises:
        ImageError: it cannot be read.
        MissingRow: there is no such row.
    """
    if term.kind == "image":
        return open_picture(term, root=root)
    record = opened.store.record(integer(term.value, "the id", least=None, most=None))
    origin = origin_of(opened, record, root=os.fspath(root))
    if origin is None:
        from retrieval.sources.media import decode_path

        picture = decode_path(link_of(record.key, origin, root=os.fspath(root)))
    else:
        picture = origin.open()
    return picture if term.region is None else cut_out(picture, term.region)


def checked_hits(hits: Hits, picture: Image, *, opened: Opened, most: int, k: int) -> Hits:
    """Compare the first hits with a picture; verified ones come first, then likely ones, each group in its order.

    Args:
        hits: best first.
        picture: what was asked with.
        opened: the collection: features that it keeps are not made again.
        most: how many hits are checked.
        k: how many are returned.
    Returns:
        the hits with new ranks. One that was not checked, or whose image cannot be read, has no verdict.
    Raises:
        MissingExtra: OpenCV is not installed.
    """
    from retrieval.matching import features

    asked = features(picture)
    first = list(hits[:most])
    hand = hand_number(opened.manifest)
    records = [opened.store.record(hit.id) for hit in first]
    contents = [b"" if is_by_hand(one, hand) else one.content for one in records]
    with FeatureStore(opened.directory) as store:
        kept = store.get(contents)
    with ThreadPool(max_workers=allowed_cores()) as pool:
        verdicts: list[Verdict | None] = list(
            pool.map(lambda hit, content: verdict_of(asked, hit, kept.get(content)), first, contents)
        )
    verdicts += [None] * (len(hits) - len(first))
    order = sorted(range(len(hits)), key=lambda place: _place(verdicts[place]))  # stable
    return Hits(
        (
            with_verdict(hits[place], verdicts[place], rank=rank)
            for rank, place in enumerate(order[:k], start=1)
        ),
        query=hits.query,
        searched=hits.searched,
        unknown_words=hits.unknown_words,
        read_as=hits.read_as,
        checked=len(first),
    )


def _place(verdict: Verdict | None) -> int:
    if verdict is None or verdict.relation != "picture":
        return 2
    return 0 if verdict.verified else 1


def verdict_of(asked: Features, hit: Hit, kept: bytes | None) -> Verdict | None:
    """Compare a picture with a hit, and with the part of it that answered; None where its image cannot be read.

    Args:
        asked: features of the picture.
        hit: what is compared with it.
        kept: features of the hit, where they are kept.
    """
    from retrieval.matching import Features, compare, features

    verdict: Verdict | None = None
    if kept is not None:
        with suppress(StoreCorrupt):  # of another version
            verdict = compare(asked, Features.from_bytes(kept))
    if verdict is not None and (verdict.verified or hit.region is None):
        return verdict
    try:
        image = hit.open()
    except ImageError:  # deleted since the last build, or damaged: it stays a hit
        return verdict
    verdict = verdict or compare(asked, features(image))
    if verdict.verified or hit.region is None:
        return verdict
    x, y, width, height = hit.region
    closer = compare(
        asked, features(cut(image, (x, y, width, height)))
    )  # what is small in it is larger there
    if closer.relation != "picture" or closer.outline is None or closer.probability <= verdict.probability:
        return verdict
    return replace(
        closer,
        outline=tuple((round(x + width * u, 4), round(y + height * v, 4)) for u, v in closer.outline),
    )
