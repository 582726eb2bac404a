"""What a failing command says, and its exit status."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from retrieval.cli.group import retrieve
from retrieval.errors import CollectionNotFound, OptionError, StoreFull
from tests.retrieval.cli.shell import ROOT, RUN


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Add the command ``fail``, which raises what it is given, in a folder without collections nearby: an error may name those."""
    monkeypatch.chdir(tmp_path)

    def add(error: BaseException) -> None:
        from retrieval.cli.frame.options import shared

        def fail(**_: object) -> None:
            raise error

        monkeypatch.setitem(retrieve.commands, "fail", click.command("fail")(shared(fail)))

    return add


def started(arguments: list[str], *, stdout: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the program with its stdout bent."""
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], stdout=stdout, stderr=subprocess.PIPE, check=False, cwd=ROOT
    )


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (OptionError("recall is 2; it lies in (0, 1]"), "error: recall is 2; it lies in (0, 1]"),
            (CollectionNotFound("no collection in /x"), "error: no collection in /x"),
            (StoreFull("/x: no space left; free some"), "error: /x: no space left; free some"),
            (OptionError("a\nb\x1b[31m"), "error: a\\nb\\x1b[31m"),
            (
                FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y"),
                "error: /x/y: No such file or directory",
            ),
        ],
    )
    def test_one_line_and_1(self, error: Exception, line: str, run, failing) -> None:
        failing(error)

        assert run("fail") == (1, b"", f"{line}\n")

    @pytest.mark.parametrize(
        "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOMEM, errno.EMFILE, errno.EIO]
    )
    def test_what_the_system_refuses_comes_with_a_cure(self, number: int, run, failing) -> None:
        failing(OSError(number, os.strerror(number), b"/disk/f"))
        status, out, err = run("fail")

        assert (status, out) == (1, b"")
        assert err.startswith(f"error: /disk/f: {os.strerror(number)}; ")
        assert err.count("\n") == 1

    def test_memory(self, run, failing) -> None:
        failing(MemoryError())

        assert run("fail")[2].startswith("error: out of memory")

    def test_anything_else_is_a_bug_and_says_so_in_one_line(self, run, failing) -> None:
        failing(ZeroDivisionError("division by zero"))
        status, _, err = run("fail")

        assert status == 1
        assert err.count("\n") == 1
        for words in ("bug", "ZeroDivisionError", "division by zero", "--debug"):
            assert words in err

    @pytest.mark.parametrize("error", [OptionError("wrong"), ZeroDivisionError("zero"), KeyboardInterrupt()])
    def test_a_traceback_only_with_debug(self, error: BaseException, run, failing) -> None:
        failing(error)

        assert "Traceback" not in run("fail")[2]
        assert "Traceback" in run("fail", "--debug")[2]

    def test_an_interruption_is_130_and_one_line(self, run, failing) -> None:
        failing(KeyboardInterrupt())

        assert run("fail") == (130, b"", "interrupted: nothing was changed\n")

    @pytest.mark.parametrize("arguments", [["--help"], ["encoders"], ["encoders", "--json"]])
    def test_a_closed_pipe_is_quiet(self, arguments: list[str]) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = started(arguments, stdout=writing)
        os.close(writing)

        assert (done.returncode, done.stderr) == (0, b"")

    @pytest.mark.parametrize("arguments", [["--help"], ["encoders", "--json"]])
    def test_a_full_disk_under_stdout_is_one_line(self, arguments: list[str]) -> None:
        with open("/dev/full", "wb") as full:
            done = started(arguments, stdout=full)

        assert done.returncode == 1
        assert done.stderr.startswith(b"error: No space left on device")
        assert done.stderr.count(b"\n") == 1

    def test_a_closed_stdout_is_quiet(self) -> None:
        script = f'"{sys.executable}" -c "{RUN}" encoders --json >&-'
        done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, check=False, cwd=ROOT)

        assert (done.returncode, done.stderr) == (0, b"")

    def test_a_folder_without_a_collection(self, run, tmp_path: Path) -> None:
        for arguments in (["info"], ["query", "cat"], ["verify"], ["evaluate"]):
            status, out, err = run(*arguments, "--index", tmp_path)
            assert (status, out) == (1, b"")
            assert "retrieve build-index" in err
            assert err.count("\n") == 1

    def test_a_missing_folder(self, run, tmp_path: Path) -> None:
        status, out, err = run("build-index", tmp_path / "gone")

        assert (status, out) == (1, b"")
        assert str(tmp_path / "gone") in err
