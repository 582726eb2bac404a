"""Parse the fields of JSON objects one by one, naming the field that is missing or not what it should be."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from indexes.errors import StoreCorrupt

T = TypeVar("T")


class Fields:
    """The fields of one JSON object, each parsed by a function that raises on what it does not expect.

    Args:
        data: what was read.
        path: where, for messages.
        within: the object's own name and a point, for messages; empty for the whole file.
    Raises:
        StoreCorrupt: it is no object.
    """

    def __init__(self, data: Any, *, path: Path, within: str = "") -> None:
        if not isinstance(data, dict):
            raise corrupt(path, f"{within or 'the whole'} is {type(data).__name__}, expected an object")
        self._data, self._path, self._within = data, path, within

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def get(self, name: str, parse: Callable[[Any], T]) -> T:
        """Parse a field that must be there.

        Raises:
            StoreCorrupt: it is missing, or ``parse`` refuses it.
        """
        where = f"{self._within}{name}"
        if name not in self._data:
            raise corrupt(self._path, f"{where} is missing")
        try:
            return parse(self._data[name])
        except StoreCorrupt as error:
            raise corrupt(self._path, f"{where}: {error}") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise corrupt(self._path, f"{where} is {self._data[name]!r}, expected {error}") from error

    def later(self, name: str, parse: Callable[[Any], T], *, missing: T) -> T:
        """Parse a field that earlier versions did not write, or that is written only where it says something."""
        return self.get(name, parse) if name in self._data else missing


def corrupt(path: Path, what: str) -> StoreCorrupt:
    """Return the error that a manifest is damaged."""
    return StoreCorrupt(
        f"{path}: not a readable manifest ({what}); restore it from a backup, "
        f"or move {path.parent} away and run `build_index` on the folder"
    )


def count(value: Any) -> int:
    """Parse a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number, not negative")
    return value


def number(value: Any) -> float:
    """Parse a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number")
    return float(value)


def text(value: Any) -> str:
    """Parse a string."""
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def inside(value: Any) -> str:
    """Parse a relative path that does not lead out of the directory that it is relative to."""
    if not isinstance(value, str) or value.startswith("/") or ".." in value.split("/"):
        raise TypeError("a path inside the collection's directory")
    return value


def optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Return what parses null as None, and everything else as ``parse`` does."""
    return lambda value: None if value is None else parse(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Parse an object whose fields are somebody else's."""
    if not isinstance(value, dict):
        raise TypeError("an object")
    return value


def objects(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Parse a list of objects."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError("a list of objects")
    return tuple(value)


def objects_by_name(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Parse an object of objects."""
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise TypeError("an object of objects")
    return value


def plain_names(value: Any) -> Mapping[str, Any]:
    """Parse an object whose keys are names of files in one directory."""
    if not isinstance(value, dict) or any(os.path.basename(name) != name or not name for name in value):
        raise TypeError("an object of plain file names")
    return value
