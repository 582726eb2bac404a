"""Commands run in this process, and an indexed folder for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from retrieval.encoders.registry import registry
from tests.command_line import run_here
from tests.retrieval.cli import fake
from tests.retrieval.cli.shell import HOSTILE, PLAIN, RAW
from tests.retrieval.folders import fill, picture


@pytest.fixture(autouse=True)
def fake_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "fake", fake.__name__)


@pytest.fixture
def run(capsysbinary):
    """Run one command in this process: exit status, stdout as bytes, stderr as text."""

    def run(*arguments: str | Path) -> tuple[int, bytes, str]:
        return run_here(capsysbinary, *arguments)

    return run


@pytest.fixture
def photos(tmp_path: Path, run) -> Path:
    """An indexed folder: plain pictures, hostile names, and two exact copies of the first one."""
    folder = fill(tmp_path / "photos", [*PLAIN, *HOSTILE])
    raw = os.path.join(os.fsencode(folder), RAW)
    with open(raw, "wb") as file:
        picture(99).save(file, format="PNG")
    for name in ("copy one.png", "plain/copy two.png"):
        shutil.copy(folder / PLAIN[0], folder / name)
    assert run("build-index", folder, "--encoder", "fake", "--quiet") == (0, b"", "")
    return folder
