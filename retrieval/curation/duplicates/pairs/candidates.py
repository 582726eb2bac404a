"""Find pairs of rows whose vectors are alike: within a collection, where new rows alone are joined, and between two."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.errors import StoreFull
from retrieval.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Ids
    from retrieval.collection import Collection
    from retrieval.curation.duplicates.images import ImageRows, Results
    from retrieval.progress import OnProgress

AT_MOST: Final = 15
"""Rows that each row names, the likest ones."""

_NEW: Final = 4 * AT_MOST
"""Rows that a new row names: an earlier row may have it among its likest though not the other way round."""

_BLOCK: Final = 1024


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of rows, each once.

    Attributes:
        pairs: ``(p, 2)`` int64.
        scores: ``(p,)`` float32 cosines.
        cut: near rows beyond the `AT_MOST` that each row names. A pair may count twice, or be named by its other row.
    """

    pairs: NDArray[np.int64]
    scores: NDArray[np.float32]
    cut: int = 0


@dataclass(slots=True, kw_only=True)
class _Part:
    """A join of some rows with all, as far as it has come.

    Attributes:
        begin, end: how many rows each shard had before and has: those below `begin` were joined before. One number for one
            collection.
        generation: in which it was joined; its blocks are those of this generation.
        blocks: how many of them are done.
        whole: all are.
        cut: near rows beyond those that were named.
    """

    begin: list[int]
    end: list[int]
    generation: int
    blocks: int = 0
    whole: bool = False
    cut: int = 0


@dataclass(slots=True, kw_only=True)
class _State:
    """What is kept of a join.

    Attributes:
        mark: of the first and last rows that were joined: another collection in the same place has another one.
        parts: the joins so far.
    """

    mark: str = ""
    parts: list[_Part] = field(default_factory=list)

    @classmethod
    def of(cls, text: str | None) -> _State:
        if text is None:
            return cls()
        facts = json.loads(text)
        state = cls(mark=facts["mark"], parts=[_Part(**part) for part in facts["parts"]])
        if any(isinstance(part.end, int) for part in state.parts):
            return cls()  # an earlier version's
        return state

    @property
    def rows(self) -> list[int]:
        """How many rows of each shard are joined with all, or are about to be."""
        return self.parts[-1].end if self.parts else []


def within(
    rows: ImageRows, results: Results, *, threshold: float, progress: OnProgress | None = None
) -> Candidates:
    """Return the pairs of rows of a collection, by their places, whose cosine is at least a threshold, each row's `AT_MOST` likest.

    What was joined before is kept: after a build only the new rows are joined with all, and a killed join goes on.

    Args:
        rows: the collection and which of its rows count.
        results: keeps the pairs.
        threshold: the least cosine.
        progress: called now and then.
    """
    collection = rows.collection
    name = f"{collection.space.name} {collection.space.dim} {threshold} {AT_MOST}"
    state = _State.of(results.join(name))
    generation, counts = collection.manifest.generation, list(collection.counts)
    if not _continues(state, rows):
        results.forget_join(name)
        state = _State()
    if state.parts and not state.parts[-1].whole and state.parts[-1].generation != generation:
        state.parts[-1] = _Part(begin=state.parts[-1].begin, end=counts, generation=generation)
    elif state.rows != counts:
        begin = state.rows + [0] * (len(counts) - len(state.rows))
        state.parts.append(_Part(begin=begin, end=counts, generation=generation))
    if state.parts and not state.parts[-1].whole:
        state.mark = _mark(rows, state.parts[-1].end)
        _join(collection, results, name, state, threshold=threshold, progress=progress)
    kept = results.pairs(name)
    pairs = np.stack(
        [
            np.concatenate(
                [np.frombuffer(block[side], np.int64) for block in kept] or [np.empty(0, np.int64)]
            )
            for side in (0, 1)
        ],
        axis=1,
    )
    scores = np.concatenate(
        [np.frombuffer(block[2], np.float32) for block in kept] or [np.empty(0, np.float32)]
    )
    pairs = collection.places(pairs.ravel()).reshape(pairs.shape)
    lives = rows.mask[pairs].all(axis=1) if len(pairs) else np.empty(0, np.bool_)
    found = _joined(pairs[lives], scores[lives], cut=sum(part.cut for part in state.parts))
    return _named(found, count=len(rows.mask))


