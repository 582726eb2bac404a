"""Answer to old names for one release, each time with a `DeprecationWarning` that says the new one."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def warn_renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that ``old`` is called ``new`` now.

    Args:
        old, new: as the caller writes them.
        stacklevel: frames from here to the line that is to be changed; 3 is the caller of this function's caller.
    """
    warnings.warn(f"{old} is called {new} now", DeprecationWarning, stacklevel=stacklevel)


def renamed_attribute(old: str, new: str) -> property:
    """Return a property that stands under an old name and reads the new one.

    Args:
        old: with its class, as a reader knows it.
        new: the attribute that is read instead.
    """

    def read(self: Any) -> Any:
        warn_renamed(old, f"{old.rpartition('.')[0]}.{new}")
        return getattr(self, new)

    return property(read, doc=f"Old name of `{new}`.")


def renamed_function(old: str, function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that stands under an old name and calls the new one.

    Args:
        old: its name, as callers write it.
        function: the new one.
    """

    @functools.wraps(function)
    def renamed(*args: P.args, **options: P.kwargs) -> R:
        warn_renamed(f"{old}()", f"{function.__name__}()")
        return function(*args, **options)

    return renamed
