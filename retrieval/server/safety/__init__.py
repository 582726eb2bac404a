"""What keeps a server safe: names, origins, the token, sizes, headers, and which addresses may be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.safety.guard import Guard as Guard, Request as Request
    from retrieval.server.safety.headers import POLICY as POLICY
    from retrieval.server.safety.login import session_routes as session_routes
    from retrieval.server.safety.sessions import shared_sessions as shared_sessions
    from retrieval.server.safety.tokens import Door as Door, new_token as new_token, read_token as read_token
    from retrieval.server.safety.urls import fetcher as fetcher

lazy(__name__)
