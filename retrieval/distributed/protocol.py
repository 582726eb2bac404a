"""Define what a cluster offers: run a function elsewhere, keep an object elsewhere, wait for answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self


class Answer(Protocol):
    """What comes of a call that runs elsewhere."""

    def get(self, timeout: float | None = None) -> Any:
        """Wait for the answer and return it; raise what the call raised.

        Args:
            timeout: seconds to wait; None for ever.
        Raises:
            WorkerLost: its process has ended, or has not answered in time.
        """


class Actor(Protocol):
    """An object that lives elsewhere. Its calls run one after the other."""

    def ask(self, method: str, /, *args: Any, **options: Any) -> Answer:
        """Call a method by its name; arguments and answer are pickled."""

    def close(self) -> None:
        """Let the object go."""


class Cluster(Protocol):
    """Where functions run and objects are kept; a context manager.

    Attributes:
        name: what messages call it.
        workers: how many functions run at a time.
        is_here: everything runs in this very process, so nothing needs to be pickled.
    """

    name: str
    is_here: bool

    @property
    def workers(self) -> int:
        """How many functions run at a time."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Answer:
        """Run a function of a module; whatever is free takes it."""

    def keep(self, factory: Callable[..., Any], /, *args: Any) -> Actor:
        """Call a factory elsewhere and keep the object that it returns there.

        Raises:
            whatever the factory raises; `WorkerLost`.
        """

    def everywhere(self, function: Callable[..., Any], /, *args: Any) -> dict[str, Any]:
        """Run a function once on each machine; return what it gave, by the machine's name."""

    def close(self) -> None:
        """End what was started for this cluster."""

    def __enter__(self) -> Self:
        """Return the cluster."""

    def __exit__(self, *_error: object) -> None:
        """Close it."""
