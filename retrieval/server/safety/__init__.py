"""What keeps a server safe: names, origins, the token, sizes, headers, and which addresses may be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.safety.guard import Guard, Request
    from retrieval.server.safety.headers import POLICY
    from retrieval.server.safety.login import session_routes
    from retrieval.server.safety.sessions import shared_sessions
    from retrieval.server.safety.tokens import Door, new_token, read_token
    from retrieval.server.safety.urls import fetcher

__all__ = [
    "POLICY",
    "Door",
    "Guard",
    "Request",
    "fetcher",
    "new_token",
    "read_token",
    "session_routes",
    "shared_sessions",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "guard": ("Guard", "Request"),
            "headers": ("POLICY",),
            "login": ("session_routes",),
            "sessions": ("shared_sessions",),
            "tokens": ("Door", "new_token", "read_token"),
            "urls": ("fetcher",),
        },
    )
