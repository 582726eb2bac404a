"""Read the pixels of a collection's images, once: what was read is kept beside the collection."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from indexes.engine import allowed_cores
from retrieval.collection import FeatureStore
from retrieval.curation.audit.pixel_facts import PixelFacts, read_pixel_facts
from retrieval.curation.duplicates.images import ImageRows
from retrieval.errors import ImageError, RetrievalError
from retrieval.progress import Progress
from retrieval.sources.decoding import content_hash

if TYPE_CHECKING:
    from indexes.store import Record
    from indexes.vectors import Bitmap
    from retrieval.collection import Collection
    from retrieval.progress import OnProgress

__all__ = ["FOLDER", "ReadImages", "read_images"]

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
    with (
        ImageRows(collection, mask) as rows,
        FeatureStore(collection.directory, folder=FOLDER, writable=True) as kept,
        ThreadPoolExecutor(max_workers=allowed_cores()) as pool,
    ):
        ids = rows.ids.tolist()
        for start in range(0, len(ids), _AT_ONCE):
            records = rows.records(ids[start : start + _AT_ONCE])
            known = kept.get([record.content for record in records if record.content])
            unknown: list[Record] = []
            for record in records:
                one = PixelFacts.from_bytes(known.get(record.content, b""))
                if one is None:
                    unknown.append(record)
                else:
                    facts[record.id] = one
            new: list[tuple[bytes, bytes]] = []
            for record, found in zip(
                unknown, pool.map(lambda record: _read(rows, record), unknown), strict=True
            ):
                if isinstance(found, str):
                    unread[found] += 1
                    continue
                content, facts[record.id] = found
                new.append((content, facts[record.id].to_bytes()))
            kept.put(new)
            fresh += len(new)
            if progress is not None:
                progress(
                    Progress(
                        phase="pixels", done=start + len(records), total=len(ids), skipped=unread.total()
                    )
                )
        if len(ids) == len(collection) and len(kept) > 2 * len(ids):
            kept.keep_only(content.tobytes() for content in rows.contents[rows.ids])
    return ReadImages(facts=facts, unread=unread, fresh=fresh)


def _read(rows: ImageRows, record: Record) -> tuple[bytes, PixelFacts] | str:
    """Return the content hash and the facts of an image, or why it could not be read."""
    try:
        data = rows.read(record)
        return record.content or content_hash(data), read_pixel_facts(data, name=repr(record.key)[2:-1])
    except ImageError as error:
        return error.reason
    except RetrievalError:
        return "no-image"
