"""Count the terminal columns of a text, and shorten a path to some of them."""

from __future__ import annotations

import unicodedata

_ALBUM = 16  # columns left beside the file name in which the beginning of its folder tells something


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
