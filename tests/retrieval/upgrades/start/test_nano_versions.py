"""A collection keeps the version of nano that built it until somebody upgrades it, and then needs nothing fitted."""

from __future__ import annotations

import pytest

import retrieval
from retrieval.encoders import canonical_spec
from retrieval.encoders.families.nano import FAMILY
from tests.retrieval.folders import fill

NEWEST = FAMILY.models()[-1]


@pytest.fixture
def photos(tmp_path):
    home = fill(tmp_path / "photos", [f"{number:02}.png" for number in range(45)])
    retrieval.build_index(home, encoder="nano@1")
    return home


def test_nano_is_the_newest_version():
    assert canonical_spec("nano") == NEWEST
    assert retrieval.load_encoder("nano").space.name == NEWEST


def test_a_collection_keeps_its_version_through_builds_and_queries(photos):
    fill(photos, ["new.png"], first=100)
    report = retrieval.build_index(photos)

    assert report.encoder == "nano@1"
    with retrieval.open(photos) as collection:
        assert collection.space.name == "nano@1"
        assert collection.search("a red bus", k=3)
        (hit,) = collection.search(photos / "new.png", k=1, include_self=True)
        assert (hit.path, hit.score) == ("new.png", pytest.approx(1, abs=2e-3))


@pytest.mark.skipif(NEWEST == "nano@1", reason="only one version is shipped")
def test_an_upgrade_to_the_newest_fits_nothing_and_goes_back(photos):
    before = _first(photos)
    report = retrieval.upgrade(
        photos, encoder="nano", force=True
    )  # made pictures say nothing of which is better

    assert (report.method, report.recorded) == ("built-in", True)
    with retrieval.open(photos) as collection:
        assert collection.search("a red bus", k=3)
    fill(photos, ["new.png"], first=100)
    retrieval.build_index(photos)
    assert retrieval.backfill(photos).complete
    assert retrieval.build_index(photos).encoder == NEWEST
    assert retrieval.rollback(photos).encoder == "nano@1"
    assert _first(photos) == pytest.approx(before, abs=2e-3)


def _first(photos):
    with retrieval.open(photos) as collection:
        return {hit.path: hit.score for hit in collection.search(0, k=5) if hit.path != "new.png"}
