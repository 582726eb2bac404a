"""What cannot be upgraded is refused by name, and the old collection answers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import retrieval
from retrieval.errors import EncoderError, OptionError, SpaceMismatch, StoreLocked
from retrieval.upgrades.start import upgrade_start
from tests.retrieval.drift import OLD, drift, interrupted
from tests.retrieval.folders import PROBES, fill, picture
from tests.retrieval.upgrades.galleries import COUNT, NAMES, state


class TestBadInput:
    def test_the_same_encoder_again(self, photos):
        with pytest.raises(OptionError, match="holds vectors of drift:old already"):
            retrieval.upgrade(photos, encoder="drift:old")
        with pytest.raises(OptionError, match="nothing to upgrade"):
            retrieval.upgrade(photos, encoder=drift("old"))

    def test_an_encoder_without_images(self, photos):
        class Wordy:
            space = drift("new").space

            def encode_text(self, texts):
                return None

        with pytest.raises(EncoderError, match="is no encoder"):
            retrieval.upgrade(photos, encoder=Wordy())

    def test_a_sample_too_small_to_measure_on(self, photos):
        before = state(photos)
        with pytest.raises(OptionError, match="too small to measure"):
            retrieval.upgrade(photos, encoder="drift:new", sample=20, force=True)
        assert state(photos) == before

    def test_a_sample_that_is_small_because_it_was_asked_for_can_be_raised(self, photos):
        with pytest.raises(OptionError, match=r"too small to measure.*give `sample=40` or more"):
            retrieval.upgrade(photos, encoder="drift:new", sample=20)

    @pytest.mark.parametrize("method", ["procrustes", "slerp"])
    def test_a_map_for_a_handful_of_images_is_refused(self, tmp_path, method):
        few = fill(tmp_path / "few", NAMES[:5])
        retrieval.build_index(few, encoder=drift("old"))
        before = state(few)
        with pytest.raises(
            OptionError, match=rf"method {method} is measured on 40 images.*leave `method` away"
        ):
            retrieval.upgrade(few, encoder="drift:new", method=method, force=True)
        assert state(few) == before

    def test_a_handful_that_cannot_be_read_is_named(self, tmp_path):
        few = fill(tmp_path / "few", NAMES[:5])
        retrieval.build_index(few, encoder=drift("old"))
        fill(few, NAMES[:5], first=100)
        before = state(few)
        with pytest.raises(OptionError, match=r"of the 5 images .*`build_index`"):
            retrieval.upgrade(few, encoder="drift:new")
        assert state(few) == before

    def test_many_files_that_are_gone_are_named_and_their_copies_are_encoded_again(self, photos, tmp_path):
        for name in NAMES[30:]:
            (photos / name).unlink()
        with pytest.raises(OptionError, match=r"120 files are missing or have changed; .*`build_index`"):
            retrieval.upgrade(photos, encoder="drift:new")
        copies = fill(tmp_path / "copies", NAMES[:1])
        for name in NAMES[1:50]:
            shutil.copy(copies / NAMES[0], copies / name)
        retrieval.build_index(copies, encoder=drift("old"))
        report = retrieval.upgrade(copies, encoder="drift:new")
        assert (report.plan, report.measure, report.remaining) == ("reencode", "none", 49)
        assert retrieval.backfill(copies).complete

    def test_a_handful_that_is_left_of_an_upgrade_under_way_goes_on_with_it(self, migrating):
        for name in NAMES[30:]:
            (migrating / name).unlink()
        retrieval.build_index(migrating, prune=True)
        before = state(migrating)
        with pytest.raises(OptionError, match=r"30 images are too few .* is under way .*`backfill`"):
            retrieval.upgrade(migrating, encoder="drift:twin")
        assert state(migrating) == before

    def test_a_method_that_the_encoder_does_not_bring_is_refused_before_an_image_is_encoded(
        self, photos, monkeypatch
    ):
        monkeypatch.setattr(upgrade_start, "encode_sample", None)
        with pytest.raises(OptionError, match=r"method prefix does not apply: .* was not trained to extend"):
            retrieval.upgrade(photos, encoder="drift:new", method="prefix")

    def test_only_the_files_that_are_there_are_used_and_counted(self, photos):
        for name in NAMES[:50]:
            (photos / name).unlink()
        report = retrieval.upgrade(photos, encoder="drift:new", force=True)

        assert report.sample == 100
        assert report.gone == 50

    def test_no_file_left(self, photos):
        shutil.rmtree(photos / "0")
        shutil.rmtree(photos / "1")
        shutil.rmtree(photos / "2")
        with pytest.raises(OptionError, match="none of the 150 images lies below"):
            retrieval.upgrade(photos, encoder="drift:new")
        with retrieval.open(photos) as collection:
            assert len(collection.search(0, k=3)) == 3

    def test_another_file_under_the_name_is_not_taken_for_the_indexed_one(self, photos):
        picture(9999).save(photos / NAMES[5])
        report = retrieval.upgrade(photos, encoder="drift:new", force=True)

        assert report.gone == 1
        assert report.sample == COUNT - 1

    def test_files_that_were_written_anew_are_named_as_what_is_missing(self, photos):
        for seed, name in enumerate(NAMES[:-5]):
            picture(9000 + seed).save(photos / name)
        with pytest.raises(OptionError, match=r"145 files are missing or have changed.*`build_index`"):
            retrieval.upgrade(photos, encoder="drift:new", force=True)

    def test_an_interrupted_fit_leaves_the_collection_and_continues(self, photos, monkeypatch):
        monkeypatch.setattr("indexes.store.commit_pace.SECONDS", 0.0)

        with pytest.raises(KeyboardInterrupt):
            retrieval.upgrade(photos, encoder=interrupted("new", after=60))
        with retrieval.open(photos) as collection:
            assert not collection.manifest.upgrades
            assert collection.search(picture(3), k=1)[0].path == NAMES[3]
        new = drift("new")
        report = retrieval.upgrade(photos, encoder=new)

        assert report.recorded
        assert report.sample == COUNT
        # Half the collection had been encoded; of the views each once: three to ask with, and one of each fourth image to fit on.
        views = 3 * 2 * report.held_out + (COUNT - 2 * report.held_out) // 4
        assert new.encoded < COUNT - 60 + views + PROBES + 1

    def test_a_fit_that_was_interrupted_after_its_sample_still_says_how_long_the_rest_takes(self, photos):
        with pytest.raises(KeyboardInterrupt):
            retrieval.upgrade(photos, encoder=interrupted("new", after=COUNT + 30))
        report = retrieval.upgrade(photos, encoder="drift:new", dry_run=True)

        assert report.costs["images_per_second"] > 0
        assert report.costs["seconds"] == 0  # nothing is left to encode

    @pytest.mark.parametrize(
        ("encoder", "why"),
        [
            ("drift:new", "an upgrade to drift:new is under way already"),
            (
                "drift:narrow",
                "drift:narrow finds .* over the old encoder, drift:new .*; go on with `backfill`",
            ),
        ],
    )
    def test_a_second_upgrade_to_the_same_or_to_a_worse_encoder(self, migrating, encoder, why):
        before = state(migrating)
        with pytest.raises(OptionError, match=why):
            retrieval.upgrade(migrating, encoder=encoder)
        assert state(migrating) == before

    def test_an_upgrade_while_old_vectors_are_kept(self, migrating):
        retrieval.backfill(migrating)
        with pytest.raises(OptionError, match="still kept for a rollback; give them up first"):
            retrieval.upgrade(migrating, encoder="drift:narrow")

    def test_a_backfill_without_an_upgrade(self, photos):
        with pytest.raises(OptionError, match="no upgrade is under way"):
            retrieval.backfill(photos)
        with pytest.raises(OptionError, match="no upgrade to undo"):
            retrieval.rollback(photos)
        with pytest.raises(OptionError, match="no old vectors are kept"):
            retrieval.finish_upgrade(photos)
        with pytest.raises(OptionError, match="never been upgraded"):
            retrieval.upgrade_report(photos)

    def test_an_encoder_of_another_space_cannot_backfill(self, migrating):
        with pytest.raises(SpaceMismatch):
            retrieval.backfill(migrating, encoder=drift("narrow"))

    def test_one_writer_at_a_time(self, migrating):
        from indexes.store.lock import WriterLock

        with WriterLock(migrating / ".retrieve"), pytest.raises(StoreLocked):
            retrieval.backfill(migrating)

    def test_vectors_cannot_be_imported_or_exported_meanwhile(self, migrating):
        with pytest.raises(OptionError, match="under way"):
            retrieval.sync_vectors(migrating, np.eye(OLD), [f"k{n}" for n in range(OLD)])
        with (
            retrieval.open(migrating, encoder=drift("new")) as collection,
            pytest.raises(OptionError, match="two spaces"),
        ):
            collection.export()
