"""The steps of an upgrade that `test_killed` kills.

Run as a program it serves steps (`tests.killing`): the words are a folder and the step's name.
"""

from __future__ import annotations

from pathlib import Path

import retrieval
import retrieval.upgrades.backfilling.backfill_run
import retrieval.upgrades.rolling_back.restore
import retrieval.upgrades.start.upgrade_start
import retrieval.upgrades.trial.sample
from indexes.store import commit_pace
from retrieval.encoders.registry import registry
from tests.killing import serve
from tests.retrieval.drift import mild_view
from tests.retrieval.folders import fill

FIRST = [f"{number:03}.png" for number in range(60)]
SOME = 15
LATER = [f"later/{number:02}.png" for number in range(12)]


def prepare() -> None:
    """Let specs name the encoders, and let everything be committed and published at once."""
    registry.BUILT_IN["drift"] = "tests.retrieval.drift"
    retrieval.upgrades.trial.sample.view_of = mild_view
    commit_pace.SECONDS = retrieval.upgrades.backfilling.backfill_run.PUBLISH_SECONDS = 0.0


def step(folder: str, name: str) -> None:
    """Take one step; each may be taken again when it was killed."""
    home = Path(folder)
    manifest = retrieval.open(home).manifest
    if name == "upgrade" and not manifest.migrating:
        retrieval.upgrade(home, encoder="drift:new", sample=50, method="ridge", force=True)
    elif name == "some" and manifest.upgrades[-1]["backfilled"] < SOME:
        retrieval.backfill(home, count=SOME - manifest.upgrades[-1]["backfilled"])
    elif name == "build":
        fill(home, LATER, first=1000)
        retrieval.build_index(home)
    elif name == "all" and manifest.migrating:
        retrieval.backfill(home)
    elif name == "back" and manifest.upgrades[-1]["state"] != "rolled back":
        retrieval.rollback(home)
    elif name == "drop" and manifest.upgrades[-1].get("previous"):
        retrieval.finish_upgrade(home)


if __name__ == "__main__":
    prepare()
    serve(step)
