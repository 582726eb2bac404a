"""Read the keys of rows: from a list, or from a file with one key a line."""

from __future__ import annotations

import codecs
import hashlib
import operator
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

import numpy as np

from indexes.errors import value_text
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

Key: TypeAlias = "str | bytes | SupportsIndex"
"""A key as callers give it: text, bytes, or an integer, which becomes its decimal text."""

KeysLike: TypeAlias = "Key | os.PathLike[str] | Iterable[Key]"
"""Keys as callers give them: one, a list of them, or the path of a file with one a line."""

_HEAD_BYTES = 1 << 20  # of a file of keys, that show how its lines end


class KeyList:
    """Distinct keys in order; a file of them is read as a stream, and membership costs eight bytes a key.

    Args:
        keys: text, bytes or integers, in any order that can be walked again; an integer becomes its decimal text. Or the
            path of a UTF-8 file with one key a line.
        one: a single text, bytes or integer is one key; otherwise a text is the path of a file.
    Raises:
        OptionError: a key is empty, is no key, or stands twice; or the file cannot be read.
    """

    def __init__(self, keys: Any, *, one: bool = False) -> None:
        if one and (isinstance(keys, str | bytes | bytearray) or _is_integer(keys)):
            keys = [keys]
        listed = isinstance(keys, str | os.PathLike) or hasattr(keys, "__iter__")
        if not listed or isinstance(keys, bytes | bytearray | set | frozenset):
            raise OptionError(
                f"keys: {value_text(keys)} ({type(keys).__name__}) is no ordered list of keys; give a list, one key a row"
            )
        self._source = list(keys) if isinstance(keys, Iterator) else keys  # read several times
        hashes = np.fromiter((_hash(key) for key in self), dtype=np.uint64)
        order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[order]
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(twice):
            first, second = sorted(int(order[twice[0] + offset]) for offset in (0, 1))
            raise OptionError(
                f"keys {first + 1} and {second + 1} are the same ({self._named(first)}); every row needs a key of its own"
            )

    def _named(self, place: int) -> str:
        return next(shown_key(key) for number, key in enumerate(self) if number == place)

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, key: bytes) -> bool:
        place = int(np.searchsorted(self._sorted, np.uint64(_hash(key))))
        return place < len(self._sorted) and int(self._sorted[place]) == _hash(key)

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self._source, str | os.PathLike):
            yield from _without_blanks(_lines(self._source))
        else:
            for number, key in enumerate(self._source, start=1):
                yield as_key(key, f"key {number}")


def as_key(key: Any, what: str = "the key") -> bytes:
    """Return a key's bytes; an integer becomes its decimal text.

    Raises:
        OptionError: it is empty or blank, or neither text, bytes nor an integer.
    """
    if isinstance(key, bytes | bytearray | memoryview):
        data = bytes(key)
    elif isinstance(key, str | os.PathLike):
        try:
            data = os.fsencode(key)
        except UnicodeEncodeError as error:
            raise OptionError(f"{what} is {value_text(key)}, which cannot be written as UTF-8") from error
    elif _is_integer(key):
        try:
            data = str(operator.index(key)).encode()
        except ValueError as error:  # Python writes no integer of over 4,300 digits
            raise OptionError(f"{what} is an integer of too many digits; give a text instead") from error
    else:
        raise OptionError(
            f"{what} is {value_text(key)} ({type(key).__name__}); a key is text, bytes or an integer"
        )
    if not data.strip():
        raise OptionError(f"{what} is empty; every row needs a name")
    return data


def shown_key(key: bytes) -> str:
    """Return a key as messages show it."""
    return repr(os.fsdecode(key))


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool | np.bool_) and not _has_axes(value)


def _has_axes(value: Any) -> bool:
    return bool(getattr(value, "ndim", 0))


def _without_blanks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines; a file may end in blank ones, but one among others would shift all the rest."""
    blank = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blank = blank or number
            continue
        if blank:
            raise OptionError(f"key {blank} is empty; every row needs a name")
        yield line


def _lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the lines of a UTF-8 file; they end in LF or CRLF, and in CR where the file has no other (old Macs).

    A byte-order mark is no part of the first.

    Raises:
        OptionError: it cannot be read, or is not UTF-8.
    """
    try:
        _require_readable(path)
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise OptionError(f"{os.fspath(path)}: is UTF-16; save it as UTF-8, one key a line")
            file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
            lines = iter(file) if b"\n" in head or b"\r" not in head else iter(file.read().split(b"\r"))
            for number, line in enumerate(lines, start=1):
                key = line.removesuffix(b"\n").removesuffix(b"\r")
                try:
                    key.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise OptionError(
                        f"{os.fspath(path)}: line {number} is not UTF-8; save it as UTF-8, one key a line"
                    ) from error
                yield key
    except OSError as error:
        raise OptionError(f"{os.fspath(path)}: the keys cannot be read ({error.strerror})") from error


def _require_readable(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe or device, which may have no end and can be read only once, and what no file can be named."""
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a NUL, or half a character
        raise OptionError(f"{os.fspath(path)!a:.80}: no file can have this name") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OptionError(f"{os.fspath(path)}: is no regular file; save the keys in one, one key a line")


def _hash(key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")
