from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from indexes import backend, flat, ivf, plan, tune
from indexes.derive import publish_tail
from indexes.errors import OptionError
from indexes.generation import REPORT, Generation
from indexes.manifest import INDEX, generation_path, read_manifest, verify
from indexes.store import NewRow, VectorStore
from tests.indexes.test_generation import QUERIES, SPACE, VECTORS, build, fill, grow, same

KINDS = ["flat", "ivfrabitq", "ivfpq", "IVF16,SQ8", "HNSW8,Flat"]


def index_file(directory):
    return generation_path(directory, read_manifest(directory).generation) / INDEX


def check(directory, manifest):
    """A published generation answers for the live rows of the store, and its files are whole."""
    assert manifest == read_manifest(directory)
    assert all(file.ok for file in verify(directory))
    with VectorStore.open(directory, dim=32) as store, Generation.open(directory, manifest) as opened:
        live = ~store.tombstones()
        assert (manifest.count, manifest.live) == (store.count, int(live.sum()))
        rows = store.rows(0, store.count)
        expected = flat.exact(rows, QUERIES, k=10, keep=live)
        same(opened.search(QUERIES, k=10, nprobe=10**6, shortlist=max(store.count, 1)), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 1, 2, 99, 300])
def test_small_collections_of_every_kind_answer(tmp_path, kind, rows):
    fill(tmp_path, 0, rows)
    manifest = build(tmp_path, kind=kind)

    check(tmp_path, manifest)
    assert manifest.generation == 1


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_for_a_kind_are_searched_exactly_and_it_is_said_why(tmp_path, rows):
    fill(tmp_path, 0, rows)
    info = build(tmp_path, kind="ivfpq").index

    assert info.kind == "flat"
    assert "too few" in info.recall_reason


def test_the_kind_asked_for_comes_when_there_are_rows_enough(tmp_path):
    fill(tmp_path, 0, 100)
    assert build(tmp_path, kind="ivfrabitq").index.kind == "flat"
    grow(tmp_path, 100, 1000)

    assert build(tmp_path).index.kind == "ivfrabitq"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changed_nothing_published(tmp_path, kind):
    fill(tmp_path, 0, 1000)
    first = build(tmp_path, kind=kind)

    assert build(tmp_path) == first
    assert build(tmp_path, kind=kind) == first
    assert sorted(os.listdir(tmp_path / "generations")) == ["0001"]


def test_recall_is_measured_and_recorded_with_what_was_tried(tmp_path):
    fill(tmp_path)
    asked = []

    def texts():
        asked.append(1)
        return {"text": QUERIES}

    manifest = build(tmp_path, kind="ivfrabitq", extra_queries=texts)
    info = manifest.index
    report = json.loads((generation_path(tmp_path, 1) / REPORT).read_text())

    assert info.recall_target == 0.95
    assert 0.95 <= info.recall_at_10 <= 1
    assert 0.95 <= info.recall_at_10_text <= 1
    assert info.recall_sample == 1000
    assert info.recall_reason is None
    assert asked == [1]
    assert any(
        (trial["nprobe"], trial["shortlist"]) == (info.nprobe, info.shortlist)
        and trial["recall"]["image"] >= 0.95
        for trial in report["tried"]
    )
    assert info.bytes_per_vector == index_file(tmp_path).stat().st_size / 4000


@pytest.mark.parametrize(("rows", "measured"), [(99, False), (400, True)])
def test_recall_of_less_than_a_hundred_rows_is_not_measured(tmp_path, rows, measured):
    fill(tmp_path, 0, rows)
    info = build(tmp_path, kind="IVF2,Flat").index

    assert (info.recall_at_10 is not None) == measured
    assert (info.recall_reason is None) == measured


def test_texts_are_not_encoded_when_nothing_is_measured(tmp_path):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2050)

    def never():
        raise AssertionError

    assert build(tmp_path, extra_queries=never).count == 2050


