"""Load what a room exports when it is first used, so that importing a room stays light.

A room's face names each export once, in an import statement that only type checkers run::

    if TYPE_CHECKING:
        from indexes.join.pairs import Pairs as Pairs

    lazy(__name__)

`lazy` reads these statements from the face's compiled code, which holds every name in the order of its first use.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = (
    False  # importing this imports almost nothing, so that the command heeds interrupts from the start
)
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def lazy(room: str) -> None:
    """Let the package that calls this load each name that its face imports when the name is first used.

    Args:
        room: the package's ``__name__``.
    """
    homes = homes_of(sys._getframe(1).f_code.co_names)  # noqa: SLF001 - as `collections.namedtuple` does

    def load(name: str) -> Any:
        from importlib import import_module

        home = homes.get(name)
        if home == room:
            return import_module(f"{room}.{name}")
        if home is not None:
            return getattr(import_module(home), name)
        if f"{room}.{name}" in homes.values():
            return import_module(f"{room}.{name}")
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    setattr(sys.modules[room], "__getattr__", load)  # noqa: B010 - a type checker would take every name for one that exists


def homes_of(names: Iterable[str]) -> dict[str, str]:
    """Return the module of each name that code imports from a module with a point in its name.

    Args:
        names: ``co_names`` of the code: a module's name stands before what is first imported from it.
    """
    homes: dict[str, str] = {}
    home = ""
    for name in names:
        if "." in name:
            home = name
        elif home:
            homes[name] = home
    return homes
