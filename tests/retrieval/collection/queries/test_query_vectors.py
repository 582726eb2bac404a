"""Queries by rows are made of stored vectors, which may be damaged."""

from __future__ import annotations

import numpy as np
import pytest

import retrieval
from retrieval.errors import StoreCorrupt


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_row_whose_vector_is_damaged_is_named(tmp_path, value):
    rows = np.random.default_rng(0).standard_normal((30, 16)).astype(np.float32)
    retrieval.sync_vectors(tmp_path, rows, map(str, range(30)), space="made", progress=False)
    mirror = np.memmap(tmp_path / ".retrieve/rerank.f16", np.float16, "r+", shape=(30, 16))
    mirror[3] = value
    mirror.flush()

    with retrieval.open(tmp_path) as collection:
        assert len(collection.search(4, k=2)) == 2
        with pytest.raises(StoreCorrupt, match=r"row 3 is damaged, its vector has length .* run `verify`"):
            collection.search(3, k=2)


def test_a_mirror_of_zeros_answers_nothing(tmp_path):
    rows = np.random.default_rng(0).standard_normal((30, 16)).astype(np.float32)
    retrieval.sync_vectors(tmp_path, rows, map(str, range(30)), space="made", progress=False)
    mirror = tmp_path / ".retrieve/rerank.f16"
    mirror.write_bytes(bytes(mirror.stat().st_size))

    with (
        retrieval.open(tmp_path) as collection,
        pytest.raises(StoreCorrupt, match=r"row \d+ is damaged, its vector has length 0 .* run `verify`"),
    ):
        collection.search(rows[3], k=2)


def test_rows_at_a_right_angle_to_a_query_are_no_damage(tmp_path):
    rows = np.eye(16, dtype=np.float32)
    retrieval.sync_vectors(tmp_path, rows[:8], map(str, range(8)), space="made", progress=False)

    with retrieval.open(tmp_path) as collection:
        assert [hit.score for hit in collection.search(rows[9], k=2)] == [0, 0]