def test_few_new_rows_become_a_tail_beside_the_same_file(tmp_path):
    fill(tmp_path, 0, 2000)
    first = build(tmp_path, kind="ivfrabitq")
    before = index_file(tmp_path).stat()
    grow(tmp_path, 2000, 2100, dead=[3, 2050])
    second = build(tmp_path)

    assert os.path.samestat(before, index_file(tmp_path).stat())
    assert second.index.base_rows == 2000
    assert (second.count, second.live, second.generation) == (2100, 2098, 2)
    assert second.index.recall_at_10 == first.index.recall_at_10
    assert second.created == first.created
    check(tmp_path, second)


def test_only_tombstones_change_only_their_file(tmp_path):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind="ivfrabitq")
    before = index_file(tmp_path).stat()
    grow(tmp_path, 2000, 2000, dead=range(50))
    manifest = build(tmp_path)

    assert os.path.samestat(before, index_file(tmp_path).stat())
    check(tmp_path, manifest)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_long_tail_is_merged_without_training(tmp_path, kind, monkeypatch):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind=kind)
    monkeypatch.setattr(ivf, "train", None)
    grow(tmp_path, 2000, 2300, dead=[1, 2, 2100])
    manifest = build(tmp_path)

    assert manifest.index.base_rows == 2300
    check(tmp_path, manifest)


def test_many_tombstones_leave_the_index(tmp_path, monkeypatch):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind="ivfrabitq")
    monkeypatch.setattr(ivf, "train", None)
    grow(tmp_path, 2000, 2000, dead=range(0, 2000, 5))
    manifest = build(tmp_path)

    assert ivf.open_mapped(index_file(tmp_path)).ntotal == 1600
    assert manifest.live == 1600
    check(tmp_path, manifest)
    before = index_file(tmp_path).stat()
    grow(tmp_path, 2000, 2000, dead=[1])
    build(tmp_path)
    assert os.path.samestat(before, index_file(tmp_path).stat())  # those that left do not count again


def test_rows_tombstoned_before_the_first_build_never_enter(tmp_path):
    fill(tmp_path, 0, 1000, dead=range(500))
    manifest = build(tmp_path, kind="ivfrabitq")

    assert ivf.open_mapped(index_file(tmp_path)).ntotal == 500
    check(tmp_path, manifest)


def test_a_merge_that_loses_recall_is_tuned_again_then_trained_again(tmp_path, monkeypatch):
    fill(tmp_path, 0, 2000)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2300)
    trained, calls = ivf.train, []
    monkeypatch.setattr(
        ivf, "train", lambda *args, **options: calls.append("train") or trained(*args, **options)
    )
    tuned = tune.tune
    monkeypatch.setattr(tune, "recall", lambda *args, **options: _trial(calls, 0.5, **options))

    def fails_once(*args, **options):
        calls.append("tune")
        result = tuned(*args, **options)
        return tune.Tuned(chosen=result.chosen, reached=calls.count("tune") > 1, tried=result.tried)

    monkeypatch.setattr(tune, "tune", fails_once)
    manifest = build(tmp_path)

    assert calls[0] == "recall"
    assert [call for call in calls if call != "recall"] == ["tune", "train", "tune"]
    assert manifest.index.base_rows == 2300
    check(tmp_path, manifest)


def _trial(calls, recall, *, nprobe, shortlist, selector=None):
    calls.append("recall")
    return tune.Trial(
        nprobe=nprobe,
        shortlist=shortlist,
        recall={"image": recall},
        standard_error={"image": 0.0},
        microseconds=1.0,
    )


