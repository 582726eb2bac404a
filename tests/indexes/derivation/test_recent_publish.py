"""A few rows are published by a new manifest alone, and answer as rows of a generation of their own do."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from indexes.derivation import build_plan, recent_publish, recent_segments
from indexes.derivation.derivation import derive
from indexes.derivation.recent_publish import publish_rows
from indexes.errors import StoreCorrupt
from indexes.generation import HAND, Source, published_live
from indexes.generation.manifest import MANIFEST, generation_path, read_manifest
from indexes.search.generation import Generation
from indexes.store.store import NewRow, VectorStore
from tests.crashes import recorded
from tests.indexes.derivation.published import KINDS, check, index_file
from tests.indexes.search.test_generation import SPACE, VECTORS, fill, grow

SOURCES = (Source(), Source(type=HAND, number=1))


def whole(directory, **options):
    """Publish a generation."""
    with VectorStore.open(directory, dim=32, writable=True) as store:
        return derive(directory, store, space=SPACE, encoder=None, sources=SOURCES, **options)


def beside(directory, **options):
    with VectorStore.open(directory, dim=32, writable=True) as store:
        return publish_rows(directory, store, **options)


def facts(directory):
    """Return what lies in the collection besides the rows and the manifest."""
    return {
        path.relative_to(directory): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (directory / "generations").rglob("*")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_come_and_go_are_published_by_the_manifest_alone(tmp_path, kind):
    fill(tmp_path, 0, 2000, dead=[7])
    first = whole(tmp_path, kind=kind)
    files = facts(tmp_path)

    for number in range(3):
        grow(tmp_path, 2000 + 10 * number, 2010 + 10 * number, dead=[number, 2005 + number])
        manifest = beside(tmp_path)
        assert manifest == read_manifest(tmp_path)
        assert (manifest.version, manifest.format) == ((1, number + 1), 4)
        assert (manifest.count, manifest.live) == (2010 + 10 * number, 2007 + 8 * number)
        check(tmp_path, manifest)

    assert manifest.recent.deleted == (0, 1, 2, 2005, 2006, 2007)
    assert facts(tmp_path) == files
    assert manifest.created == first.created


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_generation_takes_them_in(tmp_path, kind):
    fill(tmp_path, 0, 2000)
    whole(tmp_path, kind=kind)
    grow(tmp_path, 2000, 2100, dead=[3, 2050])
    beside(tmp_path)
    assert whole(tmp_path).version == (1, 1)  # nothing has changed since
    grow(tmp_path, 2100, 2110, dead=[4])
    manifest = whole(tmp_path)

    assert (manifest.version, manifest.recent) == ((2, 0), None)
    check(tmp_path, manifest)
    with Generation.open(tmp_path, manifest) as opened:
        keys = list(opened.keys().keys(np.arange(2110)))
    assert keys == [b"%d" % number for number in range(2110)]


def test_nothing_changed_nothing_is_written(tmp_path):
    fill(tmp_path, 0, 1000)
    first = whole(tmp_path)
    assert beside(tmp_path) == first
    grow(tmp_path, 1000, 1001)
    second = beside(tmp_path)
    written = (tmp_path / MANIFEST).stat()

    assert beside(tmp_path) == second
    assert os.path.samestat(written, (tmp_path / MANIFEST).stat())


def test_a_reader_of_before_keeps_its_rows_while_others_see_the_new_ones(tmp_path):
    fill(tmp_path, 0, 2000)
    first = whole(tmp_path, kind="ivfrabitq")
    with Generation.open(tmp_path, first) as old:
        with VectorStore.open(tmp_path, dim=32, writable=True) as store:
            store.append(VECTORS[3000:3001], [NewRow(key=b"5", source=1)])  # supersedes row 5
            store.commit()
            second = publish_rows(tmp_path, store)
        with Generation.open(tmp_path, second) as new:
            asked = np.stack([VECTORS[5], VECTORS[3000]])
            found = new.search(asked, k=1, nprobe=10**6, shortlist=2000)
            assert found.ids[0, 0] != 5
            assert found.ids[1, 0] == 2000
            assert new.keys().renames == 0
        assert old.search(asked, k=1, nprobe=10**6, shortlist=2000).ids[0, 0] == 5
        assert old.count == 2000


def test_sources_are_recorded_with_the_rows(tmp_path):
    fill(tmp_path, 0, 1000)
    with VectorStore.open(tmp_path, dim=32, writable=True) as store:
        derive(tmp_path, store, space=SPACE, encoder=None)
    assert beside(tmp_path) is None  # an earlier version can read it, and is to go on doing so
    grow(tmp_path, 1000, 1001)

    manifest = beside(tmp_path, sources=SOURCES)
    assert (manifest.sources, manifest.format, manifest.count) == (SOURCES, 4, 1001)


def test_too_many_rows_or_deletions_call_for_a_generation(tmp_path, monkeypatch):
    fill(tmp_path, 0, 2000)
    whole(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2200)
    assert beside(tmp_path).index.base_rows == 2000
    grow(tmp_path, 2200, 2201)
    assert beside(tmp_path) is None
    assert whole(tmp_path).index.base_rows == 2201
    monkeypatch.setattr(recent_publish, "MOST_DELETED", 3)
    grow(tmp_path, 2201, 2201, dead=[1, 2, 3])
    assert beside(tmp_path).recent.deleted == (1, 2, 3)
    grow(tmp_path, 2201, 2201, dead=[4])
    assert beside(tmp_path) is None


def test_rows_of_a_flat_collection_call_for_a_generation_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_publish, "TAIL_ROWS", 50)
    fill(tmp_path, 0, 10)
    whole(tmp_path)
    grow(tmp_path, 10, 60)
    assert beside(tmp_path).index.base_rows == 60
    grow(tmp_path, 60, 61)
    assert beside(tmp_path) is None


def test_rows_that_make_a_flat_collection_large_call_for_an_index(tmp_path, monkeypatch):
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 500)
    fill(tmp_path, 0, 400)
    whole(tmp_path)
    grow(tmp_path, 400, 500)
    assert beside(tmp_path).index.kind == "flat"
    grow(tmp_path, 500, 501)
    assert beside(tmp_path) is None
    assert whole(tmp_path).index.kind == "ivfrabitq"


@pytest.mark.parametrize("harm", ["no manifest", "a key changed", "the index is gone", "no tombstones"])
def test_what_else_is_to_be_done_is_left_to_a_build(tmp_path, harm):
    fill(tmp_path, 0, 2000)
    whole(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2010)
    if harm == "no manifest":
        (tmp_path / MANIFEST).unlink()
    elif harm == "the index is gone":
        index_file(tmp_path).unlink()
    elif harm == "no tombstones":
        path = generation_path(tmp_path, 1) / "tombstones.npy"
        path.write_bytes(bytes(path.stat().st_size))
    else:
        with VectorStore.open(tmp_path, dim=32, writable=True) as store:
            store.rename(7, b"seven", b"")
            store.commit()

    assert beside(tmp_path) is None


def test_deletions_are_those_of_the_store_whatever_was_published_before(tmp_path):
    fill(tmp_path, 0, 500, dead=range(100))
    whole(tmp_path)
    rng = np.random.default_rng(2)
    dead = np.zeros(1000, dtype=np.bool_)
    dead[:100] = True
    for count in range(510, 600, 10):
        gone = rng.choice(count, 5, replace=False)
        grow(tmp_path, count - 10, count, dead=gone)
        dead[gone] = True
        manifest = beside(tmp_path)
        np.testing.assert_array_equal(published_live(tmp_path, manifest), ~dead[:count])
        assert manifest.live == int((~dead[:count]).sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1011}, "recent.count is 1011"),
        ({"publishes": -1}, "recent.publishes is -1"),
        ({"deleted": [1010]}, r"recent.deleted is \[1010\]"),
        ({"deleted": [5, 5]}, "ids that ascend"),
        ({"deleted": 5}, "a list of ids"),
    ],
)
def test_recent_rows_that_cannot_be_are_refused(tmp_path, change, message):
    fill(tmp_path, 0, 1000)
    whole(tmp_path)
    grow(tmp_path, 1000, 1010, dead=[5])
    manifest = beside(tmp_path)
    facts = manifest.to_json()
    facts["recent"] |= change

    with pytest.raises(StoreCorrupt, match=message):
        type(manifest).from_json(json.loads(json.dumps(facts)), path=tmp_path / MANIFEST)


def test_a_crash_at_any_moment_leaves_the_rows_before_or_after(tmp_path):
    home = tmp_path / "collection"
    fill(home, 0, 300)
    whole(home)
    with recorded(home) as disk:
        grow(home, 300, 320, dead=[5])
        published = beside(home)

    for number, cut in enumerate(disk.cuts):
        for names in ("durable", "present", "fewest"):
            left = cut.write(tmp_path / "left", disk.root, names=names)
            manifest = read_manifest(left)
            assert manifest.count in (300, 320)
            check_rows(left, manifest)
            if number == len(disk.cuts) - 1:
                assert manifest == published
            with VectorStore.open(left, dim=32, writable=True) as store:
                assert store.count in (300, 320)
                again = publish_rows(left, store)
            assert again.count == store.count
            check_rows(left, again)
            shutil.rmtree(left)


def check_rows(directory, manifest):
    """Every row that is live finds itself."""
    with Generation.open(directory, manifest) as opened:
        live = np.ones(opened.count, np.bool_) if opened.live is None else opened.live
        found = opened.search(VECTORS[: opened.count], k=1)
    np.testing.assert_array_equal((found.ids[:, 0] == np.arange(opened.count)), live)


def test_as_many_rows_wait_as_a_build_would_leave_outside():
    found = [recent_segments.tail_rows(base) for base in (0, 99, 2000, 10**6)]
    assert found == [0, 9, 200, recent_segments.TAIL_ROWS]
