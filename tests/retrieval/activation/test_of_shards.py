"""Images are activated for a sharded collection by the training that its shards share."""

from __future__ import annotations

import json

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError
from tests.retrieval.activation.galleries import KIND, NAMES
from tests.retrieval.folders import fill

pytest.importorskip("torch", reason="activating images follows gradients by torch")


def test_copies_are_made_recorded_and_kept_by_the_next_build(tmp_path):
    names = [f"{'ab'[number % 2]}/{name.rpartition('/')[2]}" for number, name in enumerate(NAMES)]
    root = fill(tmp_path / "photos", names)
    big = tmp_path / "big"
    retrieval.build_index(root, index=big, shards=2, kind=KIND, encoder="nano", device="cpu", progress=False)
    first = root / names[0]

    (made,) = retrieval.activate(
        first, out=tmp_path / "out", index=big, steps=6, min_psnr=30, device="cpu", progress=False
    )

    assert made.status in {"activated", "scaled_back"}
    with retrieval.open(big) as photos:
        aim = photos.aim()
        own = photos.vectors([names[0]])
        np.testing.assert_allclose(aim.cosines(own, aim.points(own)), made.cosine_before, atol=1e-3)
        (run,) = photos.info()["activations"]
        assert (run["images"], run["void"]) == (1, None)
        json.dumps(photos.info())
    fill(root, ["a/new.png"], first=900)
    retrieval.build_index(root, index=big, progress=False)
    with retrieval.open(big) as photos:
        (run,) = photos.info()["activations"]
        assert (run["images"], run["void"]) == (1, None)
    retrieval.build_index(root, index=big, retrain=True, kind="IVF2,PQ4x4", progress=False)
    with retrieval.open(big) as photos:
        assert photos.info()["activations"][0]["void"] is not None


def test_exact_search_is_refused(tmp_path):
    root = fill(tmp_path / "photos", ["a/0.png", "b/0.png"])
    retrieval.build_index(root, index=tmp_path / "big", shards=2, encoder="nano", progress=False)

    with pytest.raises(OptionError, match="nothing is lost in codes"):
        retrieval.activate(root / "a/0.png", out=tmp_path / "out", index=tmp_path / "big", progress=False)
