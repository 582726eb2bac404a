"""Lists that are chosen once are searched as the index itself searches them."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.engine import Refined, ivf
from indexes.engine.lists import choose_lists

ROWS, DIM = 3000, 32


@pytest.fixture(scope="module")
def rows():
    drawn = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def filled(factory, rows, ids):
    index = ivf.make(factory, dim=DIM)
    ivf.train(index, rows)
    ivf.add(index, [(ids, rows[ids])])
    return Refined(index, rows.astype(np.float16))


@pytest.mark.parametrize("factory", ["HR,IVF24,RaBitQfs", "HR,IVF24,RaBitQfs2", "IVF24,PQ8", "IVF24,PQ8x4fs"])
@pytest.mark.parametrize("queries", [1, 7])
def test_chosen_lists_are_searched_as_the_index_does(factory, queries, rows):
    stage = filled(factory, rows, np.arange(ROWS))
    chosen = stage.probes(rows[:queries], nprobe=5)

    found = stage.probed(chosen, k=30)
    plain = stage.codes(rows[:queries], k=30, nprobe=5)

    assert chosen.lists.shape == (queries, 5)
    assert np.array_equal(found.ids, plain.ids)
    assert np.array_equal(found.scores, plain.scores)
    odd = ivf.selector(np.arange(ROWS) % 2 == 1)
    kept = stage.probed(chosen, k=30, selector=odd).ids
    assert np.array_equal(kept, stage.codes(rows[:queries], k=30, nprobe=5, selector=odd).ids)
    assert (kept[kept >= 0] % 2 == 1).all()


def test_scores_compare_among_indexes_of_one_training(rows):
    whole = filled("HR,IVF24,RaBitQfs", rows, np.arange(ROWS))
    halves = [filled("HR,IVF24,RaBitQfs", rows, ids) for ids in (np.arange(1500), np.arange(1500, ROWS))]
    chosen = whole.probes(rows[:4], nprobe=6)

    found = [half.probed(chosen, k=20) for half in halves]
    ids, scores = (np.hstack([getattr(one, name) for one in found]) for name in ("ids", "scores"))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :20]

    plain = whole.probed(chosen, k=20)
    assert np.allclose(np.take_along_axis(scores, order, axis=1), plain.scores, atol=1e-5)
    same = [set(a) & set(b) for a, b in zip(np.take_along_axis(ids, order, 1), plain.ids, strict=True)]
    assert min(map(len, same)) >= 19


def test_more_lists_than_there_are_are_all_of_them(rows):
    stage = filled("IVF24,PQ8", rows, np.arange(ROWS))

    assert choose_lists(stage.index, rows[:2], nprobe=1000).lists.shape == (2, 24)
