"""An upgrade takes the place of one whose backfill is not done."""

from __future__ import annotations

import numpy as np
import pytest

import retrieval
from indexes.generation.manifest import read_manifest
from retrieval.errors import OptionError
from tests.retrieval.drift import drift, interrupted
from tests.retrieval.folders import fill, ids_by_key, picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, check_all_new, state, truth


@pytest.fixture
def grown(migrating):
    """Some images encoded again, and two added, which the old encoder has never seen."""
    retrieval.backfill(migrating, count=5)
    fill(migrating, ["new/a.png", "new/b.png"], first=1000)
    retrieval.build_index(migrating)
    return migrating


def spaces(home):
    with retrieval.open(home) as collection:
        hits = collection.search(picture(3), k=COUNT + 2)
        return {hit.path: hit.space for hit in hits}


def test_the_rows_of_the_sample_and_the_added_ones_answer_and_all_others_are_old_again(grown):
    report = retrieval.upgrade(grown, encoder="drift:twin", sample=100)

    assert (report.recorded, report.plan, report.old, report.new) == (True, "map", "drift:old", "drift:twin")
    assert (report.backfilled, report.remaining) == (102, COUNT - 100)
    found = spaces(grown)
    assert {found["new/a.png"], found["new/b.png"]} == {"drift:twin"}
    assert sorted(found.values()) == ["drift:old"] * (COUNT - 100) + ["drift:twin"] * 102
    manifest = read_manifest(grown / ".retrieve")
    assert [entry["new_spec"] for entry in manifest.upgrades] == ["drift:twin"]
    assert len(list((grown / ".retrieve" / "upgrade").iterdir())) == 1
    with retrieval.open(grown) as collection:
        assert collection.search(picture(1000), k=1)[0].path == "new/a.png"
        assert [check for check in collection.verify() if not check.ok] == []


def test_filters_evaluation_and_new_images_go_on_after_the_second_upgrade(grown):
    retrieval.upgrade(grown, encoder="drift:twin", sample=100)
    fill(grown, ["1/late.png"], first=3000)
    assert retrieval.build_index(grown).encoded == 1
    with retrieval.open(grown, encoder=drift("twin")) as collection:
        hits = collection.search(picture(3), k=COUNT, under="1")
        assert {hit.path for hit in hits} == {
            *(name for name in NAMES if name.startswith("1/")),
            "1/late.png",
        }
        assert {hit.space for hit in hits} == {"drift:old", "drift:twin"}
        assert collection.search(picture(3000), k=1)[0].path == "1/late.png"
        assert retrieval.evaluate(collection).recall_at_10 == 1.0
        with pytest.raises(OptionError, match="index that is about to go: an upgrade"):
            collection.aim()


def test_it_goes_on_to_the_end_and_the_ids_stay(grown):
    with retrieval.open(grown) as collection:
        before = ids_by_key(collection)
    retrieval.upgrade(grown, encoder="drift:twin", sample=100)
    fill(grown, ["new/c.png"], first=2000)
    retrieval.build_index(grown)

    assert retrieval.backfill(grown).complete
    assert {path: number for path, number in check_all_new(grown, "twin").items() if path in before} == before


def test_a_rollback_returns_to_the_first_encoder_with_the_added_images(grown):
    retrieval.upgrade(grown, encoder="drift:twin", sample=100)
    retrieval.rollback(grown)

    with retrieval.open(grown) as collection:
        by_path = ids_by_key(collection)
        vectors = collection.vectors(list(by_path.values()))
    assert len(by_path) == COUNT + 2
    np.testing.assert_allclose(vectors, truth(grown, list(by_path), drift("old")), atol=2e-3)


def test_it_is_refused_where_it_would_find_less_than_is_found_by_now(migrating):
    retrieval.backfill(migrating, count=COUNT - 1)
    before = state(migrating)

    with pytest.raises(OptionError, match=r"drift:new, with 149 images encoded again, finds .*`backfill`"):
        retrieval.upgrade(migrating, encoder="drift:twin", sample=100)
    assert state(migrating) == before
    assert retrieval.upgrade(migrating, encoder="drift:twin", sample=100, force=True).recorded


def test_it_is_refused_while_added_images_cannot_be_read(grown):
    (grown / "new/b.png").unlink()
    before = state(grown)

    with pytest.raises(
        OptionError, match="1 of the 2 images that drift:new alone has encoded cannot be read"
    ):
        retrieval.upgrade(grown, encoder="drift:twin", sample=100)
    assert state(grown) == before


def test_the_way_without_a_map_would_take_back_what_is_won(grown):
    before = state(grown)
    report = retrieval.upgrade(grown, encoder="drift:twin", sample=100, method="reencode")

    assert (report.plan, report.recorded) == ("none", False)
    assert state(grown) == before


def test_a_dry_run_and_an_interrupt_leave_the_first_upgrade_as_it_was(grown):
    before = spaces(grown)
    assert retrieval.upgrade(grown, encoder="drift:twin", sample=100, dry_run=True).compatible
    with pytest.raises(KeyboardInterrupt):
        retrieval.upgrade(grown, encoder=interrupted("twin", after=20), sample=100)

    assert spaces(grown) == before
    assert retrieval.backfill(grown).complete
    check_all_new(grown)
