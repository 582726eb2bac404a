"""Turn errors into problem details (RFC 9457): the words of the command line, and a status that programs read."""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

from retrieval.display import escape
from retrieval.errors import (
    CapabilityMissing,
    CollectionNotFound,
    EncoderError,
    ImageError,
    MissingExtra,
    MissingRow,
    OptionError,
    QueryError,
    RetrievalError,
    ShapeError,
    StoreClosed,
    SystemLimit,
    UnknownWords,
    VectorError,
)
from retrieval.server import GenerationGone, UnknownCollection
from retrieval.server.scheduling import Busy, Late

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrieval.server import Catalogue

TYPE: Final = "application/problem+json"

_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (Busy, 429),
    (Late, 504),
    (UnknownCollection, 404),
    (GenerationGone, 410),
    (MissingRow, 404),
    (UnknownWords, 422),
    (CapabilityMissing, 422),
    (QueryError, 400),
    (OptionError, 400),
    (ShapeError, 400),
    (VectorError, 400),
    (ImageError, 422),
    (MissingExtra, 501),
    (StoreClosed, 503),
    (SystemLimit, 503),
    (CollectionNotFound, 503),
    (EncoderError, 500),
)
"""What each kind of error means to a client; the first that fits."""

_LONGEST: Final = 2_000
"""Characters of what is told: errors repeat what was sent, which may be very long."""

_GONE: Final = frozenset({"vanished", "permission", "read-error", "not-a-file"})

_INSTALL = re.compile(r"[;:,]?\s*`?pip install.*", re.DOTALL)
_OPTION = re.compile(r"[;:,]?\s*`?--[a-z][a-z0-9-]*\b[^;]*")


class Refused(RetrievalError):
    """A request that is refused, with the status that says why."""

    def __init__(
        self, status: int, message: str, *, headers: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        super().__init__(message)
        self.status, self.headers, self.facts = status, dict(headers or {}), facts


class Problem(msgspec.Struct):
    """Why a request has no answer."""

    type: str
    title: str
    status: int
    detail: str


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Response:
    """Return the answer to a request that has none.

    Args:
        status: the HTTP status.
        detail: one line for people.
        kind: a short word for programs; the status's own name by default.
        headers: more headers.
        facts: more members of the object.
    """
    return Response(
        msgspec.json.encode(content(status, detail, kind=kind, facts=facts)),
        status,
        headers=headers,
        media_type=TYPE,
    )


def content(
    status: int, detail: str, *, kind: str | None = None, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the members of a problem's object."""
    title = HTTPStatus(status).phrase
    word = kind or title.lower().replace(" ", "-")
    return {
        "type": f"urn:retrieve:{word}",
        "title": title,
        "status": status,
        "detail": escape(detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST - 1]}…"),
    } | dict(facts or {})


def problem_of(error: Exception, catalogue: Catalogue) -> Response:
    """Return the answer to a request that an error has stopped.

    Raises:
        Exception: `error` itself, if it is none of the library's: a bug, or the system.
    """
    status, facts, headers = described(error)
    if status is None:
        raise error
    return problem(status, words_of(error, catalogue), kind=_kind(error), headers=headers, facts=facts)


def problem_content(error: Exception, catalogue: Catalogue) -> dict[str, Any]:
    """Return the same as an object, for one of several answers."""
    status, facts, _ = described(error)
    if status is None:
        raise error
    return content(status, words_of(error, catalogue), kind=_kind(error), facts=facts)


def described(error: Exception) -> tuple[int | None, dict[str, Any], dict[str, str]]:
    """Return the status, further members and headers of an error; no status if it is none of the library's."""
    if isinstance(error, Refused):
        return error.status, error.facts, error.headers
    if isinstance(error, Busy):
        return 429, {}, {"Retry-After": str(error.retry_after)}
    if isinstance(error, UnknownWords):
        return 422, {"unknown_words": list(error.words)}, {}
    if isinstance(error, ImageError):
        status = 413 if error.reason == "too-large" else 404 if error.reason in _GONE else 422
        return status, {"reason": error.reason}, {}
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status, {}, {}
    return (500 if isinstance(error, RetrievalError) else None), {}, {}


def _kind(error: Exception) -> str | None:
    """Return the error's name as one word: ``missing-row``."""
    if isinstance(error, Refused):
        return None
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()


def words_of(error: Exception, catalogue: Catalogue) -> str:
    """Return an error's message without options of the command line, and without where things lie on this machine."""
    text = str(error)
    for name in catalogue.names:
        collection = catalogue.newest(name).collection
        for place in (os.fspath(collection.directory), os.fspath(collection.root)):
            text = text.replace(place + os.sep, "").replace(place, name)
    if isinstance(error, ImageError):
        text = _OPTION.sub("", text)
    return _INSTALL.sub("", text) if isinstance(error, MissingExtra) else text
