"""Move files away and back: every move is written to an undo file before it happens, and nothing is overwritten.

The undo file holds one JSON object a line. A move whose line is there may have happened, half happened or not happened; which
one is read from the files themselves, so that a killed run can be continued and undone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from indexes.files import make_directories, sync_directory, writing
from retrieval.collection.rows import forget_moved, remember_moved
from retrieval.curation.duplicates.moving.one_move import UNFINISHED, give, same_bytes
from retrieval.curation.duplicates.moving.undo_file import Journal, Line, Move
from retrieval.errors import OptionError
from retrieval.location import absolute_path, inside
from retrieval.sources import keys
from retrieval.sources.decoding import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNDO: Final = "undo-moves.jsonl"
"""Name of the undo file in the folder that files are moved to."""

_LONGEST: Final = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveReport:
    """What was moved, or restored.

    Attributes:
        undo: the undo file.
        moved: path before and path now of each file, also of those that an earlier run with the same undo file had moved.
        left: path and reason of each file that was left where it is.
    """

    undo: str
    moved: list[tuple[str, str]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        from retrieval.display import path_json

        return {
            "undo": self.undo,
            "moved": [path_json(old, "from") | path_json(new, "to") for old, new in self.moved],
            "left": [path_json(path) | {"reason": reason} for path, reason in self.left],
        }


def move_files(
    moves: Sequence[Move], *, root: Path, directory: str | os.PathLike[str], collection: Path
) -> MoveReport:
    """Move files below a root into a folder, each under its own relative path.

    A file is left where it is, with the reason, if it or the one that stays has changed since it was judged.

    Args:
        moves: what to move.
        root: the folder that keys are relative to.
        directory: where to; made if it is missing. A run that was killed there is continued.
        collection: the directory of the collection, which remembers the moves for the next build.
    Raises:
        OptionError: the folder lies below the root, or its undo file belongs to another root.
        StoreFull, StoreReadOnly: something cannot be written. What was moved so far can be undone.
        StoreLocked: another process is moving files there.
    """
    target = absolute_path(directory)
    if inside(target, root) is not None:
        raise OptionError(
            f"{target} lies in {root}: the next build would index the moved files again; name a folder outside of it"
        )
    with writing(target):
        make_directories(target)
    with Journal.writing(target / UNDO, root=root, collection=collection) as journal:
        report = MoveReport(undo=os.fspath(target / UNDO))
        _continue(journal, report)
        remember_moved(collection, [(move.key, move.stamp) for move in moves])
        ended = {source for source, _ in report.moved}
        away = _moved_earlier(journal)
        for move in moves:
            source = keys.path_of(move.key, root)
            if source in ended:
                continue
            if source in away:
                report.moved.append((source, away[source]))
            else:
                _move_one(move, journal, report)
    return report


def undo_moves(undo: str | os.PathLike[str]) -> MoveReport:
    """Move files back that `move_files` moved away. Nothing is overwritten; doing it twice does nothing more.

    Args:
        undo: the undo file, or the folder that holds it. The folder may have been moved as a whole.
    Returns:
        the files that are back, and those that could not be brought back with the reason.
    Raises:
        OptionError: it is no undo file, or the folder that the files came from is away.
        StoreFull, StoreReadOnly: something cannot be written.
    """
    path = absolute_path(undo)
    path = path / UNDO if path.is_dir() else path
    if not path.is_file():
        raise OptionError(f"{path}: there is no undo file; it lies in the folder that files were moved to")
    with Journal.reading(path) as journal:
        if not journal.root.is_dir():
            raise OptionError(f"{journal.root}, where the files came from, is away; mount its drive")
        report = MoveReport(undo=os.fspath(path))
        back: list[bytes] = []
        lines = list(journal.lines())
        for line in reversed(lines):
            _restore(line, report)
            back.append(line.key)
        _remove_empty({os.path.dirname(line.target) for line in lines}, within=os.fspath(path.parent))
        forget_moved(journal.collection, back)
    return report


def _remove_empty(folders: set[str], *, within: str) -> None:
    """Remove the folders that moved files lay in, and theirs, if nothing is left in them."""
    above = {os.fspath(one) for folder in folders for one in (Path(folder), *Path(folder).parents)}
    for folder in sorted(above, key=len, reverse=True):
        if folder.startswith(within + os.sep):
            with suppress(OSError):  # something lies there, or it is gone
                os.rmdir(folder)


def _continue(journal: Journal, report: MoveReport) -> None:
    """End the moves that a killed run left half done."""
    lines = list(journal.lines())
    for folder in {os.path.dirname(line.target) for line in lines}:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(os.path.join(folder, UNFINISHED))
    for line in lines:
        if not (os.path.lexists(line.source) and os.path.lexists(line.target)):
            continue
        if keys.stamp_of(line.source) != line.stamp:
            continue  # another file has come since
        if os.path.samefile(line.source, line.target) or (
            keys.stamp_of(line.target) == line.stamp and same_bytes(line.source, line.target)
        ):
            with writing(Path(line.source)):
                os.unlink(line.source)
                sync_directory(Path(line.source).parent)
            report.moved.append((line.source, line.target))
        elif line.size and os.path.getsize(line.target) == 0:
            with writing(Path(line.target)):
                os.unlink(line.target)  # the place that was taken for it


def _moved_earlier(journal: Journal) -> dict[str, str]:
    """Return path before and path now of each file that lies where it was moved."""
    return {
        line.source: line.target
        for line in journal.lines()
        if not os.path.lexists(line.source) and keys.stamp_of(line.target) == line.stamp
    }


def _move_one(move: Move, journal: Journal, report: MoveReport) -> None:
    source = keys.path_of(move.key, journal.root)
    reason = _hindrance(move, source, stays=keys.path_of(move.stays, journal.root))
    if reason:
        report.left.append((source, reason))
        return
    for target in _names(journal.path.parent, move.key):
        if os.path.lexists(target):
            continue
        line = journal.add(move, target)
        with writing(Path(target)):
            make_directories(Path(target).parent)
        try:
            if give(line):
                report.moved.append((source, target))
            else:
                report.left.append((source, "it changed while it was moved"))
        except FileExistsError:
            continue  # somebody else took the name meanwhile; the line says what did not happen
        return


def _hindrance(move: Move, source: str, *, stays: str) -> str:
    """Say why a file must stay where it is; empty if it need not."""
    if os.path.islink(source):
        return "it is a link"
    stamp = keys.stamp_of(source)
    if not stamp:
        return "it is gone"
    if stamp != move.stamp:
        return "it changed after the last build"
    if move.stays_stamp and keys.stamp_of(stays) != move.stays_stamp:
        return f"{stays}, which stays, is gone or changed after the last build"
    if os.path.realpath(source) == os.path.realpath(stays):
        return f"{stays}, which stays, is a link to it"
    if move.content:
        try:
            with open(source, "rb") as file:
                data = file.read()
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if content_hash(data) != move.content:
            return "its bytes changed after the last build"
    return ""


def _names(folder: Path, key: bytes) -> Iterator[str]:
    """Yield the path that a file would have in the folder, then the same with numbers before its suffix."""
    path = os.path.join(folder, os.fsdecode(key))
    parent, name = os.path.split(path)
    yield path
    stem, suffix = os.path.splitext(name)
    while len(os.fsencode(stem)) + len(os.fsencode(suffix)) > _LONGEST and len(stem) > 1:
        stem = stem[:-1]
    number = 2
    while True:
        yield os.path.join(parent, f"{stem}-{number}{suffix}")
        number += 1


def _restore(line: Line, report: MoveReport) -> None:
    """Bring one file back, if it was moved."""
    source, target = line.source, line.target
    there, away = os.path.lexists(source), os.path.lexists(target)
    if not away:
        if not there:
            report.left.append((target, "it is not there any more"))
        return
    if there:
        same = os.path.samefile(source, target)
        if same or (
            keys.stamp_of(source) == line.stamp == keys.stamp_of(target) and same_bytes(source, target)
        ):
            with writing(Path(target)):
                os.unlink(target)  # the move had only begun
                sync_directory(Path(target).parent)
        elif keys.stamp_of(source) != line.stamp:
            report.left.append((target, f"another file is now at {source}"))
        return
    if keys.stamp_of(target) != line.stamp:
        report.left.append((target, "it changed after it was moved"))
        return
    with writing(Path(source)):
        make_directories(Path(source).parent)
    back = Line(key=line.key, stamp=line.stamp, source=target, target=source)
    try:
        if give(back):
            report.moved.append((target, source))
        else:
            report.left.append((target, "it changed while it was moved"))
    except FileExistsError:
        report.left.append((target, f"another file is now at {source}"))
