"""Turn what goes wrong between here and a remote file into an error of one line with a reason."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

from retrieval.errors import ImageError
from retrieval.sources.remote.urls import public_url, scrubbed

_GONE = (404, 410)
_DENIED = (401, 402, 403, 407, 451)
_PASSING = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)


class RemoteError(ImageError):
    """A file at a URL that cannot be read, or a folder there that cannot be listed.

    Attributes:
        passing: another try may succeed.
        after: seconds that the server asks to wait before it; None if it does not.
    """

    passing: bool
    after: float | None

    def __init__(
        self, message: str, *, reason: str, what: str = "", passing: bool = False, after: float | None = None
    ) -> None:
        super().__init__(message, reason=reason, what=what)
        self.passing, self.after = passing, after

    def __reduce__(self) -> tuple[Callable[..., RemoteError], tuple[Any, ...]]:
        """Pickle with what the message alone does not say."""
        return _remote_error, (str(self), self.reason, self.what, self.passing, self.after)


def _remote_error(message: str, reason: str, what: str, passing: bool, after: float | None) -> RemoteError:
    return RemoteError(message, reason=reason, what=what, passing=passing, after=after)


def remote_error(
    url: str, reason: str, what: str, *, passing: bool = False, after: float | None = None
) -> RemoteError:
    """Return an error of one line about a URL, with nothing secret in it."""
    what = _line(scrubbed(what))
    return RemoteError(
        f"{_line(public_url(url))}: {what}", reason=reason, what=what, passing=passing, after=after
    )


def status_failure(url: str, status: int, phrase: str, *, after: float | None = None) -> RemoteError:
    """Return the error for an HTTP status that is none of success.

    Args:
        url: what was asked for.
        status, phrase: of the answer.
        after: seconds to wait, if the server says so.
    """
    said = f"the server answered {status}{' ' + phrase if phrase else ''}"
    if status in _GONE:
        return remote_error(url, "vanished", said)
    if status in _DENIED:
        return remote_error(url, "permission", said)
    return remote_error(url, "read-error", said, passing=status in _PASSING, after=after)


def failure(url: str, error: BaseException) -> RemoteError:
    """Return the error for whatever a file system or an HTTP client raised about a URL."""
    if isinstance(error, RemoteError):
        return error
    chain = list(_causes(error))
    for cause in chain:
        known = _known(url, cause)
        if known is not None:
            return known
    words = str(error) or type(error).__name__
    return remote_error(url, "read-error", f"cannot be read ({words})", passing=_is_passing(chain))


def _known(url: str, error: BaseException) -> RemoteError | None:
    """Return the error for a kind of failure that has a word of its own."""
    name = type(error).__name__
    if name == "PrivateAddress":
        return remote_error(url, "private-address", f"{error}; `allow_private` lets it be read")
    if name == "TooManyRedirects":
        return remote_error(url, "redirect-loop", "is redirected without end")
    if name in ("NonHttpUrlRedirectClientError", "InvalidUrlRedirectClientError"):
        return remote_error(url, "read-error", "is redirected to what is no http address")
    if name in ("InvalidUrlClientError", "InvalidURL"):
        return remote_error(url, "read-error", "is no valid URL")
    if name in ("ClientConnectorCertificateError", "ClientConnectorSSLError", "SSLCertVerificationError"):
        return remote_error(url, "unreachable", "its host has no valid certificate")
    if isinstance(error, TimeoutError | asyncio.TimeoutError) or name == "FSTimeoutError":
        return remote_error(url, "timeout", "did not answer in time", passing=True)
    if isinstance(error, socket.gaierror):
        return remote_error(
            url, "unreachable", "its host is not known", passing=error.errno == socket.EAI_AGAIN
        )
    if name == "ClientResponseError":
        return status_failure(url, error.status, str(error.message))  # type: ignore[attr-defined]
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return remote_error(url, "vanished", "is not there")
    if isinstance(error, PermissionError) or name in ("NoCredentialsError", "HttpError"):
        return _denied(url, error)
    if name == "ClientPayloadError":
        return remote_error(
            url, "read-error", "the connection broke before the file was complete", passing=True
        )
    if isinstance(error, ConnectionError) or name in ("ClientConnectorError", "ServerDisconnectedError"):
        words = getattr(getattr(error, "os_error", error), "strerror", None) or "the connection failed"
        return remote_error(url, "unreachable", f"cannot be reached ({words})", passing=True)
    return None


def _denied(url: str, error: BaseException) -> RemoteError:
    code = getattr(error, "code", None) or getattr(error, "status", None)
    if isinstance(code, int):
        return status_failure(url, code, "")
    return remote_error(url, "permission", f"may not be read ({str(error) or type(error).__name__})")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from, the innermost first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return reversed(chain)


def _is_passing(chain: list[BaseException]) -> bool:
    names = {type(error).__name__ for error in chain}
    return bool(
        names & {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "IncompleteRead"}
    )


def _line(text: str) -> str:
    """Return a text as one line of at most 300 characters, without control characters."""
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return words if len(words) <= 300 else words[:299] + "…"
