"""The frame of every part: seeded rounds, counts, faults with the command that repeats them, a table and a record."""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.frame import RESULTS, save
from tests.campaign import events

PARTS = {
    "kills": "commands killed at a file event or a moment",
    "images": "mutated images",
    "damage": "files of a collection damaged",
    "full": "commands on a full disk",
    "publishes": "searches during publishes",
    "writers": "writers at once, and forks",
    "names": "odd names, files, links and permissions",
    "growth": "rounds of change, search and kill",
    "rows": "calls on rows by hand, from threads and processes",
}
"""What each part counts."""

RECORD = "reliability"
_SHOWN = 20
_TOLD = 3
_LONG = 3000
_SAY_SECONDS = 60.0


class Fault(Exception):
    """Something that the software under test must not do."""


class Part(Protocol):
    """A kind of trouble; made once, then asked for round after round."""

    def __init__(self, work: Path, tally: Tally) -> None: ...

    def round(self, rng: random.Random, number: int) -> None:
        """Make one round; raise or record a `Fault` where something is wrong."""
        ...


@dataclass(slots=True)
class Tally:
    """What was done in one part and what went wrong."""

    part: str
    seed: int
    rounds: int = 0
    done: int = 0
    seconds: float = 0.0
    by: Counter[str] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, str]] = field(default_factory=list)
    number: int = 0
    skipped: str = ""
    brief: bool = False

    def count(self, what: str, times: int = 1, *, done: int | None = None) -> None:
        """Count something that was done; ``done`` of them count for the part's total."""
        self.by[what] += times
        self.done += times if done is None else done

    def fault(self, what: str, detail: str) -> None:
        """Record a fault."""
        repeat = f"python -m tests.campaign --only {self.part} --seed {self.seed} --round {self.number}"
        known = sum(fault["what"] == what for fault in self.faults)
        self.faults.append({"what": what, "detail": detail.strip()[:_LONG], "repeat": repeat})
        if known < _TOLD:
            indented = detail.strip()[:_LONG].replace("\n", "\n    ")
            print(f"FAULT {self.part}: {what}\n    {indented}\n    repeat: {repeat}", flush=True)


def run_part(
    name: str,
    *,
    seed: int,
    until: float,
    rounds: int | None,
    first: int | None,
    work: Path | None,
    brief: bool = False,
) -> Tally:
    """Run one part in a process of its own until a time or for so many rounds."""
    tally = Tally(name, seed, brief=brief)

    def go() -> Tally:
        place = Path(tempfile.mkdtemp(prefix=f"campaign-{name}-", dir=work))
        began = time.monotonic()
        try:
            _go(name, place, tally, until=until, rounds=rounds, first=first)
        finally:
            tally.seconds = round(time.monotonic() - began, 1)
            shutil.rmtree(place, ignore_errors=True)
        return tally

    return _forked(go)


def _go(name: str, place: Path, tally: Tally, *, until: float, rounds: int | None, first: int | None) -> None:
    module = importlib.import_module(f"tests.campaign.{name}")
    reason = module.unsupported() if hasattr(module, "unsupported") else ""
    if reason:
        tally.skipped = reason
        return
    part: Part = module.Part(place, tally)
    numbers = range(first or 0, 1 << 60) if rounds is None else range(first or 0, (first or 0) + rounds)
    said = time.monotonic()
    for number in numbers:
        if time.monotonic() > until:
            break
        if time.monotonic() > said + _SAY_SECONDS:
            said = time.monotonic()
            print(
                f"{name}: {tally.rounds:,} rounds, {tally.done:,} done, {len(tally.faults)} faults",
                flush=True,
            )
        tally.number = number
        rng = random.Random(f"{tally.seed} {name} {number}")
        try:
            part.round(rng, number)
        except Fault as fault:
            what, _, detail = str(fault).partition("\n")
            tally.fault(what, detail or what)
        except Exception:  # noqa: BLE001 - the campaign never stops at the first
            tally.fault("the campaign itself failed", traceback.format_exc())
        tally.rounds += 1
    finish: Callable[[], None] | None = getattr(part, "finish", None)
    if finish is not None:
        try:
            finish()
        except Fault as fault:
            tally.fault(*(str(fault).partition("\n")[::2]))


