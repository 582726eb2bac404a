"""Long calls show a bar where somebody can see it, and leave nothing of it behind."""

from __future__ import annotations

import inspect
import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

import retrieval
from retrieval.display.progress_bar import progress_shown
from retrieval.errors import OptionError
from retrieval.progress import Progress
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill

ROOT = Path(__file__).parents[3]
LONG_CALLS = ("build_index", "sync_vectors", "evaluate", "upgrade", "backfill", "rollback", "activate")
EVENTS = [Progress(phase="embed", done=done, total=100, skipped=2) for done in (0, 50, 100)]
SLOW = """
import sys, time
import retrieval
from retrieval.testing import FakeEncoder

class Slow(FakeEncoder):
    def preprocess(self, image):
        time.sleep(0.1)
        return super().preprocess(image)

print("begin", flush=True)
retrieval.build_index(sys.argv[1], encoder=Slow(), progress=eval(sys.argv[2]))
print("end", flush=True)
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Notebook(io.StringIO):
    """What a kernel of a notebook has for stderr: nobody's terminal."""


def screen(written: str) -> list[str]:
    """Return the lines that a terminal shows in the end: a carriage return goes back to the line's first place."""
    lines = []
    for line in written.replace("\r\n", "\n").split("\n"):
        shown: list[str] = []
        place = 0
        for character in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line):
            if character == "\r":
                place = 0
                continue
            shown[place : place + 1] = [character]
            place += 1
        lines.append("".join(shown).rstrip())
    return lines


def drawn(stream: io.StringIO | None, progress: object, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = types.SimpleNamespace(kernel=1) if isinstance(stream, Notebook) else None
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    with progress_shown(progress) as watch:
        for event in EVENTS:
            if watch is not None:
                watch(event)
                time.sleep(0.12)  # a bar is drawn ten times a second
    monkeypatch.undo()


@pytest.mark.parametrize("kind", [Terminal, Notebook])
def test_a_bar_is_drawn_on_a_terminal_and_in_a_notebook(kind, monkeypatch) -> None:
    stream = kind()
    drawn(stream, True, monkeypatch)

    assert "encoding" in stream.getvalue()
    assert "2 skipped" in stream.getvalue()
    assert screen(stream.getvalue()) == [""]


def test_a_bar_says_the_time_left_in_the_words_of_a_log(monkeypatch) -> None:
    stream = Terminal()
    drawn(stream, True, monkeypatch)

    told = set(re.findall(r"images/s, ([^\r]*?) left", stream.getvalue()))
    assert "? left" not in stream.getvalue().split("50/100")[-1]
    assert told <= {"?", *(f"{seconds} s" for seconds in range(120))}
    assert told - {"?"}


@pytest.mark.parametrize(
    ("kind", "progress"), [(io.StringIO, True), (Terminal, False), (Terminal, None), (Notebook, False)]
)
def test_nothing_is_drawn_into_a_file_or_if_nothing_is_asked_for(kind, progress, monkeypatch) -> None:
    stream = kind()
    drawn(stream, progress, monkeypatch)

    assert stream.getvalue() == ""


def test_a_function_is_called_instead(monkeypatch) -> None:
    stream, seen = Terminal(), []
    drawn(stream, seen.append, monkeypatch)

    assert (seen, stream.getvalue()) == (EVENTS, "")


@pytest.mark.parametrize("wrong", ["yes", 1, 0.5])
def test_what_is_no_progress_is_refused(wrong: object, monkeypatch) -> None:
    with pytest.raises(OptionError, match="give True, False or a function"):
        drawn(Terminal(), wrong, monkeypatch)


def test_without_a_stderr_nothing_is_drawn(monkeypatch) -> None:
    drawn(None, True, monkeypatch)


@pytest.mark.parametrize("name", LONG_CALLS)
def test_every_long_call_shows_a_bar_unless_it_is_told_otherwise(name: str) -> None:
    assert inspect.signature(getattr(retrieval, name)).parameters["progress"].default is True


def test_a_build_tells_a_function_how_far_it_has_come(tmp_path: Path) -> None:
    seen: list[Progress] = []
    retrieval.build_index(fill(tmp_path, ["a.png", "b.png"]), encoder=FakeEncoder(), progress=seen.append)

    assert [event.done for event in seen if event.phase == "embed"][-1] == 2


def on_a_terminal(*arguments: str, interrupt_after: str | None = None) -> tuple[int, str]:
    """Run a program with a terminal as its only output; return its status and all that it wrote."""
    here, there = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments],
        stdin=there, stdout=there, stderr=there, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd="/",
    ) as process:  # fmt: skip
        os.close(there)
        written = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                part = os.read(here, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            written += part
            if interrupt_after is not None and interrupt_after in written.decode(errors="replace"):
                process.send_signal(signal.SIGINT)
                interrupt_after = None
        os.close(here)
        return process.wait(60), written.decode()


def test_a_build_in_python_draws_a_bar_and_takes_it_away(tmp_path: Path) -> None:
    folder = fill(tmp_path, [f"{number}.png" for number in range(12)])
    status, written = on_a_terminal(str(folder), "True")

    assert status == 0
    assert "encoding" in written
    assert not any("|" in line for line in screen(written))
    assert screen(written)[0] == "begin"
    assert "end" in screen(written)


def test_a_build_in_python_is_silent_if_it_is_told_so(tmp_path: Path) -> None:
    status, written = on_a_terminal(str(fill(tmp_path, ["a.png"])), "False")

    assert (status, screen(written)) == (0, ["begin", "end", ""])


def test_an_interrupt_leaves_a_clean_line(tmp_path: Path) -> None:
    folder = fill(tmp_path, [f"{number}.png" for number in range(200)])  # they take ten seconds of sleep
    status, written = on_a_terminal(str(folder), "True", interrupt_after="encoding")

    assert status == -signal.SIGINT, written
    assert "KeyboardInterrupt" in screen(written)
    assert "Traceback (most recent call last):" in screen(written)
    assert not any("encoding" in line and "%" in line for line in screen(written))
