"""Collections of tar files: built again, cut, beside a folder, with the vectors of a folder."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError, PruneRefused
from retrieval.sources.tar import TarSource
from tests.retrieval.folders import CountingEncoder, touch_later
from tests.retrieval.ingestion.galleries import NAMES, build
from tests.retrieval.sources.tar.archives import pictures, png, write_tar


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """Three archives of ten pictures, and the text that names them."""
    for number in range(3):
        write_tar(tmp_path / f"shards/{number}.tar", pictures(10, first=10 * number))
    return f"{tmp_path}/shards/{{0..2}}.tar"


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_a_folder_and_its_tar_give_the_same_vectors_and_hits(
    photos: Path, index: Path, tmp_path: Path, encoder: CountingEncoder, suffix: str
) -> None:
    build(photos, encoder)
    with tarfile.open(tmp_path / f"x.{suffix}", "w:gz" if suffix.endswith("gz") else "w") as archive:
        for name in NAMES:
            archive.add(photos / name, name)

    build(tmp_path / f"x.{suffix}", encoder, index=index)

    with retrieval.open(photos, encoder=encoder) as one, retrieval.open(index, encoder=encoder) as other:
        keys = [f"x.{suffix}/{name}" for name in NAMES]
        np.testing.assert_array_equal(one.vectors(NAMES), other.vectors(keys))
        for name in NAMES:
            found = [hit.path for hit in one.search(photos / name, k=5)]
            assert [hit.path.removeprefix(f"x.{suffix}/") for hit in other.search(photos / name, k=6)][
                1:
            ] == found


def test_only_what_changed_is_read_and_encoded(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    assert build(shards, encoder, index=index).encoded == 30
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
    write_tar(tmp_path / "shards/1.tar", [*pictures(9, first=10), ("new.png", png(500))])
    touch_later(tmp_path / "shards/1.tar")

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.encoded, report.removed, report.images) == (1, 1, 30)
    assert report.reused + report.moved == 9
    assert retrieval.build_index(index=index, encoder=encoder).reused == 0


def test_images_that_move_between_archives_are_recognised(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    build(shards, encoder, index=index)
    write_tar(tmp_path / "shards/0.tar", pictures(20))
    write_tar(tmp_path / "shards/1.tar", pictures(0))
    for number in range(2):
        touch_later(tmp_path / f"shards/{number}.tar")

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.moved, report.encoded, report.removed, report.images) == (10, 0, 0, 30)


def test_a_cut_archive_loses_no_row(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    build(shards, encoder, index=index)
    path = tmp_path / "shards/1.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    write_tar(tmp_path / "shards/2.tar", pictures(11, first=20))
    touch_later(tmp_path / "shards/2.tar")

    report = retrieval.build_index(index=index, encoder=encoder, prune=True)

    assert (report.removed, report.encoded, report.images) == (0, 1, 31)
    assert 1 <= report.not_seen <= 9
    assert "shards/1.tar is damaged or cut" in report.incomplete[0]
    path.write_bytes(whole)
    touch_later(path)
    report = retrieval.build_index(index=index, encoder=encoder)
    assert (report.removed, report.encoded, report.not_seen, report.images) == (0, 0, 0, 31)


def test_an_archive_that_is_away_loses_no_row(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    build(shards, encoder, index=index)
    away = (tmp_path / "shards/1.tar").rename(tmp_path / "away.tar")

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.removed, report.not_seen, report.images) == (0, 10, 30)
    assert len(list((index / "sources/0").glob("shard-*"))) == 3  # it is not read again once it is back
    for number in (0, 2):
        (tmp_path / f"shards/{number}.tar").unlink()
    with pytest.raises(OptionError, match="mount its drive"):
        retrieval.build_index(index=index, encoder=encoder)
    away.rename(tmp_path / "shards/1.tar")
    with retrieval.open(index, encoder=encoder) as collection:
        assert len(collection) == 30


def test_with_a_star_what_is_gone_is_removed(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    build(f"{tmp_path}/shards/*.tar", encoder, index=index)
    (tmp_path / "shards/2.tar").unlink()

    assert retrieval.build_index(index=index, encoder=encoder).removed == 10

    (tmp_path / "shards/1.tar").unlink()
    write_tar(tmp_path / "shards/0.tar", pictures(1))
    with pytest.raises(PruneRefused, match=r"shards/\*\.tar"):
        retrieval.build_index(index=index, encoder=encoder)


def test_a_folder_and_tars_in_one_collection(
    shards: str, photos: Path, index: Path, encoder: CountingEncoder
) -> None:
    build([photos, shards], encoder, index=index)

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.encoded, report.images, report.sources) == (0, 42, [str(photos), shards])
    with retrieval.open(index, encoder=encoder) as collection:
        assert collection.source.link(b"1.tar/0012.png") == shards.replace("{0..2}.tar", "1.tar/0012.png")
        assert collection.source.link(b"a/0.png") == str(photos / "a/0.png")
        assert not collection.changed()
    assert retrieval.build_index(index=index, encoder=encoder, drop_source=shards).images == 12


def test_notes_reach_the_report(index: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    archive = write_tar(tmp_path / "x.tar", [("a.png", png(1)), ("b.png", png(2)), ("a.png", png(3))])

    report = build(archive, encoder, index=index)

    assert len(report.notes) == 1
    assert "names that stand more than once: 1" in report.notes[0]
    assert report.to_json()["notes"] == report.notes


def test_broken_images_are_listed_with_their_reason(
    index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    archive = write_tar(
        tmp_path / "x.tar", [("a.png", png(1)), ("b.png", b"no picture"), ("c.svg", b"<svg/>")]
    )

    report = build(archive, encoder, index=index)

    assert report.skipped_by_reason == {"unsupported-format": 1, "unreadable": 1}
    assert "x.tar/b.png\tunreadable" in (index / "skipped.tsv").read_text()
    assert retrieval.build_index(index=index, encoder=encoder).skipped == 2


def test_tar_files_at_urls(shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    fsspec = pytest.importorskip("fsspec", reason="URLs are read with it")
    files = fsspec.filesystem("memory")
    for number in range(3):
        files.pipe(f"/bucket/{number}.tar", (tmp_path / f"shards/{number}.tar").read_bytes())
    try:
        report = build("memory://bucket/{0..2}.tar", encoder, index=index)

        assert (report.encoded, report.sources) == (30, ["memory://bucket/{0..2}.tar"])
        assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
        with retrieval.open(index, encoder=encoder) as collection:
            record = collection.source.find("memory://bucket/1.tar/0012.png")
            assert record is not None
            assert collection.source.read(record) == png(12)
            assert not collection.changed()
        files.rm("/bucket/2.tar")
        report = retrieval.build_index(index=index, encoder=encoder)
        assert (report.removed, report.not_seen) == (0, 10)
    finally:
        files.rm("/bucket", recursive=True)


def test_stars_in_urls_find_what_the_store_has(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="URLs are read with it")
    files = fsspec.filesystem("memory")
    for number, name in enumerate(["0.tar", "1.tar", "sub/2.tar"]):
        files.pipe(f"/starred/{name}", (tmp_path / f"shards/{number}.tar").read_bytes())
    files.pipe("/starred/0.txt", b"x")
    try:
        assert build("memory://starred/*.tar", encoder, index=index).encoded == 20
        assert build("memory://starred/**/2.tar", encoder, index=tmp_path / "deep").encoded == 10
        with retrieval.open(tmp_path / "deep", encoder=encoder) as collection:
            assert next(iter(collection)) == "sub/2.tar/0020.png"
        files.pipe("/starred/3.tar", (tmp_path / "shards/2.tar").read_bytes())
        report = retrieval.build_index(index=index, encoder=encoder)
        assert (report.images, report.encoded) == (30, 10)
        with pytest.raises(OptionError, match="no file has such a name"):
            build("memory://starred/*.tgz", encoder, index=tmp_path / "none")
        with pytest.raises(OptionError, match="count with braces"):
            build("memory://nowhere/*.tar", encoder, index=tmp_path / "none")
    finally:
        files.rm("/starred", recursive=True)


def test_content_that_changed_under_the_same_size_and_time_is_seen_with_rehash(
    index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    archive = write_tar(tmp_path / "x.tar", pictures(3))
    build(archive, encoder, index=index)
    data, times = bytearray(archive.read_bytes()), archive.stat()
    one, other = png(0), png(0)[:-20] + bytes(20)
    start = data.index(one)
    data[start : start + len(other)] = other
    archive.write_bytes(data)
    os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert retrieval.build_index(index=index, encoder=encoder).skipped == 0
    report = retrieval.build_index(index=index, encoder=encoder, rehash=True)
    assert (report.skipped, report.encoded) in {(1, 0), (0, 1)}


def test_captions_come_back_in_hits_and_a_changed_one_encodes_nothing(
    index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    members = [("1.png", png(1)), ("1.txt", b"a red bus"), ("1.cls", b"3"), ("2.png", png(2))]
    archive = write_tar(tmp_path / "x.tar", members)
    build(archive, encoder, index=index)
    with retrieval.open(index, encoder=encoder) as collection:
        columns = {
            hit.path: hit.columns for hit in collection.search(retrieval.row(0), k=2, include_self=True)
        }
    assert {name: columns["x.tar/1.png"].get(name) for name in ("caption", "label")} == {
        "caption": "a red bus",
        "label": 3,
    }
    assert "caption" not in columns["x.tar/2.png"]
    write_tar(archive, [*members[:1], ("1.txt", b"a blue bus"), *members[2:]])
    touch_later(archive)

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.encoded, report.removed) == (0, 0)
    with retrieval.open(index, encoder=encoder) as collection:
        hit = collection.search(retrieval.row(0), k=1, include_self=True)[0]
        assert (hit.path, hit.columns["caption"]) == ("x.tar/1.png", "a blue bus")


def test_captions_of_archives_that_did_not_change_are_not_read_again(
    index: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        members = [(f"{number}.png", png(number)), (f"{number}.txt", b"caption %d" % number)]
        write_tar(tmp_path / f"{number}.tar", members)
    build(f"{tmp_path}/{{0..1}}.tar", encoder, index=index)
    write_tar(tmp_path / "1.tar", [("1.png", png(1)), ("1.txt", b"another")])
    touch_later(tmp_path / "1.tar")
    asked: list[bytes] = []
    real = TarSource.columns

    def columns(source: TarSource, entry: Any) -> Any:
        asked.append(entry.key)
        return real(source, entry)

    monkeypatch.setattr(TarSource, "columns", columns)

    retrieval.build_index(index=index, encoder=encoder)

    assert asked == [b"1.tar/1.png"]
    with retrieval.open(index, encoder=encoder) as collection:
        rows = collection.columns([collection.id_of(f"{number}.tar/{number}.png") for number in range(2)])
    assert [row["caption"] for row in rows] == ["caption 0", "another"]


def test_more_archives_replace_fewer_and_nothing_is_encoded_again(
    shards: str, index: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    build(shards, encoder, index=index)
    write_tar(tmp_path / "shards/3.tar", pictures(2, first=30))
    more = shards.replace("0..2", "0..3")
    with pytest.raises(
        OptionError, match=r"both give the key '0.tar/0000.png'; .* replace the first with `drop_source`"
    ):
        build(more, encoder, index=index)

    report = build(more, encoder, index=index, drop_source=shards)

    assert (report.encoded, report.removed, report.images) == (2, 0, 32)
    assert [source["source"] for source in retrieval.open(index, encoder=encoder).info()["sources"]] == [more]
    assert retrieval.build_index(index=index, encoder=encoder).images == 32