def _forked(go: Callable[[], Tally]) -> Tally:
    """Do the part in a child, so that parts share neither memory nor what they imported; its output is ours."""
    import pickle
    import sys

    sys.stdout.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        status = 1
        try:
            data = pickle.dumps(go())
            with open(writing, "wb") as file:
                file.write(data)
            status = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    os.close(writing)
    with open(reading, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    if not data:
        raise RuntimeError("a part of the campaign died; see above")
    tally: Tally = pickle.loads(data)  # noqa: S301 - a child of ours wrote it
    return tally


def table(tallies: list[Tally]) -> str:
    """Return what, how many, faults as lines."""
    lines = [f"{'what':<46} {'how many':>9} {'rounds':>7} {'faults':>7} {'seconds':>8}"]
    for tally in tallies:
        what = f"{tally.part}: {PARTS[tally.part]}"
        if tally.skipped:
            lines.append(f"{what:<46} skipped: {tally.skipped}")
            continue
        lines.append(
            f"{what:<46} {tally.done:>9,} {tally.rounds:>7,} {len(tally.faults):>7} {tally.seconds:>8.1f}"
        )
        lines += [f"    {name:<42} {count:>9,}" for name, count in sorted(tally.by.items())]
        lines += [f"    {name:<42} {fact!s:>9}" for name, fact in sorted(tally.facts.items())]
    kinds = Counter((tally.part, fault["what"]) for tally in tallies for fault in tally.faults)
    lines += [f"FAULT {part}: {what} ({count})" for (part, what), count in kinds.most_common()]
    return "\n".join(lines)


def write(tallies: list[Tally], path: Path = RESULTS / f"{RECORD}.json") -> Path:
    """Write the parts into the record; those of earlier runs that did not run now stay."""
    parts: dict[str, Any] = {}
    if path.exists():
        parts = json.loads(path.read_text(encoding="utf-8")).get("parts", {})
    from benchmarks.frame import machine

    commit = machine(())["commit"]
    for tally in tallies:
        parts[tally.part] = {
            "what": PARTS[tally.part],
            "count": tally.done,
            "rounds": tally.rounds,
            "faults": len(tally.faults),
            "seconds": tally.seconds,
            "seed": tally.seed,
            "commit": commit,
            "skipped": tally.skipped or None,
            "by": dict(sorted(tally.by.items())),
            "facts": tally.facts,
            "found": [{key: fault[key] for key in ("what", "repeat")} for fault in tally.faults[:_SHOWN]],
        }
    ordered = {name: parts[name] for name in PARTS if name in parts}
    return save(path.stem, directory=path.parent, parts=ordered)


def clean(ended: events.Ended, short: str, what: str = "") -> None:
    """Raise a `Fault` where a child was killed by a signal, hung, or let an exception out.

    Args:
        ended: the child.
        short: what it did, in words that make faults of a kind alike.
        what: this time in particular.
    """
    told = "\n".join(line for line in (what, ended.err[-1500:]) if line)
    if ended.hung:
        raise Fault(f"{short}: hangs\n{told}\nstopped after {ended.seconds:.0f} s")
    if ended.status < 0:
        raise Fault(f"{short}: dies of signal {-ended.status}\n{told}")
    if ended.error.startswith("Fault: "):
        head, _, rest = ended.error.removeprefix("Fault: ").partition("\n")
        raise Fault(f"{short}: {head}\n{told}\n{rest}")
    if ended.error:
        last = re.sub(r"\S*/\S*|\d+", "…", ended.error.strip().splitlines()[-1])[:160]
        raise Fault(f"{short}: {last}\n{told}\n{ended.error}")
