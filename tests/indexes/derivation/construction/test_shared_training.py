"""One training for several collections: it is recognised, checked, and of a sample over all."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.derivation import shared_factory, train_together
from indexes.derivation.tuning.measurement import Rows
from indexes.engine import ivf
from indexes.errors import OptionError, StoreCorrupt

DIM = 32


def rows(count, seed):
    drawn = np.random.default_rng(seed).standard_normal((count, DIM))
    return Rows(
        (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16), np.zeros(count, bool)
    )


@pytest.fixture
def trained(tmp_path):
    return train_together(
        tmp_path, [rows(500, 1), rows(300, 2)], "HR,IVF4,RaBitQfs", device="cpu", progress=lambda _: None
    )


def test_it_fills_any_collection(trained):
    index = trained.load()
    ivf.add(index, [(np.arange(500), rows(500, 1).rows.astype(np.float32))])

    assert index.ntotal == 500
    assert trained.made(index)
    assert trained.facts.rows == ivf.TRAINED_PER_LIST * 4  # of each list so many


def test_another_training_is_told_apart(trained, tmp_path):
    other = train_together(
        tmp_path / "..", [rows(500, 7)], "HR,IVF4,RaBitQfs", device="cpu", progress=lambda _: None
    )

    assert not trained.made(ivf.load(other.path))
    assert trained.made(ivf.load(trained.path))


def test_a_damaged_training_is_named(trained):
    data = bytearray(trained.path.read_bytes())
    data[-40] ^= 1
    trained.path.write_bytes(data)

    with pytest.raises(StoreCorrupt, match="is missing or damaged"):
        trained.load()


@pytest.mark.parametrize(
    ("kind", "shards", "lists"),
    [
        ("auto", [1_250_000] * 8, 12_608),
        ("auto", [10_000_000], 12_608),
        ("auto", [40_000] * 8, 2240),
        ("ivfpq", [2000, 1000], 64),
        ("ivfpq", [60] * 60, 15),
        ("IVF33,PQ8", [2000], 33),
    ],
)
def test_lists_have_enough_rows_in_each_shard(kind, shards, lists):
    assert f"IVF{lists}" in shared_factory(kind, shards, width=DIM)


def test_few_rows_are_compared_one_by_one():
    assert shared_factory("auto", [20_000, 20_000], width=DIM) is None
    assert shared_factory("flat", [1_000_000], width=DIM) is None


def test_an_index_without_lists_is_refused():
    with pytest.raises(OptionError, match="no inverted lists"):
        shared_factory("HNSW16,Flat", [100_000], width=DIM)
