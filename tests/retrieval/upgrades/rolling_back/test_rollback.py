"""The way back to the old encoder."""

from __future__ import annotations

import os

import pytest

import retrieval
from indexes.generation.manifest import read_manifest
from retrieval.errors import EncoderError, OptionError
from tests.retrieval.drift import drift, interrupted
from tests.retrieval.folders import PROBES, fill, ids_by_key, picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, check_all_new, generation, interrupt, state


class TestRollback:
    def test_out_of_an_unfinished_upgrade(self, migrating):
        retrieval.backfill(migrating, count=75)
        report = retrieval.rollback(migrating)

        assert (report.encoder, report.given_up, report.encoded, report.pending) == (
            "drift:old",
            "drift:new",
            0,
            0,
        )
        check_all_new(migrating, "old")
        assert not read_manifest(migrating / ".retrieve").migrating
        assert not (migrating / ".retrieve/upgrade").exists()

    def test_out_of_a_finished_one(self, migrating):
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        retrieval.backfill(migrating)
        retrieval.rollback(migrating)

        assert check_all_new(migrating, "old") == before
        assert not (migrating / ".retrieve/spaces").exists()
        with pytest.raises(OptionError, match="no upgrade to undo"):
            retrieval.rollback(migrating)
        report = retrieval.upgrade(migrating, encoder="drift:new")
        assert report.recorded

    def test_the_index_before_comes_back_as_it_was_asked_for(self, photos):
        before = retrieval.build_index(photos, encoder=drift("old"), kind="IVF4,SQ8", truncate_dim=8)
        index = (generation(photos) / "index.faiss").read_bytes()
        retrieval.upgrade(photos, encoder="drift:new", method="ridge", force=True)
        retrieval.backfill(photos)
        retrieval.rollback(photos)

        assert (generation(photos) / "index.faiss").read_bytes() == index
        asked = read_manifest(photos / ".retrieve").request
        assert asked is not None
        assert (asked.kind, asked.dim, asked.recall) == ("IVF4,SQ8", 8, 0.95), before

    @pytest.mark.parametrize("finished", [False, True])
    def test_images_added_since_are_encoded_by_the_old_encoder(self, migrating, finished):
        retrieval.backfill(migrating, count=40)
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)
        retrieval.build_index(migrating)
        if finished:
            retrieval.backfill(migrating)
            fill(migrating, ["new/c.png"], first=1002)
        (migrating / NAMES[4]).unlink()
        os.rename(migrating / NAMES[5], migrating / "moved.png")
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        report = retrieval.rollback(migrating)

        assert report.encoded == (3 if finished else 2)
        assert check_all_new(migrating, "old") == before
        assert "moved.png" in before
        assert retrieval.build_index(migrating).encoded == 0

    def test_a_finished_one_is_undone_without_a_copy(self, migrating):
        """Rows that came after it are appended to the old store; what was removed or moved is removed or moved there."""
        rows = migrating / ".retrieve/rerank.f16"
        place = rows.stat().st_ino
        retrieval.backfill(migrating)
        fill(migrating, ["new/c.png", "new/d.png"], first=1002)
        (migrating / NAMES[4]).unlink()
        os.rename(migrating / NAMES[5], migrating / "moved.png")
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        assert retrieval.rollback(migrating).encoded == 2

        assert check_all_new(migrating, "old") == before
        assert {"moved.png", "new/d.png"} < before.keys()
        assert rows.stat().st_ino == place
        assert not (migrating / ".retrieve/spaces").exists()
        assert retrieval.build_index(migrating).encoded == 0

    def test_files_that_changed_names_with_each_other(self, migrating):
        retrieval.backfill(migrating)
        for old, new in ((NAMES[4], "aside"), (NAMES[5], NAMES[4]), ("aside", NAMES[5])):
            os.rename(migrating / old, migrating / new)
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        retrieval.rollback(migrating)

        assert check_all_new(migrating, "old") == before

    def test_stopped_before_it_is_published_it_goes_on_with_what_is_there_then(self, migrating, monkeypatch):
        retrieval.backfill(migrating)
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)
        retrieval.build_index(migrating)
        with monkeypatch.context() as patch:
            patch.setattr("retrieval.upgrades.rolling_back.restore.derive", interrupt)
            with pytest.raises(KeyboardInterrupt):
                retrieval.rollback(migrating)
        assert {"new/a.png", "new/b.png"} < check_all_new(migrating, "new").keys()
        (migrating / "new/a.png").unlink()
        fill(migrating, ["new/c.png"], first=1002)
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = ids_by_key(collection)
        report = retrieval.rollback(migrating)

        assert report.encoded == 1  # the others are kept
        assert check_all_new(migrating, "old") == before
        assert not (migrating / ".retrieve/spaces").exists()

    @pytest.mark.parametrize("finished", [False, True])
    def test_without_the_old_encoder_it_is_refused_with_the_count(self, migrating, finished, monkeypatch):
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)
        retrieval.build_index(migrating)
        if finished:
            retrieval.backfill(migrating)
        before = state(migrating)
        real = retrieval.load_encoder

        def missing(spec, **options):
            if spec == "drift:old":
                raise EncoderError("its weights are not here")
            return real(spec, **options)

        monkeypatch.setattr("retrieval.upgrades.rolling_back.rollback_run.load_encoder", missing)
        with pytest.raises(
            OptionError, match=r"2 images were added since .* drift:old must encode them .*`without_new=True`"
        ):
            retrieval.rollback(migrating)
        assert state(migrating) == before

        report = retrieval.rollback(migrating, without_new=True)

        assert (report.pending, report.encoded, report.images) == (2, 0, COUNT)
        assert "new/a.png" not in check_all_new(migrating, "old")
        monkeypatch.undo()
        with pytest.MonkeyPatch.context() as patch:
            from retrieval.encoders.registry import registry

            patch.setitem(registry.BUILT_IN, "drift", "tests.retrieval.drift")
            assert retrieval.build_index(migrating).encoded == 2

    def test_readers_that_opened_before_go_on(self, migrating):
        retrieval.backfill(migrating)
        with retrieval.open(migrating, encoder=drift("new")) as early:
            before = early.search(picture(3), k=5)
            retrieval.rollback(migrating)
            assert early.search(picture(3), k=5) == before
            assert early.refresh()
            assert early.space.name == "drift:old"
            assert early.search(picture(3), k=5)

    def test_an_interrupted_way_back_continues(self, migrating, monkeypatch):
        fill(migrating, [f"new/{n}.png" for n in range(40)], first=1000)
        retrieval.build_index(migrating)
        monkeypatch.setattr("indexes.store.commit_pace.SECONDS", 0.0)

        with pytest.raises(KeyboardInterrupt):
            retrieval.rollback(migrating, encoder=interrupted("old", after=0))
        with retrieval.open(migrating) as collection:
            assert collection.search(picture(1000), k=1)[0].path == "new/0.png"
        old = drift("old")
        report = retrieval.rollback(migrating, encoder=old)

        assert 0 < report.encoded < 40
        assert old.encoded == report.encoded + PROBES
        check_all_new(migrating, "old")

    @pytest.mark.parametrize("finished", [False, True])
    def test_with_the_drive_away_nothing_is_left_out_in_silence(self, migrating, finished):
        retrieval.backfill(migrating, count=None if finished else 40)
        new = [f"new/{number}.png" for number in range(8)]
        fill(migrating, new, first=1000)
        retrieval.build_index(migrating)
        os.rename(migrating / "new", migrating.parent / "away")
        with pytest.raises(
            OptionError,
            match=r"8 of the 8 images .* cannot be read below .*photos.*mount its drive.*`without_new=True`",
        ):
            retrieval.rollback(migrating)
        with retrieval.open(migrating) as collection:
            assert collection.space.name == "drift:new"
            assert collection.search(picture(1003), k=1)[0].path == "new/3.png"
            assert all(check.ok for check in collection.verify())

        os.rename(migrating.parent / "away", migrating / "new")
        assert retrieval.rollback(migrating).encoded == 8
        assert set(new) < check_all_new(migrating, "old").keys()

    def test_images_that_stay_unreadable_are_taken_out_by_a_build_or_left_out_when_asked(self, migrating):
        retrieval.backfill(migrating)
        fill(migrating, [f"new/{number}.png" for number in range(8)], first=1000)
        retrieval.build_index(migrating)
        (migrating / "new/3.png").write_bytes(b"no picture any more")
        (migrating / "new/4.png").unlink()
        with pytest.raises(OptionError, match=r"2 of the 8 images .* `build_index`"):
            retrieval.rollback(migrating)
        report = retrieval.rollback(migrating, without_new=True)

        # The others were encoded before it was refused.
        assert (report.pending, report.images) == (2, COUNT + 6)
        assert len(check_all_new(migrating, "old")) == COUNT + 6

    def test_after_a_build_took_out_what_is_gone_the_way_is_free(self, migrating):
        retrieval.backfill(migrating)
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)
        retrieval.build_index(migrating)
        (migrating / "new/a.png").unlink()
        with pytest.raises(OptionError, match=r"1 of the 2 images"):
            retrieval.rollback(migrating)
        retrieval.build_index(migrating)

        assert retrieval.rollback(migrating).pending == 0
        assert "new/b.png" in check_all_new(migrating, "old")
