"""A better encoder for an old collection: measured, mixed, finished, undone, and never a moment without answers."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.arrays import unit_rows
from indexes.description import Manifest
from indexes.errors import ManifestTooNew
from indexes.manifest import read_manifest
from retrieval.errors import EncoderError, OptionError, SpaceMismatch, StoreCorrupt, StoreLocked
from retrieval.testing import FakeEncoder
from retrieval.upgrade_sample import view_of
from tests.retrieval.drift import NEW, OLD, drift, mild_view, scheme
from tests.retrieval.folders import fill, picture
from tests.retrieval.pictures import jpeg

__all__ = ["scheme"]

COUNT = 150
NAMES = [f"{number // 50}/{number:03}.png" for number in range(COUNT)]

pytestmark = pytest.mark.usefixtures("scheme", "mild")


@pytest.fixture
def mild(monkeypatch):
    monkeypatch.setattr("retrieval.upgrade_sample.view_of", mild_view)
    monkeypatch.setattr("retrieval.upgrade_fit._TOLERANCES", (4.0,))  # one is enough here


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder and its collection by the old encoder; copied by each test."""
    home = tmp_path_factory.mktemp("built") / "photos"
    fill(home, NAMES)
    retrieval.build_index(home, encoder=drift("old"))
    return home


@pytest.fixture
def photos(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "photos"))


