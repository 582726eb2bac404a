"""After harm, failure or a kill the generation before answers, and the next build is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from indexes.derivation import build_plan
from indexes.derivation.derivation import publish_tail
from indexes.engine import ivf
from indexes.errors import StoreCorrupt
from indexes.generation.manifest import read_manifest
from indexes.search.generation import Generation
from indexes.store.store import VectorStore
from tests.indexes.derivation.published import check, index_file
from tests.indexes.search.test_generation import QUERIES, SPACE, build, fill, grow


def test_what_an_interrupted_build_stored_answers_at_once(tmp_path, monkeypatch):
    def publish(**options):
        with VectorStore.open(tmp_path, dim=32, writable=True) as store:
            return publish_tail(tmp_path, store, space=SPACE, encoder=None, root=None, **options)

    fill(tmp_path, 0, 1000)
    first = publish()
    assert (first.index.kind, first.count) == ("flat", 1000)
    check(tmp_path, first)
    assert publish() == first
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 500)
    assert build(tmp_path).index.kind == "ivfrabitq"  # nobody asked for flat
    grow(tmp_path, 1000, 3000)
    tail = publish()

    assert (tail.index.base_rows, tail.count) == (1000, 3000)
    check(tmp_path, tail)


@pytest.mark.parametrize("harm", ["delete", "cut", "scramble"])
def test_a_damaged_index_file_is_built_again(tmp_path, harm):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    path = index_file(tmp_path)
    if harm == "delete":
        path.unlink()
    elif harm == "cut":
        os.truncate(path, 1000)
    else:
        path.write_bytes(b"\0" * path.stat().st_size)
    grow(tmp_path, 1000, 1300)
    manifest = build(tmp_path)

    check(tmp_path, manifest)
    assert manifest.index.kind == "ivfrabitq"


def test_a_lost_manifest_is_derived_again_from_the_store(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path)
    (tmp_path / "manifest.json").unlink()
    manifest = build(tmp_path)

    assert manifest.generation == 2
    check(tmp_path, manifest)


def test_a_damaged_manifest_is_an_error_and_stays(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreCorrupt, match="manifest"):
        build(tmp_path)

    assert (tmp_path / "manifest.json").read_text() == "{"


def test_a_merge_that_fails_leaves_the_generation_before(tmp_path, monkeypatch):
    fill(tmp_path, 0, 2000)
    first = build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2500)

    def full(index, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ivf, "save", full)
        with pytest.raises(OSError, match="space"):
            build(tmp_path)
    assert read_manifest(tmp_path) == first
    with Generation.open(tmp_path, first) as opened:
        assert (opened.search(QUERIES, k=10).ids < 2000).all()
    check(tmp_path, build(tmp_path))


MERGE = """
import sys
from tests.indexes.search.test_generation import build, grow
print("ready", flush=True)
build(sys.argv[1])
"""


def test_a_merge_that_is_killed_leaves_the_generation_before(tmp_path):
    """Kill it at moments spread over its whole length; the next build completes."""
    fill(tmp_path, 0, 2000)
    first = build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 2000, 2500)
    survived = 0
    for delay in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        with subprocess.Popen(
            [sys.executable, "-c", MERGE, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        now = read_manifest(tmp_path)
        with Generation.open(tmp_path, now) as opened:
            assert opened.search(QUERIES, k=10).ids.min() >= 0
        survived += now == first
        if now != first:
            break
    assert survived > 0
    check(tmp_path, build(tmp_path))
