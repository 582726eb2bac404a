"""Find the files that a text with braces and stars names: ``shards/{0000..0099}.tar``."""

from __future__ import annotations

import glob
import os
import re
from typing import Final

from retrieval.errors import OptionError

MOST_NAMES: Final = 1_000_000
"""Names that braces may stand for."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MARKS = re.compile(r"[*?\[{]")


def expand_braces(text: str) -> list[str]:
    """Return all that a text with braces stands for, in order: ``{0000..0099}`` counts with leading zeros, ``{a,b}`` chooses.

    Raises:
        OptionError: they stand for too many names.
    """
    names = [text]
    while (found := _BRACES.search(names[0])) is not None:
        choices = _choices(found[1])
        if len(names) * len(choices) > MOST_NAMES:
            raise OptionError(f"{text} stands for more than {MOST_NAMES:,} names; name fewer")
        if choices == [found[0]]:
            break  # braces around nothing that can be chosen are characters of the name
        names = [
            name[: place.start()] + choice + name[place.end() :]
            for name in names
            if (place := _BRACES.search(name)) is not None
            for choice in choices
        ]
    return names


def fixed_part(text: str) -> str:
    """Return the folder that a text names before its first brace or star: keys are relative to it."""
    found = _MARKS.search(text)
    return (text if found is None else text[: found.start()]).rpartition("/")[0]


def has_stars(url: str) -> bool:
    """Say whether a URL has stars or a choice of characters in its path; its question mark begins its parameters."""
    return any(mark in url.partition("?")[0] for mark in "*[")


def find_shards(text: str) -> list[str]:
    """Return the local files that a text names, sorted by name where it has stars.

    A name without stars is returned whether its file exists or not: that it is missing has to be said.
    """
    shards: list[str] = []
    for name in expand_braces(text):
        if any(mark in name for mark in "*?[") and not os.path.exists(name):
            shards += sorted(glob.glob(name, recursive=True))
        else:
            shards.append(name)
    return list(dict.fromkeys(shards))


def _choices(inside: str) -> list[str]:
    """Return what one pair of braces stands for; itself where it stands for nothing."""
    counted = _RANGE.fullmatch(inside)
    if counted is not None:
        first, last = int(counted[1]), int(counted[2])
        if abs(last - first) >= MOST_NAMES:
            raise OptionError(f"{{{inside}}} stands for more than {MOST_NAMES:,} names; name fewer")
        padded = any(len(end) > 1 and end.startswith("0") for end in counted.groups())
        width = max(map(len, counted.groups())) if padded else 0
        step = 1 if first <= last else -1
        return [f"{number:0{width}d}" for number in range(first, last + step, step)]
    return inside.split(",") if "," in inside else [f"{{{inside}}}"]
