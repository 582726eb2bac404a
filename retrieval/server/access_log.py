"""Write the access log: one object of JSON a line for each request."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.server.safety import Request


def access_line(request: Request) -> str:
    """Return the line for a request; all that clients wrote is escaped, and cut so that the line is written at once."""
    scope = request.scope
    headers = dict(scope["headers"])
    client = scope.get("client")
    fields = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "client": client[0] if client else None,
        "method": scope["method"],
        "path": request.path[:300],
        "query": scope["query_string"].decode("latin-1")[:200],
        "status": request.status,
        "bytes": request.bytes,
        "ms": round(request.seconds * 1e3, 2),
        "agent": headers.get(b"user-agent", b"").decode("latin-1")[:100],
    }
    return json.dumps(fields) + "\n"
