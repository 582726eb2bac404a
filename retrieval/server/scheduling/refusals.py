"""Define the errors of a request that is not answered because of the time or the load."""

from __future__ import annotations

from retrieval.errors import RetrievalError


class Busy(RetrievalError):
    """As many requests wait as may wait.

    Attributes:
        retry_after: whole seconds after which there is probably room again.
    """

    retry_after: int

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Late(RetrievalError, TimeoutError):
    """The request's time is over; what was still running for it is thrown away."""
