"""Every released format opens, answers and grows for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation.description import FORMAT
from indexes.generation.manifest import read_manifest
from indexes.store import VectorStore
from indexes.vectors.arrays import unit_rows
from retrieval.cli import main
from tools.make_golden import DIM, SEED, add_by_hand, describe

FORMATS = sorted(Path(__file__).parent.glob("format-*"))


def test_the_present_format_has_its_golden_collection() -> None:
    assert f"format-{FORMAT}" in [path.name for path in FORMATS]


@pytest.fixture(params=FORMATS, ids=lambda path: path.name)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, object]]:
    home = tmp_path / "collection"
    shutil.copytree(request.param / "collection", home / ".retrieve")
    return home, json.loads((request.param / "answers.json").read_text())


def test_it_answers_as_it_did(released: tuple[Path, dict[str, object]]) -> None:
    home, answers = released
    now = describe(home)

    # Cosines are divided by the rows' own length since; a calibration between two spaces may be steep.
    atol = 2e-3 if read_manifest(home / ".retrieve").migrating else 2e-4
    np.testing.assert_allclose(now.pop("scores"), answers.pop("scores"), atol=atol)
    assert now == answers


def test_every_list_probed_and_every_row_reranked_equals_exact_search(
    released: tuple[Path, dict[str, object]],
) -> None:
    with retrieval.open(released[0]) as collection:
        queries = np.random.default_rng(SEED + 3).standard_normal((20, collection.space.dim))
        exact = collection.search_vectors(queries, k=5, exact=True)
        whole = collection.search_vectors(queries, k=5, nprobe=1 << 16, shortlist=1 << 16)
        tuned = collection.search_vectors(queries, k=5)

    assert whole.ids.tolist() == exact.ids.tolist()
    np.testing.assert_allclose(whole.scores, exact.scores, atol=2e-5)
    assert (tuned.ids[:, :, np.newaxis] == exact.ids[:, np.newaxis]).any(2).mean() > 0.85  # usually 0.95


def test_rows_know_their_sources(tmp_path: Path) -> None:
    home = tmp_path / "collection"
    shutil.copytree(Path(__file__).parent / "format-4" / "collection", home)
    manifest = read_manifest(home)
    with VectorStore.open(home, dim=None) as store:
        by_hand = [record.key.startswith(b"by hand/") for record in store.scan()]
        numbers = [record.source for record in store.scan()]
        own = np.concatenate([ids for ids, _ in store.packed(source=1)])

        assert manifest.recent is not None
        assert (manifest.recent.count, len(manifest.recent.deleted)) == (manifest.count - 50, 30)
        assert [(source.type, source.number) for source in manifest.sources] == [("folder", 0), ("hand", 1)]
        assert numbers == [int(flag) for flag in by_hand]
        assert own.tolist() == [record.id for record in store.scan() if record.source == 1]


def test_its_columns_are_found(tmp_path: Path) -> None:
    home = tmp_path / "collection"
    shutil.copytree(Path(__file__).parent / "format-5" / "collection", home / ".retrieve")
    with retrieval.open(home) as collection:
        assert "columns.arrow" in collection.manifest.files
        assert collection.manifest.recent is not None
        found = collection.mask(where="width = 32 AND bytes > 1800")
        expected = [row.get("bytes", 0) > 1800 for row in collection.columns()]
        assert found[collection.live].tolist() == expected


def test_its_files_are_whole(released: tuple[Path, dict[str, object]]) -> None:
    with retrieval.open(released[0]) as collection:
        assert [check for check in collection.verify() if not check.ok] == []


def test_it_grows(released: tuple[Path, dict[str, object]]) -> None:
    home, answers = released
    if read_manifest(home / ".retrieve").migrating:
        # In the middle of a change of the encoder nothing can be imported; going back keeps what the old one has encoded.
        report = retrieval.rollback(home, without_new=True)
        assert report.images + report.pending == answers["images"]
        with retrieval.open(home) as collection:
            assert collection.space.name == "golden-old"
            row = collection.vectors([17])
            assert collection.search_vectors(row, k=1).ids[0, 0] == 17
        return
    if len(read_manifest(home / ".retrieve").sources) > 1:
        before = read_manifest(home / ".retrieve").format
        add_by_hand(home / ".retrieve", range(5), prefix="new")
        with retrieval.open(home) as collection:
            assert (len(collection), collection.manifest.format) == (answers["images"] + 5, before)
        return
    with retrieval.open(home) as collection:
        vectors, keys = collection.export()
    fresh = np.random.default_rng(SEED + 2).standard_normal((5, DIM)).astype(np.float32)

    report = retrieval.sync_vectors(
        home,
        np.concatenate([vectors, unit_rows(fresh).astype(np.float16)]),
        [*keys, *(f"new {n}" for n in range(5))],
    )

    assert report.added == 5
    assert report.rows == answers["images"] + 5


RETIRED = {"format-1-coarse": "inverted", "format-1-funnel": "funnel", "format-1-rotated": "funnel"}


@pytest.mark.parametrize(("name", "again"), RETIRED.items())
def test_an_index_of_a_kind_that_is_no_longer_made_is_replaced_without_encoding(
    tmp_path: Path, name: str, again: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Made at 460ecca by ``tools/make_golden_kinds.py``, which went with what it made."""
    home = tmp_path / "collection"
    shutil.copytree(Path(__file__).parent / name / "collection", home / ".retrieve")
    with retrieval.open(home) as collection:
        assert collection.manifest.index.retired
        queries = np.random.default_rng(SEED + 4).standard_normal((20, DIM))
        exact = collection.search_vectors(queries, k=5, exact=True)
        found = collection.search_vectors(queries, k=5)
        vectors, keys = collection.export()
    assert found.ids.tolist() == exact.ids.tolist()
    assert main(["query", "--id", "20", "--index", str(home)]) == 0
    assert capfd.readouterr().err.count("no longer made") == 1

    report = retrieval.sync_vectors(home, vectors, keys)

    assert (report.added, report.updated, report.rows) == (0, 0, len(keys))
    manifest = read_manifest(home / ".retrieve")
    assert (manifest.index.type, manifest.index.retired) == (again, False)
    assert "prefixes.f16" not in manifest.files
    with retrieval.open(home) as collection:
        assert [check for check in collection.verify() if not check.ok] == []
        after = collection.search_vectors(queries, k=5)
        assert (after.ids[:, :, np.newaxis] == exact.ids[:, np.newaxis]).any(2).mean() > 0.85
    assert main(["query", "--id", "20", "--index", str(home)]) == 0
    assert "no longer made" not in capfd.readouterr().err
    assert retrieval.sync_vectors(home, vectors, keys).kind == report.kind
    assert read_manifest(home / ".retrieve") == manifest
