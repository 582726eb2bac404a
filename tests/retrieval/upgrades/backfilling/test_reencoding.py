"""Without a map the old encoder answers until every image is encoded again."""

from __future__ import annotations

import shutil

import pytest

import retrieval
from indexes.generation.manifest import read_manifest
from retrieval.errors import OptionError, StoreFull
from tests.retrieval.drift import drift, interrupted
from tests.retrieval.folders import fill, ids_by_key
from tests.retrieval.upgrades.galleries import COUNT, NAMES, check_all_new, state

SAMPLE = 60


@pytest.fixture
def planned(photos):
    report = retrieval.upgrade(photos, encoder="drift:new", method="reencode", sample=SAMPLE)
    assert (report.plan, report.state, report.recorded) == ("reencode", "reencoding", True)
    return photos


def first_hits(home):
    with retrieval.open(home) as collection:
        return [collection.search(home / name, k=2)[0].path for name in NAMES[:5]]


def test_it_is_planned_where_no_map_finds_more_though_the_new_encoder_does(photos):
    report = retrieval.upgrade(photos, encoder="drift:foreign")

    assert (report.plan, report.method, report.compatible) == ("reencode", "reencode", False)
    assert report.alone["old"] < report.alone["new"]
    (way,) = report.ways
    assert (way["plan"], way["now"], way["end"]) == (
        "reencode",
        report.alone["old"],
        report.alone["new"],
    )


def test_a_worse_encoder_has_no_plan(photos):
    before = state(photos)
    report = retrieval.upgrade(photos, encoder="drift:worse")

    assert (report.plan, report.method, report.recorded) == ("none", None, False)
    assert state(photos) == before


def test_the_old_encoder_answers_as_before_and_the_sample_counts(photos):
    before = first_hits(photos)
    report = retrieval.upgrade(photos, encoder="drift:new", method="reencode", sample=SAMPLE)

    assert (report.backfilled, report.remaining) == (SAMPLE, COUNT - SAMPLE)
    assert report.costs["images"] == COUNT - SAMPLE
    assert report.costs["seconds"] > 0
    assert first_hits(photos) == before
    with retrieval.open(photos) as collection:
        assert collection.space.name == "drift:old"
        assert collection.info()["upgrade"]["state"] == "reencoding"
    retrieval.backfill(photos, count=30)
    assert first_hits(photos) == before


def test_it_stops_and_resumes_at_any_row_and_switches_with_the_last(planned):
    with retrieval.open(planned) as collection:
        before = ids_by_key(collection)
    with pytest.raises(KeyboardInterrupt):
        retrieval.backfill(planned, encoder=interrupted("new", after=16))
    entry = read_manifest(planned / ".retrieve").upgrades[-1]
    assert SAMPLE < entry["backfilled"] < COUNT  # usual: 92
    assert not retrieval.backfill(planned, count=COUNT - entry["backfilled"] - 1).complete
    last = retrieval.backfill(planned)

    assert (last.complete, last.encoded, last.remaining) == (True, 1, 0)
    assert check_all_new(planned) == before
    assert retrieval.finish_upgrade(planned)["state"] == "complete"
    check_all_new(planned)
    assert not (planned / ".retrieve/upgrade").exists()


def test_images_come_go_and_change_meanwhile(planned):
    fill(planned, ["new/a.png"], first=1000)
    fill(planned, [NAMES[1]], first=2000)
    (planned / NAMES[0]).unlink()
    report = retrieval.build_index(planned)
    assert (report.encoded, report.removed) == (2, 1)
    with retrieval.open(planned) as collection:
        assert collection.search(planned / "new/a.png", k=1, include_self=True)[0].path == "new/a.png"

    done = retrieval.backfill(planned)
    assert done.complete
    by_path = check_all_new(planned)
    assert "new/a.png" in by_path
    assert NAMES[0] not in by_path


def test_the_way_back_after_the_switch_and_before_it(planned, tmp_path):
    copy = shutil.copytree(planned, tmp_path / "copy")
    retrieval.backfill(copy)
    fill(copy, ["new/a.png"], first=1000)
    retrieval.build_index(copy)
    assert retrieval.rollback(copy).encoded == 1  # what was added since
    check_all_new(copy, "old")

    retrieval.backfill(planned, count=10)
    report = retrieval.rollback(planned)
    assert (report.encoder, report.encoded, report.images) == ("drift:old", 0, COUNT)
    check_all_new(planned, "old")
    assert not (planned / ".retrieve/upgrade").exists()
    with pytest.raises(OptionError, match="no upgrade is under way"):
        retrieval.backfill(planned)


def test_another_encoder_replaces_the_plan_and_the_same_one_goes_on(planned):
    again = drift("new")
    report = retrieval.upgrade(planned, encoder=again, method="reencode", sample=SAMPLE)
    assert again.encoded < 3 * SAMPLE  # views alone; usual: 48
    assert report.backfilled == SAMPLE
    dry = retrieval.upgrade(planned, encoder="drift:narrow", method="reencode", dry_run=True)
    assert not dry.recorded
    assert len(list((planned / ".retrieve/upgrade").iterdir())) == 1
    assert retrieval.backfill(planned, count=0).backfilled == SAMPLE

    retrieval.upgrade(planned, encoder="drift:wider", sample=SAMPLE)
    assert [entry["new"] for entry in read_manifest(planned / ".retrieve").upgrades] == ["drift:wider"]
    assert retrieval.backfill(planned).complete
    check_all_new(planned, "wider")


def test_old_vectors_cannot_be_given_up_before_the_switch(planned):
    with pytest.raises(OptionError, match="old vectors are in use: an upgrade from drift:old to drift:new"):
        retrieval.finish_upgrade(planned)


def test_a_full_disk_is_found_out_before_anything_is_recorded(photos, monkeypatch):
    before = state(photos)
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))

    with pytest.raises(StoreFull, match="make room"):
        retrieval.upgrade(photos, encoder="drift:new", method="reencode")
    assert state(photos) == before


def test_the_report_has_the_maps_cross_test_and_a_curve_that_rises_at_the_end(planned):
    facts = retrieval.upgrade_report(planned)

    best = max(method["new_old"] for method in facts["methods"])
    assert facts["matrix"][1][0] == best
    assert facts["gain"] == 0.0
    assert facts["curve"]["random"][0] == facts["curve"]["random"][-2] == facts["alone"]["old"]
    assert facts["curve"]["random"][-1] == facts["alone"]["new"]


def test_rows_by_hand_without_an_image_stop_a_backfill_by_name(planned):
    with retrieval.open(planned) as collection:
        collection.add(collection.vectors([0]), ["no such image"])
    with pytest.raises(OptionError, match="added by hand and have no image"):
        retrieval.backfill(planned)
    with retrieval.open(planned) as collection:
        collection.delete(["no such image"])
    assert retrieval.backfill(planned).complete
