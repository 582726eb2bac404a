"""Put the server together: routes, guard, start and end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from indexes.engine import ThreadPool
from retrieval.display import escape
from retrieval.server import page
from retrieval.server.access_log import access_line
from retrieval.server.api import Service, named_maps, problem, routes
from retrieval.server.catalogue import Catalogue, named_collections
from retrieval.server.safety import Door, Guard, fetcher, session_routes
from retrieval.server.scheduling import Scheduler, StopWhenDisconnected
from retrieval.server.warm_up import warm_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope

    from retrieval.server.safety import Request as Answered
    from retrieval.server.settings import Settings


def create_app(
    collections: Mapping[str, Path] | Sequence[str],
    settings: Settings,
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> Starlette:
    """Make the ASGI application that serves collections.

    Args:
        collections: their directories by name, or what the command line takes: ``INDEX`` or ``NAME=INDEX`` each.
        settings: of the server; ``host`` decides which names clients may use.
        on_ready: called once when the encoders are warm.
    Raises:
        CollectionNotFound: one is not there.
        OptionError: two have one name, or a map cannot be read.
    """
    found = collections if isinstance(collections, Mapping) else named_collections(collections)
    scheduler = Scheduler(settings.batching)
    catalogue = Catalogue(
        dict(found),
        settings,
        on_change=lambda served: scheduler.metrics.generation(served.name, served.generation),
        on_trouble=say_line,
    )
    service = Service(
        settings=settings,
        catalogue=catalogue,
        scheduler=scheduler,
        maps=named_maps(settings.maps, catalogue.names),
        fetch=fetcher(settings) if settings.allow_urls else None,
    )
    door = Door(settings)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        with ThreadPool(thread_name_prefix="retrieval") as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            await asyncio.to_thread(warm_up, catalogue)
            service.ready = True
            watching = asyncio.create_task(catalogue.watch())
            on_ready()
            try:
                yield
            finally:
                service.ready = False
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
                await service.searches.close()
                await scheduler.close()
                await catalogue.close()

    def answered(request: Answered) -> None:
        scheduler.metrics.request(
            route=_route(request.scope),
            method=_METHODS.get(request.scope["method"], "other"),
            status=request.status,
            seconds=request.seconds,
        )
        if settings.access_log:
            sys.stdout.write(access_line(request))
            sys.stdout.flush()

    return Starlette(
        routes=[*routes(service), *session_routes(settings, door), *page.routes(settings)],
        middleware=[
            Middleware(Guard, settings=settings, door=door, told=answered, failed=_say_bug),
            Middleware(StopWhenDisconnected, told=scheduler.metrics.disconnected),
        ],
        exception_handlers={HTTPException: _told},
        lifespan=running,
    )


_METHODS = {name: name for name in ("GET", "HEAD", "POST", "DELETE", "OPTIONS")}


def _route(scope: Scope) -> str:
    """Return the pattern that a path matched: what strangers write would make a number of its own for each."""
    route = scope.get("route")
    return str(getattr(route, "path", "none")) if route is not None else "none"


async def _told(request: Request, error: Exception) -> Response:
    """Answer where no route fits."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is the one that this answers
    words = {
        404: "there is nothing here; /openapi.json lists what there is",
        405: f"this address takes no {request.method:.20}",
    }
    return problem(error.status_code, words.get(error.status_code, error.detail), headers=error.headers)


def say_line(line: str) -> None:
    """Say one line on stderr."""
    with suppress(OSError, AttributeError):
        sys.stderr.write(f"{escape(line)}\n")
        sys.stderr.flush()


def _say_bug(error: Exception) -> None:
    """Say in one line what went wrong and where."""
    import os
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{os.path.basename(one.filename)}:{one.lineno}" for one in reversed(frames))
    say_line(f"error: this is a bug: {type(error).__name__}: {error} ({places})")
