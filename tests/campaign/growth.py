"""Change, search and kill for a thousand rounds: the directory stays within twice its payload."""

from __future__ import annotations

import random
from pathlib import Path

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean
from tests.retrieval.folders import ids_by_key

FRESH_EVERY = 25
LEAST = 42  # an upgrade is measured on 40 images at least
MOST = 80


class Part:
    """One life of one collection; its rounds follow from each other, so a fault is repeated by running from round 0."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._images: world.Images = {f"{number:03}.png": number for number in range(50)}
        clean(events.run(lambda: world.build(work, self._images)), "building")
        self._next = 1000
        self._upgrading = ""
        self._fresh = 0
        self._worst = 0.0
        sizes = []
        for count in (40, 440):
            images = {f"{number}.png": number for number in range(count)}
            clean(
                events.run(lambda images=images, count=count: world.build(work / str(count), images)),
                "building",
            )
            sizes.append(world.size(work / str(count) / world.HOME / ".retrieve"))
        self._row = (sizes[1] - sizes[0]) / 400

    def round(self, rng: random.Random, number: int) -> None:
        """Change some files, build, kill half of the builds, search; now and then do something greater."""
        home = self._work / world.HOME
        words = self._command(rng, home)
        # A rollback encodes what was added since, and refuses where that has changed meanwhile.
        if words[0] != "rollback" and (self._upgrading != "mixed" or rng.random() < 0.5):
            after = self._changed(rng)
            world.change(home, self._images, after)
            self._images = after
        for seed in self._images.values():  # made once here, not in every child
            for spec in (world.OLD, world.NEW):
                world.vector(seed, spec)
        at = rng.randrange(150) if events.supported() and rng.random() < 0.5 else None
        decide = None if at is None else lambda event: -9 if event.number == at else None
        ended = events.run(lambda: world.cli(*words), decide=decide)
        killed = ended.status == -9
        self._tally.count("killed" if killed else "done")
        if not killed:
            clean(ended, f"{words[0]} in a long life", " ".join(map(str, words)))
            if ended.value != 0:
                raise Fault(f"{words[0]} in a long life: exit {ended.value}\n{ended.err}")
        clean(events.run(lambda: self._search(home)), "a search in a long life", " ".join(map(str, words)))
        if killed or words[0] != "build-index":
            ended = events.run(lambda: world.cli("build-index", home, "--quiet"))
            clean(ended, "a build in a long life")
            if ended.value != 0:
                raise Fault(f"a build in a long life: exit {ended.value}\n{ended.err}")
        ended = events.run(lambda: self._state(home, verify=number % FRESH_EVERY == 0))
        clean(ended, "a collection in a long life")
        self._upgrading = ended.value
        self._measure(home, number)

    def _measure(self, home: Path, number: int) -> None:
        if number % FRESH_EVERY == 0 or not self._fresh:
            place = self._work / "fresh"
            world.shutil.rmtree(place, ignore_errors=True)
            clean(events.run(lambda: world.build(place, self._images)), "a fresh build")
            self._fresh = world.size(place / world.HOME / ".retrieve")
        now = world.size(home / ".retrieve")
        import retrieval

        with retrieval.open(home) as collection:
            dead = collection.manifest.count - len(collection)
        # An id is a position: a deleted row stays. An upgrade keeps rows for a rollback and has rows to come, and one that
        # was killed leaves its sample to the next; more stores than these three there never are.
        stores = min(3, len(list((home / ".retrieve").rglob("data.mdb"))))
        payload = stores * (self._fresh + round(dead * self._row))
        self._tally.facts["rows deleted in all"] = dead
        self._worst = max(self._worst, now / payload)
        self._tally.facts["largest directory / payload"] = round(self._worst, 2)
        if now > 2 * payload:
            files = sorted(
                (
                    (path.stat().st_size, str(path.relative_to(home)))
                    for path in (home / ".retrieve").rglob("*")
                    if path.is_file()
                ),
                reverse=True,
            )
            raise Fault(
                f"a directory grows beyond twice its payload\n{now:,} bytes, payload {payload:,}, {self._upgrading}\n{files[:12]}"
            )
        if more := [path for path in world.shape(home) if ".partial" in path]:
            raise Fault(f"something is left in a long life\n{more}")

    def _changed(self, rng: random.Random) -> world.Images:
        after = dict(self._images)
        for key in rng.sample(sorted(after), min(3, max(0, len(after) - LEAST))):
            del after[key]
        for _ in range(rng.randrange(5) if len(after) < MOST else 0):
            self._next += 1
            after[f"{rng.choice(('', 'a/', 'b/'))}{self._next}.png"] = self._next
        key = rng.choice(sorted(after))
        after[key] = self._next = self._next + 1
        return after

    def _command(self, rng: random.Random, home: Path) -> list[str]:
        index = ["--index", str(home), "--quiet"]
        way = rng.random()
        if self._upgrading == "mixed" and way < 0.5:
            return (
                ["upgrade", "--backfill", rng.choice(("5", "all")), *index]
                if way < 0.35
                else ["rollback", *index]
            )
        if self._upgrading == "new" and way < 0.5:
            return ["rollback", *index]
        if not self._upgrading and way < 0.04:
            return world._upgrade(self._work)
        if not self._upgrading and way < 0.2:
            return [
                "build-index",
                str(home),
                "--kind",
                rng.choice(("flat", "IVF2,SQ8", "IVF1,SQ8")),
                "--quiet",
            ]
        return ["build-index", str(home), "--quiet"]

    def _search(self, home: Path) -> None:
        import retrieval

        with retrieval.open(home) as collection:
            ids = sorted(ids_by_key(collection).values())
            for number in ids[:3]:
                if not collection.search(number, k=3):
                    raise Fault("a search finds nothing")

    def _state(self, home: Path, *, verify: bool) -> str:
        """Check the collection; return what its upgrade is at."""
        specs = (world.OLD, world.NEW)
        states = [world.State.of(self._images, *specs), world.State.of(self._images, *specs, mixed=True)]
        mixed = world.seen(home, states)
        if verify:
            world.verified(home)
        import retrieval

        if mixed:
            return "mixed"
        return "new" if retrieval.open(home).info()["encoder"] == world.NEW else ""
