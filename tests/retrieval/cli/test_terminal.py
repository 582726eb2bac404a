"""What a terminal shows, and must never see."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.cli.frame.progress import Lines
from retrieval.display.progress_bar import Bar, duration
from retrieval.progress import Progress
from retrieval.render.output import cells
from tests.retrieval.cli.shell import ROOT, RUN
from tests.retrieval.folders import fill


class TestTerminal:
    def shown(self, *arguments: str | Path, columns: int) -> str:
        """Return what a command writes to a terminal of that width."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns)}
        with subprocess.Popen(
            [sys.executable, "-c", RUN, *map(os.fspath, arguments)],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process:
            os.close(theirs)
            text = b""
            while True:
                try:
                    block = os.read(ours, 65536)
                except OSError:  # Linux: the other side is closed
                    break
                if not block:
                    break
                text += block
            assert process.stderr is not None
            assert process.stderr.read() == b""
        os.close(ours)
        assert process.returncode == 0
        return text.decode().replace("\r\n", "\n")

    @pytest.mark.parametrize("columns", [80, 120])
    def test_a_table_that_fits_without_control_characters(self, columns: int, photos: Path) -> None:
        text = self.shown("query", "--id", "0", "--index", photos, "-k", "50", columns=columns)
        lines = text.splitlines()

        assert lines[0].split() == ["#", "score", "path"]
        hits = [line for line in lines[1:] if re.match(r" *\d+ ", line)]
        assert len(hits) == 25  # 28 files, two of them copies of the query, without the query
        copies = [line for line in lines[1:] if line not in hits]
        assert [line.lstrip()[:2] for line in copies] == ["= "] * 2
        assert max(map(cells, lines)) <= columns
        assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) == []
        assert "new\\nline.png" in text
        assert "raw\\xff\\xfe.png" in text

    def test_csv_on_a_terminal_is_escaped(self, photos: Path) -> None:
        text = self.shown("query", "--id", "0", "--index", photos, "-k", "50", "--csv", columns=80)

        assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) == []


class TestProgress:
    def test_lines_every_ten_seconds(self) -> None:
        stream, now = io.StringIO(), [0.0]
        view = Lines(stream, clock=lambda: now[0])
        for second in range(31):
            now[0] = float(second)
            view(Progress(phase="embed", done=100 * second, total=6000, skipped=second // 10))
        view.close()

        assert stream.getvalue().splitlines() == [
            "encoding: 1,000 of 6,000 images, 100/s, 50 s left, 1 skipped",
            "encoding: 2,000 of 6,000 images, 100/s, 40 s left, 2 skipped",
            "encoding: 3,000 of 6,000 images, 100/s, 30 s left, 3 skipped",
        ]

    def test_messages_are_printed_at_once_and_escaped(self) -> None:
        stream = io.StringIO()
        Lines(stream)(Progress(phase="plan", message="about 3 min\x1b"))

        assert stream.getvalue() == "about 3 min\\x1b\n"

    def test_a_bar_on_a_terminal(self) -> None:
        stream = io.StringIO()
        view = Bar(stream, every=0)
        for done in range(0, 101, 50):
            view(Progress(phase="embed", done=done, total=100, skipped=3))
        view(Progress(phase="tune", done=1, total=4))
        view.close()

        assert "encoding" in stream.getvalue()
        assert "3 skipped" in stream.getvalue()
        assert "tuning" in stream.getvalue()

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.4, "0 s"), (90, "90 s"), (125, "2 min"), (7500, "2 h 5 min")]
    )
    def test_duration(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text


def test_nobody_reading_stderr_ends_no_build(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["a.png", "b.png"])
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "build-index", folder, "--device", "cpu"],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=theirs, check=False,
        )  # fmt: skip
    finally:
        os.close(theirs)

    assert done.returncode == 0
    assert b"2 encoded" in done.stdout
    assert (folder / ".retrieve" / "manifest.json").exists()


def test_without_standard_streams_commands_still_answer(tmp_path: Path) -> None:
    folder = fill(tmp_path, ["a.png", "b.png"])
    shell = [sys.executable, "-c", RUN]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *shell, "build-index", folder, "--device", "cpu"],
        env=environment, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0
    done = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *shell, "query", "-", "--index", folder],
        env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert "there is no standard input to read" in done.stderr
