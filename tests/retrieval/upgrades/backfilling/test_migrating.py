"""A gallery of two spaces is searched as one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import retrieval
from indexes.errors import ManifestTooNew
from indexes.generation.manifest import read_manifest
from retrieval.errors import OptionError, SpaceMismatch, StoreCorrupt
from tests.retrieval.drift import NEW, OLD, drift
from tests.retrieval.folders import PROBES, picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, truth


class TestMigrating:
    def test_an_older_version_refuses_it(self, migrating, monkeypatch):
        monkeypatch.setattr("indexes.generation.description.description.FORMAT", 2)
        with pytest.raises(ManifestTooNew, match="has format 5, this version reads up to format 2"):
            retrieval.open(migrating)

    def test_queries_use_the_new_encoder_against_the_old_rows(self, migrating):
        new = drift("new")
        with retrieval.open(migrating, encoder=new) as collection:
            assert collection.space.same_as(new.space)
            hits = collection.search(picture(3), k=4)
            assert new.encoded == 1 + PROBES
            assert all(hit.space == "drift:old" for hit in hits)
            assert [hit.ranked_by for hit in hits] == sorted((hit.ranked_by for hit in hits), reverse=True)
            with pytest.raises(SpaceMismatch):
                retrieval.open(migrating, encoder=drift("old"))

    def test_a_mixed_gallery_is_ordered_by_a_common_scale_and_scores_are_cosines(self, migrating):
        retrieval.backfill(migrating, count=60)
        with retrieval.open(migrating) as collection:
            hits = collection.search(picture(3), k=40)
            opened = collection._opened
            rows_of, pair = opened.pair.mixture.rows_of, opened.pair
            new, old = (pair.of(collection.encode(picture(3)), None)[0, part] for part in pair.parts)
            rows = {
                "drift:new": lambda number: pair.mixture.rows[rows_of[number]] @ new,
                "drift:old": lambda number: opened.generation.vectors([number])[0] @ old,
            }
            cosines = [float(rows[hit.space](hit.id)) for hit in hits]

        assert {hit.space for hit in hits} == {"drift:old", "drift:new"}
        assert [hit.space for hit in hits] == [
            "drift:new" if rows_of[hit.id] >= 0 else "drift:old" for hit in hits
        ]
        assert [hit.score for hit in hits] == pytest.approx(cosines, abs=1e-3)
        assert [hit.ranked_by for hit in hits] == sorted((hit.ranked_by for hit in hits), reverse=True)
        background = opened.pair.migration.background
        asked = background.new.asked(new[np.newaxis], moved=True)
        renewed = [hit for hit in hits if hit.space == "drift:new"]
        fresh = np.stack([pair.mixture.rows[rows_of[hit.id]] for hit in renewed]).astype(np.float32)
        assert [hit.ranked_by for hit in renewed] == pytest.approx(
            background.new.scores(asked, fresh)[0].tolist(), abs=1e-3
        )

    def test_a_sample_that_was_encoded_answers_at_once(self, photos):
        report = retrieval.upgrade(photos, encoder="drift:new", sample=80)

        assert (report.plan, report.backfilled, report.remaining) == ("map", 80, COUNT - 80)
        assert report.costs["images"] == COUNT - 80
        with retrieval.open(photos) as collection:
            hits = collection.search(picture(3), k=COUNT)
            assert sum(hit.space == "drift:new" for hit in hits) == 80
            assert collection.info()["upgrade"]["backfilled"] == 80
        new = drift("new")
        assert retrieval.backfill(photos, encoder=new).complete
        assert new.encoded == COUNT - 80 + PROBES

    def test_no_image_is_activated_for_an_index_that_is_about_to_go(self, migrating):
        with (
            retrieval.open(migrating) as collection,
            pytest.raises(
                OptionError, match=r"index that is about to go: an upgrade .* finish it with `backfill`"
            ),
        ):
            collection.aim()

    def test_the_curve_of_quality_does_not_fall_below_its_start(self, migrating):
        curve = retrieval.upgrade_report(migrating)["curve"]
        assert min(curve["random"]) >= curve["random"][0] - 0.05  # of few queries; usual: 0

    @pytest.mark.parametrize("count", [0, 60])
    def test_a_least_score_is_one_of_cosines_and_ranks_have_no_gaps(self, migrating, count):
        if count:
            retrieval.backfill(migrating, count=count)
        with retrieval.open(migrating) as collection:
            everything = collection.search(picture(3), k=COUNT)
            least = sorted(hit.score for hit in everything)[COUNT // 2]
            wanted = [hit.path for hit in everything if hit.score >= least]
            some = collection.search(picture(3), k=5, min_score=least)
            all_of_them = collection.search(picture(3), k=COUNT, min_score=least)

        assert [hit.path for hit in all_of_them] == wanted
        assert [hit.path for hit in some] == wanted[:5]
        assert [hit.rank for hit in all_of_them] == list(range(1, len(wanted) + 1))

    def test_new_rows_are_what_the_new_encoder_says(self, migrating):
        retrieval.backfill(migrating, count=60)
        with retrieval.open(migrating) as collection:
            done = np.flatnonzero(collection._opened.pair.mixture.rows_of >= 0)
            names = [collection.key_of(int(number)) for number in done]
            vectors = collection.vectors(done)
        assert len(done) == 60
        np.testing.assert_allclose(vectors, truth(migrating, names, drift("new")), atol=2e-3)

    def test_a_backfill_counts_and_resumes(self, migrating):
        first = retrieval.backfill(migrating, count=10)
        second = retrieval.backfill(migrating, count=15)
        with retrieval.open(migrating) as collection:
            facts = collection.info()

        assert (first.encoded, first.backfilled, first.remaining) == (10, 10, COUNT - 10)
        assert (second.encoded, second.backfilled, second.remaining) == (15, 25, COUNT - 25)
        assert not second.complete
        assert (facts["upgrade"]["backfilled"], facts["upgrade"]["remaining"]) == (25, COUNT - 25)
        assert facts["upgrade"]["state"] == "migrating"
        assert facts["width"] == OLD

    def test_no_image_of_the_sample_is_encoded_twice(self, migrating):
        new = drift("new")
        retrieval.backfill(migrating, encoder=new)

        assert new.encoded == 0  # the sample was the whole collection

    def test_what_is_not_of_the_sample_is_encoded(self, photos):
        retrieval.upgrade(photos, encoder="drift:new", sample=100)
        new = drift("new")
        report = retrieval.backfill(photos, encoder=new)

        assert report.complete
        assert new.encoded == COUNT - 100 + PROBES

    def test_files_that_are_gone_stay_old_until_a_build_takes_them_out(self, migrating):
        for name in NAMES[:5]:
            (migrating / name).unlink()
        shutil.rmtree(migrating / ".retrieve/upgrade")  # nothing kept of the sample
        report = retrieval.backfill(migrating)

        assert not report.complete
        assert (report.gone, report.remaining) == (5, 5)
        with retrieval.open(migrating) as collection:
            assert len(collection) == COUNT
        retrieval.build_index(migrating)
        assert retrieval.backfill(migrating).complete

    def test_a_backfill_of_few_passes_over_what_is_gone(self, migrating):
        for name in NAMES[:100]:
            (migrating / name).unlink()
        shutil.rmtree(migrating / ".retrieve/upgrade")
        report = retrieval.backfill(migrating, count=20)

        assert report.encoded == 20

    def test_an_indexed_file_finds_itself_without_a_model(self, migrating, monkeypatch):
        def refuse(*_args, **_options):
            raise AssertionError("a model was loaded")

        retrieval.backfill(migrating, count=75)
        monkeypatch.setattr("retrieval.encoders.load_encoder", refuse)
        with retrieval.open(migrating) as collection:
            for name in NAMES[::10]:
                (hit,) = collection.search(migrating / name, k=1, include_self=True)
                assert hit.path == name
                assert hit.score == pytest.approx(1, abs=2e-3)

    def test_a_batch_of_words_and_images_answers_as_each_alone(self, migrating):
        retrieval.backfill(migrating, count=60)
        with retrieval.open(migrating, encoder=drift("new")) as collection:
            queries = [
                "red",
                picture(3),
                migrating / NAMES[5],
                "blue",
                7,
                collection.vectors(9)[0],
                picture(4),
            ]
            for options in ({}, {"ids": [*range(40), NAMES[99]]}, {"under": "1", "mask": collection.live}):
                found = collection.search(queries, k=6, **options)

                for hits, query in zip(found, queries, strict=True):
                    alone = collection.search(query, k=6, **options)
                    assert [hit.id for hit in hits] == [hit.id for hit in alone]
                    assert [hit.space for hit in hits] == [hit.space for hit in alone]
                    assert [hit.ranked_by for hit in hits] == pytest.approx([hit.ranked_by for hit in alone])

    def test_names_answer_words_with_rows_of_both_spaces(self, migrating):
        retrieval.backfill(migrating, count=60)
        with retrieval.open(migrating, encoder=drift("new")) as collection:
            hits = collection.search("1", k=50, names="only")
            every = {hit.id: hit for hit in collection.search("1", k=len(collection), names="off")}

            assert {hit.path[:2] for hit in hits} == {"1/"}
            assert len(hits) == 50
            assert len({hit.space for hit in hits}) == 2
            for hit in hits:
                assert (hit.score, hit.space) == (every[hit.id].score, every[hit.id].space)
                assert hit.ranked_by == pytest.approx(every[hit.id].ranked_by)
            named = collection.search(f"1 {NAMES[70][2:5]}", k=3)
            assert named[0].path == NAMES[70]

    def test_parts_are_weighed_in_both_spaces(self, migrating):
        from retrieval.collection.queries.terms import image, text

        with retrieval.open(migrating, encoder=drift("new")) as collection:
            query = image(migrating / NAMES[3]) + 0.5 * text("red")
            vector = collection.encode(query)
            assert vector.shape == (1, NEW)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
            assert collection.search(query, k=2, minus=picture(8))

    def test_a_filter_holds_for_rows_of_both_spaces(self, migrating):
        retrieval.backfill(migrating, count=75)
        with retrieval.open(migrating) as collection:
            hits = collection.search(picture(3), k=COUNT, under="1")
            assert {hit.path for hit in hits} == {name for name in NAMES if name.startswith("1/")}
            assert {hit.space for hit in hits} == {"drift:old", "drift:new"}

    def test_an_index_of_the_new_rows_grows_answers_and_goes_with_the_change(self, migrating, monkeypatch):
        from indexes.migration import staging

        retrieval.backfill(migrating, count=75)
        with retrieval.open(migrating) as collection:
            plain = collection.search(picture(3), k=COUNT)
        monkeypatch.setattr(staging, "INDEXED", 50)
        retrieval.backfill(migrating, count=1)
        (place,) = (migrating / ".retrieve/upgrade").iterdir()
        assert read_manifest(place).count == COUNT
        with retrieval.open(migrating) as collection:
            assert collection._opened.pair.mixture._new._staged is not None
            assert len(collection.search(picture(3), k=COUNT)) == len(plain) == COUNT
            (moved,) = [
                hit.id
                for hit, other in zip(
                    sorted(collection.search(picture(3), k=COUNT), key=lambda hit: hit.id),
                    sorted(plain, key=lambda hit: hit.id),
                    strict=True,
                )
                if (hit.space, hit.score) != (other.space, pytest.approx(other.score, abs=1e-5))
            ]
            assert moved in range(COUNT)  # the one that was encoded again meanwhile
            assert all(check.ok for check in collection.verify())
        assert retrieval.backfill(migrating).complete
        assert not place.exists()

    def test_evaluation_works_meanwhile(self, migrating):
        retrieval.backfill(migrating, count=75)
        with retrieval.open(migrating, encoder=drift("new")) as collection:
            assert retrieval.evaluate(collection).recall_at_10 == 1.0

    def test_files_are_whole(self, migrating):
        retrieval.backfill(migrating, count=75)
        with retrieval.open(migrating, encoder=drift("new")) as collection:
            checks = collection.verify()
        assert [check for check in checks if not check.ok] == []
        assert any(check.path.startswith("upgrade/") for check in checks)

    def test_a_collection_that_lost_its_new_rows_says_so(self, migrating):
        retrieval.backfill(migrating, count=75)
        shutil.rmtree(migrating / ".retrieve/upgrade")
        with pytest.raises(StoreCorrupt, match="expected at least"):
            retrieval.open(migrating)

    def test_readers_that_opened_before_go_on(self, migrating):
        with retrieval.open(migrating, encoder=drift("new")) as early:
            before = early.search(picture(3), k=5)
            retrieval.backfill(migrating, count=75)
            assert early.search(picture(3), k=5) == before
            assert early.refresh()
            with retrieval.open(migrating, encoder=drift("new")) as middle:
                half = middle.search(picture(3), k=5)
                assert early.search(picture(3), k=5) == half
                retrieval.backfill(migrating)
                assert middle.search(picture(3), k=5) == half
            assert early.refresh()
            assert early.search(picture(3), k=5)[0].space is None
