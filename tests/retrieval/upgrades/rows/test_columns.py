"""A change of the encoder keeps the columns of all rows, on the way there and back."""

from __future__ import annotations

import retrieval
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

OLD, NEW = FakeEncoder(name="old", dim=32), FakeEncoder(name="new", dim=48)


def columns_of(folder, encoder):
    with retrieval.open(folder, encoder=encoder) as collection:
        assert all(check.ok for check in collection.verify())
        return {key: collection[key].columns for key in collection}


def test_columns_stay_through_an_upgrade_and_a_rollback(tmp_path):
    photos = fill(tmp_path / "photos", [f"{number}.png" for number in range(90)])
    retrieval.build_index(photos, encoder=OLD, progress=False)
    before = columns_of(photos, OLD)
    assert set(before["7.png"]) == {"bytes", "height", "width"}

    retrieval.upgrade(
        photos, encoder=NEW, old_encoder=OLD, sample=80, method="ridge", force=True, progress=False
    )
    assert columns_of(photos, NEW) == before
    picture(500, size=64).save(photos / "new.png")
    retrieval.build_index(photos, encoder=NEW, progress=False)
    during = columns_of(photos, NEW)
    assert during["new.png"]["width"] == 64
    retrieval.backfill(photos, encoder=NEW, progress=False)
    assert columns_of(photos, NEW) == during

    picture(501, size=32).save(photos / "7.png")
    retrieval.build_index(photos, encoder=NEW, progress=False)
    after = columns_of(photos, NEW)
    assert after["7.png"]["width"] == 32
    retrieval.rollback(photos, encoder=OLD, progress=False)
    assert columns_of(photos, OLD) == after
