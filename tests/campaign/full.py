"""Let the disk be full: a file system of every size, and an error at each write, sync or new name."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean

_LIBC = ctypes.CDLL(None, use_errno=True)
_REMOUNT, _DETACH = 32, 2


def mount(place: Path, size: int, *, again: bool = False) -> None:
    """Mount a file system of ``size`` bytes in memory, or give it another size."""
    options = f"size={size}".encode()
    if _LIBC.mount(b"tmpfs", os.fsencode(place), b"tmpfs", _REMOUNT if again else 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount", str(place))


def unmount(place: Path) -> None:
    """Take it away."""
    _LIBC.umount2(os.fsencode(place), _DETACH)


def can_mount(work: Path) -> bool:
    """Say whether this user may mount."""
    place = work / "try"
    place.mkdir(exist_ok=True)
    try:
        mount(place, 1 << 16)
    except OSError:
        return False
    unmount(place)
    return True


def blocks(home: Path) -> int:
    """Return the bytes of disk that all files and folders below a folder take."""
    total, known = 0, set()
    for folder, _, files in os.walk(home):
        total += 4096
        for name in files:
            try:
                status = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            if status.st_ino not in known:
                known.add(status.st_ino)
                total += status.st_blocks * 512
    return total


@dataclass(slots=True)
class _Known:
    command: world.Command
    template: Path
    size: int
    most: int
    events: list[str]
    shape: dict[str, int]


class Part:
    """One full disk a round: by turns a small file system and an error at one call and all after it."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._commands = {name: it for name, it in world.commands().items() if not it.torch}
        self._known: dict[str, _Known] = {}
        self._mounts = can_mount(work)
        if not self._mounts:
            tally.facts["small file systems"] = "skipped: this user may not mount"

    def round(self, rng: random.Random, number: int) -> None:
        """Run a command where there is no room, check, make room, run it again."""
        names = list(self._commands)
        known = self._prepared(names[number % len(names)])
        if self._mounts and (not known.events or (number // len(names)) % 2 == 0):
            self._small(known, rng)
        elif known.events:
            self._failing(known, rng)

    def _small(self, known: _Known, rng: random.Random) -> None:
        page = 4096
        size = known.size + rng.randrange(0, max(page, known.most - known.size)) // page * page
        place = self._work / "small"
        place.mkdir(exist_ok=True)
        mount(place, 1 << 30)
        try:
            for entry in known.template.iterdir():
                world.shutil.copytree(entry, place / entry.name) if entry.is_dir() else world.shutil.copy2(
                    entry, place
                )
            held = os.statvfs(place)
            used = (held.f_blocks - held.f_bfree) * held.f_frsize
            size = used + (size - known.size)
            mount(place, max(size, page), again=True)
            if self._check(
                known, place, f"{size - used:,} bytes free", lambda: mount(place, 1 << 30, again=True)
            ):
                self._tally.count(f"{known.command.name}, small file system")
        finally:
            unmount(place)

    def _failing(self, known: _Known, rng: random.Random) -> None:
        place = self._work / "place"
        world.copy(known.template, place)
        fails = events.WRITES | events.SYNCS | events.MAKES
        numbers = [number for number, name in enumerate(known.events) if name in fails]
        at = rng.choice(numbers)
        ever = rng.random() < 0.7  # else this call alone
        number = rng.choice((errno.ENOSPC, errno.ENOSPC, errno.EDQUOT))

        def decide(event: events.Event) -> int | None:
            if event.number != at and not (ever and event.number > at and event.name in fails):
                return None
            return (
                None
                if event.name.startswith("rename") and number == errno.ENOSPC and event.number != at
                else number
            )

        what = f"{errno.errorcode[number]} at call {at}, {'and all after it' if ever else 'alone'}"
        if self._check(known, place, what, None, decide):
            self._tally.count(f"{known.command.name}, failing call")

    def _check(
        self,
        known: _Known,
        place: Path,
        what: str,
        room: Callable[[], None] | None,
        decide: events.Decide | None = None,
    ) -> bool:
        """Run the command, check all that must hold, and say whether the disk was too full for it."""
        command = known.command
        ended = events.run(lambda: command.run(place), decide=decide)
        full = ended.value != 0
        what = f"{command.name}: {what} {ended.at}"
        clean(ended, f"{command.name} on a full disk", what)
        lines = [line for line in ended.err.splitlines() if line.strip()]
        self._tally.by[f"exit {ended.value}"] += 1
        if ended.value not in {0, 1}:
            raise Fault(f"{command.name} on a full disk: exit {ended.value}\n{what}\n{ended.err}")
        if ended.value == 1:
            bad = "this is a bug" in ended.err or "Traceback" in ended.err
            if bad or len(lines) != 1 or not lines[0].startswith("error:"):
                raise Fault(f"{command.name} on a full disk does not say one clear line\n{what}\n{ended.err}")
            if not re.search(r"space|quota|full|room", lines[0]):
                raise Fault(
                    f"{command.name} on a full disk does not say that it is full\n{what}\n{ended.err}"
                )
        states = [state for state in (command.before, command.after, *command.between) if state is not None]
        from tests.campaign.kills import ask, settled

        ended = events.run(lambda: ask(place, states, command.before is None, verify=False))
        clean(ended, f"{command.name} on a full disk, then asked", what)
        if room is not None:
            room()
        ended = events.run(lambda: command.run(place))
        clean(ended, f"{command.name} again, with room", what)
        if ended.value != 0 and not (command.done and re.search(command.done, ended.err)):
            raise Fault(f"{command.name} again, with room: exit {ended.value}\n{what}\n{ended.err}")
        if ended.value != 0:  # nothing was left to do: a build is the next writer
            clean(
                events.run(lambda: world.must("build-index", place / world.HOME, "--quiet")),
                f"{command.name} on a full disk, then built",
                what,
            )
        ended = events.run(lambda: settled(command, place, verify=True))
        clean(ended, f"{command.name} again, with room, then asked", what)
        if more := world.leftovers(world.shape(place), known.shape):
            raise Fault(
                f"{command.name} again, with room: something is left\n{what}\n" + "\n".join(more[:10])
            )
        return full

    def _prepared(self, name: str) -> _Known:
        if name in self._known:
            return self._known[name]
        command = self._commands[name]
        template, place = self._work / name, self._work / "place"
        world.shutil.rmtree(template, ignore_errors=True)
        template.mkdir()
        clean(events.run(lambda: command.prepare(template)), f"preparing {name}")
        world.copy(template, place)
        before, most = blocks(template), 0

        def watch(event: events.Event) -> None:
            nonlocal most
            if event.number % 4 == 0:
                most = max(most, blocks(place))

        ended = events.run(lambda: command.run(place), decide=watch if events.supported() else None)
        clean(ended, name)
        most = max(most, blocks(place)) + (8 << 10)
        self._known[name] = known = _Known(command, template, before, most, ended.events, world.shape(place))
        return known
