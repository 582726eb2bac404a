"""Plan an upgrade of too few images to measure on: they are encoded again, and nothing is said of quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.collection import under_way
from retrieval.errors import OptionError
from retrieval.upgrades import UpgradeReport, reencoding_entry
from retrieval.upgrades.start.plan import REENCODE, UNMEASURED, costs_of, require_space, ways_of
from retrieval.upgrades.start.plan_record import record_plan
from retrieval.upgrades.start.succession import staging_of
from retrieval.upgrades.trial import LEAST

if TYPE_CHECKING:
    from indexes.generation import Manifest
    from indexes.migration import Staging
    from indexes.store import VectorStore
    from retrieval.upgrades.start.plan_record import Work
    from retrieval.upgrades.trial import Sample


def require_reencoding(manifest: Manifest, method: str, *, count: int) -> None:
    """Refuse what so few images cannot decide: whether a map finds more, or whether to leave the upgrade under way."""
    if manifest.migrating:  # the old encoder has not seen what was added since
        raise OptionError(
            f"{count:,} images are too few to measure another encoder on ({LEAST} at least), and "
            f"{under_way(manifest.upgrades[-1])}"
        )
    if method not in ("auto", REENCODE):
        raise OptionError(
            f"method {method} is measured on {LEAST} images at least, and {count:,} are there; leave `method` away: without it they "
            "are encoded again"
        )


def reencode_unmeasured(
    work: Work, store: VectorStore, staging: Staging, taken: Sample, *, record: bool
) -> UpgradeReport:
    """Plan to encode every image again where they are too few to measure on."""
    if not len(taken.ids):
        raise OptionError(
            f"{work.directory}: none of the {work.manifest.live:,} images can be encoded: {taken.gone:,} files are missing or have "
            f"changed, {taken.unreadable:,} cannot be read; take up what changed with `build_index`"
        )
    costs = costs_of(work.directory, work.whole, taken, dim=work.new.space.dim)
    report = UpgradeReport(
        old=work.manifest.encoder or work.manifest.space.name,
        new=work.name,
        plan=REENCODE,
        method=REENCODE,
        compatible=False,
        sample=len(taken.ids),
        held_out=0,
        methods=[],
        backfilled=0,
        remaining=work.manifest.live,
        measure=UNMEASURED,
        gone=taken.gone,
        unreadable=taken.unreadable,
        ways=ways_of(None, costs, alone=None),
        costs=costs.to_json(),
    )
    if not record:
        return report
    require_space(costs, work.directory)
    entries = work.manifest.upgrades[: -1 if staging_of(work.manifest) else None]
    spaces = dict.fromkeys((*(entry["old"] or entry["old_space"]["name"] for entry in entries), report.old))
    facts = work.facts(
        [{"gallery": name, "why": "there were too few images to measure on"} for name in spaces]
    )
    return record_plan(
        work, store, staging, taken, report, entry=lambda done: reencoding_entry(done, **facts)
    )
