"""What is closed when a ``with`` block ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, NoReturn, Self


class Closing(ABC):
    """A context manager whose end is `close`; it is neither copied nor pickled, because its open files would be shared."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be copied or pickled.

        Raises:
            TypeError: always; the message says what to pass instead.
        """
        raise TypeError(
            f"{type(self).__name__} holds open files, so it cannot be copied or sent to another process; "
            "send the path, and open it there"
        )
