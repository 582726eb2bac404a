"""Rows are added, replaced and deleted by hand: what a call wrote is found when it returns, and nothing is written by halves."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from indexes.derivation import build_plan
from indexes.generation import read_manifest
from indexes.store import VectorStore, WriterLock, store
from indexes.store.tables import tables
from retrieval.collection.rows.by_hand import hand_rows
from retrieval.collection.rows.inputs import vector_blocks
from retrieval.errors import (
    CollectionLocked,
    CollectionNotFound,
    MissingRow,
    OptionError,
    PruneRefused,
    ShapeError,
    StoreClosed,
    StoreLocked,
    VectorError,
)


def contents(collection: retrieval.Collection) -> dict[str, list[float]]:
    """Return what a collection holds: the vector of each key, roughly."""
    with retrieval.open(collection.directory) as fresh:
        vectors, keys = fresh.export()
    return {key: np.round(row, 2).tolist() for key, row in zip(keys, vectors, strict=True)}


def expected(vectors: np.ndarray, keys: list[str]) -> dict[str, list[float]]:
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return {key: np.round(row, 2).tolist() for key, row in zip(keys, unit, strict=True)}


def test_an_added_row_is_found_at_once_and_by_others_after_refresh(
    rows: retrieval.Collection, vectors: np.ndarray
) -> None:
    with retrieval.open(rows.directory) as other:
        ids = rows.add(vectors[:3], keys=["a", "b", "c"])

        assert ids.tolist() == [0, 1, 2]
        assert [hit.path for hit in rows.search(vectors[1], k=1)] == ["b"]
        assert len(other) == 0
        assert other.refresh()
        assert [hit.path for hit in other.search(vectors[1], k=1)] == ["b"]


def test_without_keys_a_row_is_called_by_its_id(rows: retrieval.Collection, vectors: np.ndarray) -> None:
    rows.add(vectors[:2])
    rows.add(vectors[2])

    assert contents(rows) == expected(vectors[:3], ["0", "1", "2"])


def test_an_id_that_is_taken_as_a_key_is_an_error(rows: retrieval.Collection, vectors: np.ndarray) -> None:
    rows.add(vectors[0], keys="1")

    with pytest.raises(OptionError, match=r"'1'.*taken by row 0"):
        rows.add(vectors[1])

    assert len(rows) == 1


@pytest.mark.parametrize("keys", [range(3), np.arange(3), ["0", "1", "2"], [b"0", b"1", b"2"], iter("012")])
def test_keys_are_texts_bytes_or_integers(rows: retrieval.Collection, vectors: np.ndarray, keys: Any) -> None:
    rows.add(vectors[:3], keys=keys)

    assert contents(rows) == expected(vectors[:3], ["0", "1", "2"])


@pytest.mark.parametrize(
    "given",
    [
        lambda v: v.astype(np.float16),
        lambda v: v.astype(np.float64),
        lambda v: v.tolist(),
        np.asfortranarray,
        lambda v: v[::-1][::-1],
        list,
    ],
)
def test_vectors_of_any_real_type_are_stored(
    rows: retrieval.Collection, vectors: np.ndarray, given: Callable[[np.ndarray], Any]
) -> None:
    rows.add(given(vectors[:4]), keys=list("abcd"))

    assert rows.search_vectors(vectors[:4], k=1).ids[:, 0].tolist() == [0, 1, 2, 3]


def test_integers_are_vectors_too(rows: retrieval.Collection) -> None:
    rows.add(np.eye(16, dtype=np.int8))

    np.testing.assert_array_equal(rows.vectors([3]), np.eye(16)[[3]])


def test_tensors_are_vectors(rows: retrieval.Collection, vectors: np.ndarray) -> None:
    torch = pytest.importorskip("torch")

    rows.add(torch.from_numpy(vectors[:2]), keys=torch.arange(2))
    rows.add(torch.from_numpy(vectors[2:3]).requires_grad_())

    assert contents(rows) == expected(vectors[:3], ["0", "1", "2"])


def test_a_file_of_vectors_and_one_of_keys(
    rows: retrieval.Collection, vectors: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "keys.txt").write_text("\n".join(map(str, range(200))))

    rows.add(tmp_path / "v.npy", tmp_path / "keys.txt")

    assert contents(rows) == expected(vectors, [str(number) for number in range(200)])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda v, k: (v, [*k[:3], k[1]]), OptionError, r"keys 2 and 4 are the same \('b'\)"),
        (lambda v, k: (v, k[:3]), ShapeError, "4 vectors but 3 keys"),
        (lambda v, k: (v, "all"), ShapeError, "4 vectors but one key"),
        (lambda v, k: (v, [*k[:3], ""]), OptionError, "key 4 is empty"),
        (lambda v, k: (v, [*k[:3], 1.5]), OptionError, "key 4 is 1.5 .float."),
        (lambda v, k: (v, [*k[:3], True]), OptionError, "key 4 is True .bool."),
        (lambda v, k: (v, [*k[:3], None]), OptionError, "key 4 is None"),
        (lambda v, k: (v, set(k)), OptionError, "is no ordered list"),
        (lambda v, k: (v, 7.5), OptionError, "is no ordered list"),
        (lambda v, k: (v[:, :8], k), ShapeError, "expected 16 columns for the space rows, got 8"),
        (lambda v, k: (v[np.newaxis], k), ShapeError, "expected"),
        (lambda v, k: (v.astype(complex), k), ShapeError, "complex"),
        (lambda v, k: (v > 0, k), ShapeError, "bool"),
        (lambda v, k: ([[1.0], [1.0, 2.0]], k[:2]), ShapeError, "list cannot be read as an array"),
        (lambda v, k: (np.where(np.arange(4)[:, None] == 2, 0, v), k), VectorError, "row 2 is zero"),
        (lambda v, k: (np.where(np.arange(4)[:, None] == 2, np.inf, v), k), VectorError, "row 2 is not fin"),
        (lambda v, k: ("missing.npy", k), OptionError, "missing.npy"),
    ],
)
@pytest.mark.parametrize("method", ["add", "upsert"])
def test_bad_input_is_named_and_nothing_is_written(
    rows: retrieval.Collection,
    vectors: np.ndarray,
    method: str,
    change: Callable[[np.ndarray, list[str]], tuple[Any, Any]],
    error: type[Exception],
    words: str,
) -> None:
    rows.add(vectors[:1], keys=["there"])
    before = read_manifest(rows.directory)

    with pytest.raises(error, match=words):
        getattr(rows, method)(*change(vectors[4:8], list("abcd")))

    assert read_manifest(rows.directory) == before
    assert contents(rows) == expected(vectors[:1], ["there"])


def test_adding_a_key_again_is_an_error_and_upserting_it_a_replacement(
    rows: retrieval.Collection, vectors: np.ndarray
) -> None:
    rows.add(vectors[:2], keys=["a", "b"])

    with pytest.raises(OptionError, match=r"key 2 \('b'\) is taken by row 1"):
        rows.add(vectors[2:4], keys=["c", "b"])
    assert contents(rows) == expected(vectors[:2], ["a", "b"])

    ids = rows.upsert(vectors[2:5], keys=["c", "b", "d"])

    assert ids.tolist() == [2, 3, 4]
    assert contents(rows) == expected(vectors[[0, 2, 3, 4]], ["a", "c", "b", "d"])


def test_upserting_the_same_vector_changes_nothing(rows: retrieval.Collection, vectors: np.ndarray) -> None:
    rows.add(vectors[:3])
    generation = rows.manifest.generation

    assert rows.upsert(5 * vectors[:3], keys=range(3)).tolist() == [0, 1, 2]
    assert rows.manifest.generation == generation


def test_rows_are_deleted_by_key_and_by_id(rows: retrieval.Collection, vectors: np.ndarray) -> None:
    rows.add(vectors[:6], keys=list("abcdef"))

    assert rows.delete(["a", b"b"]) == 2
    assert rows.delete("c") == 1
    assert rows.delete(ids=[3, 3]) == 1
    assert contents(rows) == expected(vectors[4:6], ["e", "f"])
    assert rows.search_vectors(vectors[0], k=6).ids.tolist()[0][2:] == [-1] * 4


@pytest.mark.parametrize("by", ["keys", "ids"])
def test_a_delete_unpacks_each_record_twice(
    rows: retrieval.Collection, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    rows.add(vectors[:6], keys=list("abcdef"))
    unpacked: list[int] = []
    for module in (store, tables):

        def counted(number: int, data: bytes, real: Any = module.unpack_record) -> Any:
            unpacked.append(number)
            return real(number, data)

        monkeypatch.setattr(module, "unpack_record", counted)

    with rows.writer() as writer:
        unpacked.clear()
        writer.delete(**{by: list("ace") if by == "keys" else [0, 2, 4]})
        found = sorted(unpacked)

    assert found == [0, 0, 2, 2, 4, 4]  # to find whose they are, and by the store, to free their keys
    assert contents(rows) == expected(vectors[[1, 3, 5]], list("bdf"))


def test_rows_of_a_writer_are_deleted_by_id_before_and_after_they_are_committed(
    rows: retrieval.Collection, vectors: np.ndarray
) -> None:
    rows.add(vectors[:3], keys=list("abc"))

    with rows.writer() as writer:
        new = writer.upsert(vectors[3:5], ["b", "d"])  # row 1 is replaced, and that waits
        with pytest.raises(MissingRow, match=r"row 1 .*deleted or replaced"):
            writer.delete(ids=[0, 1])
        assert writer.delete(ids=new) == 2
        with pytest.raises(MissingRow, match=rf"row {new[0]} .*deleted or replaced"):
            writer.delete(ids=new[:1])
        assert writer.delete(ids=[2]) == 1

    assert contents(rows) == expected(vectors[:1], ["a"])


def test_a_row_is_deleted_as_an_item(rows: retrieval.Collection, vectors: np.ndarray) -> None:
    rows.add(vectors[:3], keys=list("abc"))

    del rows["b"], rows[0]

    assert contents(rows) == expected(vectors[2:3], ["c"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"keys": ["a", "z"]}, MissingRow, r"key 2 \('z'\): the collection has no such row"),
        ({"ids": [0, 2]}, MissingRow, "row 2 .*deleted or replaced"),
        ({"ids": [0, 99]}, MissingRow, "99"),
        ({"ids": ["a"]}, OptionError, "a"),
        ({}, OptionError, "either `keys`, `ids` or `where`"),
        ({"keys": ["a"], "ids": [0]}, OptionError, "either `keys`, `ids` or `where`"),
        ({"keys": ["a", "a"]}, OptionError, "keys 1 and 2 are the same"),
    ],
)
def test_what_cannot_be_deleted_is_named_and_nothing_is_deleted(
    rows: retrieval.Collection, vectors: np.ndarray, arguments: Any, error: type[Exception], words: str
) -> None:
    rows.add(vectors[:3], keys=list("abc"))
    rows.delete("c")

    with pytest.raises(error, match=words):
        rows.delete(**arguments)

    assert contents(rows) == expected(vectors[:2], ["a", "b"])


class TestWriter:
    def test_searches_inside_the_block_see_what_was_published(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        rows.add(vectors[:1], keys=["a"])
        with rows.writer() as writer:
            writer.add(vectors[1:3], keys=["b", "c"])
            writer.delete("a")
            inside = [hit.path for hit in rows.search(vectors[0])]

        assert inside == ["a"]
        assert (writer.added, writer.updated, writer.unchanged, writer.deleted) == (2, 0, 0, 1)
        assert contents(rows) == expected(vectors[1:3], ["b", "c"])

    def test_what_waits_counts_as_there(self, rows: retrieval.Collection, vectors: np.ndarray) -> None:
        with rows.writer() as writer:
            assert writer.add(vectors[0], keys="a").tolist() == [0]
            with pytest.raises(OptionError, match="taken by row 0"):
                writer.add(vectors[1], keys="a")
            assert writer.upsert(vectors[0], keys="a").tolist() == [0]
            assert writer.upsert(vectors[1], keys="a").tolist() == [1]
            assert writer.delete(ids=1) == 1
            with pytest.raises(MissingRow):
                writer.delete("a")
            assert writer.add(vectors[2:4]).tolist() == [2, 3]
            assert writer.add(vectors[4], keys="a").tolist() == [4]

        assert contents(rows) == expected(vectors[2:5], ["2", "3", "a"])

    def test_the_callers_array_may_change_before_the_commit(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        unit = vectors[:2] / np.linalg.norm(vectors[:2], axis=1, keepdims=True)
        buffer = unit.astype(np.float16)
        with rows.writer() as writer:
            writer.add(buffer, keys=["a", "b"])
            buffer[:] = 0

        assert contents(rows) == expected(vectors[:2], ["a", "b"])

    def test_an_exception_publishes_what_was_done_before_it_and_goes_on(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        def work() -> None:
            with rows.writer() as writer:
                writer.add(vectors[:2], keys=["a", "b"])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()

        assert len(rows) == 2
        assert contents(rows) == expected(vectors[:2], ["a", "b"])
        rows.add(vectors[2], keys="c")

    def test_a_refused_call_leaves_the_block_as_it_was(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        with rows.writer() as writer:
            writer.add(vectors[:2], keys=["a", "b"])
            with pytest.raises(VectorError):
                writer.add(np.zeros((1, 16)), keys="c")
            writer.add(vectors[2], keys="c")

        assert contents(rows) == expected(vectors[:3], ["a", "b", "c"])

    def test_it_commits_when_time_has_passed(
        self, rows: retrieval.Collection, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("indexes.store.commit_pace.SECONDS", -1)
        with rows.writer() as writer:
            writer.add(vectors[:2])
            with VectorStore.open(rows.directory, dim=16) as store:
                committed = store.count

        assert committed == 2

    def test_it_is_over_after_its_block(self, rows: retrieval.Collection, vectors: np.ndarray) -> None:
        with rows.writer() as writer:
            pass

        with pytest.raises(StoreClosed, match="over"):
            writer.add(vectors[0])

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_forked_child_is_refused(self, rows: retrieval.Collection, vectors: np.ndarray) -> None:
        with rows.writer() as writer:
            writer.add(vectors[0])
            child = os.fork()
            if child == 0:
                try:
                    writer.add(vectors[1])
                except StoreLocked as error:
                    os._exit(7 if error.pid == os.getppid() else 1)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            writer.add(vectors[2])

        assert contents(rows) == expected(vectors[[0, 2]], ["0", "1"])

    def test_many_rows_are_written_in_blocks(
        self, rows: retrieval.Collection, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(vector_blocks, "BLOCK_ROWS", 30)
        monkeypatch.setattr(hand_rows, "COMMIT_BYTES", 60 * 2 * 16)
        commits = []
        commit = VectorStore.commit
        monkeypatch.setattr(
            VectorStore, "commit", lambda store: commits.append(store.pending) or commit(store)
        )

        ids = rows.add(vectors)

        assert ids.tolist() == list(range(200))
        assert [changes for changes in commits if changes] == [60, 60, 60, 20]
        assert contents(rows) == expected(vectors, [str(number) for number in range(200)])


class TestLock:
    def test_a_call_waits_for_another_writer(self, rows: retrieval.Collection, vectors: np.ndarray) -> None:
        lock = WriterLock(rows.directory)
        lock.acquire()
        release = threading.Timer(0.2, lock.release)
        release.start()

        rows.add(vectors[0], timeout=30)

        release.join()
        assert len(rows) == 1

    def test_after_the_time_it_names_the_process(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        with WriterLock(rows.directory):
            (rows.directory / "lock").write_text("4711\n")

            with pytest.raises(CollectionLocked, match=r"process 4711 is writing.*waited 0.05 s") as caught:
                rows.add(vectors[0], timeout=0.05)

        assert isinstance(caught.value, StoreLocked)
        assert caught.value.pid == 4711
        assert len(rows) == 0

    def test_a_thread_does_not_wait_for_itself(self, rows: retrieval.Collection, vectors: np.ndarray) -> None:
        with rows.writer() as writer:
            with pytest.raises(CollectionLocked, match="this thread holds"):
                rows.add(vectors[0])
            writer.add(vectors[0])

        assert len(rows) == 1

    @pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", None])
    def test_a_time_that_is_none_is_refused(
        self, rows: retrieval.Collection, vectors: np.ndarray, timeout: Any
    ) -> None:
        with pytest.raises(OptionError, match="timeout"):
            rows.add(vectors[0], timeout=timeout)


def test_searches_in_other_threads_go_on_while_rows_are_added(
    rows: retrieval.Collection, vectors: np.ndarray
) -> None:
    rows.add(vectors[:1], keys=["first"])
    stop, faults = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            found = [hit.path for hit in rows.search(vectors[0], k=1)]
            if found != ["first"]:
                faults.append(found)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 20):
        rows.add(vectors[number])
    stop.set()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(rows) == 20


def test_a_closed_collection_writes_nothing_and_stays_closed(tmp_path: Path, vectors: np.ndarray) -> None:
    collection = retrieval.create(tmp_path / "c", dim=16)
    collection.close()

    with pytest.raises(StoreClosed):
        collection.add(vectors[0])
    with pytest.raises(StoreClosed):
        collection.search(vectors[0])


def test_a_collection_that_vanished_is_not_made_again(tmp_path: Path, vectors: np.ndarray) -> None:
    with retrieval.create(tmp_path / "c", dim=16) as collection:
        (tmp_path / "c").rename(tmp_path / "moved")

        with pytest.raises(CollectionNotFound, match="moved or deleted"):
            collection.add(vectors[0])

        assert not (tmp_path / "c").exists()


def test_a_growing_collection_gets_an_index(
    rows: retrieval.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 300)
    many = np.random.default_rng(0).standard_normal((600, 16))

    rows.add(many[:200])
    first = rows.manifest.index.kind
    rows.add(many[200:])

    assert (first, rows.manifest.index.kind) == ("flat", "ivfrabitq")
    assert (rows.search_vectors(many, k=1).ids[:, 0] == np.arange(600)).mean() > 0.9


class TestSync:
    def test_it_makes_the_rows_equal_and_says_how_many(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        rows.add(vectors[:3], keys=["a", "b", "c"])

        report = rows.sync_vectors(vectors[[0, 4, 5]], ["a", "b", "d"], prune=True)

        assert (report.added, report.updated, report.unchanged, report.deleted) == (1, 1, 1, 1)
        assert report.rows == len(rows) == 3
        assert contents(rows) == expected(vectors[[0, 4, 5]], ["a", "b", "d"])

    def test_rows_that_would_go_are_counted_and_nothing_is_changed(
        self, rows: retrieval.Collection, vectors: np.ndarray
    ) -> None:
        rows.add(vectors[:5], keys=list("abcde"))
        before = read_manifest(rows.directory)

        with pytest.raises(PruneRefused, match=r"3 of 5 rows.*`prune=True`"):
            rows.sync_vectors(vectors[:4], list("abxy"))

        assert read_manifest(rows.directory) == before

    def test_the_old_name_answers_with_a_warning(self, tmp_path: Path, vectors: np.ndarray) -> None:
        with pytest.warns(
            DeprecationWarning, match=r"build_index_from_vectors\(\) is called sync_vectors\(\)"
        ):
            report = retrieval.build_index_from_vectors(
                tmp_path, vectors, range(200), space="mine", recall=0.9
            )
        with pytest.warns(DeprecationWarning, match=r"RowsReport.images is called RowsReport.rows"):
            assert report.images == 200


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([10**5000], "key 1 is an integer of too many digits"),
        (Path("a\0b"), "no file can have this name"),
        (Path("\ud800"), "no file can have this name"),
        (Path("/dev/zero"), "is no regular file"),
    ],
)
def test_keys_that_cannot_be_read_are_refused(tmp_path: Path, keys: object, words: str) -> None:
    with retrieval.create(tmp_path, dim=8) as collection:
        with pytest.raises(OptionError, match=words):
            collection.add(np.ones(8), keys)

        assert len(collection) == 0