@pytest.fixture(scope="module")
def begun(built, tmp_path_factory):
    """The same with the upgrade recorded."""
    home = Path(shutil.copytree(built, tmp_path_factory.mktemp("begun") / "photos"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.upgrade_sample.view_of", mild_view)
        retrieval.upgrade(home, encoder=drift("new"), old_encoder=drift("old"))
    return home


@pytest.fixture
def migrating(begun, tmp_path):
    return Path(shutil.copytree(begun, tmp_path / "photos"))


def interrupt(*_, **__):
    raise KeyboardInterrupt


def state(home):
    """Return every file of the collection but the lock, by name: what must not change."""
    found = {}
    for path in sorted((home / ".retrieve").rglob("*")):
        if path.is_file() and not path.name.startswith("lock"):
            found[str(path.relative_to(home))] = path.read_bytes()
    return found


def truth(home, names, encoder):
    """Return the vectors of files by an encoder, encoded here and now."""
    from PIL import Image

    batch = np.stack([encoder.preprocess(Image.open(home / name).convert("RGB")) for name in names])
    return encoder.encode_pixels(batch)


class TestFit:
    def test_the_best_compatible_method_is_recorded_and_the_gallery_is_untouched(self, photos):
        before = state(photos)
        report = retrieval.upgrade(photos, encoder="drift:new")

        assert report.recorded
        assert report.compatible
        assert (report.old, report.new, report.sample, report.backfilled, report.remaining) == (
            "drift:old",
            "drift:new",
            COUNT,
            0,
            COUNT,
        )
        chosen = next(m for m in report.methods if m["method"] == report.method)
        assert chosen["new_old"] == max(m["new_old"] for m in report.methods) > chosen["old_old"]
        assert {m["method"] for m in report.methods} == {"procrustes", "ridge", "lambda", "slerp"}
        assert "not trained to extend" in report.left_out["prefix"]
        after = state(photos)
        assert {
            name: data
            for name, data in after.items()
            if "vectors.lmdb/data" in name and "upgrade" not in name
        } == {name: data for name, data in before.items() if "vectors.lmdb/data" in name}
        assert after[".retrieve/rerank.f16"] == before[".retrieve/rerank.f16"]

    def test_gain_and_regression_follow_from_what_was_measured(self, begun):
        with retrieval.open(begun, encoder=drift("new")) as collection:
            entry = collection.manifest.upgrades[-1]
        for method in entry["methods"]:
            share = (method["new_old"] - method["old_old"]) / (method["new_new"] - method["old_old"])
            assert method["gain"] == pytest.approx(share, abs=1e-4)
            assert method["regression_rate"] >= method["old_old"] - method["new_old"] - 1e-6
            assert method["map_microseconds"] > 0

    def test_nothing_changes_when_nothing_is_compatible(self, photos):
        before = state(photos)
        report = retrieval.upgrade(photos, encoder="drift:worse")

        assert not report.compatible
        assert not report.recorded
        assert report.method is None
        assert len(report.methods) == 4
        assert state(photos) == before

    def test_force_records_the_best_all_the_same(self, photos):
        report = retrieval.upgrade(photos, encoder="drift:worse", force=True)

        assert report.recorded
        assert not report.compatible
        best = max(report.methods, key=lambda m: m["new_old"])
        assert next(m for m in report.methods if m["method"] == report.method)["new_old"] == best["new_old"]

    def test_a_dry_run_records_nothing(self, photos):
        before = state(photos)
        report = retrieval.upgrade(photos, encoder="drift:new", dry_run=True)

        assert report.compatible
        assert not report.recorded
        assert state(photos) == before

    def test_an_encoder_that_extends_the_old_space_needs_no_map(self, photos):
        report = retrieval.upgrade(photos, encoder="drift:wider")

        assert report.method == "prefix"
        with retrieval.open(photos) as collection:
            query = truth(photos, [NAMES[7]], drift("wider"))
            expected = unit_rows(query[:, :OLD]) @ collection._opened.generation.rows.astype(np.float32).T
            found = collection.search_vectors(query, k=COUNT)
            assert found.ids[0, 0] == expected.argmax()

    @pytest.mark.parametrize("method", ["procrustes", "ridge", "lambda", "slerp"])
    def test_a_method_by_name_is_held_to_beside_the_baselines(self, photos, method):
        report = retrieval.upgrade(photos, encoder="drift:new", method=method, force=True)

        assert report.method == method
        assert {"procrustes", "ridge", method} == {m["method"] for m in report.methods}

    def test_a_narrower_encoder_will_do(self, photos):
        report = retrieval.upgrade(photos, encoder="drift:narrow", force=True)

        assert report.recorded
        with retrieval.open(photos) as collection:
            assert collection.space.dim == OLD - 4
            assert collection.search(photos / NAMES[3], k=1, include_self=True)[0].path == NAMES[3]

    def test_labels_measure_1nn_accuracy_without_the_old_encoder(self, photos, tmp_path):
        labels = tmp_path / "labels.csv"
        with labels.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "label"])
            writer.writerows([[name, str(number % 3)] for number, name in enumerate(NAMES)])
        manifest = json.loads((photos / ".retrieve/manifest.json").read_text()) | {"encoder": "drift:gone"}
        (photos / ".retrieve/manifest.json").write_text(json.dumps(manifest))

        report = retrieval.upgrade(photos, encoder="drift:new", labels=labels, force=True)

        assert report.measure == "labels"
        assert "cannot be loaded" in report.left_out["slerp"]
        with pytest.raises(OptionError, match="a second upgrade"):
            retrieval.upgrade(photos, encoder="drift:new", labels=labels)

    def test_without_the_old_encoder_views_cannot_be_measured(self, photos):
        manifest = json.loads((photos / ".retrieve/manifest.json").read_text()) | {"encoder": "drift:gone"}
        (photos / ".retrieve/manifest.json").write_text(json.dumps(manifest))

        with pytest.raises(OptionError, match="give --labels"):
            retrieval.upgrade(photos, encoder="drift:new")

    def test_text_queries_are_mapped_with_their_own_gap_in_mind(self, begun):
        with retrieval.open(begun, encoder=drift("new")) as collection:
            entry = collection.manifest.upgrades[-1]
            chosen = next(m for m in entry["methods"] if m["method"] == entry["method"])
            assert chosen["text_new_old"] > chosen["text_old_old"]
            assert set(entry["calibrations"]) == {"image", "text"}
            assert collection.search("a red bus", k=3)


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

    def test_a_sample_too_small_for_the_width(self, photos, tmp_path):
        wide = FakeEncoder(dim=64)
        retrieval.build_index(photos, index=tmp_path / "wide", encoder=wide)
        other = FakeEncoder(dim=96, name="other")
        with pytest.raises(OptionError, match="leaves 40 to fit a map of width 64 on; at least 84"):
            retrieval.upgrade(tmp_path / "wide", encoder=other, old_encoder=wide, sample=60)
        before = state(photos)
        with pytest.raises(OptionError, match="too small to measure"):
            retrieval.upgrade(photos, encoder="drift:new", sample=20, force=True)
        assert state(photos) == before

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

    def test_an_interrupted_fit_leaves_the_collection_and_continues(self, photos, monkeypatch):
        monkeypatch.setattr("retrieval.upgrade_sample.COMMIT_SECONDS", 0.0)

        class Tired(type(drift("new"))):
            def encode_pixels(self, batch):
                if self.encoded > 60:
                    raise KeyboardInterrupt
                return super().encode_pixels(batch)

        tired = drift("new")
        tired.__class__ = Tired
        with pytest.raises(KeyboardInterrupt):
            retrieval.upgrade(photos, encoder=tired)
        with retrieval.open(photos) as collection:
            assert not collection.manifest.upgrades
            assert collection.search(picture(3), k=1)[0].path == NAMES[3]
        new = drift("new")
        report = retrieval.upgrade(photos, encoder=new)

        assert report.recorded
        assert report.sample == COUNT
        # Half the collection had been encoded; of the views each once: three to ask with, one to fit on.
        views = 3 * 2 * report.held_out + COUNT - 2 * report.held_out
        assert new.encoded < COUNT - 60 + views + 1

    def test_a_second_upgrade_on_top_of_an_unfinished_one(self, migrating):
        for encoder in ("drift:new", "drift:narrow"):
            with pytest.raises(OptionError, match=r"under way \(0 of 150 images encoded again\); finish it"):
                retrieval.upgrade(migrating, encoder=encoder)

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
            retrieval.drop_old(photos)
        with pytest.raises(OptionError, match="never been upgraded"):
            retrieval.upgrade_report(photos)

    def test_an_encoder_of_another_space_cannot_backfill(self, migrating):
        with pytest.raises(SpaceMismatch):
            retrieval.backfill(migrating, encoder=drift("narrow"))

    def test_one_writer_at_a_time(self, migrating):
        from indexes.lock import WriterLock

        with WriterLock(migrating / ".retrieve"), pytest.raises(StoreLocked):
            retrieval.backfill(migrating)

    def test_vectors_cannot_be_imported_or_exported_meanwhile(self, migrating):
        with pytest.raises(OptionError, match="under way"):
            retrieval.build_index_from_vectors(migrating, np.eye(OLD), [f"k{n}" for n in range(OLD)])
        with (
            retrieval.open(migrating, encoder=drift("new")) as collection,
            pytest.raises(OptionError, match="two spaces"),
        ):
            collection.export()


