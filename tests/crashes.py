"""A simulated disk: record what a process makes durable, cut after every operation, and write down what a crash leaves.

Only what was synced survives: a file has the contents of its last fsync, a directory the names of its own last fsync.
That is the least that POSIX promises; file systems usually keep more, in an order of their own, so a second kind of
crash keeps all names and loses unsynced contents only, and a third loses at once what was removed. LMDB syncs its data file itself: a commit makes its contents
durable, never its name.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from indexes.store.lmdb.environment import DATA, Environment

CALLS = (
    "fsync",
    "rename",
    "replace",
    "unlink",
    "remove",
    "rmdir",
    "mkdir",
    "link",
    "pwrite",
    "ftruncate",
    "truncate",
)
"""Functions of `os` after which the disk is cut; ``open`` and ``write`` change nothing durable before one of them."""

Names = dict[int, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Cut:
    """The disk after one operation.

    Attributes:
        after: the operation, for messages.
        durable: names in each directory, by inodes, as they were synced.
        present: the same as a running system shows them.
        contents: what each file was when it was synced.
    """

    after: str
    durable: Names
    present: Names
    contents: dict[int, bytes]

    def write(self, target: Path, root: int, *, names: str) -> Path:
        """Write down what a crash leaves: the ``durable`` names, all that are ``present``, or the ``fewest``."""
        kept = {"durable": self.durable, "present": self.present, "fewest": self._fewest()}[names]
        self._write(target, root, kept)
        return target

    def _fewest(self) -> Names:
        """Return the durable names without those of what was removed: removals lasted at once, all else needed its sync."""
        alive = {inode for names in self.present.values() for inode in names.values()}
        return {
            directory: {name: inode for name, inode in names.items() if inode in alive}
            | {name: inode for name, inode in names.items() if name in self.present.get(directory, {})}
            for directory, names in self.durable.items()
        }

    def _write(self, target: Path, directory: int, names: Names) -> None:
        target.mkdir()
        for name, inode in names[directory].items():
            if inode in names or inode in self.present or inode in self.durable:
                self._write(target / name, inode, names if inode in names else {inode: {}})
            else:
                (target / name).write_bytes(self.contents.get(inode, b""))


class Disk:
    """A directory tree whose durable state is recorded; all that is there at the start is durable."""

    def __init__(self, root: Path) -> None:
        self._top = root.resolve()
        self.root = self._top.stat().st_ino
        self._held: dict[int, int] = {}
        self._contents: dict[int, bytes] = {}
        present = self._look()
        self._durable = {inode: dict(names) for inode, names in present.items()}
        for path in self._top.rglob("*"):
            if path.is_file():
                self._contents[path.stat().st_ino] = path.read_bytes()
        self.cuts: list[Cut] = []

    def _look(self) -> Names:
        """List the tree, and keep hold of every inode so that no other file gets its number."""
        present: Names = {}
        waiting = [self._top]
        while waiting:
            directory = waiting.pop()
            names = present[directory.stat().st_ino] = {}
            for entry in os.scandir(directory):
                inode = entry.inode()
                names[entry.name] = inode
                if inode not in self._held:
                    self._held[inode] = os.open(entry.path, os.O_PATH | os.O_NOFOLLOW)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
        return present

    def synced(self, file: int) -> None:
        """Take note that a descriptor was synced."""
        status = os.fstat(file)
        if status.st_ino not in self._held and status.st_ino != self.root:
            return  # lies elsewhere
        if stat.S_ISDIR(status.st_mode):
            # A number that is new came in since the last look.
            self._durable[status.st_ino] = dict(self._look().get(status.st_ino, {}))
        else:
            self._contents[status.st_ino] = Path(f"/proc/self/fd/{file}").read_bytes()

    def committed(self, path: Path) -> None:
        """Take note that LMDB committed to an environment."""
        data = path / DATA
        self._look()
        self._contents[data.stat().st_ino] = data.read_bytes()

    def cut(self, after: str) -> None:
        """Note what a crash now would leave, unless that is what the last one left."""
        present = self._look()
        made = Cut(
            after,
            {inode: dict(names) for inode, names in self._durable.items()},
            present,
            dict(self._contents),
        )
        last = self.cuts[-1] if self.cuts else None
        if last is None or (last.durable, last.present, last.contents) != (
            made.durable,
            made.present,
            made.contents,
        ):
            self.cuts.append(made)

    def close(self) -> None:
        for file in self._held.values():
            os.close(file)


@contextlib.contextmanager
def recorded(root: Path) -> Iterator[Disk]:
    """Record what happens below ``root`` within the block."""
    disk = Disk(root)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for call in CALLS:
                patch.setattr(os, call, _watched(disk, call, getattr(os, call)))
            write = Environment.write

            def commit(self: Environment, *args: Any, **options: Any) -> Any:
                result = write(self, *args, **options)
                disk.committed(self.path)
                disk.cut(f"commit {self.path.name}")
                return result

            patch.setattr(Environment, "write", commit)
            disk.cut("nothing")
            yield disk
    finally:
        disk.close()


def _watched(disk: Disk, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def watched(*args: Any, **options: Any) -> Any:
        if call == "fsync":
            disk._look()
        result = real(*args, **options)
        if call == "fsync":
            disk.synced(args[0] if isinstance(args[0], int) else args[0].fileno())
        disk.cut(f"{call} {args[0] if args else ''}")
        return result

    return watched
