"""Activated copies are measured under attacks beside their originals."""

from __future__ import annotations

import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.evaluation import survival
from retrieval.evaluation.attacks import LISTS
from tests.retrieval.activation.galleries import NAMES

pytest.importorskip("torch", reason="torch comes with the extra open-clip")


class TestAttacked:
    def test_activated_copies_are_compared_with_their_originals(self, photos, tmp_path):
        retrieval.activate([photos / name for name in NAMES[:5]], out=tmp_path / "out", device="cpu")
        with retrieval.open(photos, device="cpu") as collection:
            report = retrieval.evaluate(collection, attacks="attacks-1").to_json()
        rows = report["attacks"]

        assert report["attacks_list"] == "attacks-1"
        assert {row["attack"] for row in rows} == set(LISTS["attacks-1"])
        assert {(row["stage"], row["measure"]) for row in rows} == {
            (stage, measure) for stage in ("codes", "served") for measure in ("recall_at_1", "micro_ap")
        }
        assert all(
            row["images"] == 5 and 0 <= row["original"] <= 1 and 0 <= row["activated"] <= 1 for row in rows
        )
        found = {(row["attack"], row["stage"], row["measure"]): row for row in rows}
        assert found["none", "served", "recall_at_1"]["original"] == 1
        assert (
            found["none", "codes", "recall_at_1"]["activated"]
            >= found["none", "codes", "recall_at_1"]["original"]
        )

    def test_without_activated_copies_a_sample_is_measured(self, photos):
        with retrieval.open(photos, device="cpu") as collection:
            chosen = survival.pairs(collection, most=7)
            rows = survival.measure(collection, names=("none", "crop 0.2"))

        assert len(chosen) == 7
        assert all(row["activated"] is None for row in rows)

    def test_copies_that_are_void_or_changed_do_not_count(self, photos, tmp_path):
        retrieval.activate([photos / name for name in NAMES[:3]], out=tmp_path / "out", device="cpu")
        (tmp_path / "out" / "00.png").write_bytes(b"other")
        with retrieval.open(photos) as collection:
            assert [pair.copy.name for pair in survival.pairs(collection)] == NAMES[1:3]
        retrieval.build_index(photos, kind="IVF2,PQ16x4", device="cpu")
        with retrieval.open(photos) as collection:
            assert all(pair.copy is None for pair in survival.pairs(collection, most=5))

    def test_images_that_cannot_be_read_are_missed_with_a_cure_that_exists(self, photos, tmp_path):
        away = photos.rename(tmp_path / "away")
        (away / ".retrieve").rename(tmp_path / "index")
        with (
            retrieval.open(tmp_path / "index", root=tmp_path / "mount") as collection,
            pytest.raises(
                OptionError, match=r"mount; mount its drive, or, if .*open the collection with a root"
            ) as caught,
        ):
            survival.pairs(collection)
        assert "`build_index(…, root=…)` where they are" in str(caught.value)
        retrieval.build_index(away, index=tmp_path / "index", root=away)
        for root in (None, away):
            with retrieval.open(tmp_path / "index", root=root) as collection:
                assert survival.pairs(collection, most=5)

    def test_where_codes_lose_next_to_nothing_it_is_said(self):
        rows = [
            {"attack": name, "stage": "served", "measure": "recall_at_1", "original": original, "exact": 0.9}
            for name, original in (("none", 0.9), ("blur", 0.885))
        ]

        assert survival.little_to_gain(rows, "served")
        assert not survival.little_to_gain([row | {"original": 0.8} for row in rows], "served")
        assert not survival.little_to_gain(rows, "codes")
