"""Kill each command at every file event and at random moments; then ask, verify, finish, and look for leftovers."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean

_HURRY = 1000.0
VERIFY_EVERY = 4


@dataclass(slots=True)
class _Known:
    """One command, run once undisturbed: what it starts from, and what it leaves."""

    command: world.Command
    template: Path
    events: int
    seconds: float
    shape: dict[str, int]
    size: int
    order: list[int]


class Part:
    """Kills, one a round; commands take turns."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._commands = world.commands()
        self._known: dict[tuple[str, bool], _Known] = {}

    def round(self, rng: random.Random, number: int) -> None:
        """Kill one command, check, let the next writer finish, check again."""
        names = list(self._commands)
        hurried = bool(number // len(names) % 2)
        known = self._prepared(names[number % len(names)], hurried=hurried)
        command, place = known.command, self._work / "place"
        world.copy(known.template, place)
        at, moment = None, None
        if events.supported() and rng.random() < 0.75:
            at = known.order[(number // len(names)) % len(known.order)]
        else:
            moment = rng.random() * known.seconds
        ended = events.run(
            lambda: hurry(command, place, hurried=hurried),
            decide=None if at is None else lambda event: -9 if event.number == at else None,
            kill_after=moment,
        )
        if ended.status not in {0, -9}:
            clean(ended, command.name)
            raise Fault(f"{command.name}: exit {ended.status}, undisturbed\n{ended.err}")
        self._tally.count(command.name, done=int(ended.status == -9))
        self._after(
            known,
            place,
            f"{command.name}, killed at {ended.at or 'no moment'}",
            verify=rng.random() < 1 / VERIFY_EVERY,
        )

    def _after(self, known: _Known, place: Path, what: str, *, verify: bool) -> None:
        command = known.command
        states = [state for state in (command.before, command.after, *command.between) if state is not None]
        ended = events.run(lambda: ask(place, states, command.before is None, verify=verify))
        if ended.error or ended.status < 0:
            clean(ended, f"{command.name} killed, then asked", what)
        ended = events.run(lambda: command.run(place))
        if ended.error or ended.status < 0:
            clean(ended, f"{command.name} killed, then run again", what)
        if ended.value != 0 and not (command.done and re.search(command.done, ended.err)):
            raise Fault(f"{command.name} killed, then run again: exit {ended.value}\n{what}\n{ended.err}")
        if ended.value != 0:  # nothing was left to do: a build is the next writer
            clean(
                events.run(lambda: world.must("build-index", place / world.HOME, "--quiet")),
                f"{command.name} killed, then built",
                what,
            )
        ended = events.run(lambda: settled(command, place, verify=True))
        if ended.error or ended.status < 0:
            clean(ended, f"{command.name} killed and run again, then asked", what)
        more = world.leftovers(world.shape(place), known.shape)
        if more:
            raise Fault(
                f"{command.name} killed and run again: something is left\n{what}\n" + "\n".join(more[:10])
            )
        if (now := world.size(place)) > 2 * known.size:
            raise Fault(f"{command.name} killed and run again: {now:,} bytes, usually {known.size:,}\n{what}")

    def _prepared(self, name: str, *, hurried: bool) -> _Known:
        if (name, hurried) in self._known:
            return self._known[name, hurried]
        command = self._commands[name]
        if command.torch:  # loaded once, for all children to come
            import torch

            torch.set_num_threads(1)
        template = self._work / f"{name} {hurried}"
        other = self._known.get((name, not hurried))
        if other is not None:
            world.copy(other.template, template)
        else:
            world.shutil.rmtree(template, ignore_errors=True)
            template.mkdir()
            clean(events.run(lambda: command.prepare(template)), f"preparing {name}")
        place = self._work / "place"
        world.copy(template, place)
        watch = (lambda _: None) if events.supported() else None
        ended = events.run(lambda: hurry(command, place, hurried=hurried), decide=watch)
        clean(ended, name)
        if ended.value != 0:
            raise Fault(f"{name}: exit {ended.value}, undisturbed\n{ended.err}")
        clean(events.run(lambda: settled(command, place, verify=True)), f"{name}, undisturbed")
        order = list(range(len(ended.events)))
        random.Random(self._tally.seed).shuffle(order)
        found = world.shape(place)
        self._known[name, hurried] = known = _Known(
            command, template, len(order), ended.seconds, found, world.size(place), order or [0]
        )
        self._tally.facts[f"file events of {name}{', hurried' if hurried else ''}"] = len(order)
        return known


def hurry(command: world.Command, place: Path, *, hurried: bool) -> int:
    """Run a command; in a hurry its clock runs a thousand times as fast, so that it commits whenever it may."""
    if hurried:
        real = time.monotonic
        time.monotonic = lambda: real() * _HURRY
    return command.run(place)


def ask(place: Path, states: list[world.State], may_be_none: bool, *, verify: bool) -> str:
    """Ask a collection whose writer was killed."""
    from retrieval.errors import CollectionNotFound

    try:
        world.seen(place / world.HOME, states)
    except CollectionNotFound:
        if may_be_none:
            return "none"
        raise
    if verify:
        world.verified(place / world.HOME)
    return "ok"


def settled(command: world.Command, place: Path, *, verify: bool) -> None:
    """Check what a command that is done leaves."""
    world.seen(place / world.HOME, [command.after])
    if verify:
        world.verified(place / world.HOME)
    command.check(place)
