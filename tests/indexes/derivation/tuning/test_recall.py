"""Recall is measured, recorded, and reached."""

from __future__ import annotations

import json
import os

import pytest

from indexes.engine import ivf, tune
from indexes.generation.manifest import generation_path
from indexes.layout import REPORT
from tests.indexes.derivation.published import check, index_file
from tests.indexes.search.test_generation import QUERIES, build, fill, grow


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


def _trial(calls, recall, *, nprobe, shortlist, selector=None, costs=None):
    calls.append("recall")
    return tune.Trial(
        nprobe=nprobe,
        shortlist=shortlist,
        recall={"image": recall},
        standard_error={"image": 0.0},
        microseconds=1.0,
    )


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
    monkeypatch.setitem(tune.tune.__kwdefaults__, "shortlists", (20,))
    info = build(tmp_path, kind="ivfrabitq", recall=0.9).index

    assert info.factory.endswith("RaBitQfs2")
