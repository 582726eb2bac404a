"""What is written is read back, and what is malformed is named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from indexes.errors import ManifestTooNew, StoreCorrupt
from indexes.generation import HAND, Funnel, Inverted, Source, source_of_type
from indexes.generation.description import FORMAT
from indexes.generation.manifest import Exact, Manifest, read_manifest, write_manifest
from tests.strategies import manifests

OLD = {
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


GOLDEN = {name: value for name, value in OLD.items() if name != "root"} | {
    "format": 3,
    "sources": [{"type": "folder", "path": None, "options": {"exclude": ["*.tmp"]}}],
    "request": {"kind": "auto", "dim": None, "recall": 0.95, "device": "cpu", "chosen_for": None},
    "index": {"type": "inverted"} | OLD["index"] | {"transform": None},
    "store": "",
}


def seal(data: object) -> bytes:
    """Return a manifest of any content whose checksum is right, as the written format says."""
    facts = json.dumps(data, indent=2).removesuffix("\n}")
    return f'{facts},\n  "checksum": "{hashlib.sha256(facts.encode()).hexdigest()}"\n}}\n'.encode()


@given(original=manifests())
def test_what_is_written_is_read_back(original):
    text = json.dumps(original.to_json(), allow_nan=False)

    assert original == Manifest.from_json(json.loads(text), path=Path("manifest.json"))


def test_the_golden_json_is_read_and_written_alike(tmp_path):
    (tmp_path / "manifest.json").write_bytes(seal(GOLDEN))
    read = read_manifest(tmp_path)
    write_manifest(tmp_path, read)

    written = json.loads((tmp_path / "manifest.json").read_text())
    written.pop("checksum")
    assert written == GOLDEN
    assert (tmp_path / "manifest.json").read_text().startswith('{\n  "format": 3,')
    assert isinstance(read.index, Inverted)
    assert (read.index.nprobe, read.index.file, read.files["index.faiss"].bytes) == (
        8,
        read.files["index.faiss"],
        80500,
    )
    assert read.sources[0].options == {"exclude": ["*.tmp"]}


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        (OLD["index"], Inverted),
        (OLD["index"] | {"kind": "flat", "factory": None, "sha256": None}, Exact),
        (OLD["index"] | {"coarse": 8}, Exact),
        (OLD["index"] | {"kind": "flat", "stages": [[64, 100, 0.1]]}, Exact),
        (OLD["index"] | {"kind": "flat", "stages": [[64, 100, None], [128, 20, None]]}, Exact),
        (OLD["index"] | {"kind": "flat", "stages": [[64, 100, None]], "transform": "pca"}, Funnel),
    ],
)
def test_formats_without_tags_are_read_and_written_as_the_present_one(tmp_path, index, kind):
    (tmp_path / "manifest.json").write_text(json.dumps(OLD | {"index": index, "root": "../x"}))
    read = read_manifest(tmp_path)
    write_manifest(tmp_path, read)

    assert (read.format, read.root, type(read.index)) == (1, "../x", kind)
    again = read_manifest(tmp_path)
    assert again == replace(read, format=3)


TWO = [
    {"type": "folder", "path": None, "options": {}, "number": 0},
    {"type": "hand", "path": None, "options": {}, "number": 1},
]


def test_several_sources_have_numbers_and_take_format_4(tmp_path):
    data = GOLDEN | {"format": 4, "sources": TWO}
    (tmp_path / "manifest.json").write_bytes(seal(data))
    read = read_manifest(tmp_path)

    assert read.to_json() == data
    assert (read.format, read.layout) == (4, 4)
    assert [(source.type, source.number) for source in read.sources] == [("folder", 0), ("hand", 1)]


@pytest.mark.parametrize(
    ("sources", "layout"),
    [
        ((Source(),), 3),
        ((Source(path="../x", options={"exclude": ["*.gif"]}),), 3),
        ((Source(number=1),), 4),
        ((Source(type=HAND),), 4),
        ((Source(), Source(type=HAND, number=1)), 4),
    ],
)
def test_one_folder_alone_is_written_so_that_earlier_versions_read_it(tmp_path, sources, layout):
    (tmp_path / "manifest.json").write_bytes(seal(GOLDEN))
    write_manifest(tmp_path, replace(read_manifest(tmp_path), sources=sources))

    again = read_manifest(tmp_path)
    assert (again.format, again.sources) == (layout, sources)
    written = json.loads((tmp_path / "manifest.json").read_text())["sources"]
    assert ["number" in source for source in written] == [layout == 4] * len(sources)


def test_sources_without_numbers_are_numbered_by_their_places(tmp_path):
    unnumbered = [{"type": "folder", "path": None}, {"type": "folder", "path": "../b"}]
    (tmp_path / "manifest.json").write_bytes(seal(GOLDEN | {"sources": unnumbered}))

    assert [source.number for source in read_manifest(tmp_path).sources] == [0, 1]


def test_a_collection_without_a_folder_has_no_root(tmp_path):
    (tmp_path / "manifest.json").write_bytes(seal(GOLDEN | {"format": 4, "sources": TWO[1:]}))
    read = read_manifest(tmp_path)

    assert (read.folder, read.root) == (None, None)


def test_a_new_source_gets_a_number_of_its_own():
    sources = (Source(), Source(type="other", number=4))

    assert source_of_type(sources, HAND) == Source(type=HAND, number=5)
    assert source_of_type((*sources, Source(type=HAND, number=2)), HAND).number == 2


def test_unknown_fields_do_no_harm(tmp_path):
    data = GOLDEN | {"mood": "fine", "index": GOLDEN["index"] | {"colour": 1}}
    (tmp_path / "manifest.json").write_bytes(seal(data))

    assert read_manifest(tmp_path).to_json() == GOLDEN


def test_a_newer_format_is_refused_before_anything_else_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text(f'{{"format": {FORMAT + 1}, "checksum": "of another kind"}}')
    with pytest.raises(
        ManifestTooNew, match=f"format {FORMAT + 1}, this version reads up to format {FORMAT}"
    ):
        read_manifest(tmp_path)


def test_a_changed_bit_anywhere_is_found_when_it_is_opened(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_bytes(seal(GOLDEN))
    whole = path.read_bytes()
    bits = 8 * len(whole)
    for bit in (*range(0, bits, 13), *range(bits - 8 * 90, bits, 3)):  # the checksum itself more closely
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises((StoreCorrupt, ManifestTooNew), match=r"manifest\.json"):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change", ["cut", "longer", "no checksum", "a checksum before the end", "an old format"]
)
def test_a_manifest_without_its_checksum_at_the_end_is_corrupt(tmp_path, change):
    whole = seal(GOLDEN)
    text = {
        "cut": whole[:-3] + b"}",
        "longer": whole + b" ",
        "no checksum": json.dumps(GOLDEN).encode(),
        "a checksum before the end": json.dumps({"checksum": "a" * 64} | GOLDEN).encode(),
        "an old format": whole.replace(b'"format": 3', b'"format": 2'),
    }[change]
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(StoreCorrupt, match="checksum"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "3"}, "format is '3'"),
        ({"format": 0}, "format is 0"),
        ({"count": -1}, "count is -1, expected a whole number"),
        ({"count": True}, "count is True"),
        ({"count": 1.5}, "count is 1.5"),
        ({"live": 1201}, "1201 live"),
        ({"space": {}}, "space"),
        ({"encoder": 7}, "encoder is 7"),
        ({"index": []}, "index. is list"),
        ({"index": {"kind": "flat"}}, "index.type is missing"),
        ({"index": {"type": "tree"}}, "index.type is 'tree', expected exact, funnel, inverted"),
        ({"index": {"type": "exact"}}, "index.dim is missing"),
        ({"sources": []}, "a list of at least one source"),
        ({"sources": [{"path": 1}]}, "sources.type is missing"),
        ({"sources": [TWO[0], TWO[0]]}, "sources of different numbers below 256"),
        ({"sources": [TWO[0] | {"number": 256}]}, "sources of different numbers below 256"),
        ({"sources": [TWO[0] | {"number": -1}]}, "sources.number is -1"),
        ({"request": {"kind": "auto", "dim": "wide"}}, "request.dim is 'wide'"),
        ({"store": "../elsewhere"}, "inside the collection"),
        ({"index": GOLDEN["index"] | {"base_rows": 1201}}, "1201 indexed rows"),
        ({"index": GOLDEN["index"] | {"recall_target": None}}, "index.recall_target is None"),
        ({"upgrades": [1]}, "upgrades"),
        ({"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}, "plain file names"),
        ({"files": {"a": 1}}, "bytes and sha256"),
    ],
)
def test_a_malformed_field_is_named_with_the_cure(tmp_path, change, message):
    (tmp_path / "manifest.json").write_bytes(seal(GOLDEN | change))
    with pytest.raises(StoreCorrupt, match=message) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "`build_index`" in str(caught.value)


@pytest.mark.parametrize(
    "field", [name for name in GOLDEN if name not in {"upgrades", "activations", "store"}]
)
def test_a_missing_field_is_named(tmp_path, field):
    (tmp_path / "manifest.json").write_bytes(
        seal({name: value for name, value in GOLDEN.items() if name != field})
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
