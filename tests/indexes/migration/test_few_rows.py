"""A few rows out of many are found as if all of them were compared."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.engine import flat
from indexes.migration import few_rows
from indexes.migration.few_rows import FewRows
from indexes.vectors.arrays import unit_rows

COUNT, DIM = 900, 256


def rows(n, seed=0):
    """Rows about a few centres, as those of photographs are."""
    draws = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((40, DIM))
    return unit_rows(centres[draws.integers(0, 40, n)] + draws.standard_normal((n, DIM)))


@pytest.fixture
def gallery():
    """Rows, the places of two thirds of them, and what these are called."""
    places = np.sort(np.random.default_rng(1).permutation(COUNT)[:600])
    return rows(COUNT).astype(np.float16), places, places * 3 + 1


@pytest.mark.parametrize("coded", [0, 1 << 30])
@pytest.mark.parametrize("queries", [0, 1, 7])
def test_what_is_exact_is_the_same_whether_codes_are_kept_or_not(gallery, monkeypatch, coded, queries):
    monkeypatch.setattr(few_rows, "_CODED", coded)
    few, (every, places, ids) = FewRows(*gallery), gallery
    asked = rows(queries, seed=2)
    keep = np.zeros(3 * COUNT + 1, dtype=np.bool_)
    keep[ids[::2]] = True

    for flags, some in ((None, places), (keep, places[::2])):
        found = few.search(asked, k=12, keep=flags, exact=True)
        truth = flat.exact_among(every, asked, some, k=12)
        np.testing.assert_array_equal(found.ids, truth.ids * 3 + 1)
        np.testing.assert_array_equal(found.scores, truth.scores)


def test_codes_find_nearly_all_and_a_row_itself(gallery, monkeypatch):
    monkeypatch.setattr(few_rows, "_CODED", 0)
    few, (every, places, ids) = FewRows(*gallery), gallery
    asked = rows(50, seed=2)

    found = few.search(asked, k=10).ids

    truth = flat.exact_among(every, asked, places, k=10).ids * 3 + 1
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)]) > 0.85  # usual: 0.93
    own = few.search(every[places[:50]].astype(np.float32), k=1)
    np.testing.assert_array_equal(own.ids[:, 0], ids[:50])
    np.testing.assert_allclose(own.scores[:, 0], 1, atol=1e-3)
    wide = few.search(asked, k=10, shortlist=600).ids  # all are compared exactly
    np.testing.assert_array_equal(wide, truth)


@pytest.mark.parametrize("coded", [0, 1 << 30])
def test_more_than_there_are_is_padded(gallery, monkeypatch, coded):
    monkeypatch.setattr(few_rows, "_CODED", coded)
    every, places, ids = gallery
    for count in (0, 1, 5):
        found = FewRows(every, places[:count], ids[:count]).search(rows(3, seed=2), k=8)
        assert sorted(found.ids[0, :count].tolist()) == ids[:count].tolist()
        assert (found.ids[:, count:] == -1).all()
        assert np.isneginf(found.scores[:, count:]).all()
