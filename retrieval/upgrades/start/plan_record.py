"""Record a plan of an upgrade: publish what the manifest keeps of it, and let the sample count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import Carried, publish_tail
from retrieval.collection.rows import derived_files
from retrieval.encoders import vectors_of_probes
from retrieval.upgrades.start.succession import staging_of
from retrieval.upgrades.trial import keep_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.migration import Staging
    from indexes.store import VectorStore, WriterLock
    from indexes.vectors import Ids
    from retrieval.encoders import Encoder
    from retrieval.sources import Source
    from retrieval.upgrades import UpgradeReport
    from retrieval.upgrades.trial import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One upgrade: where, from what, to what."""

    directory: Path
    lock: WriterLock
    manifest: Manifest
    new: Encoder
    spec: str | None
    source: Source
    staging: str
    whole: Manifest

    @property
    def name(self) -> str:
        """What the new encoder is called."""
        return self.spec or self.new.space.name

    def facts(self, earlier: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the manifest keeps of every upgrade, as `entry_of` takes it."""
        return {
            "manifest": self.manifest,
            "new": self.new.space,
            "spec": self.spec,
            "staging": self.staging,
            "earlier": earlier,
        }


def record_plan(
    work: Work,
    store: VectorStore,
    staging: Staging,
    taken: Sample,
    report: UpgradeReport,
    *,
    entry: Callable[[UpgradeReport], dict[str, Any]],
    carried: Callable[[tuple[Mapping[str, Any], ...]], Carried] | None = None,
    added: Ids | None = None,
) -> UpgradeReport:
    """Publish a plan, and return its report.

    Args:
        work, store, staging, taken: the upgrade, the collection's rows, the new rows, the sample.
        report: of the plan.
        entry: gives what the manifest keeps of the report.
        carried: gives what the generation is given by a map; None where the old encoder answers.
        added: ids that the old encoder has not seen.
    """
    alive = ~store.tombstones()
    live = int(np.count_nonzero(alive))
    if (
        carried is None
        or len(taken.ids) + (0 if added is None else int(np.count_nonzero(alive[added]))) < live
    ):
        # What is encoded counts. All of it would be the switch, which comes with `backfill`.
        _serve(staging, taken)
        if carried is not None:
            staging.index(work.new.space)
    served = int(np.count_nonzero(staging.rows_of(store.count) >= 0))
    report = replace(report, backfilled=served, remaining=live - served)
    kept = entry(report)
    work.lock.check()
    kept["kept"] = keep_sample(work.directory, work.manifest.space, taken)
    # A plan that was not begun with in earnest is replaced by this one.
    # One that is begun gives way, too: its rows answer no more, those of the old space do again.
    upgrades = (*work.manifest.upgrades[: -1 if staging_of(work.manifest) else None], kept)
    publish_tail(
        work.directory,
        store,
        space=work.manifest.space,
        encoder=work.manifest.encoder,
        root=work.manifest.root,
        carried=replace(
            Carried(upgrades=upgrades) if carried is None else carried(upgrades),
            probes={work.new.space.fingerprint: vectors_of_probes(work.new)},
        ),
        derived=derived_files(),
    )
    return replace(report, recorded=True, state=kept["state"])


def _serve(staging: Staging, taken: Sample) -> None:
    """Let the sample's rows count as encoded again."""
    for number in taken.ids.tolist():
        staging.serve(number)
    staging.commit()
