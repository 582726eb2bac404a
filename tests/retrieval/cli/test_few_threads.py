"""Where no thread can be started (``ulimit -u 1``), a command says which limit to raise, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.engine import has_room
from tests.few_threads import NOBODY, with_threads
from tests.retrieval.cli.shell import RUN
from tests.retrieval.folders import fill

BLAS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # what the commands are to set themselves
LINE = "can be started: this user may run 1 of them (ulimit -u); "


@pytest.fixture
def shell():
    """Run a command as a user of few threads: exit status, stdout, stderr."""

    def shell(count: int, *arguments: str | Path) -> tuple[int, str, str]:
        done = subprocess.run(
            with_threads(count, sys.executable, "-c", RUN, *arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={name: value for name, value in os.environ.items() if name not in BLAS},
        )
        return done.returncode, done.stdout, done.stderr

    return shell


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of eight pictures where that user may write, too: ``tmp_path`` lets nobody else in."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = fill(Path(above) / "photos", [f"{number}.png" for number in range(8)])
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def test_a_build_says_which_limit_to_raise_and_goes_on_when_it_is(folder: Path, shell) -> None:
    status, _, err = shell(1, "build-index", folder, "--quiet")

    assert status == 1
    assert err.count("\n") == 1
    assert err.startswith("error: no thread " + LINE)
    assert err.endswith("and run the command again; nothing is damaged\n")

    assert shell(3, "build-index", folder, "--quiet") == (0, "", "")  # a pool takes the threads that it gets


def test_whatever_starts_threads_or_processes_says_so(folder: Path, run, shell) -> None:
    assert run("build-index", folder, "--quiet")[0] == 0
    for words in (
        ["duplicates", "--index", folder],
        ["query", folder / "3.png", "--index", folder, "--verify"],
        ["serve", folder, "--port", "0"],
        ["verify", "--index", folder],
        ["build-index", folder, "--index", folder / "big", "--shards", "2", "--cluster", "local:2"],
    ):
        status, _, err = shell(1, *words)

        assert status == 1, words
        assert LINE in err, words
        assert "bug" not in err, words
        assert "Traceback" not in err, words
        assert err.rstrip("\n").count("\n") <= words.count("--verify"), words


def test_what_needs_no_thread_works_without_one(folder: Path, run, shell) -> None:
    assert run("build-index", folder, "--quiet")[0] == 0
    status, out, err = run("query", folder / "3.png", "--index", folder, "-k", "2")

    assert status == 0
    assert shell(1, "query", folder / "3.png", "--index", folder, "-k", "2") == (0, out.decode(), err)
    assert shell(1, "info", "--index", folder)[0] == 0


def test_a_command_on_a_roomy_machine_leaves_blas_its_threads() -> None:
    if not has_room():
        pytest.skip("few threads can be started on this machine")
    code = "import os; from indexes.engine import bound_blas; bound_blas(); print(os.environ.get('OMP_NUM_THREADS'))"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout == "None\n"
