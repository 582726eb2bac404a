"""Turn found rows into hits: hide the query itself, fold exact copies, read paths."""

from __future__ import annotations

import os
from math import isnan
from typing import TYPE_CHECKING, Any

from retrieval.collection.answers.hit import MOST_NAMED, Hit
from retrieval.collection.answers.origin import origin_of
from retrieval.columns import unpack
from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from indexes.migration import Blend
    from indexes.store import Record
    from indexes.vectors import Vectors
    from retrieval.collection import Opened
    from retrieval.collection.queries import RowFilter


def find_hits(
    opened: Opened,
    query: Vectors,
    *,
    k: int,
    words: bool,
    hidden: frozenset[int],
    keep: RowFilter | None,
    fold: bool,
    root: str,
    min_score: float | None = None,
    first: Blend | None = None,
    **options: Any,
) -> list[Hit]:
    """Search until there are ``k`` hits, or as many as there can be.

    Args:
        opened: what is searched.
        query: ``(1, d)``, as `Opened.search` takes it.
        k: how many hits at most.
        words: the query is words only.
        hidden: rows that are no hits.
        keep: only these rows can be hits; None for all.
        fold: fold files with the same bytes into one hit.
        root: the folder that paths are relative to.
        min_score: leave out rows whose cosine is below.
        first: what was found of this query already, with `k` and as many more as it hides.
        options: ``dim``, ``nprobe`` and ``exact`` of `indexes.search.generation.Generation.search`.
    """
    found, chosen = find_rows(
        opened,
        query,
        k=k,
        words=words,
        hidden=hidden,
        keep=keep,
        fold=fold,
        min_score=min_score,
        first=first,
        **options,
    )
    same = duplicates_of(opened, (record for _, record in chosen), hidden=hidden, keep=keep) if fold else {}
    return _hits(opened, found, chosen, same, root=root)


def find_rows(
    opened: Opened,
    query: Vectors,
    *,
    k: int,
    words: bool,
    hidden: frozenset[int],
    keep: RowFilter | None,
    fold: bool,
    min_score: float | None = None,
    first: Blend | None = None,
    **options: Any,
) -> tuple[Blend, list[tuple[int, Record]]]:
    """Search until there are ``k`` rows that are hits; takes what `find_hits` does.

    Returns:
        what was found, and of each hit its place there and its record, best first.
    """
    # Hidden rows and copies take places in the list, so ask for more until k distinct ones are there.
    rows = max(opened.manifest.count, 1)
    wanted = min(k + len(hidden), rows) if first is None else first.ids.shape[1]
    while True:
        found = first or opened.search(query, k=wanted, keep=keep, words=words, **options)
        first = None
        ids, scores = found.ids[0].tolist(), found.scores[0].tolist()
        count = sum(number >= 0 for number in ids)
        # Rows that are no numbers have no place in an order.
        if count and (min(ids[:count]) < 0 or any(map(isnan, scores[:count]))):
            raise StoreCorrupt(
                f"{opened.directory}: the stored vectors in rerank.f16 are no numbers; run `verify`"
            )
        chosen = _chosen(opened, found, count, k=k, hidden=hidden, fold=fold, min_score=min_score)
        if len(chosen) >= k or count < wanted or wanted == rows:
            break
        if min_score is not None and count and _all_below(opened, found, count, min_score):
            break
        wanted = min(2 * wanted, rows)
    return found, chosen


def count_searched(opened: Opened, keep: RowFilter | None) -> int:
    """Return how many rows can be found: those without a tombstone, of `keep` if it is given."""
    return opened.manifest.live if keep is None else keep.searched(opened.live)


def _chosen(
    opened: Opened,
    found: Blend,
    count: int,
    *,
    k: int,
    hidden: frozenset[int],
    fold: bool,
    min_score: float | None,
) -> list[tuple[int, Record]]:
    """Return the places and records of found rows that are hits."""
    cosines = found.cosines[0, :count].tolist()
    records = enumerate(opened.store.records(found.ids[0, :count].tolist()))
    allowed = (
        (place, record)
        for place, record in records
        if record.id not in hidden and not (min_score is not None and cosines[place] < min_score)
    )
    return first_distinct(allowed, k=k, fold=fold)