def test_another_kind_is_built_when_asked_for(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    manifest = build(tmp_path, kind="IVF8,SQ8")
    assert (manifest.index.kind, manifest.index.factory) == ("factory", "IVF8,SQ8")
    check(tmp_path, manifest)
    assert build(tmp_path).index.factory == "IVF8,SQ8"  # its own choice from now on
    manifest = build(tmp_path, kind="flat")

    assert manifest.index.kind == "flat"
    assert not index_file(tmp_path).exists()
    check(tmp_path, manifest)


def test_another_target_is_tuned_for_without_training(tmp_path, monkeypatch):
    fill(tmp_path)
    low = build(tmp_path, kind="IVF32,SQ8", recall=0.6)
    monkeypatch.setattr(ivf, "train", None)
    before = index_file(tmp_path).stat()
    high = build(tmp_path, recall=0.95)

    assert os.path.samestat(before, index_file(tmp_path).stat())
    assert high.index.nprobe > low.index.nprobe
    assert high.index.recall_at_10 >= 0.95
    assert build(tmp_path) == high  # its own target from now on


def test_recall_that_one_bit_cannot_reach_gets_two(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(tune, "SHORTLISTS", (20,))
    info = build(tmp_path, kind="ivfrabitq", recall=0.9).index

    assert info.factory.endswith("RaBitQfs2")


def test_a_prefix_first_stage(tmp_path):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, kind="ivfrabitq", dim=16)

    assert manifest.index.dim == 16
    check(tmp_path, manifest)
    grow(tmp_path, 2000, 2300)
    manifest = build(tmp_path)
    assert manifest.index.dim == 16
    check(tmp_path, manifest)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "nonsense"},
        {"kind": ""},
        {"kind": "ivfrabitq", "dim": 7},
        {"kind": "ivfrabitq", "dim": 64},
        {"kind": "flat", "dim": 7},
        {"dim": 0},
        {"dim": "wide"},
        {"recall": 0.0},
        {"recall": 1.1},
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path, options):
    fill(tmp_path, 0, 1000)
    first = build(tmp_path, kind="ivfrabitq")
    with pytest.raises(OptionError) as caught:
        build(tmp_path, **options)

    assert "\n" not in str(caught.value)
    assert read_manifest(tmp_path) == first
    check(tmp_path, first)


def test_a_build_that_cannot_fit_is_refused_before_it_starts(tmp_path, monkeypatch):
    fill(tmp_path, 0, 1000)
    monkeypatch.setattr(plan, "available_memory", lambda: 100_000)
    with pytest.raises(OptionError, match="GiB are free"):
        build(tmp_path, kind="ivfrabitq")
    with pytest.raises(OptionError, match="GiB are free"):
        plan.plan(10**9, 512, kind="ivfrabitq")

    assert build(tmp_path, kind="flat").index.kind == "flat"  # which needs none


def test_a_full_memory_does_not_keep_a_tail_out(tmp_path, monkeypatch):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 1000, 1010)
    monkeypatch.setattr(plan, "available_memory", lambda: 1)

    assert build(tmp_path).count == 1010


@pytest.mark.parametrize(
    ("rows", "device", "previous", "expected"),
    [
        (50_000, "cpu", None, "flat"),
        (50_001, "cpu", None, "ivfrabitq"),
        (50_001, "cuda", None, "ivfpq"),
        (50_001, "auto", None, "ivfpq"),
        (50_001, "cuda:2", None, "ivfrabitq"),  # torch may see more of them than faiss
        (50_001, "cuda:1", "flat", "ivfpq"),
        (40_000, "cpu", "ivfpq", "ivfpq"),
        (20_000, "cpu", "ivfrabitq", "flat"),
    ],
)
def test_auto_chooses_by_size_and_device_and_does_not_waver(rows, device, previous, expected, monkeypatch):
    monkeypatch.setattr(backend.faiss(), "get_num_gpus", lambda: 2)
    assert plan.plan(rows, 64, kind="auto", device=device, previous=previous).kind == expected


