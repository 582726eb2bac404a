"""Load what a room exports when it is first used, so that importing a room stays light."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(room: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that loads each name from its module on first use.

    Args:
        room: the package's ``__name__``.
        homes: the names that each of its modules gives; a module is exported itself by having its name here.
    Raises:
        ValueError: a name stands for two things.
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    if len(home_of) < sum(map(len, homes.values())):
        raise ValueError(f"{room} exports a name from two modules: rename one")
    if (
        clash := home_of.keys() & homes.keys()
    ):  # once the module is imported, Python puts it in the place of what is exported
        raise ValueError(
            f"{room} exports {', '.join(clash)} from a module of the same name: rename the module"
        )

    def load(name: str) -> Any:
        if name in home_of:
            return getattr(importlib.import_module(f"{room}.{home_of[name]}"), name)
        if name in homes:
            return importlib.import_module(f"{room}.{name}")
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    return load
