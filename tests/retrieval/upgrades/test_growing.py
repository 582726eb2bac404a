"""Files come and go while the encoder changes."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError
from tests.retrieval.drift import drift
from tests.retrieval.folders import fill, ids_by_key, picture
from tests.retrieval.upgrades.galleries import COUNT, check_all_new, collection_path, truth


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
            by_path = ids_by_key(collection)
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

        monkeypatch.setattr("retrieval.ingestion.publication.derive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            retrieval.build_index(migrating)
        with retrieval.open(migrating) as collection:
            assert collection.search(picture(1000), k=1)[0].path == "new/a.png"
