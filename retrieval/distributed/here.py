"""Run everything in this process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Done:
    """An answer that is there."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self, timeout: float | None = None) -> Any:
        """Return it."""
        del timeout
        return self._value


class Kept:
    """An object of this process."""

    __slots__ = ("_object",)

    def __init__(self, kept: Any) -> None:
        self._object = kept

    def ask(self, method: str, /, *args: Any, **options: Any) -> Done:
        """Call a method at once; it raises here."""
        return Done(getattr(self._object, method)(*args, **options))

    def close(self) -> None:
        """Close the object."""
        self._object.close()


class Here(AbstractContextManager["Here"]):
    """This process as a cluster; a function raises when it is submitted."""

    name = "here"
    workers = 1
    is_here = True

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Done:
        """Call the function at once."""
        return Done(function(*args))

    def keep(self, factory: Callable[..., Any], /, *args: Any) -> Kept:
        """Make the object at once."""
        return Kept(factory(*args))

    def everywhere(self, function: Callable[..., Any], /, *args: Any) -> dict[str, Any]:
        """Call the function once."""
        return {self.name: function(*args)}

    def close(self) -> None:
        """Nothing was started."""

    def __exit__(self, *_error: object) -> None:
        self.close()
