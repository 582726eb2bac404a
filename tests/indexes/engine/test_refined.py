"""A search of many queries is cut into batches, and answers as it would at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexes.engine import ivf, refined
from indexes.engine.refined import Refined
from indexes.errors import OptionError
from tests.strategies import unit

ROWS = unit(3000, 64, seed=1)
QUERIES = unit(75, 64, seed=2)


@pytest.mark.parametrize(
    "factory", ["HR,IVF32,RaBitQfs2", "IVF32,RaBitQfs", "IVF32,PQ16", "IVF32,PQ4", "PQ16"]
)
def test_batches_answer_as_one_search(factory, monkeypatch):
    index = ivf.make(factory, dim=64)
    ivf.train(index, ROWS)
    ivf.add(index, [(np.arange(len(ROWS)), ROWS)])
    stage = Refined(index, ROWS.astype(np.float16))
    nprobe = 5 if stage.nlist else None
    whole = stage.search(QUERIES, k=10, nprobe=nprobe, shortlist=40)
    codes = stage.codes(QUERIES, k=10, nprobe=nprobe)
    asked = []
    search = stage._refined.search
    monkeypatch.setattr(
        stage._refined, "search", lambda x, *a, **o: asked.append(len(x)) or search(x, *a, **o), raising=False
    )
    monkeypatch.setattr(refined, "_SEARCH_BYTES", 1)

    for found, expected in (
        (stage.search(QUERIES, k=10, nprobe=nprobe, shortlist=40), whole),
        (stage.codes(QUERIES, k=10, nprobe=nprobe), codes),
    ):
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_allclose(
            found.scores, expected.scores, rtol=1e-5
        )  # FAISS adds up tables of few queries otherwise
    assert max(asked) <= 16 < sum(asked)


def test_queries_at_a_time_follow_from_what_they_take():
    index = ivf.make("IVF32,RaBitQfs2", dim=64)
    ivf.train(index, ROWS)
    stage = Refined(index, ROWS.astype(np.float16))

    assert stage.at_once(1, 10) > 10_000
    assert stage.at_once(32, 640) < stage.at_once(1, 640) < stage.at_once(1, 10)
    assert stage.at_once(10**6, 10) == stage.at_once(32, 10)  # it has no more lists than 32


@pytest.mark.parametrize("factory", ["HR,IVF32,RaBitQfs", "IVF32,PQ16", "HNSW8"])
def test_each_filter_gives_its_own_rows_though_parameters_are_kept(factory):
    index = ivf.make(factory, dim=64)
    ivf.train(index, ROWS)
    ivf.add(index, [(np.arange(len(ROWS)), ROWS)])
    stage = Refined(index, ROWS.astype(np.float16))
    nprobe = 32 if stage.nlist else None

    def rows_of(remainder: int) -> set[int]:
        allowed = np.arange(len(ROWS)) % 4 == remainder
        found = stage.search(QUERIES[:1], k=10, nprobe=nprobe, shortlist=40, selector=ivf.selector(allowed))
        return {int(number) % 4 for number in found.ids[0]}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(rows_of, [number % 4 for number in range(80)]))

    assert found == [{number % 4} for number in range(80)]
    assert len(stage.search(QUERIES[:1], k=10, nprobe=nprobe, shortlist=40).ids[0]) == 10


def test_an_index_that_cannot_filter_refuses_a_selector():
    index = ivf.make("LSH", dim=64)
    ivf.train(index, ROWS)
    ivf.add(index, [(np.arange(len(ROWS)), ROWS)])
    stage = Refined(index, ROWS.astype(np.float16))
    selector = ivf.selector(np.ones(len(ROWS), dtype=np.bool_))

    assert not stage.filters
    with pytest.raises(OptionError, match="cannot leave rows out"):
        stage.search(QUERIES[:1], k=10, nprobe=None, shortlist=40, selector=selector)
