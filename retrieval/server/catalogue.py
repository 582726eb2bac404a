"""Keep the served collections open by name: the newest generation of each, and a few older ones for cursors."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import deque
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Final, Self

from retrieval.collection import open_collection
from retrieval.errors import OptionError, RetrievalError
from retrieval.location import DIRECTORY, MANIFEST, SHARDS, find_below, find_collection, working_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from retrieval.collection import Collection
    from retrieval.server.settings import Settings

_LOOK_SECONDS: Final = 0.5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UNSAFE = re.compile(r"[\x00-\x20/?#%\\\x7f-\x9f\ud800-\udfff]+")


class UnknownCollection(RetrievalError, LookupError):
    """No collection of this name is served."""


class GenerationGone(RetrievalError, LookupError):
    """A cursor names a generation that is open no more."""


def named_collections(indexes: Sequence[str]) -> dict[str, Path]:
    """Return the directories of collections by the names under which they are served.

    Args:
        indexes: ``INDEX`` or ``NAME=INDEX`` each; an image folder, or a collection's directory. Without any, the collection
            that other commands would find from here.
    Raises:
        OptionError: two have one name.
        CollectionNotFound: there is none.
    """
    if not indexes:
        directory = find_collection(find_below(working_directory()))
        return {_own_name(directory): directory}
    found: dict[str, Path] = {}
    for text in indexes:
        name, _, place = text.partition("=")
        if not place or not _NAME.fullmatch(name) or os.path.lexists(text):
            name, place = "", text
        directory = find_collection(place)
        name = name or _own_name(directory)
        if name in found:
            raise OptionError(
                f"{found[name]} and {directory} would both be served as {name!r}; give one another name: NAME={place}"
            )
        found[name] = directory
    return found


def _own_name(directory: Path) -> str:
    """Return the name of a collection's folder, as it can stand in an address."""
    folder = directory.parent if directory.name == DIRECTORY else directory
    return _UNSAFE.sub("_", folder.name) or "images"


class Served(AbstractContextManager["Served"]):
    """One generation of a collection, open for requests. It stays open within a ``with`` block.

    All methods are called in the thread of the event loop.

    Attributes:
        name: under which it is served.
        collection: shows this very generation, always.
        generation: its number.
        version: what tells it from all others.
        mark: a short text that no other collection has; part of the addresses of its pictures.
    """

    __slots__ = ("_retired", "_users", "collection", "generation", "mark", "name", "retired_at", "version")

    def __init__(self, name: str, collection: Collection) -> None:
        from hashlib import blake2b

        self.name, self.collection = name, collection
        self.generation = collection.manifest.generation
        self.version = collection.manifest.version
        place = os.fsencode(os.path.abspath(collection.directory))
        self.mark = blake2b(place, digest_size=4).hexdigest()
        self.retired_at: float | None = None
        self._users = 0
        self._retired: Callable[[Served], None] | None = None

    def __enter__(self) -> Self:
        self._users += 1
        return self

    def __exit__(self, *_error: object) -> None:
        self._users -= 1
        if not self._users and self._retired is not None:
            self._retired(self)

    def retire(self, close: Callable[[Served], None]) -> None:
        """Let it be closed once nobody uses it."""
        if self._users:
            self._retired = close
        else:
            close(self)


class Catalogue:
    """The collections that are served.

    Args:
        collections: the directory of each by its name.
        settings: of the server.
        on_change: called with each generation that begins to answer.
        on_trouble: called with a line that people should read.
    """

    def __init__(
        self,
        collections: Mapping[str, Path],
        settings: Settings,
        *,
        on_change: Callable[[Served], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._limits = settings.limits
        self._on_change, self._on_trouble = on_change, on_trouble
        self._newest: dict[str, Served] = {}
        self._older: dict[str, deque[Served]] = {}
        self._looked: dict[str, tuple[int, ...]] = {}
        self._troubles: dict[str, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        try:
            for name, directory in collections.items():
                self._looked[name] = _look(directory)
                self._newest[name] = Served(name, open_collection(directory, device=settings.device))
                self._older[name] = deque()
                on_change(self._newest[name])
        except BaseException:
            for served in self._newest.values():
                served.collection.close()
            raise

    @property
    def names(self) -> list[str]:
        """The names, in the order in which the collections were given."""
        return list(self._newest)

    def newest(self, name: str | None = None) -> Served:
        """Return the newest generation of a collection; without a name, of the only one.

        Raises:
            UnknownCollection: there is none of that name; or no name was given and there are several.
        """
        if name is None:
            if len(self._newest) == 1:
                return next(iter(self._newest.values()))
            raise UnknownCollection(f"several collections are served; name one of {self._known()}")
        found = self._newest.get(name)
        if found is None:
            raise UnknownCollection(f"no collection {name!r:.80} is served; there is {self._known()}")
        return found

    def at(self, name: str | None, version: tuple[int, int]) -> Served:
        """Return a generation of a collection that is still open.

        Raises:
            UnknownCollection: as `newest` does.
            GenerationGone: it is open no more.
        """
        newest = self.newest(name)
        for served in (newest, *self._older[newest.name]):
            if served.version == version:
                return served
        raise GenerationGone(
            f"{newest.name} has changed since, and what this cursor goes on with is kept no longer; ask again from the start"
        )

    def _known(self) -> str:
        return ", ".join(map(repr, self._newest))

    async def watch(self) -> None:
        """Open new generations as they are published, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Open the newest generation of each collection that has one that is not open yet; close what is kept no longer."""
        for name, served in list(self._newest.items()):
            found = await asyncio.to_thread(_look, served.collection.directory)
            if found != self._looked[name]:
                await self._follow(name, served, found)
            self._drop(self._older[name])

    async def _follow(self, name: str, served: Served, found: tuple[int, ...]) -> None:
        try:
            newer = await asyncio.to_thread(served.collection.newer)
        except (RetrievalError, OSError) as error:
            line = (
                f"{name}: the newest generation cannot be opened, the one before goes on answering: {error}"
            )
            if self._troubles.get(name) != line:
                self._troubles[name] = line
                self._on_trouble(line)
            return
        self._troubles.pop(name, None)
        self._looked[name] = found
        if newer is None:
            return
        served.retired_at = time.monotonic()
        self._older[name].appendleft(served)
        self._newest[name] = Served(name, newer)
        self._on_change(self._newest[name])

    def _drop(self, older: deque[Served]) -> None:
        """Close generations that are too old, or too many."""
        oldest = time.monotonic() - self._limits.generation_seconds
        while older and (len(older) > self._limits.generations or (older[-1].retired_at or 0.0) < oldest):
            older.pop().retire(self._close_later)

    def _close_later(self, served: Served) -> None:
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(served.collection.close))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every collection once its searches have ended."""
        every: Iterable[Served] = (
            *self._newest.values(),
            *(one for kept in self._older.values() for one in kept),
        )
        for task in list(self._closing):
            with suppress(asyncio.CancelledError):
                await task
        for served in every:
            await asyncio.to_thread(served.collection.close)


def _look(directory: Path) -> tuple[int, ...]:
    """Return what differs once another manifest was published; empty where there is none."""
    for name in (SHARDS, MANIFEST):
        try:
            status = os.stat(directory / name)
        except OSError:
            continue
        return status.st_ino, status.st_mtime_ns, status.st_size
    return ()
