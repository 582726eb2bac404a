"""Sources: what a collection asks of the place that its images come from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import retrieval
from indexes.generation.manifest import read_manifest
from indexes.store.store import VectorStore
from retrieval.errors import ImageError, OptionError
from retrieval.ingestion.changes.changes import compare
from retrieval.ingestion.changes.stored_files import StoredFiles
from retrieval.ingestion.intake.intake import Intake
from retrieval.sources import FolderMemory, Seen, Skipped, keys
from retrieval.sources.collection_source import open_source
from retrieval.sources.folders.folder import FolderSource
from retrieval.sources.folders.folder_options import FolderOptions
from retrieval.sources.protocol import Source
from tests.retrieval.folders import CountingEncoder, fill


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", ["b/2.png", "a/1.png", "c", "#recycle/x.png"])


class TestFolder:
    def test_it_lists_in_a_fixed_order_and_reads_what_it_lists(self, photos: Path) -> None:
        source: Source = FolderSource(photos, FolderOptions())

        listed = list(source.entries(Seen()))

        assert [entry.key for entry in listed] == [b"a/1.png", b"b/2.png", b"c"]
        assert [entry.claimed for entry in listed] == [True, True, False]
        assert source.look(listed[2]) == listed[2]
        for entry in listed:
            path = photos / os.fsdecode(entry.key)
            assert source.read(entry) == path.read_bytes()
            assert source.link(entry.key) == str(path)
            assert source.holds(entry.key)
            assert keys.size_of(entry.stamp) == path.stat().st_size
            found = source.find(path)
            assert (found.key, found.stamp) == (entry.key, entry.stamp)

    def test_what_it_does_not_hold(self, photos: Path, tmp_path: Path) -> None:
        source = FolderSource(photos, FolderOptions())
        entry = source.find(photos / "a/gone.png")

        assert not source.holds(b"a/gone.png")
        assert not source.holds(b"a")
        assert source.find(tmp_path / "elsewhere.png") is None
        with pytest.raises(ImageError) as gone:
            source.read(entry)
        assert gone.value.reason == "vanished"
        with pytest.raises(OptionError, match="cannot be listed"):
            list(FolderSource(tmp_path / "none", FolderOptions()).entries(Seen()))

    def test_a_part_has_the_keys_of_the_whole(self, photos: Path) -> None:
        source = FolderSource(photos, FolderOptions(), below=b"b/")

        assert [entry.key for entry in source.entries(Seen())] == [b"b/2.png"]

    def test_it_is_opened_as_the_manifest_names_it(self, photos: Path, tmp_path: Path) -> None:
        index = tmp_path / "index"
        retrieval.build_index(photos, index=index, encoder=CountingEncoder(), include=["#recycle"])
        manifest = read_manifest(index)

        source = open_source(index, manifest)

        assert source.name == str(photos)
        assert source.options == {"include": ["#recycle"]} == manifest.sources[0].options
        assert len(list(source.entries(Seen()))) == 4
        assert open_source(index, manifest, root=tmp_path / "moved").name == str(tmp_path / "moved")
        with retrieval.open(index) as collection:
            assert collection.source.name == str(photos)

    def test_a_kind_of_source_that_is_not_known_is_refused(self, photos: Path) -> None:
        retrieval.build_index(photos, encoder=CountingEncoder())
        manifest = read_manifest(photos / ".retrieve")
        strange = replace(manifest, sources=(replace(manifest.sources[0], type="hologram"),))

        with pytest.raises(OptionError, match="hologram"):
            open_source(photos / ".retrieve", strange)


class _Item(NamedTuple):
    key: bytes
    stamp: bytes
    claimed: bool = True


class Remembered:
    """Images in memory: another kind of source, with stamps of its own."""

    name, type, options = "memory", "memory", {}

    def __init__(self, images: dict[bytes, bytes]) -> None:
        self.images = images

    def entries(self, seen: Seen) -> Iterator[_Item | Skipped]:
        for key, data in sorted(self.images.items()):
            yield _Item(key, len(data).to_bytes(8, "little") + hash(data).to_bytes(8, "little", signed=True))

    def look(self, entry: _Item) -> _Item:
        return entry

    def read(self, entry: _Item, **_: Any) -> bytes:
        return self.images[entry.key]

    def link(self, key: bytes) -> str:
        return f"memory:{os.fsdecode(key)}"


def test_what_is_no_folder_is_compared_and_taken_in_all_the_same(tmp_path: Path, photos: Path) -> None:
    encoder = CountingEncoder()
    names = [b"a/1.png", b"b/2.png", b"c"]
    source = Remembered(
        {f"archive.tar/{n}".encode(): (photos / os.fsdecode(k)).read_bytes() for n, k in enumerate(names)}
    )
    source.images[b"archive.tar/broken"] = b"no picture, but words"

    def build(store: VectorStore) -> Intake:
        changes = compare(
            source.entries(Seen()),
            StoredFiles.of(store.packed(), most=store.count),
            source=source,
            records=store.records,
            before=FolderMemory(),
            seen=Seen(),
        )
        intake = Intake(changes, store, source, lambda: encoder, None)
        intake.run()
        store.remove(changes.missing.values())
        store.commit()
        return intake

    with VectorStore.create(tmp_path / "store", dim=encoder.space.dim) as store:
        first = build(store)
        assert (first.encoded, [file.reason for file in first.skipped]) == (3, ["unreadable"])
        assert (build(store).encoded, encoder.encoded) == (0, 3)
        source.images[b"archive.tar/moved"] = source.images.pop(b"archive.tar/0")
        del source.images[b"archive.tar/1"]
        last = build(store)

        assert (last.moved, last.encoded, encoder.encoded) == (1, 0, 3)
        assert sorted(record.key for record in store.scan()) == [b"archive.tar/2", b"archive.tar/moved"]
        assert np.count_nonzero(store.tombstones()) == 1
