"""Turn found rows into hits: hide the query itself, fold exact copies, read paths."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    from indexes.migration import Blend
    from indexes.vectors import Bitmap, Vectors
    from retrieval.collection import Opened


MOST_NAMED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer.

    Attributes:
        rank: 1 for the best.
        score: cosine at full stored width, higher is better.
        path: relative to the collection's root, ``/`` between parts; bytes that are not UTF-8 are surrogate-escaped.
        id: the row.
        copies: how many further files with exactly the same bytes are folded into this hit.
        duplicates: paths of those files by id, the first hundred of them.
        cosine: while the encoder changes: the cosine within the row's own space, `score` being on the new space's scale.
        space: while the encoder changes: the name of that space.
    """

    rank: int
    score: float
    path: str
    id: int
    copies: int
    duplicates: tuple[str, ...] = ()
    cosine: float | None = None
    space: str | None = None


class Hits(list[Hit]):
    """The answer to a query: a list of `Hit`, best first, and what there is to say about all of them.

    Attributes:
        unknown_words: words of the query that the encoder has never learned; they were hardly taken into account.
    """

    def __init__(self, hits: Iterable[Hit] = (), *, unknown_words: tuple[str, ...] = ()) -> None:
        super().__init__(hits)
        self.unknown_words = unknown_words


def find_hits(
    opened: Opened,
    query: Vectors,
    *,
    k: int,
    words: bool,
    hidden: frozenset[int],
    keep: Bitmap | None,
    fold: bool,
    **options: Any,
) -> list[Hit]:
    """Search until there are ``k`` hits, or as many as there can be.

    Args:
        opened: what is searched.
        query: ``(1, d)``, as `Opened.search` takes it.
        k: how many hits at most.
        words: the query is words only.
        hidden: rows that are no hits.
        keep: ``(count,)`` flags; only these rows can be hits.
        fold: fold files with the same bytes into one hit.
        options: ``dim``, ``nprobe`` and ``exact`` of `indexes.search.generation.Generation.search`.
    """
    # Hidden rows and copies take places in the list, so ask for more until k distinct ones are there.
    rows = max(opened.manifest.count, 1)
    wanted = min(k + len(hidden), rows)
    while True:
        found = opened.search(query, k=wanted, keep=keep, words=words, **options)
        count = int(np.count_nonzero(found.ids[0] >= 0))
        if count and found.ids[0, :count].min() < 0:  # rows that are no numbers have no place in an order
            raise StoreCorrupt(
                f"{opened.directory}: the stored vectors in rerank.f16 are no numbers; run `verify`"
            )
        hits = _folded(opened, found, count, k=k, hidden=hidden, keep=keep, fold=fold)
        if len(hits) >= k or count < wanted or wanted == rows:
            return hits
        wanted = min(2 * wanted, rows)


def _folded(
    opened: Opened,
    found: Blend,
    count: int,
    *,
    k: int,
    hidden: frozenset[int],
    keep: Bitmap | None,
    fold: bool,
) -> list[Hit]:
    hits: list[Hit] = []
    seen: set[bytes] = set()
    ids, scores = found.ids[0, :count], found.scores[0, :count]
    for place, (record, score) in enumerate(zip(opened.store.records(ids), scores.tolist(), strict=True)):
        if record.id in hidden or record.content in seen:
            continue
        others: list[int] = []
        if fold and record.content:
            seen.add(record.content)
            same = opened.store.find_content(record.content)
            same = same[opened.is_live(same) if keep is None else opened.is_live(same) & keep[same]]
            others = [other for other in same.tolist() if other not in hidden and other != record.id]
        hits.append(
            Hit(
                rank=len(hits) + 1,
                score=float(score),
                path=os.fsdecode(record.key),
                id=record.id,
                copies=len(others),
                duplicates=tuple(
                    os.fsdecode(other.key) for other in opened.store.records(np.array(others[:MOST_NAMED]))
                )
                if others
                else (),
                **_side(opened, found, place),
            )
        )
        if len(hits) == k:
            break
    return hits


def _side(opened: Opened, found: Blend, place: int) -> dict[str, Any]:
    """Return what a hit says besides its score while rows of two spaces answer."""
    if opened.pair is None:
        return {}
    migration = opened.pair.migration
    space = migration.new_space if found.renewed[0, place] else migration.old_space
    return {"cosine": float(found.cosines[0, place]), "space": space.name}
