"""Put a generation on a GPU with the first search that may use one."""

from __future__ import annotations

from collections.abc import Callable

from indexes import forks
from indexes.engine import Candidates, Card, gpu
from indexes.vectors import Halves


class ServingCard:
    """The GPU that serves a generation, if faiss or the caller can use it.

    Args:
        device: ``cuda`` or ``cuda:N``.
        rows: ``(n, d)`` float16.
        exact: puts the rows on that device where faiss cannot; None where nobody can.
    """

    def __init__(
        self, device: str, rows: Halves, *, exact: Callable[[Halves], Candidates | None] | None
    ) -> None:
        self._device, self._rows, self._exact = device, rows, exact
        self._opening = forks.Lock()
        self._card: Card | None = None
        self._tried = False

    def get(self) -> Card | None:
        """Return the card, None where there is none that serves."""
        if not self._tried:
            with self._opening:
                if not self._tried:
                    number = gpu(self._device)
                    if number is not None or self._exact is not None:
                        self._card = Card(number, self._rows, exact=self._exact)
                    self._tried = True
        return self._card
