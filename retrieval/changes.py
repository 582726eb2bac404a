"""What differs between a folder and its collection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval import keys
from retrieval.errors import PruneRefused
from retrieval.skipped import LASTING, UNKNOWN, SkippedFile
from retrieval.walk import NOT_FOLLOWED, Found, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from indexes.store import Record

# A collection smaller than this may be emptied without being asked twice.
PROTECTED_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a build has to do.

    Attributes:
        fresh: files that are new, or whose size or modification time changed.
        missing: key → id of live rows whose file was not found.
        contents: content hash → smallest live id, over all live rows.
        sizes: the sizes in bytes of the files behind the live rows.
        missing_contents: content hash → keys of missing rows with it.
        unfollowed: keys of those missing rows that lie behind links which were not followed.
        skipped: files that will not become vectors, as far as is known before reading.
        skipped_elsewhere: remembered ones outside the folder that was walked.
        found: keys of all image files found, the skipped ones left out.
        rows: live rows below the folder.
    """

    fresh: list[Found]
    missing: dict[bytes, int]
    contents: dict[bytes, int]
    sizes: set[int]
    missing_contents: dict[bytes, list[bytes]]
    unfollowed: list[bytes]
    skipped: list[SkippedFile]
    skipped_elsewhere: list[SkippedFile]
    found: list[bytes]
    rows: int


def compare(
    entries: Iterable[Found | Skipped],
    records: Iterable[Record],
    *,
    below: bytes = b"",
    remembered: dict[bytes, SkippedFile],
) -> Changes:
    """Compare the files found with the rows stored.

    Args:
        entries: what `retrieval.walk.walk` yields.
        records: the collection's live rows.
        below: only rows whose key starts with this can be missing (a part of the root was walked).
        remembered: skipped files of the last build by key; the ones unchanged since are not tried again.
    """
    known = {record.key: record for record in records}
    missing = {key: record.id for key, record in known.items() if key.startswith(below)}
    rows = len(missing)
    fresh: list[Found] = []
    skipped: list[SkippedFile] = []
    found: list[bytes] = []
    closed: list[bytes] = []
    links: list[bytes] = []
    for entry in entries:
        if not isinstance(entry, Found):
            if entry.folder and entry.reason == "link-loop":
                continue  # what it leads to is found where it lies
            if entry.reason == NOT_FOLLOWED:
                links.append(entry.key + b"/")
            # Nobody knows what lies there now: its rows stay.
            elif entry.folder:
                closed.append(entry.key + b"/")
            elif entry.reason in UNKNOWN:
                missing.pop(entry.key, None)
            skipped.append(SkippedFile(key=entry.key, reason=entry.reason, detail=entry.detail))
            continue
        stamp = keys.stamp(size=entry.size, mtime_ns=entry.mtime_ns)
        record = known.get(entry.key)
        if record is not None:
            missing.pop(entry.key, None)
            if record.stamp == stamp:
                found.append(entry.key)
                continue
        else:
            before = remembered.get(entry.key)
            if before is not None and before.reason in LASTING and before.stamp == stamp:
                skipped.append(before)
                continue
        fresh.append(entry)
    if closed:
        folders = tuple(closed)
        missing = {key: number for key, number in missing.items() if not key.startswith(folders)}
    contents: dict[bytes, int] = {}
    missing_contents: dict[bytes, list[bytes]] = {}
    for record in known.values():
        if record.content:
            contents.setdefault(record.content, record.id)
            if record.key in missing:
                missing_contents.setdefault(record.content, []).append(record.key)
    return Changes(
        fresh=fresh,
        missing=missing,
        contents=contents,
        sizes={keys.size_of(record.stamp) for record in known.values()},
        missing_contents=missing_contents,
        unfollowed=[key for key in missing if key.startswith(tuple(links))] if links else [],
        skipped=skipped,
        skipped_elsewhere=[file for key, file in remembered.items() if not key.startswith(below)],
        found=found,
        rows=rows,
    )


def refuse_emptying(*, rows: int, removed: int, found: int, folder: Path) -> None:
    """Stop a build that would remove more than half of at least 20 rows, or that finds nothing where there was something.

    Raises:
        PruneRefused: so it is; nothing was removed.
    """
    if removed > 0 and not found:
        raise PruneRefused(
            f"{folder} holds no images any more, but its collection has {rows} rows; "
            f"mount its drive, or remove the rows with --prune"
        )
    if rows >= PROTECTED_ROWS and 2 * removed > rows:
        raise PruneRefused(
            f"{removed} of {rows} images are gone from {folder} or can no longer be read; none was removed. "
            f"Mount its drive, or remove their rows with --prune"
        )


def refuse_unlinking(*, rows: int, unfollowed: list[bytes], folder: Path) -> None:
    """Stop a build that would remove rows because the links that lead to their files are not followed any more.

    Neither may they stay unasked: nobody would notice when their files change or go.

    Raises:
        PruneRefused: so it is; nothing was removed.
    """
    if unfollowed:
        raise PruneRefused(
            f"{len(unfollowed)} of {rows} images of {folder} lie behind linked folders "
            f"({os.fsdecode(unfollowed[0])} is one), which are not followed now; none was removed. "
            f"Follow them with --follow-links, or remove their rows with --prune"
        )
