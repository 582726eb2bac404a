from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from indexes.errors import ManifestTooNew, OptionError, StoreCorrupt, StoreFull, StoreReadOnly
from indexes.manifest import (
    IndexInfo,
    Manifest,
    check_sizes,
    generation_path,
    link_or_copy,
    new_generation_dir,
    pin_generation,
    publish,
    read_manifest,
    read_pinned,
    verify,
    write_manifest,
)
from indexes.space import Space
from indexes.store import NewRow, VectorStore
from tests.strategies import manifests, unit

DIM = 16
GOLDEN = {
    "format": 1,
    "space": {"name": "nano@1", "dim": 512, "fingerprint": "ab12", "nesting": [64, 512]},
    "encoder": "nano@1",
    "count": 1200,
    "live": 1199,
    "generation": 3,
    "index": {
        "kind": "ivfrabitq",
        "factory": "IVF64,RaBitQfs",
        "dim": 512,
        "base_rows": 1000,
        "nprobe": 8,
        "shortlist": 80,
        "recall_target": 0.95,
        "recall_at_10": 0.97,
        "recall_sample": 1000,
        "recall_reason": None,
        "recall_at_10_text": None,
        "bytes_per_vector": 80.5,
        "trained_rows": 1000,
        "bytes": 80500,
        "sha256": "c" * 64,
    },
    "root": None,
    "upgrades": [],
    "activations": [],
    "files": {"index.faiss": {"bytes": 80500, "sha256": "c" * 64}},
    "created": "2026-01-02T03:04:05+00:00",
    "updated": "2026-01-02T03:04:06+00:00",
}


def manifest(**changes) -> Manifest:
    index = IndexInfo(kind="flat", dim=DIM, base_rows=0, recall_target=0.95)
    fields = {
        "space": Space(name="toy", dim=DIM, fingerprint="f"),
        "count": 3,
        "live": 3,
        "generation": 1,
        "index": index,
    }
    return Manifest(**(fields | changes))


def published(home: Path, number: int = 1, **files: str) -> Manifest:
    prepared = new_generation_dir(home, number)
    for name, text in (files or {"report": f"of generation {number}"}).items():
        (prepared / name).write_text(text)
    return publish(home, manifest(generation=number), prepared)


@pytest.fixture
def collection(tmp_path):
    """Yield a collection of three rows, published once."""
    with VectorStore.create(tmp_path, dim=DIM) as store:
        store.append(unit(3, DIM, seed=0), [NewRow(key=key) for key in (b"a", b"b", b"c")])
        store.commit()
    published(tmp_path)
    return tmp_path


@given(original=manifests())
def test_what_is_written_is_read_back(original):
    text = json.dumps(original.to_json(), allow_nan=False)

    assert original == Manifest.from_json(json.loads(text), path=Path("manifest.json"))


def test_the_golden_json_is_read_and_written_alike(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(GOLDEN))
    read = read_manifest(tmp_path)
    write_manifest(tmp_path, read)

    assert json.loads((tmp_path / "manifest.json").read_text()) == GOLDEN
    assert (tmp_path / "manifest.json").read_text().startswith('{\n  "format": 1,')
    assert (read.index.nprobe, read.index.file, read.files["index.faiss"].bytes) == (
        8,
        read.files["index.faiss"],
        80500,
    )


def test_unknown_fields_do_no_harm(tmp_path):
    data = GOLDEN | {"mood": "fine", "index": GOLDEN["index"] | {"colour": 1}}
    (tmp_path / "manifest.json").write_text(json.dumps(data))

    assert read_manifest(tmp_path).to_json() == GOLDEN


def test_a_newer_format_is_refused_before_anything_else_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": 3}')
    with pytest.raises(ManifestTooNew, match="format 3, this version reads up to format 2"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "1"}, "format is '1'"),
        ({"format": 0}, "format is 0"),
        ({"count": -1}, "count is -1, expected a whole number"),
        ({"count": True}, "count is True"),
        ({"count": 1.5}, "count is 1.5"),
        ({"live": 1201}, "1201 live"),
        ({"space": {}}, "space"),
        ({"encoder": 7}, "encoder is 7"),
        ({"index": []}, "index. is list"),
        ({"index": {"kind": "flat"}}, "index.factory is missing"),
        ({"index": GOLDEN["index"] | {"base_rows": 1201}}, "1201 indexed rows"),
        ({"index": GOLDEN["index"] | {"recall_target": None}}, "index.recall_target is None"),
        ({"upgrades": [1]}, "upgrades"),
        ({"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}, "plain file names"),
        ({"files": {"a": 1}}, "bytes and sha256"),
    ],
)
def test_a_malformed_field_is_named_with_the_cure(tmp_path, change, message):
    (tmp_path / "manifest.json").write_text(json.dumps(GOLDEN | change))
    with pytest.raises(StoreCorrupt, match=message) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "retrieve build-index" in str(caught.value)


