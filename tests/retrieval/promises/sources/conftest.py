"""An empty folder to work in, and commands run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.encoders.registry import registry
from tests.command_line import run_here
from tests.retrieval.cli import fake


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with `FakeEncoder` as the encoder ``fake``."""
    monkeypatch.setitem(registry.BUILT_IN, "fake", fake.__name__)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsysbinary):
    """Run one command in this process: exit status, stdout, stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        status, out, err = run_here(capsysbinary, *words)
        return status, out.decode(), err

    return run
