"""Keep the listings of archives from build to build, so that an unchanged archive is not read again."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from indexes.files import make_directories, replace_file
from retrieval.sources.tar.shard_listing import ShardListing

if TYPE_CHECKING:
    from pathlib import Path

    from retrieval.sources.tar.archive_files import FileState

_SHARDS = "shards.json"
_PREFIX = "shard-"


class ListingMemory:
    """The listings of a source's archives, a file each, in a folder of the collection.

    All may be lost at any time: it saves reading the archives.

    Args:
        folder: where; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._now: dict[str, tuple[str, int]] = {}

    @cached_property
    def _known(self) -> dict[str, tuple[str, int]]:
        """The archives of the last build: their stamps, and how many entries each had."""
        if self._folder is None:
            return {}
        with suppress(OSError, ValueError, TypeError, AttributeError):
            found = json.loads((self._folder / _SHARDS).read_bytes())
            return {name: (str(stamp), int(count)) for name, (stamp, count) in found.items()}
        return {}

    def read(self, name: str, state: FileState) -> ShardListing | None:
        """Return the listing of an archive, if it was made when that was as it is now."""
        if self._folder is None:
            return None
        with suppress(OSError):
            found = ShardListing.from_bytes((self._folder / _file(name)).read_bytes())
            if found is not None and found.state == state:
                return found
        return None

    def note(self, name: str, listing: ShardListing) -> None:
        """Take an archive for one of this build."""
        self._now[name] = listing.state.stamp.hex(), len(listing)

    def write(self, name: str, listing: ShardListing) -> None:
        """Keep the listing of an archive."""
        if self._folder is not None:
            with suppress(OSError):  # it only saves time
                make_directories(self._folder)
                replace_file(self._folder / _file(name), listing.to_bytes())

    def seek_index(self, name: str, state: FileState) -> Path | None:
        """Return where the seek index of a gzipped archive lies or will lie."""
        if self._folder is None:
            return None
        with suppress(OSError):
            make_directories(self._folder)
        return self._folder / _index(name, state.stamp)

    def finish(self, *, is_whole: bool = True) -> None:
        """Keep which archives there are; forget those that are no more.

        Args:
            is_whole: all could be listed; else what is known of others is kept for when they are back.
        """
        if self._folder is None:
            return
        if not is_whole:
            self._now = self._known | self._now
        kept = {_file(name) for name in self._now}
        kept |= {_index(name, bytes.fromhex(stamp)) for name, (stamp, _) in self._now.items()}
        with suppress(OSError):
            make_directories(self._folder)
            if self._known != self._now:
                replace_file(self._folder / _SHARDS, json.dumps(self._now).encode())
            for name in os.listdir(self._folder):
                if name.startswith(_PREFIX) and name not in kept:
                    (self._folder / name).unlink()

    def stamps(self) -> dict[str, bytes]:
        """Return the archives of the last build with what they were then."""
        return {name: bytes.fromhex(stamp) for name, (stamp, _) in self._known.items()}

    def entries(self) -> int | None:
        """Return how many entries they had; None if nothing is known."""
        return sum(count for _, count in self._known.values()) if self._known else None


def _file(name: str) -> str:
    """Return the file of an archive's listing."""
    return _PREFIX + blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _index(name: str, stamp: bytes) -> str:
    """Return the file of an archive's seek index, which fits that very archive only."""
    return f"{_file(name)}-{blake2b(stamp, digest_size=8).hexdigest()}.gzidx"
