"""Stop a build that would remove more rows than it may unasked, or finds nothing, and say what would explain it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.errors import OptionError, PruneRefused
from retrieval.sources import FORMATS, NOT_FOLLOWED, count_reasons, reason_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrieval.ingestion.build_sources import BuildSource
    from retrieval.ingestion.changes.changes import Changes
    from retrieval.sources import Selection

# A collection smaller than this may be emptied without being asked twice.
PROTECTED_ROWS = 20

_MOUNT = "Mount its drive, or remove their rows with `prune=True`"


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeListing:
    """What a listing of the source says of the rows of all shards, before one of them is built.

    Attributes:
        rows: of the source, in all shards.
        stay: rows whose image is still listed, be it under another key; None where the source was not listed to its end.
        images: that were listed.
    """

    rows: int
    stay: int | None
    images: int

    @property
    def most_stay(self) -> bool:
        """Say whether at least half of the rows stay, or there are too few to ask about."""
        return self.stay is not None and (self.rows < PROTECTED_ROWS or 2 * self.stay >= self.rows)


def refuse_unasked(
    changes: Changes,
    source: BuildSource,
    *,
    prune: bool,
    is_first: bool,
    may_be_empty: bool = False,
    whole: WholeListing | None = None,
) -> None:
    """Stop a build, before it writes anything, that nobody can have meant.

    Args:
        changes: what it would do to one source.
        source: that source.
        prune: it may remove rows; only a source without anything is refused then.
        is_first: there is no collection yet.
        may_be_empty: it need not hold any images.
        whole: of a shard: what is known of all shards. Where most of their rows stay, many of one may go, or move to another; else
            each that would lose some refuses, however small. None for one collection.
    Raises:
        PruneRefused: it would remove more rows than it may unasked.
        OptionError: the source holds no images, and the collection has none of it.
    """
    folder = source.name
    if not prune:
        refuse_unlinking(rows=changes.rows, unfollowed=changes.unfollowed, folder=folder)
        refuse_unmounting(rows=changes.rows, unmounted=changes.unmounted, folder=folder)
        removed = len(changes.missing) - len(changes.moved_away) - changes.may_have_moved
        _refuse_all(changes, source, removed=removed, found=changes.images, whole=whole)
    if not (
        may_be_empty or changes.rows or changes.fresh or changes.media or (changes.skipped and not is_first)
    ):
        raise OptionError(_nothing(folder, changes))


def refuse_losing(
    changes: Changes, source: BuildSource, *, broken: int, whole: WholeListing | None = None
) -> None:
    """Stop a build, before it removes anything, whose files turned out to be unreadable.

    Args:
        changes: what it does to one source, as it is known now.
        source: that source.
        broken: rows of files that can no longer be read.
        whole: as `refuse_unasked` has it.
    Raises:
        PruneRefused: it would remove more rows than it may unasked.
    """
    removed = len(changes.missing) - len(changes.moved_away)
    _refuse_all(changes, source, removed=removed, found=1, broken=broken, whole=whole)


def _refuse_all(
    changes: Changes,
    source: BuildSource,
    *,
    removed: int,
    found: int,
    broken: int = 0,
    whole: WholeListing | None,
) -> None:
    """Stop a build that would remove most rows: of a collection, or of all shards together."""
    rows, protected = changes.rows, PROTECTED_ROWS
    if whole is not None and whole.stay is not None:
        if whole.most_stay and (whole.images or not removed):
            removed = 0
        elif removed > 0:  # what is said is said of all shards, and each that would lose some refuses
            rows, removed, found, protected = whole.rows, whole.rows - whole.stay, whole.images, 1
    elif whole is not None:
        protected = 1
    refuse_emptying(
        rows=rows,
        removed=removed + broken,
        found=found,
        folder=source.name,
        missing=changes.missing,
        selection=source.selection,
        protected=protected,
    )


def refuse_emptying(
    *,
    rows: int,
    removed: int,
    found: int,
    folder: str,
    missing: Iterable[bytes] = (),
    selection: Selection | None = None,
    protected: int = PROTECTED_ROWS,
) -> None:
    """Stop a build that would remove more than half of at least 20 rows, or that finds nothing where there was something.

    Args:
        rows: of the collection, below the folder.
        removed: how many of them would go.
        found: images found.
        folder: what was walked.
        missing: keys of the rows whose file was not found.
        selection: what the walk was asked to leave out.
        protected: rows from which on most may not go.
    Raises:
        PruneRefused: so it is; nothing was removed.
    """
    if removed > 0 and not found:
        cure = _cure(missing, selection) or "mount its drive, or remove the rows with `prune=True`"
        raise PruneRefused(f"{folder} holds no images any more, but its collection has {rows:,} rows; {cure}")
    if rows >= protected and 2 * removed > rows:
        raise PruneRefused(
            f"{removed:,} of {rows:,} images are gone from {folder} or can no longer be read; none was removed. "
            f"{_cure(missing, selection) or _MOUNT}"
        )


def refuse_unlinking(*, rows: int, unfollowed: list[bytes], folder: str) -> None:
    """Stop a build that would remove rows because the links that lead to their files are not followed any more.

    Neither may they stay unasked: nobody would notice when their files change or go.

    Raises:
        PruneRefused: so it is; nothing was removed.
    """
    if unfollowed:
        raise PruneRefused(
            f"{len(unfollowed):,} of {rows:,} images of {folder} lie behind linked folders "
            f"({os.fsdecode(unfollowed[0])} is one), which are not followed now; none was removed. "
            f"Follow them with `follow_links=True`, or remove their rows with `prune=True`"
        )


def refuse_unmounting(*, rows: int, unmounted: dict[bytes, int], folder: str) -> None:
    """Stop a build that would remove rows below folders which were file systems of their own and are empty or unmounted now.

    Args:
        rows: of the collection, below the folder.
        unmounted: such folders by key, with how many rows would go.
        folder: what was walked.
    Raises:
        PruneRefused: there are some; nothing was removed.
    """
    if unmounted:
        names = ", ".join(os.fsdecode(key) for key in sorted(unmounted))
        raise PruneRefused(
            f"{sum(unmounted.values()):,} of {rows:,} images of {folder} lay on another file system, in {names}, "
            f"which is not mounted there now or empty; none was removed. Mount it, or remove their rows with `prune=True`"
        )


def _cure(missing: Iterable[bytes], selection: Selection | None) -> str:
    """Say which options hide the files of missing rows; nothing where none does."""
    if selection is None:
        return ""
    hidden = Counter(reason for key in missing if (reason := selection.hides(os.fsdecode(key))) is not None)
    if not hidden:
        return ""
    reasons = []
    for reason, count in hidden.most_common(3):
        if reason.startswith("`exclude="):
            reasons.append(f"{count:,} are left out by {reason}")
        else:
            glob = f"**/{reason}" if "/" in reason else reason
            reasons.append(f'{count:,} lie in {reason}, left out by default: `include="{glob}"` keeps them')
    return f"{'; '.join(reasons)}. Change these options, or remove the rows with `prune=True`"


def _nothing(folder: str, changes: Changes) -> str:
    files = [file for file in changes.skipped if file.reason != NOT_FOLLOWED]
    links = len(changes.skipped) - len(files)
    cure = (
        f"`follow_links=True` enters its linked folders ({links})"
        if links
        else "check the path, or `exclude`"
    )
    if files:
        reasons = reason_words(count_reasons(files))
        return f"{folder}: none of its {len(files):,} image files can be read ({reasons}; read are {FORMATS}); {cure}"
    return f"{folder} holds no images ({FORMATS}); {cure}"
