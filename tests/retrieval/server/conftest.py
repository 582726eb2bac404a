"""A small indexed folder, and clients of a server for it that run in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from retrieval import build_index
from retrieval.encoders.registry import registry
from retrieval.server import Settings, create_app
from tests.retrieval.cli import fake
from tests.retrieval.folders import fill

NAMES = ["a.png", "b.png", "red/c.png", "red/d.png", "blue/e.png", "blue/deep/f.png"]


@pytest.fixture(autouse=True)
def fake_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "fake", fake.__name__)


@pytest.fixture
def photos(tmp_path: Path, fake_family) -> Path:
    """An indexed folder of six pictures."""
    folder = fill(tmp_path / "photos", NAMES)
    build_index(folder, encoder="fake")
    return folder


@pytest.fixture
def open_client(photos: Path) -> Iterator[Callable[..., TestClient]]:
    """Start a server with some settings for the folder, or for several, and return a client of it."""
    with ExitStack() as stack:

        def start(*indexes: str | Path, **settings) -> TestClient:
            app = create_app([str(one) for one in indexes or [photos]], Settings(**settings))
            client = TestClient(app, base_url="http://localhost", raise_server_exceptions=True)
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(open_client) -> TestClient:
    """A client of a server with all defaults."""
    return open_client()
