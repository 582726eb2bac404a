"""An empty folder to work in, and commands run in this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retrieval.cli import main
from retrieval.encoders.registry import registry
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
        capsysbinary.readouterr()
        status = main([os.fspath(word) for word in words])
        out, err = capsysbinary.readouterr()
        return status, out.decode(), err.decode()

    return run
