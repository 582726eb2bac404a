"""Read an upgrade under way from the manifest, and ask queries in both spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import Carried
from indexes.generation import MIGRATING, check_file, generation_path
from indexes.layout import MAPS
from indexes.migration import BACKGROUND, Background, Calibration, Mixture, write_rows_of
from indexes.vectors import Space, transforms
from retrieval.collection.snapshots.query_map import Fitted
from retrieval.errors import OptionError, StoreCorrupt

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.search import Generation
    from indexes.vectors import Ids, Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What a manifest says of the change that is under way.

    Attributes:
        entry: the manifest's last upgrade.
        earlier: those before it.
        way: how queries are mapped.
        old, new: specs of the encoders; None for one that was given as an object.
        old_space, new_space: their spaces.
        staging: directory of the new rows, relative to the collection's.
        calibrations: scales of the old side's scores, by ``image`` and ``text``.
        background: what each query's scores are put on one scale by; None where an earlier version began the upgrade.
    """

    entry: Mapping[str, Any]
    earlier: tuple[Mapping[str, Any], ...]
    way: Fitted
    old: str | None
    new: str | None
    old_space: Space
    new_space: Space
    staging: str
    calibrations: Mapping[str, Calibration]
    background: Background | None = None

    @classmethod
    def read(cls, directory: Path, manifest: Manifest) -> Migration | None:
        """Return the change that is under way, None where there is none.

        Raises:
            StoreCorrupt: it is not recorded whole.
        """
        if not manifest.migrating:
            return None
        entry = manifest.upgrades[-1]
        check_file(directory, manifest, MAPS)
        home = generation_path(directory, manifest.generation)
        maps = transforms.load(home / MAPS)
        background = None
        if BACKGROUND in manifest.files:
            check_file(directory, manifest, BACKGROUND)
            background = Background.load(home / BACKGROUND)
        try:
            return cls(
                entry=entry,
                earlier=manifest.upgrades[:-1],
                way=Fitted(
                    method=str(entry["method"]),
                    image=maps[0],
                    back=maps[1],
                    text=maps[2] if len(maps) > 2 else None,
                    alpha=None if entry["alpha"] is None else float(entry["alpha"]),
                ),
                old=entry["old"],
                new=entry["new_spec"],
                old_space=Space.from_json(entry["old_space"]),
                new_space=Space.from_json(entry["new_space"]),
                staging=str(entry["staging"]),
                calibrations={
                    name: Calibration.from_json(data) for name, data in entry["calibrations"].items()
                },
                background=background,
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StoreCorrupt(
                f"{directory}: the upgrade in its manifest is not readable ({error!r}); run `rollback`"
            ) from error

    def open(self, directory: Path, generation: Generation) -> Mixture:
        """Open both sides of the gallery for searching."""
        return Mixture.open(
            directory,
            generation,
            staging=self.staging,
            space=self.new_space,
            calibrations=self.calibrations,
            background=self.background,
            prefixes=tuple(int(width) for width in self.entry.get("prefixes", ())),
        )

    def carried(self, table: Ids, added: Ids, *, live: int, served: int) -> Carried:
        """Return what every generation is given while the change goes on.

        Args:
            table: ``(count,)`` the new row of each id, or -1.
            added: ids that were added since it began.
            live: live rows of the collection.
            served: those among them that the new rows answer for.
        """
        entry = dict(self.entry) | {"backfilled": served, "remaining": live - served}
        return carried_by(self.way, self.background, (*self.earlier, entry), table, added)


def carried_by(
    way: Fitted,
    background: Background | None,
    upgrades: tuple[Mapping[str, Any], ...],
    table: Ids,
    added: Ids,
) -> Carried:
    """Return what a generation in the middle of a change is given: its record, its maps, and which rows are new."""
    maps = [way.image, way.back, *([way.text] if way.text is not None else [])]

    def write(prepared: Path) -> None:
        transforms.save(prepared / MAPS, maps)
        if background is not None:
            background.save(prepared / BACKGROUND)
        write_rows_of(prepared, table, added)

    return Carried(upgrades=upgrades, write=write)


class Pair:
    """A query in both spaces, side by side: ``(1, d_new + d_old)``, so that parts are weighed and summed in each."""

    migration: Migration
    mixture: Mixture
    width: int
    parts: tuple[slice, slice]

    def __init__(self, migration: Migration, mixture: Mixture, generation: Generation) -> None:
        self.migration, self.mixture, self._generation = migration, mixture, generation
        self.width = migration.new_space.dim + migration.old_space.dim
        self.parts = (slice(0, migration.new_space.dim), slice(migration.new_space.dim, self.width))

    def of(self, new: Vectors, old: Vectors | None, *, words: bool = False) -> Vectors:
        """Pair what the new encoder says with its map (and with what the old one says, for ``slerp``): ``(q, width)``."""
        asked = self.migration.way.queries(new, old, words=words)
        background = self.migration.background
        if background is not None and not background.moved and not words:
            asked = background.old.lifted(asked)  # so that it lies where stored rows do
        return np.hstack((new, asked))

    def of_rows(self, ids: Ids) -> Vectors:
        """Pair stored rows: ``(m, width)``; a row of one space is mapped to the other.

        Raises:
            MissingRow: an id that the collection does not hold.
        """
        old = self._generation.vectors(ids)  # (m, d_old)
        return np.hstack((self.renewed(ids, old), old))

    def renewed(self, ids: Ids, old: Vectors) -> Vectors:
        """Return rows in the new space ``(m, d_new)``: as encoded, or where the old row is expected there."""
        rows = self.mixture.rows_of[ids]  # (m,)
        result = np.empty((len(ids), self.migration.new_space.dim), dtype=np.float32)
        there = rows >= 0
        result[there] = self.mixture.rows[rows[there]]
        if not there.all():
            result[~there] = self.migration.way.back.apply(old[~there])
        return result


def require_settled(manifest: Manifest | None, *, what: str) -> None:
    """Refuse what cannot be done in the middle of a change.

    Raises:
        OptionError: a change is under way; the message says how to end it.
    """
    if manifest is not None and manifest.migrating:
        raise OptionError(f"{what}: {under_way(manifest.upgrades[-1])}")


def under_way(entry: Mapping[str, Any]) -> str:
    """Say what change is under way and how to end it."""
    return (
        f"an upgrade from {entry['old'] or entry['old_space']['name']} to {entry['new']} is under way "
        f"({encoded_so_far(entry):,} of {entry['backfilled'] + entry['remaining']:,} images encoded again); "
        "finish it with `backfill`, or give it up with `rollback`"
    )


def encoded_so_far(entry: Mapping[str, Any]) -> int:
    """Return how many images the new encoder of an upgrade has encoded.

    A trial that has encoded all of them lets none answer by that: it would be the switch, which comes with `backfill`.
    """
    done, left = int(entry.get("backfilled") or 0), int(entry.get("remaining") or 0)
    costs = entry.get("costs")
    whole = entry.get("state") == MIGRATING and isinstance(costs, Mapping) and costs.get("images") == 0
    return done + min(left, int(entry.get("sample") or 0)) if whole else done


def summary(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `retrieve info` says of an upgrade: no curves, no knots."""
    keys = (
        "state",
        "old",
        "new",
        "plan",
        "method",
        "compatible",
        "backfilled",
        "remaining",
        "started",
        "finished",
    )
    found = {key: entry[key] for key in keys if key in entry} | {"encoded_so_far": encoded_so_far(entry)}
    if found.get("old") is None and "old_space" in entry:  # an encoder that was given as an object
        found["old"] = entry["old_space"]["name"]
    return found
