"""Answer requests for the page, its scripts and its styles."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from retrieval.render import LOOK

if TYPE_CHECKING:
    from starlette.requests import Request

    from retrieval.server import Settings

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Scripts, styles, pictures and answers come from this server only; pictures that were dropped are blobs of the browser."""

_STATIC = files("retrieval.server.page") / "static"
_BASE: Final = b'<base href="/">'
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # a newer server's files count at once; a browser asks, and is told 304
}


def routes(settings: Settings) -> list[Route]:
    """Return the routes of the page, below the server's prefix."""

    async def page(request: Request) -> Response:
        return _fresh(request, "index.html", prefix=settings.prefix)

    names = sorted(entry.name for entry in _STATIC.iterdir() if not entry.name.endswith(".html"))
    return [
        Route("/", page),
        *(Route(f"/page/{name}", _file) for name in [*names, "look.css"]),
    ]


async def _file(request: Request) -> Response:
    return _fresh(request, request.url.path.rpartition("/")[2])


def _fresh(request: Request, name: str, *, prefix: str = "") -> Response:
    """Return a file, or word that the browser has the newest."""
    content, mark = _content(name, prefix)
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=_HEADERS | {"ETag": mark})
    kind = _TYPES[name[name.rindex(".") :]]
    return Response(content, headers=_HEADERS | {"ETag": mark}, media_type=kind)


@cache
def _content(name: str, prefix: str) -> tuple[bytes, str]:
    """Return a file's bytes and its entity tag; every address in the page is relative to the prefix."""
    content = LOOK.encode() if name == "look.css" else (_STATIC / name).read_bytes()
    content = content.replace(_BASE, f'<base href="{prefix}/">'.encode())
    return content, f'"{blake2b(content, digest_size=12).hexdigest()}"'
