"""A build adds, changes and removes rows of its own folder only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import generation_path, read_manifest
from retrieval.errors import OptionError, PruneRefused, SpaceMismatch, StoreCorrupt
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import CountingEncoder, picture
from tests.retrieval.ingestion.galleries import NAMES, build, paths


@pytest.fixture
def by_hand(photos: Path, encoder: CountingEncoder) -> Iterator[retrieval.Collection]:
    """Give the built folder, with two rows that were added by hand."""
    build(photos, encoder)
    with retrieval.open(photos, encoder=encoder) as collection:
        collection.add(np.eye(encoder.space.dim)[:2], keys=["one", "two"])
        yield collection


def test_a_folders_own_collection_stays_as_older_versions_read_it(
    photos: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder, headers=False)  # columns raise the format
    before = read_manifest(photos / ".retrieve")

    with retrieval.open(photos, encoder=encoder) as collection, pytest.raises(OptionError):
        collection.add(np.ones(encoder.space.dim), keys=1.5)

    after = read_manifest(photos / ".retrieve")
    assert (after, after.format, len(after.sources)) == (before, 3, 1)


def test_rows_by_hand_survive_every_build(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder
) -> None:
    (photos / NAMES[0]).unlink()
    picture(77).save(photos / "new.png")

    report = build(photos, encoder)

    assert (report.encoded, report.removed, report.images) == (1, 1, 14)
    assert sorted(paths(photos, encoder)) == sorted([*NAMES[1:], "new.png", "one", "two"])
    for name in (*NAMES[1:], "new.png"):
        (photos / name).unlink()
    picture(78).save(photos / "last.png")
    report = build(photos, encoder, prune=True)
    assert (report.encoded, report.removed, report.images) == (1, 12, 3)
    assert sorted(paths(photos, encoder)) == ["last.png", "one", "two"]
    assert by_hand.refresh()
    assert by_hand.search(np.eye(encoder.space.dim)[1], k=1)[0].path == "two"


def test_rows_by_hand_do_not_count_as_images_that_have_gone(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder
) -> None:
    by_hand.add(np.random.default_rng(0).standard_normal((50, encoder.space.dim)))
    for name in NAMES:
        (photos / name).unlink()

    with pytest.raises(PruneRefused, match="its collection has 12 rows"):
        build(photos, encoder)

    by_hand.delete([*(str(number) for number in range(14, 64)), "one", "two"])
    assert len(by_hand) == 12


def test_the_same_build_again_changes_nothing(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder
) -> None:
    manifest = read_manifest(photos / ".retrieve")

    assert build(photos, encoder).encoded == 0
    assert read_manifest(photos / ".retrieve") == manifest


def test_a_file_with_the_key_of_a_row_by_hand_stops_the_build(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder
) -> None:
    picture(77).save(photos / "aaa.png")
    by_hand.add(np.ones(encoder.space.dim), keys="new.png")
    picture(78).save(photos / "new.png")
    manifest = read_manifest(photos / ".retrieve")

    with pytest.raises(OptionError, match=r"file 'new.png' of .*photos and row 14, which was added by hand"):
        build(photos, encoder)

    assert read_manifest(photos / ".retrieve") == manifest
    by_hand.delete("new.png")
    assert build(photos, encoder).encoded == 2


@pytest.mark.parametrize("method", ["add", "upsert", "sync_vectors"])
def test_a_key_of_a_file_is_refused_by_hand(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder, method: str
) -> None:
    with pytest.raises(
        OptionError, match=rf"key 2 \('{NAMES[3]}'\) belongs to a file of the folder .*photos"
    ):
        getattr(by_hand, method)(np.eye(encoder.space.dim)[:2], ["x", NAMES[3]])

    assert len(by_hand) == 14


@pytest.mark.parametrize("arguments", [{"keys": [NAMES[0]]}, {"ids": [0]}])
def test_a_row_of_a_file_is_not_deleted_by_hand(
    by_hand: retrieval.Collection, arguments: dict[str, list[object]]
) -> None:
    with pytest.raises(OptionError, match=r"belongs to a file of the folder .* `build_index`"):
        by_hand.delete(**arguments)

    assert len(by_hand) == 14


def test_making_the_rows_equal_to_vectors_leaves_the_images(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder
) -> None:
    vectors = np.eye(encoder.space.dim)[:3]

    with pytest.raises(PruneRefused, match="1 of 14 rows"):
        by_hand.sync_vectors(vectors, ["one", "three", "four"])
    report = by_hand.sync_vectors(vectors, ["one", "three", "four"], prune=True)

    assert (report.added, report.unchanged, report.deleted, report.rows) == (2, 1, 1, 15)
    assert sorted(paths(photos, encoder)) == sorted([*NAMES, "one", "three", "four"])


def test_a_copy_of_an_image_by_hand_is_not_encoded_again(
    by_hand: retrieval.Collection, photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    picture(77).save(tmp_path / "outside.png")
    by_hand.add_images(tmp_path / "outside.png")
    encoder.encoded = 0
    (photos / "inside.png").write_bytes((tmp_path / "outside.png").read_bytes())

    report = build(photos, encoder)

    assert (report.encoded, report.reused, encoder.encoded) == (0, 1, 0)
    (hit, *_) = by_hand.search(tmp_path / "outside.png", k=1, include_self=True)
    assert hit.path == str(tmp_path / "outside.png")


def test_a_created_collection_takes_a_folder_later(photos: Path, encoder: FakeEncoder) -> None:
    with retrieval.create(photos, encoder=encoder) as collection:
        collection.add(np.eye(encoder.space.dim)[:2])

    report = build(photos, encoder)

    assert (report.encoded, report.images) == (12, 14)
    assert sorted(paths(photos, encoder)) == sorted([*NAMES, "0", "1"])
    (photos / NAMES[0]).unlink()
    assert build(photos, encoder).removed == 1


@pytest.fixture
def vectors_only(tmp_path: Path) -> Path:
    """Give the folder of a collection of vectors, whose index has lost its file."""
    home = tmp_path / "vectors"
    rows = np.random.default_rng(0).standard_normal((400, 16)).astype(np.float32)
    retrieval.sync_vectors(home, rows, map(str, range(400)), space="made", kind="ivfrabitq", progress=False)
    directory = home / ".retrieve"
    (generation_path(directory, read_manifest(directory).generation) / "index.faiss").unlink()
    with pytest.raises(StoreCorrupt, match="run `build_index` on the folder"):
        retrieval.open(home)
    return home


@pytest.mark.parametrize("names_the_folder", [True, False])
def test_rows_by_hand_alone_are_indexed_again_where_a_file_was_lost(
    vectors_only: Path, names_the_folder: bool
) -> None:
    index = vectors_only / ".retrieve"
    report = retrieval.build_index(vectors_only if names_the_folder else None, index=index, progress=False)

    assert (report.images, report.reused, report.encoded, report.kind) == (400, 400, 0, "ivfrabitq")
    with retrieval.open(vectors_only) as collection:
        assert collection.search(7, k=2, include_self=True)[0].path == "7"


def test_rows_by_hand_alone_get_another_index(vectors_only: Path) -> None:
    index = vectors_only / ".retrieve"

    assert retrieval.build_index(index=index, kind="flat", progress=False).kind == "flat"
    with pytest.raises(OptionError, match="records no encoder"):
        retrieval.build_index(vectors_only, progress=False)  # whole: its images are asked for


def test_an_encoder_that_is_named_does_not_hide_what_was_lost(tmp_path: Path, encoder: FakeEncoder) -> None:
    rows = np.eye(encoder.space.dim, dtype=np.float32)
    retrieval.sync_vectors(tmp_path, rows, map(str, range(len(rows))), space=encoder.space, progress=False)
    rerank = tmp_path / ".retrieve" / "rerank.f16"
    whole = rerank.read_bytes()
    rerank.write_bytes(whole[:-100])
    with pytest.raises(StoreCorrupt, match=r"rerank\.f16: .* run `build_index` on the folder"):
        retrieval.open(tmp_path).close()
    with pytest.raises(SpaceMismatch):
        retrieval.build_index(tmp_path, encoder=FakeEncoder(dim=len(rows) + 1), progress=False)

    report = retrieval.build_index(tmp_path, encoder=encoder, progress=False)

    assert (report.images, report.encoded, rerank.read_bytes()) == (len(rows), 0, whole)
    with pytest.raises(OptionError, match="holds no images"):  # whole again: images are what it looks for
        retrieval.build_index(tmp_path, encoder=encoder, progress=False)
