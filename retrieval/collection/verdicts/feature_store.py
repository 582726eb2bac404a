"""Keep what was read of pictures, in a folder of the collection that may be deleted: decoding a photograph takes longest."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Final

from indexes.files import remove_tree
from indexes.store.lmdb import acquire, release
from retrieval.errors import RetrievalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from indexes.store.lmdb import Environment

FEATURES: Final = "features"
"""The folder of what pictures are compared by."""

_NAMES: Final[dict[bytes, dict[str, bool]]] = {b"features": {}}
_ROOM: Final = 256  # bytes of an entry beside its value


class FeatureStore(AbstractContextManager["FeatureStore"]):
    """What was read of images as bytes, by their content hash; a context manager. In ``features`` it is `retrieval.matching.Features`.

    For reading, a folder that is missing or damaged is empty. For writing it is made, and made again if it is damaged; where it cannot
    be written, features are kept in memory until the end.

    Args:
        directory: the collection's.
        folder: name of the folder below it.
        writable: features will be put in.
    """

    def __init__(self, directory: Path, *, folder: str = FEATURES, writable: bool = False) -> None:
        self._path = directory / folder
        self._memory: dict[bytes, bytes] = {}
        self._environment = self._opened(writable=writable)
        self._writable = writable and self._environment is not None

    def _opened(self, *, writable: bool) -> Environment | None:
        for _ in range(2):
            try:
                return acquire(self._path, names=_NAMES, writable=writable)
            except FileNotFoundError:
                if not writable:
                    return None
                with suppress(RetrievalError, OSError):
                    release(acquire(self._path, names=_NAMES, create=True))
            except (RetrievalError, OSError):
                if not writable:
                    return None
                remove_tree(self._path)  # damaged: it can be made again
        return None

    def __exit__(self, *_error: object) -> None:
        if self._environment is not None:
            release(self._environment)
            self._environment = None

    def __len__(self) -> int:
        kept = 0 if self._environment is None else int(self._environment.stat(b"features")["entries"])
        return kept + len(self._memory)

    def get(self, contents: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the features of images by their content hashes, of those that are kept."""
        found = {content: self._memory[content] for content in contents if content in self._memory}
        wanted = [content for content in contents if content and content not in found]
        if self._environment is not None and wanted:
            with suppress(RetrievalError, OSError):
                kept = self._environment.read(
                    lambda txn, databases: [txn.get(content, db=databases[b"features"]) for content in wanted]
                )
                found |= {
                    content: data for content, data in zip(wanted, kept, strict=True) if data is not None
                }
        return found

    def put(self, features: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep the features of images, each with its content hash."""
        entries = dict(features)
        if not entries:
            return
        if self._environment is not None and self._writable:
            room = sum(len(data) + _ROOM for data in entries.values())
            with suppress(RetrievalError, OSError):
                self._environment.write(
                    lambda txn, databases: txn.cursor(databases[b"features"]).putmulti(
                        sorted(entries.items())
                    ),
                    room=room,
                )
                return
        self._memory |= entries

    def keep_only(self, contents: Iterable[bytes]) -> int:
        """Delete the features of all other images; returns how many."""
        if self._environment is None or not self._writable:
            return 0
        wanted = set(contents)
        kept = self._environment.read(
            lambda txn, databases: list(txn.cursor(databases[b"features"]).iternext(keys=True, values=False))
        )
        away = [content for content in kept if content not in wanted]
        with suppress(RetrievalError, OSError):
            self._environment.write(
                lambda txn, databases: [txn.delete(content, db=databases[b"features"]) for content in away],
                room=_ROOM * len(away),
            )
            return len(away)
        return 0
