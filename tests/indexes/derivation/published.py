"""What a published generation is held to, whatever its kind."""

from __future__ import annotations

from indexes.engine import flat
from indexes.generation import INDEX, generation_path, read_manifest, verify
from indexes.search.generation import Generation
from indexes.store.store import VectorStore
from tests.indexes.search.test_generation import QUERIES, same

KINDS = ["flat", "ivfrabitq", "ivfpq", "IVF16,SQ8", "HNSW8,Flat"]


def index_file(directory):
    return generation_path(directory, read_manifest(directory).generation) / INDEX


def check(directory, manifest):
    """A published generation answers for the live rows of the store, and its files are whole."""
    assert manifest == read_manifest(directory)
    assert all(file.ok for file in verify(directory))
    with VectorStore.open(directory, dim=32) as store, Generation.open(directory, manifest) as opened:
        live = ~store.tombstones()
        assert (manifest.count, manifest.live) == (store.count, int(live.sum()))
        rows = store.rows(0, store.count)
        expected = flat.exact(rows, QUERIES, k=10, keep=live)
        same(opened.search(QUERIES, k=10, nprobe=10**6, shortlist=max(store.count, 1)), expected)
