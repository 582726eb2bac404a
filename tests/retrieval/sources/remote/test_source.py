"""A bucket or a page of links as a source."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import fsspec
import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.sources import Seen, Skipped
from retrieval.sources.remote import RemoteSource
from retrieval.testing import check_source
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.sources.media.made import film, moving
from tests.retrieval.sources.remote.server import Site

pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")

NAMES = ["a/1.png", "a/deep/2.png", "b/3.png", "4.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


@pytest.fixture
def bucket(photos: Path) -> str:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    for name in NAMES:
        files.pipe(f"/bucket/{name}", (photos / name).read_bytes())
    files.pipe("/bucket/notes.txt", b"words " * 20)
    files.pipe("/bucket/unnamed", (photos / NAMES[0]).read_bytes())
    files.pipe("/bucket/@eaDir/5.png", (photos / NAMES[0]).read_bytes())
    return "memory://bucket"


def keys_of(index: Path, encoder: CountingEncoder) -> list[str]:
    with retrieval.open(index, encoder=encoder) as collection:
        return sorted(collection)


def test_it_keeps_the_contract(bucket: str, tmp_path: Path) -> None:
    check_source("remote", bucket, memory=tmp_path / "memory")


def test_it_takes_what_a_folder_takes(
    bucket: str, photos: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    retrieval.build_index(bucket, index=tmp_path / "index", encoder=encoder, exclude=["b/**"])

    assert keys_of(tmp_path / "index", encoder) == ["4.png", "a/1.png", "a/deep/2.png", "unnamed"]
    with retrieval.open(tmp_path / "index", encoder=encoder) as collection:
        hit = collection.search(photos / "4.png")[0]
        assert (hit.path, hit.link) == ("4.png", "memory://bucket/4.png")
        assert hit.open().size == (48, 48)
        assert not collection.changed()


def test_again_only_what_changed(bucket: str, photos: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    index = tmp_path / "index"
    assert retrieval.build_index(bucket, index=index, encoder=encoder).images == 5
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
    time.sleep(0.001)
    fill(photos, ["4.png"], first=80)
    files = fsspec.filesystem("memory")
    files.pipe("/bucket/4.png", (photos / "4.png").read_bytes())
    files.rm("/bucket/a/1.png")

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.encoded, report.removed, report.images) == (1, 1, 4)


def test_a_bucket_half_listed_removes_nothing(
    bucket: str, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    retrieval.build_index(bucket, index=index, encoder=encoder)
    fsspec.filesystem("memory").rm("/bucket/4.png")
    _break(monkeypatch, at="/b")

    report = retrieval.build_index(index=index, encoder=encoder)

    assert (report.removed, report.not_seen) == (0, 2)
    assert len(report.incomplete) == 1
    assert len(keys_of(index, encoder)) == 5


def test_a_bucket_that_does_not_answer_stops_the_build(
    bucket: str, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    retrieval.build_index(bucket, index=index, encoder=encoder)
    _break(monkeypatch, at="bucket")

    with pytest.raises(OptionError, match="nothing was changed"):
        retrieval.build_index(index=index, encoder=encoder)
    assert len(keys_of(index, encoder)) == 5
    with pytest.raises(OptionError):
        retrieval.build_index("memory://none", index=tmp_path / "other", encoder=encoder)


def _break(monkeypatch: pytest.MonkeyPatch, *, at: str) -> None:
    """Let the store fail where a folder's name ends so."""
    kind = type(fsspec.filesystem("memory"))
    real = kind.ls

    def ls(self: object, path: str, **options: Any) -> Any:
        if path.rstrip("/").endswith(at):
            raise PermissionError
        return real(self, path, **options)

    monkeypatch.setattr(kind, "ls", ls)


def test_a_page_of_links(site: Site, photos: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    for name in NAMES:
        site.files[f"/album/{name}"] = (photos / name).read_bytes()
    index = tmp_path / "index"

    report = retrieval.build_index(f"{site.url}/album/", index=index, encoder=encoder, allow_private=True)

    assert report.encoded == 4
    assert keys_of(index, encoder) == sorted(NAMES)
    fill(photos, ["4.png"], first=80)
    site.files["/album/4.png"] = (photos / "4.png").read_bytes()
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 1


def test_a_single_image(site: Site, photos: Path) -> None:
    site.files["/4.png"] = (photos / "4.png").read_bytes()
    source = RemoteSource(f"{site.url}/4.png", allow_private=True)

    (entry,) = source.entries(Seen())

    assert entry.key == b"4.png"
    assert source.read(entry) == site.files["/4.png"]
    assert source.holds(b"4.png")
    assert not source.holds(b"5.png")


def test_private_addresses_are_refused(site: Site) -> None:
    site.files["/album/4.png"] = b"x"

    with pytest.raises(OptionError, match="private address"):
        list(RemoteSource(f"{site.url}/album/").entries(Seen()))
    assert site.asked == {}


def test_what_is_no_image_is_told_by_its_first_bytes(bucket: str) -> None:
    source = RemoteSource(bucket)
    found = {entry.key: entry for entry in source.entries(Seen()) if not isinstance(entry, Skipped)}

    assert source.look(found[b"notes.txt"]) is None
    assert source.look(found[b"unnamed"]) == found[b"unnamed"]


def test_films_give_moments(photos: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    pytest.importorskip("av", reason="the extra `video` is not installed")
    files = fsspec.filesystem("memory")
    files.pipe("/films/clip.mp4", film(moving(3), g=25))
    files.pipe("/films/4.png", (photos / "4.png").read_bytes())
    index = tmp_path / "index"

    report = retrieval.build_index("memory://films", index=index, encoder=encoder, every=1)

    assert keys_of(index, encoder) == ["4.png", "clip.mp4#t=0", "clip.mp4#t=1", "clip.mp4#t=2"]
    assert report.encoded == 4
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
    with retrieval.open(index, encoder=encoder) as collection:
        source = collection.source
        assert source.link(b"clip.mp4#t=0") == "memory://films/clip.mp4#t=0"
        assert source.holds(b"clip.mp4#t=0")
        assert len(source.read(source.find("memory://films/clip.mp4#t=0"))) > 1000
