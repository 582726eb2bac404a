"""Count the terminal columns of a text, and shorten a path or a list of words to some of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

_ALBUM = 16  # columns left beside the file name in which the beginning of its folder tells something
_NAMED = 10  # words of a list that are shown
_WORD = 40  # columns of such a word


def cells(text: str) -> int:
    """Count the terminal columns that escaped text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def shorten(path: str, room: int) -> str:
    """Cut the middle out of a path wider than ``room`` columns; the file name is kept longest, then the folder that it lies in."""
    if cells(path) <= room:
        return path
    folder, slash, name = path.rpartition("/")
    tail = f"{slash}{name}"
    above, between, album = folder.rpartition("/")
    inside = f"{between}{album}{tail}"
    if above and room - cells(inside) > 1:
        return _front(above, room - cells(inside) - 1) + "…" + inside
    if above and room - cells(tail) >= _ALBUM:  # at least where its name begins
        return "…/" + _front(album, room - cells(tail) - 3) + "…" + tail
    if folder and cells(tail) + 2 <= room:
        return _front(folder, room - cells(tail) - 1) + "…" + tail
    back = (room - 1) * 2 // 3
    front = room - 1 - back
    return _front(path, front) + "…" + _back(path, back)


def first_words(words: Sequence[str], show: Callable[[str], str] = str) -> str:
    """Join the first ten words for a message, each cut to 40 columns and given to ``show``, and count the others."""
    short = (word if cells(word) <= _WORD else _front(word, _WORD - 1) + "…" for word in words[:_NAMED])
    more = f" and {len(words) - _NAMED:,} more" if len(words) > _NAMED else ""
    return ", ".join(map(show, short)) + more


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _front(text: str, room: int) -> str:
    used = 0
    for at, character in enumerate(text):
        used += _cell(character)
        if used > room:
            return text[:at]
    return text


def _back(text: str, room: int) -> str:
    used = 0
    for at in range(len(text) - 1, -1, -1):
        used += _cell(text[at])
        if used > room:
            return text[at + 1 :].lstrip("\u200d\ufe0f")
    return text
