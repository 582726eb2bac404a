"""Read the pixels of a collection's images, once: what was read is kept beside the collection."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from indexes.engine import ThreadPool, allowed_cores
from retrieval.collection import FeatureStore
from retrieval.curation.audit.pixel_facts import PixelFacts, read_pixel_facts
from retrieval.errors import ImageError, RetrievalError
from retrieval.progress import Progress
from retrieval.sources.decoding import content_hash

if TYPE_CHECKING:
    from indexes.vectors import Bitmap
    from retrieval.collection import Collection, Row
    from retrieval.progress import OnProgress

FOLDER: Final = "pixels"
"""Of the collection's directory; it may be deleted."""

_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImages:
    """What was read of images.

    Attributes:
        facts: by row.
        unread: how many images could not be read, by reason.
        fresh: how many were decoded; the others were known.
    """

    facts: dict[int, PixelFacts] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    fresh: int = 0


def read_images(collection: Collection, mask: Bitmap, *, progress: OnProgress | None = None) -> ReadImages:
    """Read the pixels of images that were not read before, by threads.

    Args:
        collection: an open one; only the folder `FOLDER` beside it is written.
        mask: ``(count,)`` flags of the rows to read.
        progress: is told how far it has come.
    """
    facts: dict[int, PixelFacts] = {}
    unread: Counter[str] = Counter()
    fresh = 0
    ids = collection.row_ids(mask).tolist()
    with (
        FeatureStore(collection.directory, folder=FOLDER, writable=True) as kept,
        ThreadPool(max_workers=allowed_cores()) as pool,
    ):
        for start in range(0, len(ids), _AT_ONCE):
            rows = [collection[number] for number in ids[start : start + _AT_ONCE]]
            known = kept.get([row.content for row in rows if not row.by_hand])
            unknown: list[Row] = []
            for row in rows:
                one = None if row.by_hand else PixelFacts.from_bytes(known.get(row.content, b""))
                if one is None:
                    unknown.append(row)
                else:
                    facts[row.id] = one
            new: list[tuple[bytes, bytes]] = []
            for row, found in zip(unknown, pool.map(_read, unknown), strict=True):
                if isinstance(found, str):
                    unread[found] += 1
                    continue
                content, facts[row.id] = found
                new.append((content, facts[row.id].to_bytes()))
            kept.put(new)
            fresh += len(new)
            if progress is not None:
                progress(
                    Progress(phase="pixels", done=start + len(rows), total=len(ids), skipped=unread.total())
                )
        if len(ids) == len(collection) and len(kept) > 2 * len(ids):
            kept.keep_only(collection[number].content for number in ids)
    return ReadImages(facts=facts, unread=unread, fresh=fresh)


def _read(row: Row) -> tuple[bytes, PixelFacts] | str:
    """Return the content hash and the facts of an image, or why it could not be read."""
    try:
        data = row.read_bytes()
        content = content_hash(data) if row.by_hand else row.content
        return content, read_pixel_facts(data, name=repr(os.fsencode(row.key))[2:-1])
    except ImageError as error:
        return error.reason
    except RetrievalError:
        return "no-image"