class TestMigrating:
    def test_an_older_version_refuses_it(self, migrating, monkeypatch):
        monkeypatch.setattr("indexes.description.FORMAT", 1)
        with pytest.raises(ManifestTooNew, match="has format 2, this version reads up to format 1"):
            retrieval.open(migrating)

    def test_a_collection_without_an_upgrade_keeps_format_1(self, photos):
        assert json.loads((photos / ".retrieve/manifest.json").read_text())["format"] == 1

    def test_queries_use_the_new_encoder_against_the_old_rows(self, migrating):
        new = drift("new")
        with retrieval.open(migrating, encoder=new) as collection:
            assert collection.space.same_as(new.space)
            hits = collection.search(picture(3), k=4)
            assert new.encoded == 1
            assert all(hit.space == "drift:old" for hit in hits)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            with pytest.raises(SpaceMismatch):
                retrieval.open(migrating, encoder=drift("old"))

    def test_a_mixed_gallery_says_cosine_and_space(self, migrating):
        retrieval.backfill(migrating, count=60)
        with retrieval.open(migrating) as collection:
            hits = collection.search(picture(3), k=40)
            table = collection._opened.pair.mixture.rows_of
        spaces = {hit.space for hit in hits}
        assert spaces == {"drift:old", "drift:new"}
        for hit in hits:
            assert hit.space == ("drift:new" if table[hit.id] >= 0 else "drift:old")
            if hit.space == "drift:new":
                assert hit.cosine == pytest.approx(hit.score, abs=1e-5)

    def test_new_rows_are_what_the_new_encoder_says(self, migrating):
        retrieval.backfill(migrating, count=60)
        with retrieval.open(migrating) as collection:
            done = np.flatnonzero(collection._opened.pair.mixture.rows_of >= 0)
            names = [collection.path(int(number)) for number in done]
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
        assert new.encoded == COUNT - 100

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

    def test_parts_are_weighed_in_both_spaces(self, migrating):
        from retrieval.queries import image, text

        with retrieval.open(migrating, encoder=drift("new")) as collection:
            query = [image(migrating / NAMES[3]), text("red", weight=0.5)]
            vector = collection.encode(query)
            assert vector.shape == (1, NEW)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
            assert collection.search(query, k=2, minus=picture(8))

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

    def test_the_farthest_come_first(self, begun):
        """Images that lie farther from where the map expects them are encoded before the others, on the whole."""
        from indexes.rerank import RerankRows
        from retrieval.backfill_order import by_surprise
        from retrieval.migration import Migration

        directory = begun / ".retrieve"
        migration = Migration.read(directory, read_manifest(directory))
        old = np.asarray(
            RerankRows.open(directory / "rerank.f16", dim=OLD, count=COUNT).rows, dtype=np.float32
        )
        new = truth(begun, NAMES, drift("new"))
        known = np.arange(COUNT)
        expected = by_surprise(migration.way, rows=old, known_old=old[known], known_new=new[known])
        missed = 1 - np.einsum("nd,nd->n", migration.way.back.apply(old), new)
        first = np.argsort(-expected)[: COUNT // 4]

        assert missed[first].mean() > 1.1 * missed.mean()


class TestGrowing:
    def test_new_images_are_encoded_by_the_new_encoder_only(self, migrating):
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)
        new, old = drift("new"), drift("old")
        report = retrieval.build_index(migrating, encoder=new)

        assert (report.encoded, report.images) == (2, COUNT + 2)
        assert (new.encoded >= 2, old.encoded) == (True, 0)
        with retrieval.open(migrating) as collection:
            (hit,) = collection.search(migrating / "new/a.png", k=1, include_self=True)
            assert (hit.path, hit.space) == ("new/a.png", "drift:new")
            assert collection.search(picture(1000), k=1)[0].path == "new/a.png"
            facts = collection.info()["upgrade"]
            assert (facts["backfilled"], facts["remaining"]) == (2, COUNT)

    def test_without_an_encoder_the_new_one_is_taken_and_the_old_one_is_refused(self, migrating):
        fill(migrating, ["new/a.png"], first=1000)
        with pytest.raises(OptionError, match="holds vectors of drift:new, not of drift:old"):
            retrieval.build_index(migrating, encoder="drift:old")
        assert retrieval.build_index(migrating).encoded == 1

    def test_nothing_new_is_nothing_encoded(self, migrating):
        assert retrieval.build_index(migrating).encoded == 0
        with retrieval.open(migrating) as collection:
            assert len(collection) == COUNT

    def test_moved_copied_changed_and_deleted_files(self, migrating):
        retrieval.backfill(migrating, count=75)
        with retrieval.open(migrating) as collection:
            table = collection._opened.pair.mixture.rows_of
            done, rest = np.flatnonzero(table >= 0), np.flatnonzero(table < 0)
        renewed, old = (collection_path(migrating, int(ids[0])) for ids in (done, rest))
        gone = collection_path(migrating, int(done[1]))
        changed = collection_path(migrating, int(rest[1]))
        shutil.copy(migrating / renewed, migrating / "copy-new.png")
        shutil.copy(migrating / old, migrating / "copy-old.png")
        os.rename(migrating / collection_path(migrating, int(rest[2])), migrating / "moved.png")
        (migrating / gone).unlink()
        picture(7777).save(migrating / changed)

        report = retrieval.build_index(migrating)

        assert (report.encoded, report.reused, report.moved, report.removed) == (1, 2, 1, 1)
        with retrieval.open(migrating) as collection:
            by_path = collection.ids_by_path()
            table = collection._opened.pair.mixture.rows_of
            assert by_path["moved.png"] == rest[2]
            assert gone not in by_path
            assert table[by_path["copy-new.png"]] >= 0
            assert table[by_path["copy-old.png"]] < 0
            assert table[by_path[changed]] >= 0
            vector = collection.vectors([by_path[changed]])
            np.testing.assert_allclose(vector, truth(migrating, [changed], drift("new")), atol=2e-3)
        assert retrieval.backfill(migrating).complete
        check_all_new(migrating)

    def test_what_an_interrupted_build_stored_answers(self, migrating, monkeypatch):
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)

        def interrupt(*_args, **_options):
            raise KeyboardInterrupt

        monkeypatch.setattr("retrieval.build.derive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            assert collection.search(picture(1000), k=1)[0].path == "new/a.png"


def collection_path(home, number):
    with retrieval.open(home) as collection:
        return collection.path(number)


def check_all_new(home, encoder="new"):
    """Make sure that every live row is what an encoder says of its file, and that nothing else lies about."""
    with retrieval.open(home) as collection:
        by_path = collection.ids_by_path()
        vectors = collection.vectors(list(by_path.values()))
        checks = collection.verify()
    np.testing.assert_allclose(vectors, truth(home, list(by_path), drift(encoder)), atol=2e-3)
    assert [check for check in checks if not check.ok] == []
    return by_path


class TestCompletion:
    def test_ids_paths_and_copies_stay(self, migrating):
        with retrieval.open(migrating) as collection:
            before = collection.ids_by_path()
        assert retrieval.backfill(migrating).complete

        assert check_all_new(migrating) == before
        with retrieval.open(migrating) as collection:
            assert collection.manifest.encoder == "drift:new"
            assert collection.space.name == "drift:new"
            assert collection.info()["upgrade"]["state"] == "complete"
            assert collection.search(migrating / NAMES[3], k=1, include_self=True)[0].id == before[NAMES[3]]
        assert not (migrating / ".retrieve/upgrade").exists()

    def test_it_goes_on_as_any_collection(self, migrating):
        retrieval.backfill(migrating)
        fill(migrating, ["new/a.png"], first=1000)
        (migrating / NAMES[0]).unlink()
        report = retrieval.build_index(migrating)

        assert (report.encoded, report.removed, report.images) == (1, 1, COUNT)
        check_all_new(migrating)

    def test_tombstones_keep_their_ids(self, migrating):
        for name in NAMES[10:30]:
            (migrating / name).unlink()
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = collection.ids_by_path()
        retrieval.backfill(migrating)

        assert check_all_new(migrating) == before

    def test_dropping_the_old_vectors_frees_them_and_ends_the_way_back(self, migrating):
        retrieval.backfill(migrating)
        assert (migrating / ".retrieve/vectors.lmdb").exists()
        entry = retrieval.drop_old(migrating)

        assert entry["state"] == "complete"
        assert not (migrating / ".retrieve/vectors.lmdb").exists()
        assert not (migrating / ".retrieve/rerank.f16").exists()
        assert len(list((migrating / ".retrieve/generations").iterdir())) == 1
        check_all_new(migrating)
        with pytest.raises(OptionError, match="old vectors were dropped"):
            retrieval.rollback(migrating)
        assert retrieval.build_index(migrating).encoded == 0

    def test_old_vectors_cannot_be_dropped_while_they_answer(self, migrating):
        with pytest.raises(OptionError, match="the old vectors are in use"):
            retrieval.drop_old(migrating)

    def test_a_third_encoder_may_follow(self, migrating):
        retrieval.backfill(migrating)
        retrieval.drop_old(migrating)
        report = retrieval.upgrade(migrating, encoder="drift:narrow", force=True)
        assert report.old == "drift:new"
        assert retrieval.backfill(migrating).complete

        check_all_new(migrating, "narrow")
        facts = retrieval.upgrade_report(migrating)
        assert facts["encoders"] == ["drift:old", "drift:new", "drift:narrow"]
        assert facts["unmeasured"] == []
        assert 0.1 < facts["matrix"][2][0] <= 1  # usual: 0.24, by chance: 0.007
        assert facts["matrix"][1][0] is not None
        assert [row[place + 1 :] for place, row in enumerate(facts["matrix"])] == [[None, None], [None], []]
        assert len(list((migrating / ".retrieve/spaces").iterdir())) == 2

    def test_a_gallery_of_which_nothing_was_kept_is_named_in_the_report(self, migrating):
        retrieval.backfill(migrating)
        retrieval.drop_old(migrating)
        shutil.rmtree(migrating / ".retrieve/past")
        retrieval.upgrade(migrating, encoder="drift:narrow", force=True)

        facts = retrieval.upgrade_report(migrating)
        assert facts["matrix"][2][0] is None
        (gap,) = facts["unmeasured"]
        assert (gap["query"], gap["gallery"]) == ("drift:narrow", "drift:old")
        assert gap["why"] == "none of its vectors were kept"

    def test_an_earlier_gallery_is_measured_as_it_was_when_it_was_there(self, photos):
        """A second encoder that says what the first new one says finds in the old gallery what that one found."""
        first = retrieval.upgrade(photos, encoder="drift:new")
        retrieval.backfill(photos)
        retrieval.drop_old(photos)
        report = retrieval.upgrade(photos, encoder="drift:twin", force=True)

        (known,) = read_manifest(photos / ".retrieve").upgrades[-1]["earlier"]
        assert (known["gallery"], known["rows"]) == ("drift:old", report.sample)
        single = {m["method"]: m["new_old"] for m in first.methods if m["method"] != "slerp"}
        assert known["new_old"] == pytest.approx(single[known["method"]], abs=1e-6)


def test_a_compressed_index_serves_on_both_ways(photos):
    """Lists and codes of the old space answer until the switch, the new one gets its own, and the way back finds the old ones."""
    retrieval.build_index(photos, encoder=drift("old"), kind="IVF4,SQ8")
    retrieval.upgrade(photos, encoder="drift:new", method="ridge", force=True)
    retrieval.backfill(photos, count=60)
    with retrieval.open(photos, encoder=drift("new")) as collection:
        assert collection.manifest.index.factory == "IVF4,SQ8"
        for seed in range(5):
            query = picture(500 + seed)
            assert [h.id for h in collection.search(query, k=5, nprobe=4)] == [
                h.id for h in collection.search(query, k=5, exact=True)
            ]
    retrieval.backfill(photos)
    with retrieval.open(photos, encoder=drift("new")) as collection:
        index = collection.manifest.index
        assert (index.factory, index.base_rows, index.dim) == ("IVF4,SQ8", COUNT, NEW)
        assert collection.search(picture(7), k=1)[0].path == NAMES[7]
        assert retrieval.evaluate(collection).recall_at_10 > 0.9
    retrieval.rollback(photos)
    with retrieval.open(photos, encoder=drift("old")) as collection:
        index = collection.manifest.index
        assert (index.factory, index.base_rows, index.dim) == ("IVF4,SQ8", COUNT, OLD)
        assert retrieval.evaluate(collection).recall_at_10 > 0.9
    check_all_new(photos, "old")


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
        manifest = json.loads((migrating / ".retrieve/manifest.json").read_text())
        assert manifest["format"] == 1
        assert not (migrating / ".retrieve/upgrade").exists()

    def test_out_of_a_finished_one(self, migrating):
        with retrieval.open(migrating) as collection:
            before = collection.ids_by_path()
        retrieval.backfill(migrating)
        retrieval.rollback(migrating)

        assert check_all_new(migrating, "old") == before
        assert not (migrating / ".retrieve/spaces").exists()
        with pytest.raises(OptionError, match="no upgrade to undo"):
            retrieval.rollback(migrating)
        report = retrieval.upgrade(migrating, encoder="drift:new")
        assert report.recorded

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
            before = collection.ids_by_path()
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
            before = collection.ids_by_path()
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
            before = collection.ids_by_path()
        retrieval.rollback(migrating)

        assert check_all_new(migrating, "old") == before

    def test_stopped_before_it_is_published_it_goes_on_with_what_is_there_then(self, migrating, monkeypatch):
        retrieval.backfill(migrating)
        fill(migrating, ["new/a.png", "new/b.png"], first=1000)
        retrieval.build_index(migrating)
        with monkeypatch.context() as patch:
            patch.setattr("retrieval.restoring.derive", interrupt)
            with pytest.raises(KeyboardInterrupt):
                retrieval.rollback(migrating)
        assert {"new/a.png", "new/b.png"} < check_all_new(migrating, "new").keys()
        (migrating / "new/a.png").unlink()
        fill(migrating, ["new/c.png"], first=1002)
        retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            before = collection.ids_by_path()
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

        monkeypatch.setattr("retrieval.returning.load_encoder", missing)
        with pytest.raises(
            OptionError, match=r"2 images were added since .* drift:old must encode them .*--without-new"
        ):
            retrieval.rollback(migrating)
        assert state(migrating) == before

        report = retrieval.rollback(migrating, without_new=True)

        assert (report.pending, report.encoded, report.images) == (2, 0, COUNT)
        assert "new/a.png" not in check_all_new(migrating, "old")
        monkeypatch.undo()
        with pytest.MonkeyPatch.context() as patch:
            from retrieval.encoders import registry

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
        monkeypatch.setattr("retrieval.restoring.COMMIT_SECONDS", 0.0)

        class Tired(type(drift("old"))):
            def encode_pixels(self, batch):
                if self.encoded:
                    raise KeyboardInterrupt
                return super().encode_pixels(batch)

        tired = drift("old")
        tired.__class__ = Tired
        with pytest.raises(KeyboardInterrupt):
            retrieval.rollback(migrating, encoder=tired)
        with retrieval.open(migrating) as collection:
            assert collection.search(picture(1000), k=1)[0].path == "new/0.png"
        old = drift("old")
        report = retrieval.rollback(migrating, encoder=old)

        assert 0 < report.encoded < 40
        assert old.encoded == report.encoded
        check_all_new(migrating, "old")


class TestReport:
    def test_matrix_gain_and_curve(self, migrating, tmp_path):
        facts = retrieval.upgrade_report(migrating)
        chosen = next(m for m in facts["methods"] if m["method"] == facts["method"])

        assert facts["encoders"] == ["drift:old", "drift:new"]
        assert facts["matrix"] == [[chosen["old_old"], None], [chosen["new_old"], chosen["new_new"]]]
        assert facts["ac"] == 1.0
        mean = (chosen["old_old"] + chosen["new_old"] + chosen["new_new"]) / 3
        assert facts["am"] == pytest.approx(mean, abs=1e-5)
        assert facts["gain"] == chosen["gain"]
        curve = facts["curve"]
        assert curve["share"][0] == 0.0
        assert curve["share"][-1] == 1.0
        assert curve["ordered"][-1] == curve["random"][-1] == pytest.approx(chosen["new_new"], abs=1e-5)
        assert curve["ordered"][0] == curve["random"][0] == pytest.approx(chosen["new_old"], abs=1e-5)
        assert curve["area"] > chosen["old_old"]

    def test_the_plot_is_drawn(self, migrating, tmp_path):
        pytest.importorskip("matplotlib", reason="plots are an extra")
        from retrieval.upgrade_history import plot_curve

        plot_curve(retrieval.upgrade_report(migrating), tmp_path / "curve.svg")
        text = (tmp_path / "curve.svg").read_text()
        assert text.lstrip().startswith("<?xml")
        assert len(text) > 5000
        with pytest.raises(OptionError, match=r"name it \.svg"):
            plot_curve(retrieval.upgrade_report(migrating), tmp_path / "curve.nothing")

    def test_the_manifest_says_it_again(self, begun):
        manifest = read_manifest(begun / ".retrieve")
        again = Manifest.from_json(manifest.to_json(), path=begun)

        assert asdict(again) == asdict(manifest)


def test_views_are_the_same_again_and_differ_among_themselves():
    data = jpeg()
    first, second = (view_of(data, seed=(7, number)) for number in (1, 2))

    assert view_of(data, seed=(7, 1)) == first
    assert first != second
    assert view_of(data, seed=(8, 1)) != first
