"""Decisions of several people at once are all kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from retrieval.curation.duplicates import Decision, write_decisions
from retrieval.curation.duplicates.judgements.decisions import Judged


def test_those_of_many_threads_are_all_kept(tmp_path: Path) -> None:
    made = [
        Decision(first=Judged("a.png", "00"), second=Judged(f"{n}.png", f"{n:02d}"), word="keep-both")
        for n in range(1, 25)
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        (path,) = set(pool.map(lambda one: write_decisions(tmp_path, [one]), made))

    kept = json.loads(path.read_text())["decisions"]
    assert {one["second"]["path"] for one in kept} == {f"{n}.png" for n in range(1, 25)}
