"""A first build of any size answers, tells its progress, and comes out alike each time."""

from __future__ import annotations

import pytest

from indexes.generation.manifest import read_manifest
from tests.indexes.derivation.published import KINDS, check
from tests.indexes.search.test_generation import build, fill


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 1, 2, 99, 300])
def test_small_collections_of_every_kind_answer(tmp_path, kind, rows):
    fill(tmp_path, 0, rows)
    manifest = build(tmp_path, kind=kind)

    check(tmp_path, manifest)
    assert manifest.generation == 1


def test_progress_tells_the_plan_first_and_counts_up(tmp_path):
    fill(tmp_path)
    events = []
    build(tmp_path, kind="ivfrabitq", progress=events.append)
    phases = [event.phase for event in events]

    assert phases[0] == "plan"
    assert "estimated" in events[0].message
    assert [phase for i, phase in enumerate(phases) if i == 0 or phases[i - 1] != phase] == [
        "plan",
        "train",
        "add",
        "tune",
    ]
    added = [event for event in events if event.phase == "add"]
    assert added[-1].done == added[-1].total == 4000


def test_the_same_rows_give_the_same_index(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, 0, 1500)
        build(tmp_path / name, kind="ivfrabitq")
    one, other = (read_manifest(tmp_path / name) for name in ("a", "b"))

    assert one.index.file.sha256 == other.index.file.sha256