@pytest.mark.parametrize("field", [name for name in GOLDEN if name not in {"upgrades", "activations"}])
def test_a_missing_field_is_named(tmp_path, field):
    (tmp_path / "manifest.json").write_text(
        json.dumps({name: value for name, value in GOLDEN.items() if name != field})
    )
    with pytest.raises(StoreCorrupt, match=f"{field} is missing"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_corrupt(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(StoreCorrupt, match="not a readable manifest"):
        read_manifest(tmp_path)


def test_no_manifest_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path)


def test_publishing_names_the_generation_and_measures_its_files(tmp_path):
    done = published(tmp_path, 7, **{"index.faiss": "12345"})

    assert generation_path(tmp_path, 7) == tmp_path / "generations" / "0007"
    assert (generation_path(tmp_path, 7) / "index.faiss").read_text() == "12345"
    assert done == read_manifest(tmp_path)
    assert done.index.file is not None
    assert (done.index.file.bytes, done.files["index.faiss"]) == (5, done.index.file)
    assert done.index.file.sha256.startswith("5994471abb01112a")
    assert [path.name for path in (tmp_path / "generations").iterdir()] == ["0007"]


def test_an_old_generation_is_removed_when_nobody_reads_it(tmp_path):
    published(tmp_path, 1)
    published(tmp_path, 2)
    reader = pin_generation(tmp_path, 2)
    published(tmp_path, 3)

    assert not generation_path(tmp_path, 1).exists()
    assert (reader.path / "report").read_text() == "of generation 2"
    reader.close()
    published(tmp_path, 4)
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["0004"]


def test_a_generation_read_by_another_process_stays(tmp_path):
    published(tmp_path, 1)
    code = (
        "import sys; from indexes.manifest import read_pinned\n"
        "m, pin = read_pinned(sys.argv[1]); print(m.generation, flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=pipe, stdout=pipe, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        published(tmp_path, 2)
        assert generation_path(tmp_path, 1).exists()
        reader.kill()
        reader.wait()
    published(tmp_path, 3)
    assert not generation_path(tmp_path, 1).exists()


def test_a_reader_that_comes_too_late_takes_the_newer_generation(tmp_path, monkeypatch):
    """Between reading the manifest and pinning, a writer may publish and remove."""
    published(tmp_path, 1)
    stale = read_manifest(tmp_path)
    published(tmp_path, 2)
    with pytest.raises(FileNotFoundError):
        pin_generation(tmp_path, 1)
    answers = iter([stale])
    real = read_manifest
    monkeypatch.setattr("indexes.manifest.read_manifest", lambda path: next(answers, None) or real(path))
    found, pin = read_pinned(tmp_path)

    assert found.generation == 2
    pin.close()


def test_a_generation_under_removal_cannot_be_pinned(tmp_path):
    published(tmp_path, 1)
    with (generation_path(tmp_path, 1) / "pin").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FileNotFoundError):
            pin_generation(tmp_path, 1)


def test_a_missing_generation_is_corrupt_and_says_the_cure(tmp_path):
    published(tmp_path, 1)
    generation_path(tmp_path, 1).rename(tmp_path / "elsewhere")
    with pytest.raises(
        StoreCorrupt, match=r"0001: missing, but manifest\.json names it; run `retrieve build-index`"
    ):
        read_pinned(tmp_path)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    published(tmp_path, 1)
    (tmp_path / "generations" / ".partial-0002").mkdir()
    (tmp_path / "generations" / ".partial-0002" / "index.faiss").write_text("half")
    (tmp_path / "generations" / "0002").mkdir()  # renamed, but the manifest never named it
    (tmp_path / ".partial-manifest.json").write_text("{")
    published(tmp_path, 2)

    assert read_manifest(tmp_path).generation == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["generations", "0002", "pin", "report", "manifest.json"]
    )


def test_a_published_number_is_not_used_again(tmp_path):
    published(tmp_path, 1)
    with pytest.raises(OptionError, match="published already"):
        published(tmp_path, 1)
    assert (generation_path(tmp_path, 1) / "report").exists()


