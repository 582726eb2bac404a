from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.derivation import build_plan
from indexes.store.store import VectorStore
from indexes.vectors.arrays import unit_rows
from retrieval.collection.rows.by_hand import hand_rows
from retrieval.collection.rows.inputs import vector_blocks
from retrieval.errors import (
    CapabilityMissing,
    OptionError,
    PruneRefused,
    ShapeError,
    SpaceMismatch,
    VectorError,
)
from retrieval.render.export import write_export
from retrieval.sources.csv_files import csv_lines
from tests.indexes.engine.faiss_gpu import Faked
from tests.retrieval.folders import ids_by_key


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)


@pytest.fixture
def keys() -> list[str]:
    return [f"photo {number}" for number in range(200)]


def test_rows_keep_their_numbers_and_find_themselves(
    tmp_path: Path, vectors: np.ndarray, keys: list[str]
) -> None:
    report = retrieval.sync_vectors(tmp_path / "new", vectors, keys, space="mine")

    assert (report.rows, report.added, report.stored_dim) == (200, 200, 16)
    with retrieval.open(tmp_path / "new") as collection:
        assert ids_by_key(collection) == {key: number for number, key in enumerate(keys)}
        found = collection.search_vectors(vectors, k=1)
        np.testing.assert_array_equal(found.ids[:, 0], np.arange(200))
        stored, names = collection.export()
        assert names == keys
        np.testing.assert_allclose(stored, unit_rows(vectors), atol=1e-3)


def test_files_are_read_as_the_arrays_are(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    np.save(tmp_path / "clip.npy", vectors.astype(np.float16))
    (tmp_path / "keys.txt").write_text("\r\n".join(keys) + "\n", newline="")

    retrieval.sync_vectors(tmp_path, tmp_path / "clip.npy", tmp_path / "keys.txt")

    with retrieval.open(tmp_path) as collection:
        assert collection.space.name == "clip"
        assert list(ids_by_key(collection)) == keys


def test_again_takes_only_what_changed(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")
    vectors[3] = -vectors[3]

    report = retrieval.sync_vectors(
        tmp_path, np.concatenate([vectors[:150], vectors[:1]]), [*keys[:150], "another"], prune=True
    )

    assert (report.rows, report.added, report.updated, report.unchanged, report.deleted) == (
        151,
        1,
        1,
        149,
        50,
    )


@pytest.mark.parametrize("kept", [50, 199])
def test_losing_any_key_stops_in_words_about_vectors(
    tmp_path: Path, vectors: np.ndarray, keys: list[str], kept: int
) -> None:
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")

    with pytest.raises(PruneRefused, match=f"{200 - kept} of 200 rows.*keys.*`prune=True`") as refused:
        retrieval.sync_vectors(tmp_path, vectors[:kept], keys[:kept])

    assert "drive" not in str(refused.value)
    with retrieval.open(tmp_path) as collection:
        assert list(ids_by_key(collection)) == keys
    pruned = retrieval.sync_vectors(tmp_path, vectors[:kept], keys[:kept], prune=True)
    assert (pruned.rows, pruned.deleted) == (kept, 200 - kept)


@pytest.mark.parametrize(
    "data",
    [
        "a.jpg\nb \u00e9.jpg\nc.jpg\n",
        "\ufeffa.jpg\nb \u00e9.jpg\nc.jpg",
        "\ufeffa.jpg\r\nb \u00e9.jpg\r\nc.jpg\r\n",
        "a.jpg\rb \u00e9.jpg\rc.jpg\r",
        "a.jpg\nb \u00e9.jpg\nc.jpg\n\n\n",
        "\ufeffa.jpg\r\nb \u00e9.jpg\r\nc.jpg\r\n\r\n \r\n",
    ],
)
def test_keys_of_any_line_ends_are_the_same_names(tmp_path: Path, vectors: np.ndarray, data: str) -> None:
    (tmp_path / "keys.txt").write_bytes(data.encode())

    retrieval.sync_vectors(tmp_path, vectors[:3], tmp_path / "keys.txt", space="mine")

    with retrieval.open(tmp_path) as collection:
        assert list(ids_by_key(collection)) == ["a.jpg", "b \u00e9.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a.jpg\n\nc.jpg\n", "key 2 is empty"),
        ("a.jpg\nb.jpg\nc.jpg\n".encode("utf-16"), "UTF-16.*UTF-8"),
        (b"a.jpg\nb\xff.jpg\nc.jpg\n", "line 2 is not UTF-8"),
    ],
)
def test_keys_that_cannot_be_told_are_refused(
    tmp_path: Path, vectors: np.ndarray, data: bytes, words: str
) -> None:
    (tmp_path / "keys.txt").write_bytes(data)

    with pytest.raises(OptionError, match=words):
        retrieval.sync_vectors(tmp_path, vectors[:3], tmp_path / "keys.txt", space="mine")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda v, k: (v, k[:-1]), ShapeError, "199 keys"),
        (lambda v, k: (v, [*k[:-1], k[0]]), OptionError, "1 and 200"),
        (lambda v, k: (v, [*k[:-1], ""]), OptionError, "key 200"),
        (lambda v, k: (v[0], k), ShapeError, "expected"),
        (lambda v, k: (v.astype(complex), k), ShapeError, "complex"),
        (lambda v, k: (np.where(np.arange(200)[:, None] == 7, 0, v), k), VectorError, "row 7"),
        (lambda v, k: (np.where(np.arange(200)[:, None] == 7, np.nan, v), k), VectorError, "row 7"),
    ],
)
def test_bad_input_is_refused_by_name(
    tmp_path: Path, vectors: np.ndarray, keys: list[str], change: object, error: type[Exception], words: str
) -> None:
    broken, names = change(vectors, keys)

    with pytest.raises(error, match=words):
        retrieval.sync_vectors(tmp_path, broken, names, space="mine")


