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
    from types import CodeType
    from typing import Any


def lazy(room: str) -> None:
    """Let the package that calls this load each name that its face imports when the name is first used.

    Args:
        room: the package's ``__name__``.
    """
    homes = homes_of(sys._getframe(1).f_code)  # noqa: SLF001 - as `collections.namedtuple` does
    face = sys.modules[room]

    def load(name: str) -> Any:
        from importlib import import_module

        home = homes.get(name)
        if home is not None and home != room:
            found = getattr(import_module(home), name)
            vars(face)[name] = found  # functions import from faces, some of them with every search
            return found
        if home is not None or f"{room}.{name}" in homes.values():
            return import_module(f"{room}.{name}")
        if name == "__all__":
            return sorted(homes)
        raise AttributeError(f"module {room!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*homes, *(name for name in vars(face) if name.startswith("__"))})

    vars(face).update(
        __getattr__=load, __dir__=names
    )  # a type checker would take every name for one that exists


def homes_of(code: CodeType) -> dict[str, str]:
    """Return the module of each name that code imports from a module with a point in its name.

    Code names what it imports in ``co_names``, after the module that this is first imported from, and in a tuple for each statement.
    """
    imported = {name for names in code.co_consts if type(names) is tuple for name in names}
    homes: dict[str, str] = {}
    home = ""
    for name in code.co_names:
        if "." in name:
            home = "" if name == __name__ else name
        elif home and name in imported:
            homes[name] = home
    return homes