def test_auto_moves_a_grown_collection_to_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "FLAT_ROWS", 1500)
    fill(tmp_path, 0, 1000)
    assert build(tmp_path).index.kind == "flat"
    grow(tmp_path, 1000, 2000)

    assert build(tmp_path).index.kind == "ivfrabitq"


def test_flat_that_was_asked_for_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "FLAT_ROWS", 500)
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="flat")
    grow(tmp_path, 1000, 1100)

    assert build(tmp_path).index.kind == "flat"


def test_an_outgrown_index_is_trained_again(tmp_path):
    fill(tmp_path, 0, 300)
    small = build(tmp_path, kind="ivfrabitq").index
    grow(tmp_path, 300, 4000)
    large = build(tmp_path).index

    assert (small.factory, large.factory) == ("HR,IVF7,RaBitQfs", "HR,IVF64,RaBitQfs")


def test_what_an_interrupted_build_stored_answers_at_once(tmp_path, monkeypatch):
    def publish(**options):
        with VectorStore.open(tmp_path, dim=32, writable=True) as store:
            return publish_tail(tmp_path, store, space=SPACE, encoder=None, root=None, **options)

    fill(tmp_path, 0, 1000)
    first = publish()
    assert (first.index.kind, first.count) == ("flat", 1000)
    check(tmp_path, first)
    assert publish() == first
    monkeypatch.setattr(plan, "FLAT_ROWS", 500)
    assert build(tmp_path).index.kind == "ivfrabitq"  # nobody asked for flat
    grow(tmp_path, 1000, 3000)
    tail = publish()

    assert (tail.index.base_rows, tail.count) == (1000, 3000)
    check(tmp_path, tail)


@pytest.mark.parametrize("harm", ["delete", "cut", "scramble"])
def test_a_damaged_index_file_is_built_again(tmp_path, harm):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    path = index_file(tmp_path)
    if harm == "delete":
        path.unlink()
    elif harm == "cut":
        os.truncate(path, 1000)
    else:
        path.write_bytes(b"\0" * path.stat().st_size)
    grow(tmp_path, 1000, 1300)
    manifest = build(tmp_path)

    check(tmp_path, manifest)
    assert manifest.index.kind == "ivfrabitq"


def test_a_lost_manifest_is_derived_again_from_the_store(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    manifest = build(tmp_path)

    assert manifest.generation == 2
    check(tmp_path, manifest)


def test_a_merge_that_fails_leaves_the_generation_before(tmp_path, monkeypatch):
    fill(tmp_path, 0, 2000)
    first = build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2500)

    def full(index, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ivf, "save", full)
        with pytest.raises(OSError, match="space"):
            build(tmp_path)
    assert read_manifest(tmp_path) == first
    with Generation.open(tmp_path, first) as opened:
        assert (opened.search(QUERIES, k=10).ids < 2000).all()
    check(tmp_path, build(tmp_path))


MERGE = """
import sys
from tests.indexes.test_generation import build, grow
print("ready", flush=True)
build(sys.argv[1])
"""


def test_a_merge_that_is_killed_leaves_the_generation_before(tmp_path):
    """Kill it at moments spread over its whole length; the next build completes."""
    fill(tmp_path, 0, 2000)
    first = build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2500)
    survived = 0
    for delay in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", MERGE, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        now = read_manifest(tmp_path)
        with Generation.open(tmp_path, now) as opened:
            assert opened.search(QUERIES, k=10).ids.min() >= 0
        survived += now == first
        if now != first:
            break
    assert survived > 0
    check(tmp_path, build(tmp_path))


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


def test_a_superseded_row_gives_way_to_the_new_one(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        store.append(VECTORS[3000:3001], [NewRow(key=b"5")])
        store.commit()
    with Generation.open(tmp_path, build(tmp_path)) as opened:
        found = opened.search(np.stack([VECTORS[5], VECTORS[3000]]), k=1, nprobe=10**6, shortlist=1000)

    assert found.ids[0, 0] != 5
    assert found.ids[1, 0] == 1000
