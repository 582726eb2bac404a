"""What a collection tells about its encoders."""

from __future__ import annotations

from dataclasses import asdict

import pytest

import retrieval
from indexes.generation.description.description import Manifest
from indexes.generation.manifest import read_manifest
from retrieval.errors import OptionError
from retrieval.upgrades.trial.sample import view_of
from tests.retrieval.pictures import jpeg


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
        assert curve["random"][-1] == pytest.approx(chosen["new_new"], abs=1e-5)
        # A mixed gallery is ordered about its means, a map is measured by plain cosines; of 45 queries.
        assert curve["random"][0] == pytest.approx(chosen["new_old"], abs=0.1)
        assert curve["area_random"] > chosen["old_old"]

    def test_the_plot_is_drawn(self, migrating, tmp_path):
        pytest.importorskip("matplotlib", reason="plots are an extra")
        from retrieval.upgrades.history import plot_curve

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
