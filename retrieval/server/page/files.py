"""Answer requests for the page and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from retrieval.server import Settings

__all__ = ["routes"]


def routes(settings: Settings) -> list[Route]:
    """Return the routes of the page, below the server's prefix."""

    async def page(request: Request) -> PlainTextResponse:  # noqa: ARG001 - as Starlette calls it
        return PlainTextResponse(
            f"ask {settings.prefix}/v1/search; {settings.prefix}/openapi.json says how\n"
        )

    return [Route("/", page)]
