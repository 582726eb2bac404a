"""Read an upgrade that encodes everything again while the old encoder answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.derivation import Carried
from indexes.vectors import Space
from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.vectors import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Reencoding:
    """What a manifest says of images that are encoded again beside the collection.

    The collection itself is as before: its old encoder answers, builds add to it. So there is no map, and nothing is published
    of the new rows until the last one is there.

    Attributes:
        entry: the manifest's last upgrade.
        earlier: those before it.
        old, new: specs of the encoders; None for one that was given as an object.
        old_space, new_space: their spaces.
        staging: directory of the new rows, relative to the collection's.
    """

    entry: Mapping[str, Any]
    earlier: tuple[Mapping[str, Any], ...]
    old: str | None
    new: str | None
    old_space: Space
    new_space: Space
    staging: str

    @classmethod
    def read(cls, directory: Path, manifest: Manifest) -> Reencoding | None:
        """Return the upgrade that is under way so, None where there is none.

        Raises:
            StoreCorrupt: it is not recorded whole.
        """
        if not manifest.reencoding:
            return None
        entry = manifest.upgrades[-1]
        try:
            return cls(
                entry=entry,
                earlier=manifest.upgrades[:-1],
                old=entry["old"],
                new=entry["new_spec"],
                old_space=Space.from_json(entry["old_space"]),
                new_space=Space.from_json(entry["new_space"]),
                staging=str(entry["staging"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreCorrupt(
                f"{directory}: the upgrade in its manifest is not readable ({error!r}); run `rollback`"
            ) from error

    def carried(self, table: Ids, added: Ids, *, live: int, served: int) -> Carried:  # noqa: ARG002 - as of a map
        """Return what a generation is given that says how far this has come.

        Args:
            table, added: as of `Migration.carried`; of no concern here, as no new row answers yet.
            live: live rows of the collection.
            served: those among them that are encoded again.
        """
        entry = dict(self.entry) | {"backfilled": served, "remaining": live - served}
        return Carried(upgrades=(*self.earlier, entry))
