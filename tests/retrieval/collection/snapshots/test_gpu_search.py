from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from benchmarks.synthetic import Recipe, queries, vectors
from indexes.engine import flat
from indexes.engine.gpu_index import Card
from retrieval.collection.snapshots import gpu_search
from retrieval.collection.snapshots.gpu_search import TorchRows, exact_on

RECIPE = Recipe(rows=3000, dim=64, clusters=60, topics=8)
ROWS = vectors(RECIPE).astype(np.float16)
QUERIES = queries(RECIPE, 40)


@pytest.mark.parametrize("k", [1, 10, 300])
@pytest.mark.parametrize("scored", [1 << 28, 40 * 700])
def test_what_torch_proposes_holds_the_best(monkeypatch: pytest.MonkeyPatch, k: int, scored: int) -> None:
    monkeypatch.setattr(gpu_search, "_SCORED", scored)
    card = Card(None, ROWS, exact=lambda rows: TorchRows(rows, device="cpu"))

    found = card.exact(QUERIES, k=k)
    true = flat.exact(ROWS, QUERIES, k=k)

    assert found is not None
    np.testing.assert_array_equal(found.ids, true.ids)
    np.testing.assert_allclose(found.scores, true.scores, atol=1e-6)


def test_rows_that_tie_by_the_thousand_are_for_the_cpu() -> None:
    same = TorchRows(np.repeat(ROWS[:1], 5000, axis=0), device="cpu")

    assert same.candidates(QUERIES[:2], k=10) is None


def test_without_a_card_nothing_is_put_anywhere() -> None:
    put = exact_on("cuda")

    assert exact_on("cpu") is exact_on("auto") is None
    assert put is not None
    assert put(ROWS) is None  # no CUDA device here


def test_a_collection_compares_on_the_card_that_torch_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval.sync_vectors(tmp_path, ROWS, [str(n) for n in range(len(ROWS))], space="mine")
    made = []

    def put(rows: np.ndarray) -> TorchRows:
        made.append(len(rows))
        return TorchRows(rows, device="cpu")

    monkeypatch.setattr(
        "retrieval.encoders.devices.devices.cuda_devices", lambda: 1
    )  # the card that `put` stands in for
    monkeypatch.setattr(
        "retrieval.collection.snapshots.opening.exact_on", lambda device: put if device == "cuda" else None
    )
    with retrieval.open(tmp_path) as plain, retrieval.open(tmp_path, device="cuda") as fast:
        expected, found = plain.search_vectors(QUERIES, k=5), fast.search_vectors(QUERIES, k=5)
        some = fast.search_vectors(QUERIES, k=5, mask=np.arange(3000) < 100)

    assert made == [3000]
    assert some.ids.max() < 100
    np.testing.assert_array_equal(found.ids, expected.ids)
