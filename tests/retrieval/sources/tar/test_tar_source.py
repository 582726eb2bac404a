"""Tar files as a source."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrieval.errors import ImageError, OptionError, SourceIncomplete
from retrieval.sources import Seen, Skipped, SourceEntry, open_spec
from retrieval.sources.tar import TarSource, archive_reader
from retrieval.sources.tar.shard_listing import list_shard
from retrieval.sources.tar.tar_source import TarEntry
from retrieval.testing import check_source
from tests.retrieval.folders import touch_later
from tests.retrieval.sources.tar.archives import pictures, png, write_tar


def listed(source: TarSource, seen: Seen | None = None) -> list[bytes]:
    return [entry.key for entry in source.entries(seen or Seen()) if not isinstance(entry, Skipped)]


def cut(source: TarSource, words: str = "tar") -> list[TarEntry]:
    """List a source that is not whole; return what it gave before it said so."""
    found: list[TarEntry] = []
    with pytest.raises((SourceIncomplete, OptionError), match=words):
        found.extend(source.entries(Seen()))
    return found


def opened(path: Path | str, memory: Path | None = None) -> TarSource:
    source = open_spec(path)
    assert isinstance(source, TarSource)
    source.memory = memory
    return source


@pytest.fixture(params=["indexed", "forward"])
def packed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read gzipped files with and without the package that seeks in them."""
    if request.param == "indexed":
        pytest.importorskip("indexed_gzip", reason="a gzipped file is read forward without it")
    else:
        monkeypatch.setitem(__import__("sys").modules, "indexed_gzip", None)
    return str(request.param)


class TestContract:
    @pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz"])
    def test_it_is_kept(self, tmp_path: Path, suffix: str) -> None:
        for number in range(3):
            mode = "w" if suffix == "tar" else "w:gz"
            write_tar(tmp_path / f"{number:02d}.{suffix}", pictures(4, first=4 * number), mode=mode)

        check_source("tar", f"{tmp_path}/{{00..02}}.{suffix}", memory=tmp_path / "memory")
        check_source("tar", f"{tmp_path}/*.{suffix}")
        check_source("tar", tmp_path / f"01.{suffix}")

    def test_without_a_seek_index_too(self, tmp_path: Path, packed: str) -> None:
        write_tar(tmp_path / "x.tar.gz", pictures(30), mode="w:gz")

        check_source("tar", tmp_path / "x.tar.gz", memory=tmp_path / "memory")


def noisy(count: int) -> list[tuple[str, bytes]]:
    """Return members that are hardly packed smaller."""
    rng = random.Random(0)
    return [
        (f"{number:02}.png", png(number) + rng.randbytes(40_000).hex().encode()) for number in range(count)
    ]


class TestDamagedGzip:
    @pytest.fixture
    def damaged(self, tmp_path: Path) -> Path:
        """An archive whose listing is kept, and of which some bytes have changed since under the same size and time."""
        path = write_tar(tmp_path / "x.tar.gz", noisy(20), mode="w:gz")
        assert len(listed(opened(path, tmp_path / "memory"))) == 20
        data, times = bytearray(path.read_bytes()), path.stat()
        data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
        path.write_bytes(data)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return path

    def test_what_lies_before_it_is_listed(self, damaged: Path, packed: str) -> None:
        found = cut(opened(damaged), r"x\.tar\.gz .*(packed data is damaged|may be damaged)")

        assert 5 < len(found) < 15

    def test_no_other_bytes_are_taken_for_an_image(self, damaged: Path, packed: str) -> None:
        source = opened(damaged, damaged.parent / "memory")
        right: list[bool] = []
        errors: list[ImageError] = []
        for entry, (_, data) in zip(source.entries(Seen()), noisy(20), strict=True):
            try:
                right.append(source.read(entry) == data)
            except ImageError as error:
                errors.append(error)

        assert right[:5] == [True] * 5
        assert right.count(False) <= 1  # the one that holds the damage itself: its decoder sees that
        assert {error.reason for error in errors} == {"read-error"}
        assert not any("readinto" in str(error) for error in errors)


