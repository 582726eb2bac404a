"""Define the upgrade report, and what the manifest keeps of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.generation import MIGRATING, REENCODING
from indexes.vectors import curve_area
from retrieval.upgrades.start import REENCODE, UNMEASURED, Plan
from retrieval.upgrades.trial import POINTS, Measured, calibrate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.generation import Manifest
    from indexes.vectors import Space, Vectors
    from retrieval.collection import Fitted
    from retrieval.upgrades.trial import Questions


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeReport:
    """What ``retrieve upgrade --json`` prints.

    Attributes:
        old, new: the encoders.
        plan: ``map``: queries use the new encoder from now on; ``reencode``: the old one answers until all images are encoded
            again; ``none``: the new encoder finds no more.
        method: the one chosen; None if none may be.
        compatible: it finds more in the old gallery than the old encoder does, and the new encoder is no worse.
        sample: images encoded by both; `held_out` of them were measured on.
        methods: what was measured of each, by the contract's keys.
        backfilled, remaining: rows that are of the new space, and those that are not yet.
        measure: ``labels`` (1-NN accuracy), ``views`` (recall@1 of altered views), or ``none``: there were too few images to measure on.
        recorded: queries use the new encoder from now on.
        gone, unreadable: files of the sample that are missing or changed, or cannot be read.
        left_out: methods that were not fitted, and why.
        state: ``migrating``, ``reencoding``, ``complete``, ``rolled back``; None where nothing was recorded.
        ways: what each way to the new encoder costs and gives, see `retrieval.upgrades.start.plan.ways_of`.
        costs: of encoding the rest of the gallery again, see `retrieval.upgrades.start.plan.Costs`.
        alone: ``old`` and ``new``: what each finds by itself, without a map, and the number of ``queries``. Those are more than
            the held-out ones, and they decide whether the new encoder is a better one. Empty for an upgrade of an earlier version, and
            where there were too few images to measure on.
    """

    old: str
    new: str
    plan: Plan = "map"
    method: str | None
    compatible: bool
    sample: int
    held_out: int
    methods: list[dict[str, Any]]
    backfilled: int
    remaining: int
    measure: str = "views"
    recorded: bool = False
    gone: int = 0
    unreadable: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    state: str | None = None
    ways: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, Any] = field(default_factory=dict)
    alone: dict[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str | None:
        """Show the report in a notebook."""
        from retrieval.display import notebook

        return notebook.shown(lambda: notebook.report(f"upgrade: {self.old} → {self.new}", self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract."""
        return asdict(self)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> UpgradeReport:
        """Read back what a manifest records of an upgrade."""
        names = set(cls.__slots__) - {"recorded", "old"}
        known = {name: entry[name] for name in names if name in entry}
        return cls(old=entry["old"] or entry["old_space"]["name"], recorded=True, **known)


def rounded(result: Measured) -> dict[str, Any]:
    """Return what was measured of a method by the contract's keys, to six digits."""
    facts = asdict(result)
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in facts.items()
        if value is not None or name == "gain"
    }


def reencoding_entry(
    report: UpgradeReport,
    *,
    manifest: Manifest,
    new: Space,
    spec: str | None,
    staging: str,
    earlier: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what the manifest keeps of an upgrade whose old encoder answers until the end; arguments as of `entry_of`."""
    chosen = next(way for way in report.ways if way["plan"] == REENCODE)
    curve: dict[str, Any] = {"share": [], "random": [], "area_random": None}
    if report.measure != UNMEASURED:
        shares = np.linspace(0, 1, POINTS)
        heights = [chosen["now"]] * (POINTS - 1) + [chosen["end"]]
        curve = {
            "share": [round(float(share), 4) for share in shares],
            "random": heights,
            "area_random": curve_area(shares, np.array(heights)),
        }
    return _known(
        report, REENCODING, manifest=manifest, new=new, spec=spec, staging=staging, earlier=earlier
    ) | {"curve": curve}


def _known(
    report: UpgradeReport,
    state: str,
    *,
    manifest: Manifest,
    new: Space,
    spec: str | None,
    staging: str,
    earlier: list[dict[str, Any]],
) -> dict[str, Any]:
    known = report.to_json()
    for name in ("recorded", "state"):
        del known[name]
    return known | {
        "state": state,
        "old": manifest.encoder,
        "new_spec": spec,
        "old_space": manifest.space.to_json(),
        "new_space": new.to_json(),
        "earlier": earlier,
        "staging": staging,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def entry_of(
    report: UpgradeReport,
    way: Fitted,
    *,
    questions: Questions,
    curve: dict[str, Any],
    words: tuple[Vectors, Vectors] | None,
    manifest: Manifest,
    new: Space,
    spec: str | None,
    staging: str,
    earlier: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what the manifest keeps of a change that begins.

    Args:
        report: what was measured.
        way: the chosen map.
        questions: the queries.
        curve: of quality over the backfill.
        words: held-out phrases by the old and the new encoder, if both read words.
        manifest: the published one, in the old space.
        new: the new space.
        spec: of the new encoder; None for one that was given as an object.
        staging: directory of the new rows, relative to the collection's.
        earlier: what new queries find in galleries by the encoders before the old one.
    """
    held = questions.held
    scales = calibrate(
        way,
        held,
        words_old=None if words is None else words[0],
        words_new=None if words is None else words[1],
    )
    prefixes = set(manifest.space.nesting) & set(new.nesting) if way.method == "prefix" else set()
    return _known(
        report, MIGRATING, manifest=manifest, new=new, spec=spec, staging=staging, earlier=earlier
    ) | {
        "alpha": way.alpha,
        "calibrations": {name: scale.to_json() for name, scale in scales.items()},
        "curve": curve,
        "prefixes": sorted(int(width) for width in prefixes),
    }