def _named(found: Candidates, *, count: int) -> Candidates:
    """Keep the pairs of which one row is among the `AT_MOST` likest of the other; the others are cut, too.

    So it makes no difference which rows were there first.

    Args:
        found: pairs, each once.
        count: rows that there are.
    """
    ends = found.pairs.ravel(order="F")  # (2p,) all first rows, then all second ones
    order = np.lexsort((found.pairs[:, ::-1].ravel(order="F"), -np.tile(found.scores, 2), ends))
    sizes = np.bincount(ends, minlength=count)
    places = np.empty(len(ends), np.int64)
    places[order] = np.arange(len(ends)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = (places.reshape(2, -1) < AT_MOST).any(axis=0)
    return Candidates(found.pairs[kept], found.scores[kept], found.cut + int((~kept).sum()))


def _continues(state: _State, rows: ImageRows) -> bool:
    """Say whether what is kept is of this collection, as it was or with rows behind."""
    counts, known = rows.collection.counts, state.rows
    grown = len(known) <= len(counts) and all(one <= now for one, now in zip(known, counts, strict=False))
    return not state.parts or (grown and state.mark == _mark(rows, known))


def _mark(rows: ImageRows, counts: Sequence[int]) -> str:
    """Return the mark of the first so many rows of each shard."""
    digest = hashlib.blake2b(digest_size=16)
    first = 0
    for count, now in zip(counts, rows.collection.counts, strict=False):
        ends = sorted({first, first + count - 1}) if count else []
        for record in rows.records(ends):
            digest.update(record.content + record.stamp[:8])
        first += now
    return digest.hexdigest()


def _join(
    collection: Collection,
    results: Results,
    name: str,
    state: _State,
    *,
    threshold: float,
    progress: OnProgress | None,
) -> None:
    """Join the rows of the last part with all, from the block where it stopped."""
    part = state.parts[-1]
    number = len(state.parts) - 1
    since = None
    if any(part.begin):
        ends = np.cumsum(part.end)
        new = [
            np.arange(end - size + begin, end)
            for begin, size, end in zip(part.begin, part.end, ends, strict=True)
        ]
        since = np.concatenate(new)
        since = collection.ids_at(since[collection.live[since]])
    at_most = AT_MOST if since is None else _NEW
    if since is None or len(since):
        for found in collection.pairs(threshold, at_most=at_most, since=since, first_block=part.blocks):
            arrays = (
                found.ids_a.astype(np.int64).tobytes(),
                found.ids_b.astype(np.int64).tobytes(),
                found.scores.astype(np.float32).tobytes(),
            )
            if not results.put_pairs(name, number, found.block, arrays):
                raise StoreFull(
                    f"{collection.directory}: no space is left for the pairs that are found; free some space and run it again"
                )
            part.blocks, part.cut = found.block + 1, part.cut + found.cut
            results.put_join(name, json.dumps(asdict(state)))
            if progress is not None:
                progress(Progress(phase="join", done=found.block + 1, total=found.blocks))
    part.whole = True
    results.put_join(name, json.dumps(asdict(state)))


def between(
    collection: Collection,
    other: Collection,
    mask: Bitmap,
    *,
    threshold: float,
    progress: OnProgress | None = None,
) -> Candidates:
    """Return pairs of a row of one collection and a row of another one: each row's `AT_MOST` likest there.

    Rows go by their places; those of the other collection are numbered behind those of the first.

    Args:
        collection: the collection.
        other: the other one.
        mask: ``(count,)`` flags of the rows that count.
        threshold: the least cosine.
        progress: called now and then.
    """
    found = list(_neighbours(collection, other, np.flatnonzero(mask), threshold, progress))
    pairs = np.concatenate([block for block, _ in found] or [np.empty((0, 2), np.int64)])
    scores = np.concatenate([block for _, block in found] or [np.empty(0, np.float32)])
    return _joined(pairs + np.array([0, len(mask)]), scores, cut=0)


def _neighbours(
    collection: Collection, other: Collection, ids: Ids, threshold: float, progress: OnProgress | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield pairs of rows and their cosines, block by block."""
    for start in range(0, len(ids), _BLOCK):
        block = ids[start : start + _BLOCK]
        near = other.search_vectors(collection.vectors(collection.ids_at(block)), k=AT_MOST)
        kept = (near.ids >= 0) & (near.scores >= threshold)  # (b, k)
        there = other.places(near.ids[kept])
        yield np.stack([np.repeat(block, kept.sum(axis=1)), there], axis=1), near.scores[kept]
        if progress is not None:
            progress(Progress(phase="join", done=min(start + _BLOCK, len(ids)), total=len(ids)))


def _joined(pairs: NDArray[np.int64], scores: NDArray[np.float32], *, cut: int) -> Candidates:
    """Make each pair come once."""
    unique, places = np.unique(pairs, axis=0, return_index=True)
    return Candidates(unique.reshape(-1, 2), scores[places], cut)
