"""Tell machines how the server is: alive, ready, and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from retrieval.server.api.service import Service


async def alive(service: Service, request: Request) -> Response:  # noqa: ARG001 - as routes are called
    """Say that the server runs."""
    return PlainTextResponse("ok\n")


async def ready(service: Service, request: Request) -> Response:  # noqa: ARG001
    """Say whether the server answers searches at full speed."""
    return PlainTextResponse("ready\n") if service.ready else PlainTextResponse("warming up\n", 503)


async def metrics(service: Service, request: Request) -> Response:  # noqa: ARG001
    """Give the server's numbers for Prometheus."""
    data, kind = service.scheduler.metrics.exposition()
    return Response(data, headers={"Content-Type": kind})
