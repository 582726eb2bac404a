"""Listings as sources: text, CSV, JSON lines, the standard input."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.sources import UNKNOWN, Seen, Skipped, read_skipped
from retrieval.sources.listings import ListingSource
from retrieval.testing import check_source
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.sources.media.made import film, moving, pdf
from tests.retrieval.sources.remote.server import Site, serving

NAMES = ["a/1.png", "b/2.png", "3.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


def write(photos: Path, lines: list[str], name: str = "list.txt") -> Path:
    path = photos / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def entries(source: ListingSource) -> list[Any]:
    return [entry for entry in source.entries(Seen()) if not isinstance(entry, Skipped)]


def keys_of(index: Path, encoder: CountingEncoder) -> list[str]:
    with retrieval.open(index, encoder=encoder) as collection:
        return sorted(collection)


@pytest.mark.parametrize("name", ["list.txt", "list.csv", "list.jsonl"])
def test_it_keeps_the_contract(photos: Path, tmp_path: Path, name: str) -> None:
    lines = {
        "list.txt": NAMES,
        "list.csv": ["file,caption", *(f"{name},x" for name in NAMES)],
        "list.jsonl": [f'{{"file_name": "{name}", "caption": "x"}}' for name in NAMES],
    }[name]
    path = write(photos, lines, name)

    check_source("listing", str(path), memory=tmp_path / "memory")


def test_paths_are_relative_to_the_listing_and_keys_as_they_are_written(photos: Path, tmp_path: Path) -> None:
    path = write(photos, ["./a/1.png", str(photos / "b/2.png"), f"file://{photos}/3.png", "../photos/3.png"])
    source = ListingSource(str(path))

    listed = entries(source)

    assert [os.fsdecode(entry.key) for entry in listed] == path.read_text().splitlines()
    assert [source.read(entry) for entry in listed] == [
        (photos / name).read_bytes() for name in [*NAMES, "3.png"]
    ]


def test_what_cannot_be_had_is_skipped_with_a_reason(photos: Path) -> None:
    path = write(photos, ["none.png", "a", "x.xcf", "3.png", "3.png"])
    seen = Seen()

    found = list(ListingSource(str(path)).entries(seen))

    assert [getattr(entry, "reason", "") for entry in found] == [
        "vanished",
        "not-a-file",
        "unsupported-format",
        "",
    ]
    assert seen.notes == [f"{path}: 1 line names a file again; it is taken once"]


def test_columns_are_handed_on(photos: Path) -> None:
    path = write(photos, ["file,caption,n", "3.png,a dog,7"], "list.csv")

    def columns(**options: Any) -> dict[str, Any]:
        source = ListingSource(str(path), **options)
        return dict(source.columns(entries(source)[0]))

    assert columns() == {"caption": "a dog"}
    assert columns(column=["n"]) == {"n": 7}


class TestBuilds:
    def test_again_only_what_changed(self, photos: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
        index, path = tmp_path / "index", write(photos, NAMES)
        assert retrieval.build_index(path, index=index, encoder=encoder).encoded == 3
        assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
        fill(photos, ["new.png"], first=50)
        write(photos, [*NAMES[:2], "new.png"])

        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.encoded, report.removed) == (1, 1)
        assert keys_of(index, encoder) == ["a/1.png", "b/2.png", "new.png"]

    def test_a_listing_that_is_gone_stops_the_build(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index, path = tmp_path / "index", write(photos, NAMES)
        retrieval.build_index(path, index=index, encoder=encoder)
        path.unlink()

        with pytest.raises(OptionError, match="cannot be read"):
            retrieval.build_index(index=index, encoder=encoder)
        assert len(keys_of(index, encoder)) == 3

    def test_the_standard_input_adds_and_updates_and_removes_only_with_prune(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = tmp_path / "index"
        monkeypatch.chdir(photos)

        def piped(names: list[str], **options: Any) -> Any:
            data = b"".join(os.fsencode(name) + b"\0" for name in names)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            return retrieval.build_index("-", index=index, encoder=encoder, from0=True, **options)

        assert piped(NAMES[:2]).encoded == 2
        assert piped(NAMES[2:]).encoded == 1
        assert keys_of(index, encoder) == sorted(NAMES)
        monkeypatch.chdir(tmp_path)
        with retrieval.open(index, encoder=encoder) as collection:
            hit = collection.search(photos / NAMES[0])[0]
            assert hit.link == str(photos / NAMES[0])
            assert hit.open().size == (48, 48)
        monkeypatch.chdir(photos)
        report = piped(NAMES[:1], prune=True)
        assert report.removed == 2
        with pytest.raises(OptionError):
            retrieval.build_index(index=index, encoder=encoder)
        fill(tmp_path / "more", ["x.png"], first=70)
        retrieval.build_index(tmp_path / "more", index=index, encoder=encoder)
        report = retrieval.build_index(index=index, encoder=encoder)
        assert report.removed == 0
        assert any("standard input" in note or "`-`" in note for note in report.notes)

    def test_a_caption_that_changes_in_a_list_at_a_url_is_taken(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        fsspec = pytest.importorskip("fsspec", reason="URLs are read with it")
        files, index = fsspec.filesystem("memory"), tmp_path / "index"
        files.pipe("/lists/0.png", (photos / NAMES[0]).read_bytes())
        for caption in ("a red bus", "a blue bus"):
            files.pipe("/lists/list.csv", f"file,caption\n0.png,{caption}\n".encode())
            report = retrieval.build_index("memory://lists/list.csv", index=index, encoder=encoder)

        assert report.encoded == 0
        with retrieval.open(index, encoder=encoder) as collection:
            assert collection.columns([0])[0]["caption"] == "a blue bus"

    def test_how_one_pipe_was_written_says_nothing_of_the_next(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = tmp_path / "index"
        monkeypatch.chdir(photos)

        def piped(end: bytes, **options: Any) -> Any:
            data = b"".join(os.fsencode(name) + end for name in NAMES)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            return retrieval.build_index("-", index=index, encoder=encoder, **options)

        piped(b"\0", from0=True)
        report = piped(b"\n", prune=True)
        assert (report.removed, report.skipped) == (0, 0)
        with pytest.raises(OptionError, match="holds a NUL byte"):
            piped(b"\0", prune=True)
        assert keys_of(index, encoder) == sorted(NAMES)

    def test_a_pipe_in_place_of_the_file_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "list.txt")

        with pytest.raises(OptionError, match=r"list\.txt cannot be read \(is not a regular file\)"):
            list(ListingSource(str(tmp_path / "list.txt")).entries(Seen()))

    def test_nothing_is_waited_for_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = io.TextIOWrapper(io.BytesIO(b""))
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, "stdin", terminal)

        with pytest.raises(OptionError, match="nothing is piped"):
            list(ListingSource("-").entries(Seen()))


ODD = ["http://[::1", "http://", "http:///x", "http://a b/c", "file://", "s3://", "://x", "http://x:99999/", "ftp://127.0.0.1:9/x",
       "simplecache::http://x/a", "s3://a::http://127.0.0.1/b", "zip://a::http://b/c", "noscheme://x/y.png"]  # fmt: skip


def test_odd_urls_are_lines_of_the_list_of_skipped_files(
    photos: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.sources.remote.attempts.time.sleep", lambda _: None)
    path = write(photos, [*ODD, NAMES[0]])

    report = retrieval.build_index(path, index=tmp_path / "index", encoder=encoder)

    assert (report.images, report.skipped) == (1, len(ODD))
    reasons = {key.decode(): file.reason for key, file in read_skipped(tmp_path / "index").items()}
    assert reasons["ftp://127.0.0.1:9/x"] == "private-address"
    assert reasons["s3://a::http://127.0.0.1/b"] == "unsupported"


def test_without_the_extra_urls_are_listed_with_its_name_and_their_rows_stay(
    photos: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(photos, ["http://example.org/a.png", NAMES[0]])
    monkeypatch.setitem(sys.modules, "retrieval.sources.remote.http_client", None)

    report = retrieval.build_index(path, index=tmp_path / "index", encoder=encoder)

    assert report.skipped_by_reason == {"needs-remote": 1}
    assert "pip install" in read_skipped(tmp_path / "index")[b"http://example.org/a.png"].detail
    assert "needs-remote" in UNKNOWN


def test_films_and_documents_give_pictures(photos: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    pytest.importorskip("av", reason="the extra `video` is not installed")
    pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")
    film(moving(2), photos / "clip.mp4", g=25)
    (photos / "paper.pdf").write_bytes(pdf((200, 100), (100, 200)))
    index, path = tmp_path / "index", write(photos, ["clip.mp4", str(photos / "paper.pdf"), NAMES[0]])

    retrieval.build_index(path, index=index, encoder=encoder, every=1, pages=True)

    pages = [f"{photos}/paper.pdf#page={number}" for number in (1, 2)]
    assert keys_of(index, encoder) == sorted(["clip.mp4#t=0", "clip.mp4#t=1", *pages, NAMES[0]])
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
    with retrieval.open(index, encoder=encoder) as collection:
        found = collection.source.find(f"{photos}/clip.mp4#t=1")
        assert found.key == b"clip.mp4#t=1"
        assert found.stamp == collection.source.find(photos / "clip.mp4#t=0").stamp
        assert len(collection.source.read(found)) > 1000


class TestUrls:
    @pytest.fixture
    def site(self, photos: Path) -> Any:
        pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")
        with serving() as site:
            for name in NAMES:
                site.files[f"/{name}"] = (photos / name).read_bytes()
            yield site

    def test_images_are_fetched_and_secrets_kept_nowhere(
        self, site: Site, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        host = site.url.removeprefix("http://")
        lines = [f"http://user:pa55word@{host}/{name}?sig=s3cret&v=1" for name in [*NAMES, "none.png"]]
        index, path = tmp_path / "index", write(photos, lines)

        report = retrieval.build_index(path, index=index, encoder=encoder, allow_private=True)

        assert (report.encoded, report.skipped_by_reason) == (3, {"vanished": 1})
        assert keys_of(index, encoder) == sorted(f"{site.url}/{name}?v=1" for name in NAMES)
        assert "/3.png?sig=s3cret&v=1" in site.asked
        for file in index.rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert b"pa55word" not in data, file
                assert b"s3cret" not in data, file

    def test_they_are_not_fetched_again(
        self, site: Site, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index, path = tmp_path / "index", write(photos, [f"{site.url}/{name}" for name in NAMES])
        retrieval.build_index(path, index=index, encoder=encoder, allow_private=True)
        asked = sum(site.asked.values())

        retrieval.build_index(index=index, encoder=encoder)
        assert sum(site.asked.values()) == asked
        retrieval.build_index(index=index, encoder=encoder, rehash=True)
        assert sum(site.asked.values()) >= asked + 3

    def test_private_addresses_are_refused_unless_allowed(
        self, site: Site, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index, path = tmp_path / "index", write(photos, [f"{site.url}/{NAMES[0]}", NAMES[1]])

        report = retrieval.build_index(path, index=index, encoder=encoder)

        assert report.skipped_by_reason == {"private-address": 1}
        assert read_skipped(index)[f"{site.url}/{NAMES[0]}".encode()].reason == "private-address"
        assert site.asked == {}

    def test_a_host_that_fails_later_removes_nothing(
        self, site: Site, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index, path = tmp_path / "index", write(photos, [f"{site.url}/{name}" for name in NAMES])
        retrieval.build_index(path, index=index, encoder=encoder, allow_private=True)
        site.answers = {f"/{name}": [403] * 9 for name in NAMES}

        report = retrieval.build_index(index=index, encoder=encoder, rehash=True)

        assert (report.removed, report.skipped_by_reason) == (0, {"permission": 3})
        assert len(keys_of(index, encoder)) == 3
