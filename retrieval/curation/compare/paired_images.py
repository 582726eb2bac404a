"""Pair the images of two collections by their keys, or encode a sample of one with another encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.embedding import embed
from retrieval.errors import OptionError
from retrieval.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexes.vectors import Halves, Ids
    from retrieval.collection import Collection, Row
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress

MOST: Final = 50_000
"""Images that are compared; of more, so many are drawn."""

_SEED: Final = 2_411
_BLOCK: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedImages:
    """The same images by two encoders.

    Attributes:
        ids: ``(n,)`` their rows in the first collection, ascending.
        a, b: ``(n, d_a)`` and ``(n, d_b)`` float16 unit rows.
        only_a, only_b: how many images one of them alone has.
        changed: images that both have, with other bytes.
        unreadable: images of the sample that could not be read.
        copies: exact copies of others in the sample, which were left out.
        encoded: the second one encoded them for this comparison.
    """

    ids: Ids
    a: Halves
    b: Halves
    only_a: int = 0
    only_b: int = 0
    changed: int = 0
    unreadable: int = 0
    copies: int = 0
    encoded: bool = False


def pair_collections(a: Collection, b: Collection, progress: OnProgress | None) -> PairedImages:
    """Pair the rows of two collections whose keys and bytes are the same; at most `MOST` of them, drawn at random.

    Raises:
        OptionError: no key is in both.
    """
    ours, theirs = _same_keys(a, b, progress)
    if not len(ours):
        raise OptionError(
            f"{a.directory} and {b.directory} have no image in common: their paths differ. Build both from the same folder"
        )
    shared = len(ours)
    drawn = np.sort(np.random.default_rng(_SEED).permutation(shared)[:MOST])
    same = [
        _is_same(a[one], b[other])
        for one, other in zip(ours[drawn].tolist(), theirs[drawn].tolist(), strict=True)
    ]
    kept = drawn[np.array(same, dtype=np.bool_)]
    return PairedImages(
        ids=ours[kept],
        a=_halves(a, ours[kept]),
        b=_halves(b, theirs[kept]),
        only_a=len(a) - shared,
        only_b=len(b) - shared,
        changed=len(drawn) - len(kept),
    )


def _same_keys(a: Collection, b: Collection, progress: OnProgress | None) -> tuple[Ids, Ids]:
    """Return the rows of both whose key is in both, ``(m,)`` each, in the order of the first one's."""
    ours: list[int] = []
    theirs: list[int] = []
    rows = zip(a.row_ids().tolist(), a.keys(), strict=True)
    for done, (number, key) in enumerate(rows, start=1):
        if key in b:
            ours.append(number)
            theirs.append(b.id_of(key))
        if progress is not None and done % _BLOCK == 0:
            progress(Progress(phase="pair", done=done, total=len(a)))
    return np.array(ours, dtype=np.int64), np.array(theirs, dtype=np.int64)


def _is_same(one: Row, other: Row) -> bool:
    """Say whether two rows may be of the same bytes; for rows by hand nobody can tell."""
    return one.by_hand or other.by_hand or one.content == other.content


def _halves(collection: Collection, ids: Ids) -> Halves:
    rows = np.empty((len(ids), collection.space.dim), dtype=np.float16)
    for start in range(0, len(ids), _BLOCK):
        rows[start : start + _BLOCK] = collection.vectors(ids[start : start + _BLOCK])
    return rows


def encode_sample_of(
    a: Collection, encoder: Encoder, *, sample: int, progress: OnProgress | None
) -> PairedImages:
    """Encode images of a collection with another encoder; exact copies of an image are left out.

    Raises:
        OptionError: none of them can be read.
    """
    drawn = np.random.default_rng(_SEED).permutation(a.row_ids())[:sample]
    ids: list[int] = []
    blocks: list[Halves] = []
    changed = unreadable = copies = done = 0
    for batch in embed(_rows(a, drawn), encoder, open_image=_bytes_of):
        same = [
            row.by_hand or row.content == content
            for row, content in zip(batch.items, batch.contents, strict=True)
        ]
        ids += [row.id for row, kept in zip(batch.items, same, strict=True) if kept]
        blocks.append(batch.vectors[np.array(same, dtype=np.bool_)].astype(np.float16))
        changed += len(same) - sum(same)
        unreadable += len(batch.failed)
        copies += len(batch.reused)
        done += len(batch.items) + len(batch.failed) + len(batch.reused)
        if progress is not None:
            progress(Progress(phase="sample", done=done, total=len(drawn)))
    if not ids:
        raise OptionError(
            f"none of {len(drawn):,} images of {a.directory} can be read as they were indexed; mount their drive, or open "
            "the collection with a `root`"
        )
    order = np.argsort(np.array(ids))
    numbers = np.array(ids, dtype=np.int64)[order]
    return PairedImages(
        ids=numbers,
        a=_halves(a, numbers),
        b=np.concatenate(blocks)[order],
        changed=changed,
        unreadable=unreadable,
        copies=copies,
        encoded=True,
    )


def _rows(collection: Collection, ids: Ids) -> Iterator[Row]:
    for number in ids.tolist():
        yield collection[number]


def _bytes_of(row: Row) -> bytes:
    return row.read_bytes()
