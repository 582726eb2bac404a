"""The methods are measured, and the best compatible one is recorded."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

import retrieval
from indexes.generation.manifest import read_manifest, write_manifest
from indexes.vectors.arrays import unit_rows
from retrieval.errors import OptionError
from tests.retrieval.drift import OLD, drift
from tests.retrieval.upgrades.galleries import COUNT, NAMES, state, truth


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

    def test_a_map_that_finds_more_is_not_recorded_where_the_new_encoder_finds_less(
        self, photos, monkeypatch
    ):
        from retrieval.upgrades.start import upgrade_start

        before = state(photos)
        compared = upgrade_start.compare_encoders
        monkeypatch.setattr(  # the same sample, the encoders the other way round
            upgrade_start, "compare_encoders", lambda questions: (*compared(questions)[1::-1], 7)
        )
        report = retrieval.upgrade(photos, encoder="drift:new")

        assert any(method["compatible"] for method in report.methods)
        assert (report.plan, report.method, report.compatible, report.recorded) == (
            "none",
            None,
            False,
            False,
        )
        assert report.alone["old"] > report.alone["new"]
        assert report.alone["queries"] == 7
        assert state(photos) == before

    def test_encoders_are_compared_by_every_labelled_image_of_the_sample(self, photos, tmp_path):
        labels = tmp_path / "labels.csv"
        labels.write_text("file,label\n" + "".join(f"{name},{name[0]}\n" for name in NAMES))

        report = retrieval.upgrade(photos, encoder="drift:new", labels=labels, dry_run=True)

        assert report.alone["queries"] == COUNT > 4 * report.held_out
        own = truth(photos, NAMES, drift("new"))
        scores = own @ own.T
        np.fill_diagonal(scores, -np.inf)
        right = [NAMES[place][0] == name[0] for name, place in zip(NAMES, scores.argmax(axis=1), strict=True)]
        assert report.alone["new"] == pytest.approx(np.mean(right), abs=0.03)

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

    def test_an_encoder_with_a_way_back_of_its_own_asks_by_that(self, photos):
        report = retrieval.upgrade(photos, encoder="drift:turned")

        assert report.method == "built-in"
        assert "built-in" not in report.left_out
        assert report.compatible
        turned = drift("turned")
        image, text = turned.maps_back(drift("old").space)
        with retrieval.open(photos) as collection:
            query = truth(photos, [NAMES[7]], turned)
            rows = collection._opened.generation.rows.astype(np.float32)
            mean = rows.mean(axis=0)
            expected = unit_rows(image.apply(query) - mean) @ unit_rows(rows - mean).T
            assert collection.search_vectors(query, k=COUNT).ids[0, 0] == expected.argmax() == 7
            words = text.apply(turned.encode_text(["red"])) @ rows.T
            assert collection.search("red", k=1)[0].path == NAMES[int(words.argmax())]
            assert words.argmax() != (image.apply(turned.encode_text(["red"])) @ rows.T).argmax()

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
        manifest = read_manifest(photos / ".retrieve")
        write_manifest(photos / ".retrieve", replace(manifest, encoder="drift:gone"))

        report = retrieval.upgrade(photos, encoder="drift:new", labels=labels, force=True)

        assert report.measure == "labels"
        assert "cannot be loaded" in report.left_out["slerp"]
        with pytest.raises(OptionError, match="drift:new is under way already"):
            retrieval.upgrade(photos, encoder="drift:new", labels=labels)

    def test_without_the_old_encoder_views_cannot_be_measured(self, photos):
        manifest = read_manifest(photos / ".retrieve")
        write_manifest(photos / ".retrieve", replace(manifest, encoder="drift:gone"))

        with pytest.raises(OptionError, match="give `labels=CSV`"):
            retrieval.upgrade(photos, encoder="drift:new")
        with pytest.raises(OptionError, match=r"slerp .* drift:gone cannot be loaded"):
            retrieval.upgrade(photos, encoder="drift:new", method="slerp")

    def test_text_queries_are_mapped_with_their_own_gap_in_mind(self, begun):
        with retrieval.open(begun, encoder=drift("new")) as collection:
            entry = collection.manifest.upgrades[-1]
            chosen = next(m for m in entry["methods"] if m["method"] == entry["method"])
            assert chosen["text_new_old"] > chosen["text_old_old"]
            assert set(entry["calibrations"]) == {"image", "text"}
            assert collection.search("a red bus", k=3)
