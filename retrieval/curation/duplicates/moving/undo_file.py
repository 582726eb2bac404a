"""Write down each move before it happens: the undo file, one JSON object a line, and its lock."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from indexes.files import sync_directory, writing
from retrieval.errors import OptionError, StoreLocked
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One file to move.

    Attributes:
        key: path relative to the images' folder.
        stamp: size and modification time that the file had when it was judged.
        content: hash of its bytes; empty where it is not known.
        stays: path of what stays in its place, absolute or below the root.
        stays_stamp: what that file's stamp was; empty where it is no file and was looked at already.
    """

    key: bytes
    stamp: bytes
    content: bytes
    stays: bytes
    stays_stamp: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of an undo file."""

    key: bytes
    stamp: bytes
    source: str
    target: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return keys.size_of(self.stamp)


class Journal:
    """An undo file: what it is about, and its lines."""

    def __init__(self, path: Path, file: BinaryIO, header: dict[str, Any]) -> None:
        self.path, self._file = path, file
        self.root, self.collection = Path(header["root"]), Path(header["collection"])

    @classmethod
    @contextmanager
    def writing(cls, path: Path, *, root: Path, collection: Path) -> Iterator[Journal]:
        """Open it to add lines; begin it where there is none."""
        with writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            _lock(file, path)
            header = _header(file)
            if header is None:
                header = {"format": _FORMAT, "root": os.fspath(root), "collection": os.fspath(collection)}
                with writing(path):
                    file.truncate(0)
                    file.seek(0)
                    file.write(json.dumps(header).encode() + b"\n")
                    _sync(file)
                    sync_directory(path.parent)
            journal = cls(path, file, _checked(header, path))
            if journal.root != root:
                raise OptionError(
                    f"{path} is the undo file of {journal.root}; name another folder for the files of {root}"
                )
            yield journal

    @classmethod
    @contextmanager
    def reading(cls, path: Path) -> Iterator[Journal]:
        """Open it to read its lines; raises as `writing` does."""
        with path.open("rb") as file:
            _lock(file, path)
            yield cls(path, file, _checked(_header(file), path))

    def lines(self) -> Iterator[Line]:
        """Yield the moves in their order; a last line that was cut short says that its move did not begin."""
        self._file.seek(0)
        for number, line in enumerate(self._file):
            if not number or not line.endswith(b"\n"):
                continue
            try:
                facts = json.loads(line)
                key, target = os.fsencode(facts["from"]), str(facts["to"])
                stamp = bytes.fromhex(facts["stamp"])
            except (ValueError, KeyError, TypeError) as error:
                raise OptionError(
                    f"{self.path}: line {number + 1} is not what was written ({type(error).__name__}); repair or remove it"
                ) from error
            if os.path.isabs(target) or ".." in target.split("/"):
                raise OptionError(f"{self.path}: line {number + 1} leads out of its folder; remove it")
            yield Line(
                key=key,
                stamp=stamp,
                source=keys.path_of(key, self.root),
                target=os.path.join(self.path.parent, target),
            )

    def add(self, move: Move, target: str) -> Line:
        """Write down a move that is about to happen; when this returns, it is durable."""
        facts = {
            "from": os.fsdecode(move.key),
            "to": os.path.relpath(target, self.path.parent),
            "stamp": move.stamp.hex(),
            "content": move.content.hex(),
            "stays": os.fsdecode(move.stays),
        }
        line = json.dumps(facts).encode() + b"\n"  # ASCII: half characters of odd names are escapes
        with writing(self.path):
            self._file.seek(0)
            whole = self._file.read().rfind(b"\n") + 1  # a line that was cut short is none
            self._file.seek(whole)
            self._file.truncate()
            self._file.write(line)
            _sync(self._file)
        return Line(
            key=move.key,
            stamp=move.stamp,
            source=keys.path_of(move.key, self.root),
            target=target,
        )


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreLocked(f"{path}: another process moves files here; wait until it is done") from None
    except OSError:
        pass  # a file system without locks


def _header(file: BinaryIO) -> dict[str, Any] | None:
    """Return the first line; None where it was not written whole."""
    file.seek(0)
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {}


def _checked(header: dict[str, Any] | None, path: Path) -> dict[str, Any]:
    known = header is not None and header.get("format") == _FORMAT
    if not known or header is None or not {"root", "collection"} <= header.keys():
        raise OptionError(
            f"{path}: not an undo file of this version; name the one in the folder of the moved files"
        )
    return header


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
