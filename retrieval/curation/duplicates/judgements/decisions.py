"""Keep what people decided about pairs of images: read a file of decisions, and write one."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from indexes.files import make_directories, replace_file, writing
from retrieval.display import path_json
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DECISIONS: Final = "decisions/duplicates.json"
"""Where a collection keeps decisions, below its directory."""

_FORMAT: Final = 1
_WORDS: Final = ("different", "keep-both", "first-goes", "second-goes")


class Judged(NamedTuple):
    """An image that a person looked at.

    Attributes:
        path: relative to its collection's root; bytes that are not UTF-8 are surrogate-escaped.
        content: hash of its file's bytes as hexadecimal digits; may be empty.
    """

    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person said of two images.

    Attributes:
        first, second: the images.
        word: ``different``, ``keep-both``, ``first-goes`` or ``second-goes``.
    """

    first: Judged
    second: Judged
    word: str

    @property
    def names(self) -> tuple[str, str]:
        """What the images are known by: their contents, which a move does not change; files of the same bytes by their paths."""
        return _names(self.first, self.second)


class Decisions:
    """What people said, by pair and by image; the last decision about a pair counts."""

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        last = {frozenset(one.names): one for one in decisions}
        self._apart = {pair for pair, one in last.items() if one.word in {"different", "keep-both"}}
        going = [
            one.names if one.word == "first-goes" else one.names[::-1]
            for one in last.values()
            if one.word.endswith("-goes")
        ]
        self._goes = {goes for goes, _ in going}
        self._stays = {stays for _, stays in going} - self._goes

    def are_apart(self, first: Judged, second: Judged) -> bool:
        """Say whether a person said that both images stay."""
        return bool(self._apart) and frozenset(_names(first, second)) in self._apart

    def said(self, image: Judged) -> int:
        """Return -1 for an image that goes, 1 for one that stays in the place of another, else 0."""
        names = {image.path, image.content} - {""}
        if names & self._goes:
            return -1
        return 1 if names & self._stays else 0


def _names(first: Judged, second: Judged) -> tuple[str, str]:
    if first.content and second.content and first.content != second.content:
        return first.content, second.content
    return first.path, second.path


def read_decisions(*paths: str | os.PathLike[str]) -> Decisions:
    """Read files of decisions, the latest last.

    Raises:
        OptionError: one cannot be read, or holds something else; the message names it.
    """
    return Decisions(one for path in paths for one in _read(Path(path)))


def write_decisions(directory: Path, decisions: Iterable[Decision]) -> Path:
    """Add decisions to those that a collection keeps; the last one about a pair counts.

    Args:
        directory: the collection's.
        decisions: what people said.
    Returns:
        the file.
    Raises:
        StoreFull, StoreReadOnly: it cannot be written.
        OptionError: the file that is there holds something else.
    """
    path = directory / DECISIONS
    with writing(path):
        make_directories(path.parent)
        with _alone(path.parent):
            known = _read(path) if path.exists() else []
            last = {frozenset(one.names): one for one in [*known, *decisions]}
            replace_file(path, _text(last.values()))
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread adds decisions, so that none of them is lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _text(decisions: Iterable[Decision]) -> bytes:
    facts = [
        {
            "first": path_json(one.first.path) | {"content": one.first.content},
            "second": path_json(one.second.path) | {"content": one.second.content},
            "decision": one.word,
        }
        for one in decisions
    ]
    return (json.dumps({"format": _FORMAT, "decisions": facts}, indent=1) + "\n").encode()


def _read(path: Path) -> list[Decision]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OptionError(
            f"{path} cannot be read ({error.strerror}); name a file that the review page saved"
        ) from error
    return parse_decisions(data, name=os.fspath(path))


def parse_decisions(data: bytes, *, name: str) -> list[Decision]:
    """Read decisions from JSON.

    Args:
        data: ``{"format": 1, "decisions": [{"first": {"path", "content"}, "second": {…}, "decision"}]}``; other fields are for people.
        name: what the error calls it.
    Raises:
        OptionError: it is something else.
    """
    try:
        whole: Any = json.loads(data)
        if whole["format"] != _FORMAT:
            raise OptionError(f"{name}: written by a later version; use that one")
        found = [
            Decision(first=_judged(one["first"]), second=_judged(one["second"]), word=str(one["decision"]))
            for one in whole["decisions"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(f"{name}: holds no decisions; name a file that the review page saved") from error
    wrong = next((one.word for one in found if one.word not in _WORDS), None)
    if wrong is not None:
        raise OptionError(f"{name}: {wrong!r} is no decision; there are {', '.join(_WORDS)}")
    return found


def _judged(facts: Any) -> Judged:
    raw = facts.get("path_bytes")
    path = str(facts["path"]) if raw is None else os.fsdecode(base64.b64decode(raw, validate=True))
    return Judged(path, str(facts["content"]))