def test_a_pickled_array_is_refused(tmp_path: Path, keys: list[str]) -> None:
    np.save(tmp_path / "x.npy", np.array([object()] * 200), allow_pickle=True)

    with pytest.raises(OptionError, match="npy"):
        retrieval.sync_vectors(tmp_path, tmp_path / "x.npy", keys)


def test_another_space_is_refused(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")

    with pytest.raises(SpaceMismatch, match="yours"):
        retrieval.sync_vectors(tmp_path, vectors, keys, space="yours")


def test_words_cannot_be_asked(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")

    with retrieval.open(tmp_path) as collection, pytest.raises(CapabilityMissing, match="mine"):
        collection.search("a cat")


def test_a_refused_import_changes_nothing(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")
    names = [*keys[:50], *(f"new {number}" for number in range(150))]

    with pytest.raises(PruneRefused):
        retrieval.sync_vectors(tmp_path, vectors, names)

    with retrieval.open(tmp_path) as collection:
        assert list(ids_by_key(collection)) == keys


def test_a_first_import_that_fails_leaves_nothing(
    tmp_path: Path, vectors: np.ndarray, keys: list[str]
) -> None:
    with pytest.raises(VectorError):
        retrieval.sync_vectors(tmp_path / "new", np.zeros_like(vectors), keys, space="mine")

    assert not (tmp_path / "new" / ".retrieve").exists()


def test_an_interrupted_import_answers_with_what_it_has_and_continues(
    tmp_path: Path, vectors: np.ndarray, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.collection.rows.inputs.vector_blocks.BLOCK_ROWS", 50)

    def stop(progress: retrieval.Progress) -> None:
        if progress.done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrieval.sync_vectors(tmp_path, vectors, keys, space="mine", progress=stop)

    with retrieval.open(tmp_path) as collection:
        assert list(ids_by_key(collection)) == keys[:100]
    report = retrieval.sync_vectors(tmp_path, vectors, keys)
    assert (report.rows, report.added, report.unchanged) == (200, 100, 100)


def test_a_store_left_empty_by_a_kill_is_taken_up(
    tmp_path: Path, vectors: np.ndarray, keys: list[str]
) -> None:
    from indexes.store.store import VectorStore

    VectorStore.create(tmp_path / ".retrieve", dim=8).close()

    assert retrieval.sync_vectors(tmp_path, vectors, keys, space="mine").rows == 200


def test_keys_may_come_from_a_stream(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    assert retrieval.sync_vectors(tmp_path, vectors, iter(keys), space="mine").rows == 200


@pytest.mark.parametrize("data", [b"", b"words"])
def test_a_file_that_holds_no_array_is_refused(tmp_path: Path, keys: list[str], data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)

    with pytest.raises(OptionError, match="npy"):
        retrieval.sync_vectors(tmp_path, tmp_path / "x.npy", keys)


def test_a_file_in_the_way_is_named(tmp_path: Path, vectors: np.ndarray, keys: list[str]) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(OptionError, match="in the way"):
        retrieval.sync_vectors(tmp_path / "file", vectors, keys, space="mine")


def test_another_width_is_refused_by_both_widths(
    tmp_path: Path, vectors: np.ndarray, keys: list[str]
) -> None:
    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")

    with pytest.raises(ShapeError, match=r"expected 16 columns .* got 8"):
        retrieval.sync_vectors(tmp_path, vectors[:, :8], keys)


@pytest.mark.parametrize(("device", "kind"), [("cuda", "ivfpq"), ("auto", "ivfpq"), ("cpu", "ivfrabitq")])
def test_the_device_decides_what_auto_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, kind: str
) -> None:
    monkeypatch.setattr(build_plan, "FLAT_ROWS", 300)
    Faked().install(monkeypatch)
    monkeypatch.setattr("retrieval.encoders.devices.devices.cuda_devices", lambda: 1)
    rows = np.random.default_rng(0).standard_normal((600, 32)).astype(np.float32)

    report = retrieval.sync_vectors(
        tmp_path, rows, [str(number) for number in range(600)], space="mine", device=device
    )

    assert report.kind == kind


def test_a_long_import_commits_now_and_then(
    tmp_path: Path, vectors: np.ndarray, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_blocks, "BLOCK_ROWS", 30)
    monkeypatch.setattr(hand_rows, "COMMIT_BYTES", 60 * 2 * vectors.shape[1])
    commits = []
    commit = VectorStore.commit
    monkeypatch.setattr(VectorStore, "commit", lambda store: commits.append(store.pending) or commit(store))

    retrieval.sync_vectors(tmp_path, vectors, keys, space="mine")

    assert [rows for rows in commits if rows] == [60, 60, 60, 20]


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (b"a\nb", "line break"),
        (b"a\r", "line break"),
        (b"\xff", "UTF-8"),
        (b" ", "blank"),
        (b"\xef\xbb\xbfa", "byte-order mark"),
    ],
)
def test_a_key_that_a_line_cannot_carry_is_not_written(tmp_path: Path, key: bytes, fault: str) -> None:
    with pytest.raises(OptionError, match=fault):
        write_export(tmp_path / "v.npy", np.eye(2), tmp_path / "keys.txt", [b"good", key])

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_labels_of_any_line_ends_are_the_same(tmp_path: Path, end: str, mark: str) -> None:
    lines = ["file,label", "a.jpg,cat", '"b, c.jpg",dog', "", ""]
    (tmp_path / "labels.csv").write_bytes((mark + end.join(lines)).encode())

    assert list(csv_lines(tmp_path / "labels.csv", "label")) == [("a.jpg", "cat"), ("b, c.jpg", "dog")]


@pytest.mark.parametrize("between", [";", "\t"])
def test_fields_may_stand_between_semicolons_or_tabs(tmp_path: Path, between: str) -> None:
    lines = [("\ufefffile", "label"), ("a, b.jpg", "cat")]
    (tmp_path / "labels.csv").write_text("".join(f"{between.join(line)}\n" for line in lines))

    assert list(csv_lines(tmp_path / "labels.csv", "label")) == [("a, b.jpg", "cat")]


def test_a_csv_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"labels\.csv: no such file$"):
        list(csv_lines(tmp_path / "labels.csv", "label"))


def test_labels_in_utf16_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("file,label\na.jpg,cat\n".encode("utf-16"))

    with pytest.raises(OptionError, match=r"UTF-16.*UTF-8"):
        list(csv_lines(tmp_path / "labels.csv", "label"))