def first_distinct(ordered: Iterable[tuple[int, Record]], *, k: int, fold: bool) -> list[tuple[int, Record]]:
    """Return the first ``k`` rows of an order, with their places; of files with the same bytes the first, if they are folded."""
    chosen: list[tuple[int, Record]] = []
    seen: set[bytes] = set()
    for place, record in ordered:
        if record.content in seen:
            continue
        chosen.append((place, record))
        if fold and record.content:
            seen.add(record.content)
        if len(chosen) == k:
            break
    return chosen


def _all_below(opened: Opened, found: Blend, count: int, min_score: float) -> bool:
    """Say whether every row that was not found lies below the least score."""
    cosines = found.cosines[0, :count]
    if opened.pair is None:
        return bool(cosines[-1] < min_score)
    # Cosines fall down the list within each space. Scores are on the new one's scale, so they bound its rows in any case.
    renewed = found.renewed[0, :count]
    new = cosines[renewed] if renewed.any() else found.scores[0, :count]
    old = cosines[~renewed]
    return bool(len(old) and old[-1] < min_score and new[-1] < min_score)


def duplicates_of(
    opened: Opened, chosen: Iterable[Record], *, hidden: frozenset[int], keep: RowFilter | None
) -> dict[bytes, list[int]]:
    """Return the rows with the same content as a hit, by content; contents that one row has are left out."""
    found = opened.store.find_contents(record.content for record in chosen if record.content)
    return {
        content: [other for other in ids if other not in hidden and (keep is None or keep.holds(other))]
        for content, ids in found.items()
        if len(ids) > 1
    }


def _hits(
    opened: Opened,
    found: Blend,
    chosen: list[tuple[int, Record]],
    same: dict[bytes, list[int]],
    *,
    root: str,
) -> list[Hit]:
    hits = []
    cosines = found.cosines[0].tolist()
    columns = columns_of(opened, [record.id for _, record in chosen])
    regions = regions_of(opened, found, [place for place, _ in chosen]) if opened.views is not None else []
    for rank, (place, record) in enumerate(chosen, start=1):
        facts = hit_facts(opened, record, same, root=root)
        if opened.pair is not None:
            facts |= _side(opened, found, place)
        if regions:
            facts |= regions[rank - 1]
        hits.append(Hit(rank=rank, score=cosines[place], columns=columns[rank - 1], **facts))
    return hits


def columns_of(opened: Opened, ids: Iterable[int]) -> list[dict[str, Any] | None]:
    """Return the columns of some rows; None of all where the collection keeps none."""
    numbers = list(ids)
    if opened.manifest.columns is None:
        return [None] * len(numbers)
    return [unpack(data) for data in opened.store.columns(numbers)]


def hit_facts(
    opened: Opened, record: Record, same: Mapping[bytes, list[int]], *, root: str
) -> dict[str, Any]:
    """Return what a hit says of its row: path, id, duplicates, and where its image lies.

    Args:
        opened: what is searched.
        record: the row's.
        same: what `duplicates_of` returned.
        root: the folder that paths are relative to.
    """
    others = [other for other in same.get(record.content, ()) if other != record.id]
    named = opened.store.records(others[:MOST_NAMED]) if others else []
    return {
        "path": os.fsdecode(record.key),
        "id": record.id,
        "origin": origin_of(opened, record, root=root),
        "root": root,
        "n_duplicates": len(others),
        "duplicates": [os.fsdecode(other.key) for other in named],
    }


def regions_of(opened: Opened, found: Blend, places: Sequence[int]) -> list[dict[str, Any]]:
    """Return what hits say of the part that answered: nothing in a collection without views.

    Args:
        opened: what is searched.
        found: the answer to one query.
        places: of the hits in it.
    """
    if opened.views is None or found.views is None:
        return [{} for _ in places]
    views = found.views[0, list(places)]
    boxes = iter(opened.views.boxes(views[views >= 0]))
    return [{"region": None if view < 0 else next(boxes), "viewed": True} for view in views.tolist()]


def _side(opened: Opened, found: Blend, place: int) -> dict[str, Any]:
    """Return what a hit says besides its score while rows of two spaces answer."""
    return two_sided(opened, float(found.scores[0, place]), renewed=bool(found.renewed[0, place]))


def two_sided(opened: Opened, ranked_by: float, *, renewed: bool) -> dict[str, Any]:
    """Return what a hit says of its place and its row's space while rows of two spaces answer; else nothing."""
    if opened.pair is None:
        return {}
    migration = opened.pair.migration
    space = migration.new_space if renewed else migration.old_space
    return {"ranked_by": ranked_by, "space": space.name}
