"""A sharded collection moves to another encoder: the old one answers until the last shard is done, and a rollback returns."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import read_manifest, read_shards
from retrieval.errors import OptionError
from retrieval.upgrades.sharded import shard_backfill
from tests.retrieval.drift import drift
from tests.retrieval.upgrades.galleries import COUNT, NAMES

SAMPLE = 40


@pytest.fixture(scope="module")
def sharded(built, tmp_path_factory):
    home = tmp_path_factory.mktemp("sharded")
    shutil.copytree(built, home / "photos", ignore=shutil.ignore_patterns(".retrieve"))
    retrieval.build_index(home / "photos", index=home / "big", shards=2, encoder=drift("old"), progress=False)
    return home


@pytest.fixture
def big(sharded, tmp_path):
    return Path(shutil.copytree(sharded, tmp_path / "own")) / "big"


@pytest.fixture
def planned(big):
    report = retrieval.upgrade(big, encoder="drift:new", sample=SAMPLE, progress=False)
    assert (report.plan, report.recorded, report.state) == ("reencode", True, "reencoding")
    return big


def hits(big):
    with retrieval.open(big) as photos:
        return photos.space.name, [
            [(hit.path, round(hit.score, 4)) for hit in photos.search(photos.root / name, k=5)]
            for name in NAMES[::40]
        ]


def spaces(big):
    return [read_manifest(big / shard.name).space.name for shard in read_shards(big).shards]


def test_the_plan_counts_all_shards(big):
    before = hits(big)
    tried = retrieval.upgrade(big, encoder="drift:new", sample=SAMPLE, dry_run=True, progress=False)
    assert not tried.recorded
    assert [way["plan"] for way in tried.ways] == ["reencode"]
    assert read_shards(big).upgrade is None

    report = retrieval.upgrade(big, encoder="drift:new", sample=SAMPLE, progress=False)

    assert (report.backfilled, report.remaining) == (SAMPLE, COUNT - SAMPLE)
    assert report.costs["images"] == COUNT - SAMPLE
    assert hits(big) == before
    with retrieval.open(big) as photos:
        assert photos.info()["upgrade"]["state"] == "reencoding"
    assert retrieval.upgrade_report(big)["remaining"] == COUNT - SAMPLE


def test_all_shards_switch_with_the_last_image(planned):
    before = hits(planned)
    with retrieval.open(planned) as reader:
        first = retrieval.backfill(planned, count=100 - SAMPLE, progress=False)
        assert (first.encoded, first.backfilled, first.remaining) == (60, 100, 50)
        assert not first.complete
        assert len(set(spaces(planned))) == 2
        assert hits(planned) == before

        done = retrieval.backfill(planned, progress=False)

        assert (done.backfilled, done.remaining, done.complete) == (COUNT, 0, True)
        assert len(reader.search(reader.root / NAMES[0], k=3)) == 3  # still in the old space
        reader.refresh()
        assert reader.space.name == drift("new").space.name
        vectors = reader.vectors(reader.row_ids())
        keys = [reader.key_of(number) for number in reader.row_ids().tolist()]
        images = [reader[key].open() for key in keys]
        encoder = drift("new")
        again = encoder.encode_pixels(np.stack([encoder.preprocess(image) for image in images]))
        assert np.min(np.sum(vectors * again, axis=1)) > 0.999
        assert all(check.ok for check in reader.verify())
    assert read_shards(planned).upgrade["state"] == "complete"
    again = retrieval.backfill(planned, progress=False)
    assert (again.encoded, again.backfilled, again.remaining, again.complete) == (0, COUNT, 0, True)


def test_filters_and_evaluation_go_on_while_shards_are_encoded_again(planned):
    retrieval.backfill(planned, count=30, progress=False)
    with retrieval.open(planned) as photos:
        hits = photos.search(photos.root / NAMES[3], k=COUNT, under="1")
        assert {hit.path for hit in hits} == {name for name in NAMES if name.startswith("1/")}
        assert retrieval.evaluate(photos).recall_at_10 == 1.0


def test_a_rollback_returns_all_shards_at_any_moment(planned):
    before = hits(planned)
    retrieval.backfill(planned, count=100, progress=False)

    report = retrieval.rollback(planned, progress=False)

    assert (report.images, report.encoded) == (COUNT, 0)
    assert len(set(spaces(planned))) == 1
    assert hits(planned) == before
    assert retrieval.build_index(index=planned, progress=False).encoded == 0
    with pytest.raises(OptionError, match="no upgrade to undo"):
        retrieval.rollback(planned, progress=False)


def test_a_rollback_after_the_switch_and_the_end_of_it(planned):
    before = hits(planned)
    retrieval.backfill(planned, progress=False)
    after = hits(planned)
    retrieval.rollback(planned, progress=False)
    assert hits(planned) == before
    retrieval.upgrade(planned, encoder="drift:new", sample=SAMPLE, progress=False)
    retrieval.backfill(planned, progress=False)
    assert hits(planned) == after

    assert retrieval.finish_upgrade(planned)["state"] == "complete"

    assert hits(planned) == after
    with pytest.raises(OptionError, match="old vectors were dropped"):
        retrieval.rollback(planned, progress=False)
    with pytest.raises(OptionError, match="no old vectors are kept"):
        retrieval.finish_upgrade(planned)
    assert retrieval.build_index(index=planned, progress=False).encoded == 0


def test_lists_are_trained_anew_for_the_new_space_and_the_old_one(big):
    retrieval.build_index(index=big, kind="IVF4,SQ8", progress=False)
    first = read_shards(big)
    retrieval.upgrade(big, encoder="drift:new", sample=SAMPLE, progress=False)

    retrieval.backfill(big, progress=False)

    second = read_shards(big)
    assert first.training.factory == second.training.factory == "IVF4,SQ8"
    assert first.training.sha256 != second.training.sha256
    assert {shard.manifest.index.kind for shard in second.shards} == {"factory"}
    assert second.index.recall_at_10 >= 0.95
    with retrieval.open(big) as photos:
        assert all(check.ok for check in photos.verify())
    retrieval.rollback(big, progress=False)
    third = read_shards(big)
    assert third.training == first.training
    assert third.index.recall_at_10 >= 0.95
    with retrieval.open(big) as photos:
        assert all(check.ok for check in photos.verify())
        assert len(photos.search(photos.root / NAMES[0], k=5, nprobe=4)) == 5


def test_a_shard_without_rows_is_no_hindrance(big):
    root = big.parent / "photos"
    folders = {shard.number: {unit for unit, _ in shard.units} for shard in read_shards(big).shards}
    for folder in folders[1]:
        shutil.rmtree(root / folder)
    retrieval.build_index(index=big, prune=True, progress=False)
    assert read_shards(big).shards[1].manifest.live == 0
    retrieval.upgrade(big, encoder="drift:new", sample=SAMPLE, progress=False)

    assert retrieval.backfill(big, progress=False).complete

    with retrieval.open(big) as photos:
        assert photos.space.name == drift("new").space.name
        assert len(photos.search(photos[photos.row_ids()[0]].id, k=3)) == 3


def test_a_backfill_that_dies_before_the_switch_goes_on(planned, monkeypatch):
    before = hits(planned)

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(shard_backfill, "publish_shards", die)
    with pytest.raises(KeyboardInterrupt):
        retrieval.backfill(planned, progress=False)
    monkeypatch.undo()
    monkeypatch.setattr("retrieval.upgrades.trial.sample.view_of", None)
    assert hits(planned) == before

    done = retrieval.backfill(planned, progress=False)

    assert (done.encoded, done.complete) == (0, True)


def test_what_cannot_be_is_refused(planned):
    cure = "finish it with `backfill`, or give it up with `rollback`"
    with retrieval.open(planned) as photos, pytest.raises(OptionError, match=cure):
        photos.add(np.ones(photos.space.dim), keys=["by hand"])
    with pytest.raises(OptionError, match=cure):
        retrieval.build_index(index=planned, progress=False)
    with pytest.raises(OptionError, match=cure):
        retrieval.upgrade(planned, encoder="drift:foreign", progress=False)
    with pytest.raises(OptionError, match=cure):
        retrieval.finish_upgrade(planned)
    retrieval.rollback(planned, progress=False)
    with pytest.raises(OptionError, match="shards are encoded again"):
        retrieval.upgrade(planned, encoder="drift:new", method="ridge", progress=False)
    with pytest.raises(OptionError, match="is a shard"):
        retrieval.upgrade(planned / "shard-00000", encoder="drift:new", progress=False)
    with retrieval.open(planned) as photos:
        photos.add(np.ones(photos.space.dim), keys=["by hand"])
    with pytest.raises(OptionError, match="added by hand and have no image"):
        retrieval.upgrade(planned, encoder="drift:new", progress=False)


def test_shards_that_are_too_small_to_measure_on_are_encoded_again(built, tmp_path):
    photos = tmp_path / "photos"
    for name in (name for start in (0, 50, 100) for name in NAMES[start : start + 30]):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(built / name, photos / name)
    big = tmp_path / "big"
    retrieval.build_index(photos, index=big, shards=3, encoder=drift("old"), progress=False)
    assert max(shard.manifest.live for shard in read_shards(big).shards) < 40
    before = big_hits(big)

    report = retrieval.upgrade(big, encoder="drift:new", progress=False)

    assert (report.plan, report.measure, report.recorded) == ("reencode", "none", True)
    assert report.backfilled + report.remaining == 90
    assert retrieval.upgrade_report(big)["curve"]["random"] == []
    assert retrieval.backfill(big, progress=False).complete
    assert set(spaces(big)) == {"drift:new"}
    retrieval.rollback(big, progress=False)
    assert big_hits(big) == before


def big_hits(big):
    with retrieval.open(big) as photos:
        return [[(hit.path, round(hit.score, 4)) for hit in photos.search(photos.root / NAMES[0], k=5)]]


def test_a_worse_encoder_has_no_plan(big):
    report = retrieval.upgrade(big, encoder="drift:worse", sample=SAMPLE, progress=False)

    assert (report.plan, report.recorded) == ("none", False)
    assert read_shards(big).upgrade is None