def test_a_file_is_carried_by_a_hard_link_or_copied(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_text("codes")
    link_or_copy(source, tmp_path / "linked")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
    link_or_copy(source, tmp_path / "copied")

    assert (tmp_path / "linked").samefile(source)
    assert not (tmp_path / "copied").samefile(source)
    assert (tmp_path / "copied").read_text() == "codes"


def test_a_carried_file_keeps_its_hash_and_a_new_one_of_its_length_does_not(tmp_path, monkeypatch):
    first = published(tmp_path, 1, carried="12345", rewritten="abcde")
    prepared = new_generation_dir(tmp_path, 2)
    link_or_copy(generation_path(tmp_path, 1) / "carried", prepared / "carried")
    (prepared / "rewritten").write_text("fghij")
    hashed = []
    real = sys.modules["indexes.description"].sha256
    monkeypatch.setattr("indexes.description.sha256", lambda path: hashed.append(path.name) or real(path))
    second = publish(tmp_path, replace(first, generation=2), prepared)

    assert first.files["carried"] == second.files["carried"]
    assert first.files["rewritten"] != second.files["rewritten"]
    assert "carried" not in hashed
    assert (generation_path(tmp_path, 2) / "carried").read_text() == "12345"


def test_opening_checks_sizes(tmp_path):
    done = published(tmp_path, 1, index="12345")
    check_sizes(tmp_path, done)
    file = generation_path(tmp_path, 1) / "index"
    file.write_text("1234")
    with pytest.raises(StoreCorrupt, match=r"index: 4 bytes, expected 5 bytes; delete 0001"):
        check_sizes(tmp_path, done)
    file.unlink()
    with pytest.raises(StoreCorrupt, match="no such file"):
        check_sizes(tmp_path, done)


@pytest.mark.parametrize(("number", "error"), [(28, StoreFull), (30, StoreReadOnly)])
@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_a_refused_publish_leaves_the_one_before(tmp_path, monkeypatch, call, number, error):
    published(tmp_path, 1)

    def refuse(*_args):
        raise OSError(number, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(error):
            published(tmp_path, 2)
    found, pin = read_pinned(tmp_path)

    with pin:
        assert (found.generation, (pin.path / "report").read_text()) == (1, "of generation 1")
    assert published(tmp_path, 2) == read_manifest(tmp_path)


def bad(home: Path) -> dict[str, str]:
    return {check.path: check.cure for check in verify(home) if not check.ok}


def test_a_whole_collection_verifies(collection):
    checks = verify(collection)

    assert all(check.ok and not check.cure for check in checks)
    assert [check.path for check in checks] == [
        "manifest.json",
        "generations/0001/pin",
        "generations/0001/report",
        "vectors.lmdb",
        "rerank.f16",
    ]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def test_a_flipped_byte_of_the_generation_is_found(collection):
    flip(generation_path(collection, 1) / "report", 0)

    assert list(bad(collection)) == ["generations/0001/report"]
    assert "SHA-256 differs" in bad(collection)["generations/0001/report"]


def test_a_flipped_byte_of_the_rerank_file_is_found_and_the_cure_helps(collection):
    whole = (collection / "rerank.f16").read_bytes()
    flip(collection / "rerank.f16", 2 * DIM + 1)
    found = bad(collection)
    assert list(found) == ["rerank.f16"]
    assert found["rerank.f16"].startswith("row 1 is not the stored one; delete rerank.f16 and run")

    (collection / "rerank.f16").unlink()
    assert list(bad(collection)) == ["rerank.f16"]
    VectorStore.open(collection, dim=DIM, writable=True).close()
    assert whole == (collection / "rerank.f16").read_bytes()
    assert bad(collection) == {}


def test_a_damaged_row_of_the_store_is_found(collection):
    data = (collection / "vectors.lmdb" / "data.mdb").read_bytes()
    at = data.index((collection / "rerank.f16").read_bytes())
    flip(collection / "vectors.lmdb" / "data.mdb", at + 1)

    assert "row 0 is not a unit vector; the stored vectors are damaged" in bad(collection)["vectors.lmdb"]


def test_a_damaged_page_does_not_end_the_process_that_verifies(collection):
    path = collection / "vectors.lmdb" / "data.mdb"
    data = path.read_bytes()
    path.write_bytes(data[: 2 * 4096] + b"\xa5" * (len(data) - 2 * 4096))

    assert (
        "damaged" in bad(collection)["vectors.lmdb"]
        or "delete the collection" in bad(collection)["vectors.lmdb"]
    )


def test_fewer_rows_than_the_manifest_names_are_found(collection):
    write_manifest(collection, replace(read_manifest(collection), count=4))

    assert "holds 3 rows, manifest.json names 4" in bad(collection)["vectors.lmdb"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "generations/0001", "generations/0001/report", "vectors.lmdb"]
)
def test_a_missing_part_is_found(collection, name):
    (collection / name).rename(collection / "elsewhere")

    assert name in bad(collection)
    assert "missing" in bad(collection)[name] or "No such file" in bad(collection)[name]


def test_nothing_to_verify(tmp_path):
    with pytest.raises(FileNotFoundError, match="no collection here"):
        verify(tmp_path)
