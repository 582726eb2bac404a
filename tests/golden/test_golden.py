"""Every released format opens, answers and grows for ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation.manifest import FORMAT, read_manifest
from indexes.vectors.arrays import unit_rows
from tools.make_golden import DIM, SEED, describe

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
    with retrieval.open(home) as collection:
        vectors, keys = collection.export()
    fresh = np.random.default_rng(SEED + 2).standard_normal((5, DIM)).astype(np.float32)

    report = retrieval.build_index_from_vectors(
        home,
        np.concatenate([vectors, unit_rows(fresh).astype(np.float16)]),
        [*keys, *(f"new {n}".encode() for n in range(5))],
    )

    assert report.encoded == 5
    assert report.images == answers["images"] + 5
