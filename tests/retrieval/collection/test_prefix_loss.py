"""A search narrowed to a prefix says what that was measured to lose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation.manifest import generation_path
from indexes.search.searchers.widths import TUNED_K
from retrieval.cli import main
from retrieval.collection import prefix_loss
from retrieval.collection.prefix_loss import Loss, loss_of

SPACE = retrieval.Space(name="nested", dim=32, fingerprint="n", nesting=(8, 16))
KEYS = [f"{number // 4}/{number % 4}.jpg" for number in range(1600)]


def rows() -> np.ndarray:
    """Rows whose first components tell topics apart, and all of them what lies near in a topic."""
    rng = np.random.default_rng(1)
    topics = np.repeat(rng.standard_normal((8, 8)), 200, axis=0)
    return np.hstack((topics + 0.2 * rng.standard_normal((1600, 8)), rng.standard_normal((1600, 24))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    retrieval.sync_vectors(tmp_path, rows(), KEYS, space=SPACE)
    return tmp_path


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch):
    """Let measuring fail from now on."""
    return lambda: monkeypatch.setattr(
        prefix_loss, "_measured", lambda *_: pytest.fail("it was measured again")
    )


def file_of(folder: Path) -> Path:
    with retrieval.open(folder) as collection:
        return generation_path(collection.directory, collection.manifest.generation) / prefix_loss.WIDTHS


def by_hand(collection: retrieval.Collection, loss: Loss) -> float:
    """The recall of a shortlist by the prefix, in plain numpy, over as many stored rows."""
    wide = np.asarray(collection.rows, dtype=np.float32)
    heads = wide[:, : loss.dim] / np.linalg.norm(wide[:, : loss.dim], axis=1, keepdims=True)
    ids = np.sort(np.random.default_rng(0).permutation(len(wide))[: loss.sample])
    found = 0
    for number in ids:
        near, true = heads @ heads[number], wide @ wide[number]
        shortlist = np.argsort(-near)[: loss.shortlist]
        true[number] = -np.inf
        best = shortlist[shortlist != number]
        best = best[np.argsort(-true[best])][:TUNED_K]
        found += len(set(best.tolist()) & set(np.argsort(-true)[:TUNED_K].tolist()))
    return found / (TUNED_K * len(ids))


def test_a_width_is_measured_once_and_kept(folder: Path, never) -> None:
    with retrieval.open(folder) as collection:
        loss = loss_of(collection, 8)
        assert loss is not None
        assert (loss.dim, loss.shortlist, loss.sample) == (8, 100, 200)
        assert 0.3 < loss.recall_at_10 < 0.99
        assert loss.recall_at_10 == pytest.approx(by_hand(collection, loss), abs=0.01)
        wider = loss_of(collection, 16)
        assert wider is not None
        assert wider.recall_at_10 > loss.recall_at_10
        never()
        assert (loss_of(collection, 8), loss_of(collection, 16)) == (loss, wider)
        assert all(check.ok for check in collection.verify())


def test_evaluate_measures_it_for_large_collections(folder: Path, never, monkeypatch) -> None:
    monkeypatch.setattr(prefix_loss, "MEASURED_ROWS", 1599)
    never()
    with retrieval.open(folder) as collection:
        assert loss_of(collection, 8) is None
        (row,) = retrieval.evaluate(collection, dims=(8,)).dims
        loss = loss_of(collection, 8)

    assert loss is not None
    assert (loss.recall_at_10, loss.sample) == (pytest.approx(row["recall_at_10_reranked"], abs=1e-4), 1000)


def test_a_funnel_that_was_built_quotes_its_build(folder: Path, never) -> None:
    never()
    retrieval.sync_vectors(folder, rows(), KEYS, kind="flat", truncate_dim=16, target_recall=0.9)
    with retrieval.open(folder) as collection:
        loss, info = loss_of(collection, 16), collection.info()

    assert loss is not None
    assert (loss.recall_at_10, loss.sample) == (info["recall_at_10"], info["recall_sample"])


def test_what_was_measured_goes_with_the_rows_it_was_measured_on(folder: Path, never) -> None:
    with retrieval.open(folder) as collection:
        loss_of(collection, 8)
    assert file_of(folder).exists()
    retrieval.sync_vectors(folder, rows()[:1500], KEYS[:1500], prune=True)

    assert not file_of(folder).exists()


@pytest.mark.parametrize("damage", [b"", b"[1]", b'[{"dim": 8}]', b'{"8": 1}', b"null"])
def test_a_damaged_record_is_measured_again(folder: Path, damage: bytes) -> None:
    with retrieval.open(folder) as collection:
        loss = loss_of(collection, 8)
        file_of(folder).write_bytes(damage)

        assert loss_of(collection, 8) == loss
    assert file_of(folder).read_bytes() != damage


def test_where_nobody_may_write_it_is_measured_all_the_same(folder: Path, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(prefix_loss, "replace_file", refused)
    with retrieval.open(folder) as collection:
        assert loss_of(collection, 8) is not None
    assert not file_of(folder).exists()


def test_too_few_rows_to_measure(tmp_path: Path) -> None:
    retrieval.sync_vectors(tmp_path, rows()[:10], KEYS[:10], space=SPACE)
    with retrieval.open(tmp_path) as collection:
        assert loss_of(collection, 8) is None


def test_a_query_says_what_its_width_loses(folder: Path, capsys, monkeypatch) -> None:
    query = ["query", "--id", "7", "-k", "2", "--index", str(folder)]

    def err(*more: str) -> str:
        assert main([*query, *more]) == 0
        return capsys.readouterr().err

    assert "recall" not in err()
    assert "recall" not in err("--truncate-dim", "32")  # the whole width loses nothing
    said = err("--truncate-dim", "8")
    with retrieval.open(folder) as collection:
        loss = loss_of(collection, 8)
    assert loss is not None
    assert f"recall@10 {loss.recall_at_10:.3f} against exact search, measured on 200 stored rows" in said
    assert len(said.splitlines()) == 1
    assert err("--truncate-dim", "8", "--quiet") == ""
    monkeypatch.setattr(prefix_loss, "MEASURED_ROWS", 0)
    assert "not measured yet; to measure it: retrieve evaluate --dims 16" in err("--truncate-dim", "16")
    assert main(["evaluate", "--dims", "16", "--index", str(folder)]) == 0
    capsys.readouterr()
    assert "recall@10" in err("--truncate-dim", "16")