class TestListed:
    def test_keys_are_the_archive_and_the_path_in_it(self, tmp_path: Path) -> None:
        write_tar(tmp_path / "s/0.tar", [("./b/2.PNG", png(2)), ("/a/1.png", png(1)), ("notes.pdf", b"x")])
        write_tar(tmp_path / "s/1.tar", [("b/2.png", png(3))])

        assert listed(opened(f"{tmp_path}/s/{{0..1}}.tar")) == [
            b"0.tar/b/2.PNG", b"0.tar/a/1.png", b"0.tar/notes.pdf", b"1.tar/b/2.png",
        ]  # fmt: skip
        assert listed(opened(tmp_path / "s/1.tar")) == [b"1.tar/b/2.png"]
        assert listed(opened(f"{tmp_path}/*/1.tar")) == [b"s/1.tar/b/2.png"]

    def test_what_has_no_suffix_of_an_image_is_known_by_its_first_bytes(self, tmp_path: Path) -> None:
        source = opened(write_tar(tmp_path / "x.tar", [("a", png(1)), ("b.bin", b"no image" * 9)]))

        looked = [source.look(entry) for entry in source.entries(Seen())]

        assert [entry is None for entry in looked] == [False, True]

    def test_formats_that_are_not_read_are_listed_by_name(self, tmp_path: Path) -> None:
        source = opened(
            write_tar(tmp_path / "x.tar", [("a.png", png(1)), ("b.svg", b"<svg/>"), ("._c.png", b"x")])
        )

        assert [
            (entry.key, entry.reason) for entry in source.entries(Seen()) if isinstance(entry, Skipped)
        ] == [(b"x.tar/b.svg", "unsupported-format")]

    def test_links_inside_are_followed_and_others_said(self, tmp_path: Path) -> None:
        with tarfile.open(tmp_path / "x.tar", "w") as archive:
            member = tarfile.TarInfo("a/1.png")
            member.size = len(png(1))
            archive.addfile(member, io.BytesIO(png(1)))
            for name, kind, target in [
                ("chain.png", tarfile.SYMTYPE, "hard.png"),
                ("hard.png", tarfile.LNKTYPE, "a/1.png"),
                ("b/soft.png", tarfile.SYMTYPE, "../a/1.png"),
                ("gone.png", tarfile.SYMTYPE, "/etc/passwd"),
                ("round.png", tarfile.SYMTYPE, "trip.png"),
                ("trip.png", tarfile.SYMTYPE, "round.png"),
                ("pipe.png", tarfile.FIFOTYPE, ""),
                ("device", tarfile.CHRTYPE, ""),
                ("hard.txt", tarfile.SYMTYPE, "nowhere.txt"),
            ]:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, target
                archive.addfile(member)
        source = opened(tmp_path / "x.tar")

        entries = list(source.entries(Seen()))

        images = [entry for entry in entries if not isinstance(entry, Skipped)]
        names = [b"a/1.png", b"chain.png", b"hard.png", b"b/soft.png"]
        assert sorted(entry.key for entry in images) == sorted(b"x.tar/" + name for name in names)
        assert {source.read(entry) for entry in images} == {png(1)}
        assert [dict(source.columns(entry)) for entry in images] == [{}] * 4
        skipped = {entry.key: entry.reason for entry in entries if isinstance(entry, Skipped)}
        assert skipped == {
            b"x.tar/gone.png": "vanished",
            b"x.tar/round.png": "vanished",
            b"x.tar/trip.png": "vanished",
            b"x.tar/pipe.png": "not-a-file",
        }
        with pytest.raises(ImageError):
            source.read(SourceEntry(b"x.tar/gone.png", bytes(16)))

    def test_names_that_are_no_utf8_and_long_ones(self, tmp_path: Path) -> None:
        odd = os.fsdecode(b"\xff\xfe.png")
        source = opened(write_tar(tmp_path / "x.tar", [(odd, png(1)), ("d/" * 150 + "e.png", png(2))]))

        entries = list(source.entries(Seen()))

        assert [entry.key for entry in entries] == [b"x.tar/\xff\xfe.png", b"x.tar/" + b"d/" * 150 + b"e.png"]
        assert [source.read(SourceEntry(entry.key, entry.stamp)) for entry in entries] == [png(1), png(2)]
        assert source.find(source.link(entries[0].key)) == SourceEntry(entries[0].key, entries[0].stamp)

    def test_repeated_names_are_one_image_the_last_and_that_is_said(self, tmp_path: Path) -> None:
        members = [("a.png", png(1)), ("b.png", png(2)), ("a.png", png(3))]
        source, seen = opened(write_tar(tmp_path / "x.tar", members)), Seen()

        entries = list(source.entries(seen))

        assert [entry.key for entry in entries] == [b"x.tar/b.png", b"x.tar/a.png"]
        assert source.read(entries[1]) == png(3)
        assert len(seen.notes) == 1
        assert (
            "x.tar: names that stand more than once: 1 (a.png is one); the last of each is taken"
            in seen.notes[0]
        )

    @pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
    def test_archives_put_together_are_all_read(self, tmp_path: Path, suffix: str, packed: str) -> None:
        mode = "w" if suffix == "tar" else "w:gz"
        path = write_tar(tmp_path / f"x.{suffix}", pictures(2), mode=mode)
        for first in (5, 9):
            other = write_tar(tmp_path / "y", pictures(2, first=first), mode=mode)
            path.write_bytes(path.read_bytes() + other.read_bytes())
        source, numbers = opened(path), [0, 1, 5, 6, 9, 10]

        entries = list(source.entries(Seen()))

        assert [entry.key for entry in entries] == [b"%s/%04d.png" % (path.name.encode(), n) for n in numbers]
        assert [source.read(entry) for entry in entries] == [png(number) for number in numbers]

    def test_a_sparse_file_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "s.png").write_bytes(png(1))
        os.truncate(tmp_path / "s.png", 5_000_000)
        for form in ("gnu", "pax"):
            path = tmp_path / f"{form}.tar"
            made = subprocess.run(
                ["tar", "-S", f"--format={form}", "-C", tmp_path, "-cf", path, "s.png"], check=False
            )
            if made.returncode:
                pytest.skip("this tar writes no sparse files")

            assert [
                (entry.key, entry.reason)
                for entry in opened(path).entries(Seen())
                if isinstance(entry, Skipped)
            ] == [(b"%s.tar/s.png" % form.encode(), "not-a-file")]

    def test_an_archive_of_nothing(self, tmp_path: Path) -> None:
        assert listed(opened(write_tar(tmp_path / "x.tar", []))) == []

    def test_what_tar_itself_wrote(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for name, data in pictures(3):
            (tmp_path / "in" / name).write_bytes(data)
        subprocess.run(["tar", "-C", tmp_path, "-czf", tmp_path / "x.tgz", "in"], check=True)

        assert sorted(listed(opened(tmp_path / "x.tgz"))) == [b"x.tgz/in/%04d.png" % n for n in range(3)]


class TestSamples:
    """WebDataset's conventions."""

    def test_texts_beside_an_image_are_its_columns(self, tmp_path: Path) -> None:
        members = [
            ("a/1.left.JPG", png(1)),
            ("a/1.right.jpg", png(2)),
            ("a/1.txt", b"ein Zug\n"),
            ("a/1.CLS", b"7"),
            ("a/1.json", b'{"photographer": "Ada", "size": [3, 4], "score": 0.5, "label": "lost"}'),
            ("a/2.jpg", png(3)),
            ("a/2.cls", b"bus"),
            ("a/3.jpg", png(4)),
            ("b/1.txt", b"of another sample"),
        ]
        source, seen = opened(write_tar(tmp_path / "x.tar", members)), Seen()

        entries = list(source.entries(seen))

        expected = {"caption": "ein Zug", "label": 7, "photographer": "Ada", "size": "[3, 4]", "score": 0.5}
        assert [dict(source.columns(entry)) for entry in entries] == [
            expected,
            expected,
            {"label": "bus"},
            {},
        ]
        assert source.columns(SourceEntry(entries[0].key, b"")) == expected
        assert seen.notes == []

    def test_members_that_lie_apart_are_put_together_and_that_is_said(self, tmp_path: Path) -> None:
        members = [
            ("1.jpg", png(1)),
            ("2.jpg", png(2)),
            ("1.txt", b"one"),
            ("2.txt", b"two"),
            ("3.jpg", png(3)),
        ]
        source, seen = opened(write_tar(tmp_path / "x.tar", members)), Seen()

        entries = list(source.entries(seen))

        assert [source.columns(entry).get("caption") for entry in entries] == ["one", "two", None]
        assert "samples whose members do not lie side by side: 2;" in seen.notes[0]

    @pytest.mark.parametrize(
        ("name", "data", "expected"),
        [
            ("1.json", b"[1, 2]", {"json": "[1, 2]"}),
            ("1.json", b"{broken", {"json": "{broken"}),
            ("1.json", b'{"a": NaN, "b": null, "c": true}', {"a": None, "b": None, "c": True}),
            ("1.json", b'{"a": 123456789012345678901234567890}', {"a": "123456789012345678901234567890"}),
            ("1.json", b'{"": 1, "b": 2}', {"b": 2, "json": '{"": 1, "b": 2}'}),
            ("1.json", b'{"%s": 1}' % (b"n" * 201), {"json": '{"%s": 1}' % ("n" * 201)}),
            ("1.cls", b"007", {"label": 7}),
            ("1.cls", "³".encode(), {"label": "³"}),
            ("1.txt", b"\xff caption", {"caption": "� caption"}),
            ("1.txt", b" \n", {}),
        ],
    )
    def test_odd_texts(self, tmp_path: Path, name: str, data: bytes, expected: dict[str, object]) -> None:
        source = opened(write_tar(tmp_path / "x.tar", [("1.jpg", png(1)), (name, data)]))

        assert [dict(source.columns(entry)) for entry in source.entries(Seen())] == [expected]

    def test_what_webdatasets_writer_wrote(self, tmp_path: Path) -> None:
        webdataset = pytest.importorskip("webdataset", reason="the files of another program")
        with webdataset.ShardWriter(f"{tmp_path}/%04d.tar", maxcount=3, verbose=False) as writer:
            for number in range(7):
                writer.write(
                    {
                        "__key__": f"s{number}",
                        "png": png(number),
                        "txt": f"picture {number}",
                        "cls": number % 2,
                    }
                )

        source = opened(f"{tmp_path}/{{0000..0002}}.tar")
        entries = list(source.entries(Seen()))

        assert [entry.key for entry in entries] == [b"%04d.tar/s%d.png" % (n // 3, n) for n in range(7)]
        assert [source.columns(entry) for entry in entries] == [
            {"caption": f"picture {number}", "label": number % 2} for number in range(7)
        ]
        assert [source.read(entry) for entry in entries] == [png(number) for number in range(7)]


class TestDamaged:
    """What is cut or damaged is listed as far as it goes, and said."""

    @pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
    @pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
    def test_one_that_was_cut(self, tmp_path: Path, suffix: str, share: float, packed: str) -> None:
        path = write_tar(tmp_path / f"x.{suffix}", pictures(8), mode="w" if suffix == "tar" else "w:gz")
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        source = opened(path)

        found = cut(source, rf"x\.{suffix} (is damaged or cut|ends without an end mark)")

        assert 0 < len(found) < 8
        assert [source.read(entry) for entry in found] == [png(number) for number in range(len(found))]

    def test_every_cut_of_a_small_one(self, tmp_path: Path) -> None:
        path = write_tar(tmp_path / "x.tar", [("a.png", b"a" * 700), ("b.png", b"b" * 100)])
        whole = path.read_bytes()
        end = 512 + 1024 + 512 + 512
        for size in (*range(1, end, 93), *range(512, end, 512), end - 1, end):
            path.write_bytes(whole[:size])
            assert all(entry.start + entry.size <= size for entry in cut(opened(path))), size
        path.write_bytes(whole[: end + 512])
        assert len(listed(opened(path))) == 2

    def test_something_else_in_the_middle(self, tmp_path: Path) -> None:
        path = write_tar(tmp_path / "x.tar", [("a.png", png(1)), ("b.png", png(2)), ("c.png", png(3))])
        data = bytearray(path.read_bytes())
        start = 512 + -(-len(png(1)) // 512) * 512
        data[start : start + 512] = os.urandom(512)
        path.write_bytes(data)

        found = cut(opened(path), "that belongs to no tar file: it may be damaged")

        assert [entry.key for entry in found] == [b"x.tar/a.png"]

    def test_a_hole_as_in_a_download_that_is_not_complete(self, tmp_path: Path) -> None:
        path = write_tar(tmp_path / "x.tar", [(f"{n}.png", bytes([n + 1]) * 20_000) for n in range(20)])
        whole, one = path.read_bytes(), 512 + 20_480
        for start, stop, kept in [
            (3 * one, 9 * one, [0, 1, 2, *range(9, 20)]),  # other members lie behind it
            (3 * one, 9 * one - 600, [0, 1, 2]),
            (3 * one + 512, 9 * one + 1000, [0, 1, 2, 3]),
            (3 * one, len(whole), [0, 1, 2]),
        ]:
            path.write_bytes(whole[:start] + bytes(stop - start) + whole[stop:])
            assert [entry.key for entry in cut(opened(path), "zeros at byte")] == [
                b"x.tar/%d.png" % number for number in kept
            ]

    @pytest.mark.parametrize("mode", ["bz2", "xz"])
    def test_one_packed_by_another_program(self, tmp_path: Path, mode: str) -> None:
        for suffix in ("tar", f"tar.{mode}"):
            write_tar(tmp_path / f"x.{suffix}", pictures(1), mode=f"w:{mode}")
            with pytest.raises(
                OptionError, match=r"it is packed by (bzip2|xz); unpack it, or pack it by gzip"
            ):
                list(opened(tmp_path / f"x.{suffix}").entries(Seen()))

    def test_a_header_that_leads_back_ends(self, tmp_path: Path) -> None:
        path = write_tar(tmp_path / "x.tar", [("a.png", png(1)), ("b.png", png(2))])
        member = tarfile.TarInfo("c.png")
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = b"\xff" + (-1024).to_bytes(11, "big", signed=True)
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        data = bytearray(path.read_bytes())
        start = 512 + -(-len(png(1)) // 512) * 512
        data[start : start + 512] = header
        path.write_bytes(data)

        with pytest.raises(SourceIncomplete):
            list(opened(path).entries(Seen()))

    @pytest.mark.parametrize("data", [b"", b"no archive", os.urandom(2048), b"\x1f\x8b" + bytes(300)])
    def test_what_is_no_tar_file(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "0.tar").write_bytes(data)
        with pytest.raises(OptionError, match=r"0\.tar cannot be listed .*check the path"):
            list(opened(tmp_path / "0.tar").entries(Seen()))

        write_tar(tmp_path / "1.tar", pictures(2))
        found = cut(opened(f"{tmp_path}/{{0,1}}.tar"), r"0\.tar cannot be listed")
        assert [entry.key for entry in found] == [b"1.tar/0000.png", b"1.tar/0001.png"]

    def test_one_of_several_that_is_missing(self, tmp_path: Path) -> None:
        write_tar(tmp_path / "1.tar", pictures(2))

        with pytest.raises(
            SourceIncomplete, match=r"0\.tar does not exist; .*2\.tar does not exist; .*and 3 more"
        ):
            list(opened(f"{tmp_path}/{{0..6}}.tar").entries(Seen()))
        with pytest.raises(OptionError, match="mount its drive"):
            list(opened(f"{tmp_path}/{{7..9}}.tar").entries(Seen()))
        with pytest.raises(OptionError, match="no file has such a name"):
            list(opened(f"{tmp_path}/x*.tar").entries(Seen()))

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.tar")

        with pytest.raises(OptionError, match="is not a regular file"):
            list(opened(tmp_path / "x.tar").entries(Seen()))


class TestRead:
    def test_one_that_changed_since_it_was_listed_is_not_read_as_another(self, tmp_path: Path) -> None:
        path = write_tar(tmp_path / "x.tar", pictures(3))
        source = opened(path)
        entry = list(source.entries(Seen()))[1]
        write_tar(path, [("0001.png", png(7)), ("0002.png", png(8)), ("more.png", png(9))])
        touch_later(path)

        with pytest.raises(ImageError, match="has changed since it was listed") as error:
            source.read(entry)

        assert error.value.reason == "read-error"  # nobody knows: its row stays
        assert source.read(SourceEntry(entry.key, entry.stamp)) == png(7)

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        path = write_tar(tmp_path / "x.tar", pictures(2))
        source = opened(path)
        entries = list(source.entries(Seen()))

        with pytest.raises(ImageError) as gone:
            source.read(SourceEntry(b"x.tar/none.png", bytes(16)))
        assert gone.value.reason == "vanished"
        path.unlink()
        with pytest.raises(ImageError) as away:
            source.read(entries[0])
        assert away.value.reason == "read-error"  # the archive is away, not the image

    def test_one_that_is_too_large(self, tmp_path: Path) -> None:
        source = opened(write_tar(tmp_path / "x.tar", [("a.png", bytes(5000)), ("b.png", png(1))]))
        entries = list(source.entries(Seen()))

        with pytest.raises(ImageError, match="--max-pixels 1250 reads it") as error:
            source.read(entries[0], max_pixels=1000)

        assert error.value.reason == "too-large"
        assert source.read(entries[0], max_pixels=1250) == bytes(5000)

    def test_threads_in_any_order(self, tmp_path: Path, packed: str) -> None:
        for number in range(3):
            write_tar(tmp_path / f"{number}.tar.gz", pictures(20, first=20 * number), mode="w:gz")
        source = opened(f"{tmp_path}/*.tar.gz", tmp_path / "memory")
        entries = list(source.entries(Seen()))

        with ThreadPoolExecutor(8) as pool:
            forward = list(pool.map(source.read, entries))
            backward = list(pool.map(source.read, entries[::-1]))

        assert forward == backward[::-1] == [png(number) for number in range(60)]


class TestMemory:
    def test_an_unchanged_archive_is_not_read_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            write_tar(tmp_path / f"{number}.tar", pictures(4, first=4 * number))
        text, memory = f"{tmp_path}/*.tar", tmp_path / "memory"
        first = opened(text, memory)
        assert first.total() is None
        expected = list(first.entries(Seen()))
        read = []
        monkeypatch.setattr(
            archive_reader, "list_shard", lambda *args, **kw: (read.append(1), list_shard(*args, **kw))[1]
        )

        again = opened(text, memory)

        assert again.total() == 12
        assert list(again.entries(Seen())) == expected
        assert read == []
        assert not again.changed(memory)
        write_tar(tmp_path / "1.tar", pictures(5, first=50))
        assert again.changed(memory)
        assert len(list(opened(text, memory).entries(Seen()))) == 13
        assert len(read) == 1
        assert opened(text, memory).read(SourceEntry(expected[0].key, b"")) == png(0)
        assert len(read) == 1

    def test_what_is_no_more_is_forgotten(self, tmp_path: Path) -> None:
        memory = tmp_path / "memory"
        for number in range(3):
            write_tar(tmp_path / f"{number}.tar.gz", pictures(4, first=4 * number), mode="w:gz")
        list(opened(f"{tmp_path}/*.tar.gz", memory).entries(Seen()))
        before = sum(name.startswith("shard-") for name in os.listdir(memory))
        (tmp_path / "1.tar.gz").unlink()

        list(opened(f"{tmp_path}/*.tar.gz", memory).entries(Seen()))

        assert sum(name.startswith("shard-") for name in os.listdir(memory)) * 3 == before * 2

    @pytest.mark.parametrize("damage", [b"", b"x" * 50, None])
    def test_a_damaged_or_lost_memory_costs_time_only(self, tmp_path: Path, damage: bytes | None) -> None:
        path, memory = write_tar(tmp_path / "x.tar", pictures(4)), tmp_path / "memory"
        expected = list(opened(path, memory).entries(Seen()))
        for file in memory.iterdir():
            file.unlink() if damage is None else file.write_bytes(damage)

        assert list(opened(path, memory).entries(Seen())) == expected
        assert list(opened(path, memory).entries(Seen())) == expected

    def test_what_was_cut_stays_cut(self, tmp_path: Path) -> None:
        path, memory = write_tar(tmp_path / "x.tar", pictures(4)), tmp_path / "memory"
        path.write_bytes(path.read_bytes()[:-9000])

        for _ in range(2):
            with pytest.raises(SourceIncomplete):
                list(opened(path, memory).entries(Seen()))
