"""What is written is read back, and what is malformed is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from indexes.errors import ManifestTooNew, StoreCorrupt
from indexes.manifest import Manifest, read_manifest, write_manifest
from tests.strategies import manifests

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
