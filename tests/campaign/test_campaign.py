"""A few seeded rounds of each part of the campaign, and the campaign's own tools."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.campaign import events, frame

ROUNDS = {
    "kills": 3,
    "images": 1,
    "damage": 4,
    "full": 2,
    "publishes": 1,
    "writers": 2,
    "names": 4,
    "growth": 3,
    "rows": 3,
}

watched = pytest.mark.skipif(
    not events.supported(), reason="no seccomp listener here: calls cannot be watched"
)


def _writes(place: Path) -> int:
    place.mkdir()
    for number in range(5):
        (place / str(number)).write_text("some words", encoding="utf-8")
    return 5


@watched
def test_calls_that_change_files_are_seen(tmp_path):
    ended = events.run(lambda: _writes(tmp_path / "a"), decide=lambda _: None)

    assert (ended.status, ended.value) == (0, 5)
    assert ended.events == ["mkdir", *["openat", "write"] * 5]


@watched
@pytest.mark.parametrize("at", range(11))
def test_a_child_is_killed_before_a_call(tmp_path, at):
    ended = events.run(
        lambda: _writes(tmp_path / "a"), decide=lambda event: -9 if event.number == at else None
    )

    assert ended.status == -9
    written = [path for path in (tmp_path / "a").glob("*") if path.read_text(encoding="utf-8")]
    assert (tmp_path / "a").exists() == (at > 0)
    assert len(written) == max(0, (at - 1) // 2)


@watched
def test_a_call_fails_as_asked(tmp_path):
    def full(event):
        return errno.ENOSPC if event.number >= 4 and event.name == "write" else None

    ended = events.run(lambda: _writes(tmp_path / "a"), decide=full)

    assert "No space left on device" in ended.error
    assert ended.at.startswith("event 4 (write ")
    assert (tmp_path / "a" / "0").read_text(encoding="utf-8") == "some words"
    assert not (tmp_path / "a" / "1").read_text(encoding="utf-8")


def test_what_a_child_does_is_told(tmp_path):
    def speak():
        os.write(1, b"out")
        os.write(2, b"err")
        return bytearray(50 << 20)

    ended = events.run(speak)

    assert (ended.out, ended.err, ended.status) == ("out", "err", 0)
    assert ended.peak > 50 << 20
    assert events.run(lambda: time.sleep(30), seconds=0.2).hung
    assert events.run(lambda: time.sleep(30), kill_after=0.1).status == -9
    assert events.run(lambda: os.kill(os.getpid(), signal.SIGTERM)).status == -15
    assert "ZeroDivisionError" in events.run(lambda: 1 / 0).error


def test_a_fault_is_listed_with_what_repeats_it_and_the_rest_goes_on(tmp_path, monkeypatch, capsys):
    class Part:
        def __init__(self, work, tally):
            self.tally = tally

        def round(self, rng, number):
            self.tally.count("things")
            if number == 1:
                raise frame.Fault("a thing is wrong\nin detail")
            if number == 2:
                frame.clean(events.run(lambda: os.kill(os.getpid(), signal.SIGTERM)), "a child")

    module = type(sys)("tests.campaign.kills")
    module.Part = Part
    monkeypatch.setitem(sys.modules, "tests.campaign.kills", module)
    monkeypatch.setattr(frame.importlib, "import_module", lambda _: module)
    tally = frame.Tally("kills", 7)

    frame._go("kills", tmp_path, tally, until=time.monotonic() + 60, rounds=4, first=None)
    frame.write([tally], tmp_path / "r.json")

    assert (tally.rounds, tally.done) == (4, 4)
    assert [fault["what"] for fault in tally.faults] == ["a thing is wrong", "a child: dies of signal 15"]
    assert tally.faults[0]["repeat"] == "python -m tests.campaign --only kills --seed 7 --round 1"
    assert "FAULT kills: a thing is wrong (1)" in frame.table([tally])
    written = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["parts"]
    assert (written["kills"]["count"], written["kills"]["faults"]) == (4, 2)
    frame.write([frame.Tally("names", 7)], tmp_path / "r.json")
    written = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["parts"]
    assert list(written) == ["kills", "names"]


@pytest.mark.parametrize("part", frame.PARTS)
def test_a_few_rounds_of_each_part_find_nothing(tmp_path, part):
    command = [
        sys.executable,
        "-m",
        "tests.campaign",
        "--only",
        part,
        "--rounds",
        str(ROUNDS[part]),
        "--brief",
    ]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "r.json")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["parts"][part]
    assert found["rounds"] == ROUNDS[part]
    assert found["count"] or found["skipped"]
    assert not found["found"]


@pytest.mark.slow
def test_ten_minutes_of_it_find_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.campaign", "--minutes", "10", "--out", str(tmp_path / "r.json")]

    run = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
