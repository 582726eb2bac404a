"""Builds in several parts whose lists end at a multiple of the block size: they corrupted the heap under FAISS 1.15.1."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.derivation.derivation import derive
from indexes.engine import chain, ivf
from indexes.generation.manifest import INDEX, generation_path
from indexes.search.generation import Generation
from indexes.store.store import NewRow, VectorStore
from indexes.vectors.space import Space

pytestmark = pytest.mark.slow


def rows_of(count: int, dim: int, *, clusters: int) -> np.ndarray:
    """Return unit rows around so many centres, with noise of 0.7 of their spread; 0 centres for none."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((count, dim), dtype=np.float32)
    if clusters:
        rows *= np.float32(0.7)
        rows += rng.standard_normal((clusters, dim), dtype=np.float32)[rng.integers(clusters, size=count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


@pytest.mark.parametrize(
    ("rows", "kind"),
    [(300_000, "auto"), (300_000, "IVF1,PQ16x4fs"), (530_000, "IVF1,RaBitQfs"), (530_000, "IVF1,RaBitQfs2")],
)
def test_a_build_in_several_shards_is_that_of_one_piece(tmp_path, rows, kind):
    given = rows_of(rows, 64, clusters=500 if kind == "auto" else 0)
    space = Space(name="test", dim=64, fingerprint="f" * 32)
    with VectorStore.create(tmp_path, dim=64) as store:
        for start in range(0, rows, 50_000):
            keys = [NewRow(key=b"%d" % n) for n in range(start, min(start + 50_000, rows))]
            store.append(given[start : start + len(keys)], keys)
            store.commit()
        manifest = derive(tmp_path, store, space=space, encoder=None, root=None, kind=kind)

    asked = given[:: rows // 200]
    with Generation.open(tmp_path, manifest) as generation:
        found = generation.search(asked, k=10)
        stored = np.array(generation.rows)
    assert np.array_equal(found.ids[:, 0], np.arange(rows)[:: rows // 200])

    index = ivf.load(generation_path(tmp_path, manifest.generation) / INDEX)
    params = ivf.parameters(index, nprobe=8, shortlist=40)
    expected_scores, expected = index.search(asked, 40, params=params)
    ivf.innermost(index).reset()
    chain.finish(index)
    blocks = ((np.arange(n, min(n + 16_384, rows)), stored[n : n + 16_384]) for n in range(0, rows, 16_384))
    ivf.add(index, ((ids, part.astype(np.float32)) for ids, part in blocks))
    scores, again = index.search(asked, 40, params=params)
    assert np.array_equal(again, expected)
    assert np.array_equal(scores, expected_scores)
