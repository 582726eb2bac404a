"""Load what a room exports when it is first used, so that importing a room stays light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(room: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that loads each name from its module on first use.

    Args:
        room: the package's ``__name__``.
        homes: the names that each of its modules gives; a module is exported itself by having its name here.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name in home_of:
            value = getattr(importlib.import_module(f"{room}.{home_of[name]}"), name)
            setattr(sys.modules[room], name, value)  # searches ask a thousand times a second
            return value
        if name in homes:
            return importlib.import_module(f"{room}.{name}")
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    return load
