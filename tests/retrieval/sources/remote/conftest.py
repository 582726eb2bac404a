from __future__ import annotations

from collections.abc import Iterator

import pytest

from retrieval.sources.remote import Attempts, Limits, RemoteFiles
from tests.retrieval.sources.remote.server import Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


@pytest.fixture
def waits() -> list[float]:
    """Seconds that `files` would have waited."""
    return []


@pytest.fixture
def files(waits: list[float]) -> RemoteFiles:
    """A reader that may reach this machine, and does not sleep."""
    return RemoteFiles(allow_private=True, attempts=Attempts(sleep=waits.append), limits=Limits(seconds=5.0))
