"""What the guides promise of sources, columns and names, asked from outside: by the command, or in Python.

Long because every promise of the guides stands here once, whichever room keeps it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.cli import main
from retrieval.encoders.registry import registry
from retrieval.errors import RetrievalError
from retrieval.testing import check_source
from tests.retrieval.cli import fake
from tests.retrieval.folders import fill, picture
from tests.retrieval.sources.media.made import dng, film, moving, pdf, quarters
from tests.retrieval.sources.remote.server import serving
from tests.retrieval.sources.tar.archives import png, write_tar

NAMES = [f"{folder}/{number}.png" for folder in ("cats", "dogs") for number in range(4)]
FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with `FakeEncoder` as the encoder ``fake``."""
    monkeypatch.setitem(registry.BUILT_IN, "fake", fake.__name__)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsysbinary):
    """Run one command in this process: exit status, stdout, stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        capsysbinary.readouterr()
        status = main([os.fspath(word) for word in words])
        out, err = capsysbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


def build(*sources: str | Path, **options) -> retrieval.BuildReport:
    """Build the collection ``index`` with the fake encoder."""
    options = {"index": "index", "encoder": "fake", "progress": None, **options}
    return retrieval.build_index([os.fspath(source) for source in sources] or None, **options)


def keys(index: str = "index") -> list[str]:
    with retrieval.open(index) as rows:
        return sorted(rows)


def skipped(index: str = "index") -> dict[str, str]:
    """Return the reason of each line of ``skipped.tsv``."""
    lines = (Path(index) / "skipped.tsv").read_text().splitlines()[1:]
    return {line.split("\t")[0]: line.split("\t")[1] for line in lines}


def photos(names: list[str] = NAMES, folder: str = "photos") -> Path:
    return fill(Path(folder), names)


def members(names: list[str] = NAMES) -> list[tuple[str, bytes]]:
    """Return the files that `photos` writes, as members of an archive."""
    return [(name, png(seed)) for seed, name in enumerate(names)]


def table(path: str = "photos.parquet", names: list[str] = NAMES, **columns) -> str:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": data, "path": name} for name, data in members(names)]
    parquet.write_table(pa.table({"image": images, **columns}), path)
    return path


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


class TestSources:
    @pytest.mark.parametrize("kind", ["folder", "tar", "table", "listing"])
    def test_the_built_in_types_keep_the_contract_that_plugins_are_tested_by(self, kind: str) -> None:
        write_tar(Path("photos.tar"), members())
        Path("list.txt").write_text("".join(f"{photos() / name}\n" for name in NAMES))
        where = {"folder": photos, "tar": lambda: "photos.tar", "table": table, "listing": lambda: "list.txt"}

        check_source(kind, where[kind]())

    def test_a_type_of_another_distribution_is_found_by_its_entry_point(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(FIXTURES / "archives")
        import zipfile

        with zipfile.ZipFile("holidays.zip", "w") as archive:
            for name, data in members():
                archive.writestr(name, data)

        assert build("holidays.zip").encoded == 8
        assert keys() == sorted(NAMES)

    def test_a_folder_its_tar_its_table_and_its_listing_give_the_same_vectors_and_hits(self) -> None:
        folder = photos()
        write_tar(Path("photos.tar"), members())
        with tarfile.open("photos.tgz", "w:gz") as archive:
            archive.add(folder, arcname="")
        Path("list.txt").write_text("".join(f"{folder / name}\n" for name in NAMES))
        named = table(name=NAMES)
        vectors, answers = {}, {}
        for place in (folder, "photos.tar", "photos.tgz", named, "list.txt"):
            options = {"key_column": "name"} if place == named else {}
            index = f"index of {Path(place).name}"
            build(place, index=index, **options)
            with retrieval.open(index) as rows:
                stems = [
                    key.split("/", 1)[1] if key.split("/")[0] not in {"cats", "dogs"} else key for key in rows
                ]
                order = np.argsort(stems)
                assert [stems[at] for at in order] == sorted(NAMES)
                vectors[place] = rows.vectors()[order]
                hits = [
                    rows.search(query, names="off", k=8)
                    for query in ("red", "cats", "a blue bus", picture(3))
                ]
                place_of = dict(zip(rows, stems, strict=True))
                answers[place] = [[(place_of[hit.path], hit.score) for hit in found] for found in hits]
        for place, found in vectors.items():
            assert np.array_equal(found, vectors[folder]), place
            assert answers[place] == answers[folder], place

    def test_a_source_is_added_and_all_are_built_again_without_source(self, run) -> None:
        build(photos())
        write_tar(Path("more.tar"), [("a.png", png(50))])

        status, out, _ = run("build-index", "more.tar", "--index", "index", "--json")
        assert (status, json.loads(out)["encoded"], json.loads(out)["removed"]) == (0, 1, 0)
        assert keys() == sorted([*NAMES, "more.tar/a.png"])

        write_tar(Path("more.tar"), [("a.png", png(50)), ("b.png", png(51))])
        fill(Path("photos"), ["cats/new.png"], first=90)
        status, out, _ = run("build-index", "--index", "index", "--json")
        report = json.loads(out)
        assert (status, report["encoded"], report["removed"], report["images"]) == (0, 2, 0, 11)
        assert {Path(source).name for source in report["sources"]} == {"photos", "more.tar"}

    def test_only_drop_source_drops_one(self, run) -> None:
        write_tar(Path("more.tar"), [("a.png", png(50))])
        build(photos(), "more.tar")

        assert build(photos()).removed == 0
        status, out, _ = run("build-index", "--index", "index", "--drop-source", "more.tar", "--json")

        assert (status, json.loads(out)["removed"]) == (0, 1)
        assert keys() == sorted(NAMES)
        assert build().removed == 0

    def test_two_that_give_one_key_are_refused_before_anything_is_written(self, run) -> None:
        photos()
        photos(folder="others")

        status, _, err = run("build-index", "photos", "others", "--index", "index", "--encoder", "fake")

        assert status == 1
        assert all(word in err for word in ("photos", "others", "cats/0.png"))
        assert len(err.splitlines()) == 1
        assert not Path("index/manifest.json").exists()

    def test_a_folder_with_an_archive_and_a_table_inside_stays_a_folder(self) -> None:
        write_tar(photos() / "more.tar", [("a.png", png(50))])
        table("photos/photos.parquet")

        report = build("photos")

        assert keys() == sorted(NAMES)
        assert report.other_files == {"parquet": 1, "tar": 1}

    @pytest.mark.parametrize("kind", ["folder", "tar", "table", "listing"])
    def test_a_source_that_is_away_stops_the_build_and_nothing_is_deleted(self, kind: str) -> None:
        places = {"folder": Path("photos"), "tar": Path("photos.tar"), "table": Path("photos.parquet")}
        place = places.get(kind, Path("list.txt"))
        photos(folder="photos")
        write_tar(Path("photos.tar"), members())
        table()
        Path("list.txt").write_text("".join(f"photos/{name}\n" for name in NAMES))
        fill(Path("others"), ["other.png"], first=70)
        build(place, "others")
        before = keys()
        place.rename("away")

        with pytest.raises(RetrievalError, match=place.name):
            build()
        assert keys() == before
        Path("away").rename(place)
        report = build()
        assert (report.encoded, report.reused, report.removed) == (0, 0, 0)

    @pytest.mark.parametrize("packed", [False, True])
    def test_rows_behind_a_truncated_tar_stay_and_are_reported(self, run, packed: bool) -> None:
        shard = Path("shard.tgz" if packed else "shard.tar")
        big = [(f"{number}.png", png(number) + os.urandom(20_000)) for number in range(8)]
        write_tar(shard, big, mode="w:gz" if packed else "w")
        whole = shard.read_bytes()
        build(shard)
        cut(shard, 0.5)

        report = build()

        assert (report.removed, report.images) == (0, 8)
        assert 0 < report.not_seen < 8
        assert len(keys()) == 8
        assert "shard" in " ".join(report.incomplete)
        status, out, err = run("build-index", "--index", "index")
        assert (status, "not seen" in out + err, len(keys())) == (0, True, 8)
        shard.write_bytes(whole)
        report = build()
        assert (report.not_seen, report.removed, report.encoded) == (0, 0, 0)

    def test_one_of_several_archives_or_tables_away_deletes_nothing(self) -> None:
        for number in range(3):
            write_tar(Path(f"shards/{number}.tar"), [("a.png", png(number))])
            Path("tables").mkdir(exist_ok=True)
            table(f"tables/{number}.parquet", ["x.png"])
        build("shards/{0..2}.tar", "tables/{0..2}.parquet")
        os.remove("shards/1.tar")
        os.remove("tables/2.parquet")

        report = build()

        assert (report.removed, report.not_seen, len(report.incomplete)) == (0, 2, 2)
        assert len(keys()) == 6

    def test_rows_that_a_whole_source_no_longer_lists_are_removed(self) -> None:
        write_tar(Path("shard.tar"), members())
        build("shard.tar")
        write_tar(Path("shard.tar"), members()[:6])

        assert build().removed == 2
        assert keys() == sorted(f"shard.tar/{name}" for name in NAMES[:6])

    def test_moved_entries_are_recognised_in_every_source(self) -> None:
        rows = list(reversed(NAMES))
        write_tar(Path("shard.tar"), members())
        build("shard.tar", table(), index="index")
        write_tar(Path("shard.tar"), [(f"moved/{name}", data) for name, data in members()])
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        data = dict(members())
        parquet.write_table(
            pa.table({"image": [{"bytes": data[name], "path": name} for name in rows]}), "photos.parquet"
        )

        report = build()

        assert report.encoded == 0
        assert len(keys()) == 16

    def test_options_of_a_source_are_asked_again_by_the_next_build(self) -> None:
        build(table(mood=["glad"] * 8, name=NAMES), key_column="name", column=["mood"])
        table(mood=["sad"] * 8, name=NAMES)

        assert build().encoded == 0
        with retrieval.open("index") as rows:
            assert rows.search("red", k=1)[0].columns["mood"] == "sad"
            assert sorted(rows) == sorted(NAMES)

    def test_a_touched_archive_and_a_touched_table_encode_nothing(self) -> None:
        write_tar(Path("shard.tar"), members())
        build("shard.tar", table())
        for name in ("shard.tar", "photos.parquet"):
            os.utime(name, ns=(1, 10**18))

        report = build()

        assert (report.encoded, report.moved, report.removed) == (0, 0, 0)


class TestTar:
    def test_neighbours_of_one_name_are_columns(self) -> None:
        sample = [
            ("a/1.PNG", png(1)),
            ("a/1.txt", b"a red bus"),
            ("a/1.cls", b"3"),
            ("a/1.json", json.dumps({"author": "Ada", "likes": 7}).encode()),
            ("a/2.png", png(2)),
        ]
        write_tar(Path("shard.tar"), sample)

        build("shard.tar")

        with retrieval.open("index") as rows:
            first, second = rows.columns([rows.id_of("shard.tar/a/1.PNG"), rows.id_of("shard.tar/a/2.png")])
        said = {name: first[name] for name in ("caption", "label", "author", "likes")}
        assert said == {"caption": "a red bus", "label": 3, "author": "Ada", "likes": 7}
        assert "caption" not in second

    def test_unsorted_samples_are_joined_and_repeated_names_are_said(self) -> None:
        write_tar(
            Path("shard.tar"),
            [("1.txt", b"one"), ("2.png", png(2)), ("1.png", png(1)), ("2.txt", b"two"), ("1.png", png(9))],
        )

        report = build("shard.tar")

        assert report.images == 2
        with retrieval.open("index") as rows:
            captions = {key: rows.columns([rows.id_of(key)])[0]["caption"] for key in rows}
            vector = rows.vectors(["shard.tar/1.png"])[0]
        assert captions == {"shard.tar/1.png": "one", "shard.tar/2.png": "two"}
        build(fill(Path("p"), ["last.png"], first=9), index="other")
        with retrieval.open("other") as rows:
            assert np.array_equal(rows.vectors(["last.png"])[0], vector)
        assert len(report.notes) >= 1

    def test_several_images_of_one_sample_are_rows_of_their_own(self) -> None:
        write_tar(Path("s.tar"), [("1.left.png", png(1)), ("1.right.png", png(2)), ("1.txt", b"both")])

        build("s.tar")

        with retrieval.open("index") as rows:
            assert {key: rows.columns([rows.id_of(key)])[0]["caption"] for key in rows} == {
                "s.tar/1.left.png": "both",
                "s.tar/1.right.png": "both",
            }

    def test_a_broken_image_is_a_line_with_its_reason(self) -> None:
        write_tar(Path("s.tar"), [("1.png", png(1)), ("2.png", b""), ("3.jpg", b"<html>")])

        report = build("s.tar")

        assert (report.images, report.skipped) == (1, 2)
        assert skipped() == {"s.tar/2.png": "empty", "s.tar/3.jpg": "unreadable"}


class TestTables:
    def test_rows_without_an_image_are_lines_with_their_reason(self) -> None:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({"image": [png(1), None, b"", b"<html>"]}), "t.parquet")

        report = build("t.parquet")

        assert (report.images, report.skipped) == (1, 3)
        assert skipped() == {"t.parquet#1": "empty", "t.parquet#2": "empty", "t.parquet#3": "unreadable"}

    @pytest.mark.parametrize("form", ["feather", "arrow"])
    def test_arrow_files_are_read(self, form: str) -> None:
        pa, feather = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.feather")
        rows = pa.table({"jpeg": [data for _, data in members()], "label": list(range(8))})
        if form == "feather":
            feather.write_feather(rows, "t.feather")
        else:
            with pa.OSFile("t.arrow", "wb") as file, pa.ipc.new_stream(file, rows.schema) as writer:
                writer.write_table(rows)

        assert build(f"t.{form}").images == 8
        with retrieval.open("index") as found:
            assert found.columns([found.id_of(f"t.{form}#3")])[0]["label"] == 3

    def test_a_folder_of_tables_is_named_by_its_type(self) -> None:
        Path("data").mkdir()
        table("data/a.parquet", NAMES[:4])
        table("data/b.parquet", NAMES[4:])

        assert build("table:data").images == 8
        assert keys()[0] == "a.parquet#0"

    @pytest.mark.parametrize("column", ["path", "url"])
    def test_a_table_may_hold_paths(self, column: str) -> None:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        photos()
        Path("lists").mkdir()
        parquet.write_table(pa.table({column: [f"../photos/{name}" for name in NAMES]}), "lists/t.parquet")

        assert build("lists/t.parquet").images == 8

    def test_two_rows_of_one_key_are_not_both_taken(self) -> None:
        build(table(name=["same"] * 8), key_column="name")

        assert keys() == ["same"]
        assert sum(1 for reason in skipped().values() if reason == "repeated-key") == 7

    def test_one_damaged_table_of_several_deletes_nothing(self) -> None:
        Path("data").mkdir()
        table("data/a.parquet", NAMES[:4])
        table("data/b.parquet", NAMES[4:])
        build("data/*.parquet")
        cut(Path("data/b.parquet"), 0.5)

        report = build()

        assert (report.removed, report.not_seen, report.images) == (0, 4, 8)

    def test_what_datasets_writes_gives_the_vectors_of_its_folder(self) -> None:
        datasets = pytest.importorskip("datasets")
        photos()
        rows = datasets.Dataset.from_dict(
            {"image": [f"photos/{name}" for name in NAMES], "label": [0] * 4 + [1] * 4},
            features=datasets.Features(
                {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cats", "dogs"])}
            ),
        )
        rows.to_parquet("photos.parquet")
        rows.save_to_disk("saved")
        build("photos", index="folder")
        with retrieval.open("folder") as found:
            expected = found.vectors(NAMES)
        for place in ("photos.parquet", "saved"):
            build(place, index=f"{place}-index")
            with retrieval.open(f"{place}-index") as found:
                assert np.array_equal(found.vectors(), expected)
                assert [known["label"] for known in found.columns(range(8))] == ["cats"] * 4 + ["dogs"] * 4


class TestListings:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("list.txt", "a.png\nsub/b.png\n"),
            ("list.csv", 'file,caption\na.png,"a cup, red"\nsub/b.png,"a dog"\n'),
            ("list.tsv", "path\tcaption\na.png\ta cup, red\nsub/b.png\ta dog\n"),
            (
                "list.jsonl",
                '{"image": "a.png", "caption": "a cup, red"}\n{"image": "sub/b.png", "caption": "a dog"}\n',
            ),
        ],
    )
    def test_relative_paths_are_relative_to_the_listing(self, name: str, text: str) -> None:
        fill(Path("lists"), ["a.png", "sub/b.png"])
        (Path("lists") / name).write_text(text)

        build(f"lists/{name}")

        assert keys() == ["a.png", "sub/b.png"]
        if name != "list.txt":
            with retrieval.open("index") as rows:
                assert rows.columns([rows.id_of("a.png")])[0]["caption"] == "a cup, red"

    def test_standard_input_adds_and_removes_only_with_prune(
        self, run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photos(["a b.png", "c\nd.png", "e.png"], ".")

        def pipe(*names: str, options: tuple[str, ...] = ()) -> dict:
            data = b"".join(name.encode() + b"\0" for name in names)
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
            words = (
                "build-index",
                "--from0",
                "-",
                "--index",
                "index",
                "--encoder",
                "fake",
                "--json",
                *options,
            )
            status, out, err = run(*words)
            assert status == 0, err
            return json.loads(out)

        assert pipe("a b.png", "c\nd.png")["encoded"] == 2
        assert pipe("e.png")["removed"] == 0
        assert keys() == ["a b.png", "c\nd.png", "e.png"]
        with pytest.raises(RetrievalError, match="standard input"):
            build()
        build(fill(Path("more"), ["f.png"], first=60))
        again = build()
        assert (again.encoded, again.removed, again.images) == (0, 0, 4)
        assert any("standard input" in note for note in again.notes)
        assert pipe("e.png", options=("--prune",))["removed"] == 2
        assert keys() == ["e.png", "f.png"]

    def test_lines_that_lead_nowhere_are_listed_and_doubles_are_said(self) -> None:
        photos()
        Path("list.csv").write_text(
            "file,caption\nphotos/cats/0.png,x\nnone.png,y\nphotos/cats/0.png,z\n,w\n"
        )

        report = build("list.csv")

        assert (report.images, report.skipped) == (1, 2)
        assert skipped() == {"none.png": "vanished", "list.csv#5": "unreadable"}
        assert any("1 line names a file again" in note for note in report.notes)


class TestRemote:
    @pytest.fixture(autouse=True)
    def _extra(self) -> None:
        pytest.importorskip("aiohttp")
        pytest.importorskip("fsspec")

    def test_a_store_gives_what_a_folder_gives(self) -> None:
        import fsspec

        store = fsspec.filesystem("memory")
        for name, data in members():
            store.pipe(f"/promised/{name}", data)
        write_tar(Path("shard.tar"), members())
        store.pipe("/shards/shard.tar", Path("shard.tar").read_bytes())
        store.pipe("/tables/photos.parquet", Path(table()).read_bytes())
        try:
            assert (
                build(
                    "memory://promised", "memory://shards/shard.tar", "memory://tables/photos.parquet"
                ).encoded
                == 8
            )
            assert len(keys()) == 24
            again = build()
            assert (again.encoded, again.reused, again.removed) == (0, 0, 0)
            with retrieval.open("index") as rows:
                for hit in rows.search(picture(2), k=3, fold_duplicates=False):
                    assert (hit.open().size, hit.score) == ((48, 48), pytest.approx(1, abs=1e-3))
        finally:
            store.rm("/", recursive=True)

    def test_private_addresses_are_refused_without_allow_private(self, run) -> None:
        with serving() as site:
            site.files = {f"/photos/{name}": data for name, data in members()}
            url = f"{site.url}/photos/"
            status, _, err = run("build-index", url, "--index", "index", "--encoder", "fake")
            assert (status, "--allow-private" in err, sum(site.asked.values())) == (1, True, 0)

            status, out, err = run(
                "build-index", url, "--index", "index", "--encoder", "fake", "--allow-private", "--json"
            )
            assert (status, json.loads(out)["encoded"]) == (0, 8), err
            status, out, err = run("build-index", "--index", "index", "--json")
            assert (status, json.loads(out)["encoded"]) == (0, 0), err

    def test_secrets_of_a_url_are_nowhere(self, run) -> None:
        with serving() as site:
            site.files = {"/a.png": png(1), "/b.png": png(2)}
            host = site.url.removeprefix("http://")
            Path("list.txt").write_text(
                f"http://me:pa55word@{host}/a.png?size=2&X-Amz-Signature=5ecret\n"
                f"http://{host}/b.png?token=5ecret\nhttp://{host}/none.png?sig=5ecret&token=pa55word\n"
            )
            words = ("build-index", "list.txt", "--index", "index", "--encoder", "fake", "--allow-private")
            status, out, err = run(*words)
            assert status == 0
            assert "2 encoded" in out
            status, found, _ = run("query", "red", "--index", "index", "--json", "--html", "page.html")
            assert status == 0
        assert keys() == [f"http://{host}/a.png?size=2", f"http://{host}/b.png"]
        written = [path.read_bytes() for path in Path("index").rglob("*") if path.is_file()]
        shown = (out + err + found).encode()
        for text in [*written, shown, Path("page.html").read_bytes()]:
            assert b"5ecret" not in text
            assert b"pa55word" not in text

    def test_what_a_server_does_wrong_is_a_line_with_its_reason(self) -> None:
        with serving() as site:
            site.files = {"/a.png": png(1)}
            site.redirects = {"/loop.png": "/loop.png"}
            site.answers = {"/secret.png": [403] * 20}
            Path("list.txt").write_text(
                "".join(f"{site.url}/{name}.png\n" for name in ("a", "loop", "none", "secret"))
            )
            report = build("list.txt", allow_private=True)
            found = {key.removeprefix(site.url): reason for key, reason in skipped().items()}
        assert report.images == 1
        assert found == {"/loop.png": "redirect-loop", "/none.png": "vanished", "/secret.png": "permission"}

    def test_a_store_that_stops_answering_removes_nothing(self) -> None:
        with serving() as site:
            site.files = {f"/photos/{name}": data for name, data in members()}
            build(f"{site.url}/photos/", allow_private=True)
            site.answers = {"/photos/dogs/": [500] * 20}
            report = build()
            assert (report.removed, report.not_seen, report.images) == (0, 4, 8)
            assert report.incomplete
            site.answers = {"/photos/": [500] * 20}
            with pytest.raises(RetrievalError):
                build()
        assert len(keys()) == 8


class TestFilmsAndDocuments:
    @pytest.fixture(autouse=True)
    def _extra(self) -> None:
        pytest.importorskip("av")
        pytest.importorskip("pypdfium2")

    def test_films_and_documents_are_counted_and_the_option_is_named(self, run) -> None:
        film(moving(1), photos() / "clip.mp4")
        Path("photos/paper.pdf").write_bytes(pdf((200, 300)))

        status, out, err = run("build-index", "photos", "--index", "index", "--encoder", "fake")

        assert status == 0
        assert keys() == sorted(NAMES)
        assert "--every" in out + err
        assert "--pages" in out + err

    def test_a_film_becomes_moments_that_hits_and_pages_name(self, run) -> None:
        film(moving(4), photos() / "clip.mp4")
        options = ("--index", "index", "--encoder", "fake", "--every", "1", "--json")

        status, out, err = run("build-index", "photos", *options)

        assert (status, json.loads(out)["encoded"]) == (0, 12), err
        assert [key for key in keys() if "#" in key] == [f"clip.mp4#t={second}" for second in range(4)]
        again = build()
        assert (again.encoded, again.reused, again.removed) == (0, 0, 0)
        with retrieval.open("index") as rows:
            hit = rows.search(rows.id_of("clip.mp4#t=2"), k=1, include_self=True)[0]
            assert (hit.path, hit.moment, hit.open().size) == ("clip.mp4#t=2", 2.0, (160, 96))
        assert run("query", "red", "--index", "index", "-k", "12", "--html", "page.html")[0] == 0
        assert "clip.mp4#t=2" in Path("page.html").read_text()

    def test_a_changed_film_replaces_its_moments_and_a_moved_one_is_recognised(self) -> None:
        film(moving(3), photos() / "clip.mp4")
        build("photos", every="1")
        os.rename("photos/clip.mp4", "photos/moved.mp4")
        report = build()
        assert (report.encoded, next(key for key in keys() if "#" in key)) == (0, "moved.mp4#t=0")
        film(moving(2, seed=5), "photos/moved.mp4")
        report = build()
        assert (report.encoded, [key for key in keys() if "#" in key]) == (
            2,
            ["moved.mp4#t=0", "moved.mp4#t=1"],
        )

    def test_a_moment_is_a_query(self, run) -> None:
        film(moving(3), photos() / "clip.mp4")
        Path("photos/paper.pdf").write_bytes(pdf((200, 300), (300, 200)))
        build("photos", every="1", pages=True)

        for query in ("clip.mp4#t=1", "photos/clip.mp4#t=1", "photos/clip.mp4#t=1.5", "paper.pdf#page=2"):
            status, out, err = run(
                "query", query, "--index", "photos/../index", "-k", "1", "--include-self", "--json"
            )
            assert status == 0, err
            assert json.loads(out)[0]["path"].partition("#")[0] in query
        status, _, err = run("query", "photos/clip.mp4", "--index", "index")
        assert (status, "photos/clip.mp4#t=2" in err) == (1, True)

    def test_near_equal_neighbours_are_left_out(self) -> None:
        fill(Path("photos"), ["a.png"])
        film([quarters()] * 75, "photos/still.mp4")

        build("photos", every="1")

        assert keys() == ["a.png", "still.mp4#t=0"]

    def test_a_listing_takes_films_in_only_if_asked(self) -> None:
        film(moving(2), photos() / "clip.mp4")
        Path("list.txt").write_text("photos/cats/0.png\nphotos/clip.mp4\n")

        assert build("list.txt").images == 1
        assert skipped() == {"photos/clip.mp4": "unsupported-format"}
        assert build("list.txt", every="1").images == 3
        assert skipped() == {}

    def test_pages_become_rows(self) -> None:
        Path("photos").mkdir()
        Path("photos/paper.pdf").write_bytes(pdf((200, 300), (300, 200)))

        build("photos", pages=True)

        assert keys() == ["paper.pdf#page=1", "paper.pdf#page=2"]
        with retrieval.open("index") as rows:
            width, height = rows.search("red", k=2, ids=["paper.pdf#page=2"])[0].open().size
        assert width > height

    def test_broken_films_and_documents_are_lines_with_their_reason(self) -> None:
        photos()
        Path("photos/a.mp4").write_bytes(b"no film at all" * 100)
        Path("photos/b.pdf").write_bytes(b"%PDF-1.4 nothing")
        Path("photos/c.mp4").write_bytes(b"")

        build("photos", every="1", pages=True)

        found = skipped()
        assert {name: found[name] for name in ("a.mp4", "b.pdf", "c.mp4")} == {
            "a.mp4": "unreadable",
            "b.pdf": "unreadable",
            "c.mp4": "empty",
        }

    def test_films_in_archives_are_taken_in(self) -> None:
        clip = film(moving(2), "clip.mp4")
        write_tar(Path("shard.tar"), [("a.png", png(1)), ("clip.mp4", Path(clip).read_bytes())])

        build("shard.tar", every="1")

        assert keys() == ["shard.tar/a.png", "shard.tar/clip.mp4#t=0", "shard.tar/clip.mp4#t=1"]

    def test_a_raw_photograph_is_its_preview_and_not_a_second_row_of_its_jpeg(self) -> None:
        Path("photos").mkdir()
        shot = picture(5, size=96)
        Path("photos/alone.dng").write_bytes(dng(shot))
        Path("photos/both.dng").write_bytes(dng(shot))
        picture(6).save("photos/both.jpg")
        Path("photos/drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

        report = build("photos")

        assert keys() == ["alone.dng", "both.jpg"]
        assert skipped()["drawing.svg"] == "unsupported-format"
        assert "both.dng" not in skipped()
        assert any("raw" in note for note in report.notes) or "dng" in report.other_files


class TestColumns:
    @pytest.fixture
    def tables(self) -> str:
        pytest.importorskip("duckdb")
        return table(
            name=NAMES,
            caption=[f"a {name.split('/')[0][:-1]}" for name in NAMES],
            year=list(range(2010, 2018)),
        )

    @pytest.fixture
    def _built(self, tables: str) -> None:
        build(tables, key_column="name", column=["caption", "year"])

    @pytest.mark.usefixtures("_built")
    def test_columns_come_back_in_hits_exports_and_info(self, run) -> None:
        expected = {"caption": "a cat", "year": 2013, "width": 48, "height": 48}
        _, out, _ = run("query", "red", "--index", "index", "--ids", "cats/3.png", "--json")
        assert expected.items() <= json.loads(out)[0]["columns"].items()
        _, out, _ = run("query", "red", "--index", "index", "--ids", "cats/3.png", "--jsonl")
        assert expected.items() <= json.loads(out)["columns"].items()
        _, out, _ = run("query", "red", "--index", "index", "--ids", "cats/3.png", "--csv")
        row = next(csv.DictReader(io.StringIO(out)))
        assert {name: str(value) for name, value in expected.items()}.items() <= row.items()
        _, out, _ = run("info", "--index", "index")
        assert all(name in out for name in (*expected, "bytes"))
        _, out, _ = run("info", "--index", "index", "--json")
        assert all(name in out for name in (*expected, "bytes"))

    @pytest.mark.usefixtures("_built")
    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ("year >= 2016", NAMES[6:]),
            ("YEAR < 2012 AND caption = 'a cat'", NAMES[:2]),
            ("caption LIKE '%dog' AND NOT year IN (2014, 2015)", NAMES[6:]),
            ("width > 2000", []),
            ("taken >= '2019-06-01' OR latitude > 0 OR Camera = 'Maker'", []),
            ("taken IS NULL AND year BETWEEN 2012 AND 2013", NAMES[2:4]),
            ("upper(caption) = 'A DOG' OR year + 1 = 2011", [NAMES[0], *NAMES[4:]]),
        ],
    )
    def test_where_filters_inside_the_search(self, run, condition: str, expected: list[str]) -> None:
        status, out, err = run(
            "query", "red", "--index", "index", "--where", condition, "--json", "--names", "off"
        )
        assert (status, sorted(hit["path"] for hit in json.loads(out))) == (0, sorted(expected)), err
        with retrieval.open("index") as rows:
            assert sorted(hit.path for hit in rows.search("red", where=condition)) == sorted(expected)
            flags = rows.mask(where=condition)
            assert sorted(key for key, flag in zip(rows, flags, strict=True) if flag) == sorted(expected)
            assert sorted(hit.path for hit in rows.search("red", where=flags)) == sorted(expected)

    @pytest.mark.usefixtures("_built")
    @pytest.mark.parametrize(
        ("condition", "word"),
        [
            ("colour = 'red'", "colour"),
            ("year > (SELECT 1)", "SELECT"),
            ("EXISTS (SELECT * FROM read_csv('/etc/passwd'))", "SELECT"),
            ("read_text('/etc/passwd') = ''", "read_text"),
            ("getenv('HOME') = ''", "getenv"),
            ("current_setting('threads') = '1'", "current_setting"),
            ("true; ATTACH 'x.db'", ";"),
            ("year = 1) OR (true", ")"),
            ("", ""),
        ],
    )
    def test_what_is_no_condition_over_columns_is_an_error_that_names_the_word(
        self, run, condition, word
    ) -> None:
        status, out, err = run("query", "red", "--index", "index", "--where", condition)

        assert (status, out) == (1, "")
        assert word.lower() in err.lower()
        assert len(err.splitlines()) == 1
        with retrieval.open("index") as rows, pytest.raises(RetrievalError):
            rows.search("red", where=condition)

    @pytest.mark.usefixtures("_built")
    def test_a_changed_caption_encodes_nothing(self) -> None:
        table(name=NAMES, caption=["something else"] * 8, year=list(range(8)))

        report = build()

        assert (report.encoded, report.removed) == (0, 0)
        with retrieval.open("index") as rows:
            assert {known["caption"] for known in rows.columns(range(8))} == {"something else"}
            assert len(rows.search("red", where="year = 5")) == 1

    @pytest.mark.usefixtures("_built")
    def test_a_new_column_encodes_nothing(self) -> None:
        table(name=NAMES, caption=["x"] * 8, year=[1] * 8, mood=["glad"] * 8)

        assert build("photos.parquet", column=["mood"]).encoded == 0
        with retrieval.open("index") as rows:
            assert {known["mood"] for known in rows.columns(range(8))} == {"glad"}

    def test_an_older_collection_gets_the_columns_of_its_files_without_encoding(self) -> None:
        photos()
        build("photos", headers=False)
        with retrieval.open("index") as rows:
            assert rows.columns([0]) == [{}]

        assert build().encoded == 0
        with retrieval.open("index") as rows:
            assert rows.columns([0]) == [{}]
        assert build(headers=True).encoded == 0
        with retrieval.open("index") as rows:
            assert {known["width"] for known in rows.columns(range(8))} == {48}

    def test_the_camera_says_time_and_place(self) -> None:
        from PIL import Image

        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Maker", "Model 1"
        exif.get_ifd(0x8769)[0x9003] = "2019:07:14 09:30:00"
        exif.get_ifd(0x8825).update({1: "S", 2: (10.0, 30.0, 0.0), 3: "E", 4: (20.0, 0.0, 0.0)})
        Path("photos").mkdir()
        picture(1).save("photos/a.jpg", exif=exif)
        build("photos")
        with retrieval.open("index") as rows:
            known = rows.search("red", k=1)[0].columns
            assert known["taken"].startswith("2019-07-14T09:30") or known["taken"].startswith(
                "2019-07-14 09:30"
            )
            assert (known["latitude"], known["longitude"]) == (pytest.approx(-10.5), pytest.approx(20))
            assert "Model 1" in known["camera"]
            pytest.importorskip("duckdb")
            assert len(rows.search("red", where="taken >= '2019-06-01' AND latitude < 0")) == 1
            assert len(rows.search("red", where="taken >= '2020-01-01'")) == 0

    @pytest.mark.usefixtures("_built")
    def test_verify_finds_damage_in_columns_and_names(self, run) -> None:
        assert run("verify", "--index", "index")[0] == 0
        for name in ("columns.arrow", "names.sqlite"):
            (file,) = Path("index").rglob(name)
            whole = file.read_bytes()
            middle = len(whole) // 2
            file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
            status, out, err = run("verify", "--index", "index")
            assert (status, name in out + err) == (1, True)
            file.write_bytes(whole)


class TestNames:
    def test_the_name_of_a_folder_finds_its_images(self, run) -> None:
        fill(Path("photos"), ["Valio-Vanilla-Yoghurt/1.png", "other/2.png", "other/3.png"])
        build("photos")

        _, out, _ = run("query", "valio vanilla yoghurt", "--index", "index", "--json")
        first = json.loads(out)[0]
        assert (first["path"], "path" in first["matched"]) == ("Valio-Vanilla-Yoghurt/1.png", True)
        with retrieval.open("index") as rows:
            only = rows.search("valio yoghurt", names="only")
            assert [hit.path for hit in only] == ["Valio-Vanilla-Yoghurt/1.png"]
            off = rows.search("valio yoghurt", names="off")
            assert all("path" not in (hit.matched or ()) for hit in off)
            scores = {hit.path: hit.score for hit in off}
            assert {hit.path: hit.score for hit in rows.search("valio yoghurt")} == pytest.approx(scores)

    def test_captions_and_labels_are_looked_up_and_named(self) -> None:
        build(
            table(name=NAMES, caption=["nothing"] * 7 + ["the harbour of Oslo"], place=["Rome"] * 8),
            key_column="name",
            column=["caption", "place"],
        )

        with retrieval.open("index") as rows:
            first = rows.search("harbour in oslo")[0]
            assert (first.path, "caption" in first.matched) == (NAMES[7], True)

    def test_min_score_does_not_apply_to_what_only_names_found(self) -> None:
        fill(Path("photos"), ["oslo/1.png", "other/2.png"])
        build("photos")

        with retrieval.open("index") as rows:
            assert [hit.path for hit in rows.search("oslo", min_score=0.99)] == ["oslo/1.png"]
            assert rows.search("oslo", min_score=0.99, names="off") == []

    def test_the_scores_of_hits_stay_cosines(self) -> None:
        fill(Path("photos"), ["red/1.png", "b/2.png", "c/3.png"])
        build("photos")

        with retrieval.open("index") as rows:
            vector = rows.search("red", names="off")
            by_path = {hit.path: hit.score for hit in vector}
            assert {hit.path: hit.score for hit in rows.search("red")} == by_path

    def test_names_are_chosen_on_the_command_line(self, run) -> None:
        fill(Path("photos"), ["oslo/1.png", "b/2.png", "c/3.png"])
        build("photos")

        def paths(*words: str) -> list[str]:
            status, out, err = run("query", "oslo", "--index", "index", "-f", *words)
            assert status == 0, err
            return out.splitlines()

        assert paths("--names", "only") == ["oslo/1.png"]
        assert paths()[0] == "oslo/1.png"
        assert sorted(paths("--names", "off")) == ["b/2.png", "c/3.png", "oslo/1.png"]


class TestCopies:
    def test_images_of_every_source_are_opened_and_copied(self, run) -> None:
        fill(Path("photos"), ["a/same.png"], first=0)
        write_tar(Path("shard.tar"), [("b/same.png", png(1))])
        table("t.parquet", ["c.png"])
        Path("lists").mkdir()
        fill(Path("lists"), ["d.png"], first=3)
        Path("lists/list.txt").write_text("d.png\n")
        build("photos", "shard.tar", "t.parquet", "lists/list.txt")

        with retrieval.open("index") as rows:
            for key in rows:
                hit = rows.search(rows.id_of(key), k=1, include_self=True, fold_duplicates=False)[0]
                assert hit.open().size == (48, 48)
                assert hit.link
        status, _, err = run("query", "red", "--index", "index", "--no-fold", "--copy-to", "new/out")
        assert status == 0, err
        copies = {path.read_bytes() for path in Path("new/out").iterdir()}
        assert copies == {png(0), png(1), png(3)}

    def test_nothing_is_overwritten(self, run) -> None:
        fill(Path("photos"), ["a/same.png", "b/same.png"])
        build("photos")
        Path("out").mkdir()
        Path("out/a-same.png").write_bytes(b"mine")
        Path("out/same.png").write_bytes(b"mine, too")

        for _ in range(2):
            assert run("query", "red", "--index", "index", "--copy-to", "out")[0] == 0

        assert Path("out/a-same.png").read_bytes() == b"mine"
        assert Path("out/same.png").read_bytes() == b"mine, too"
        held = [path.read_bytes() for path in sorted(Path("out").iterdir())]
        assert sorted(held) == sorted([b"mine", b"mine, too", png(0), png(1)])

    def test_links_lead_to_the_photographs(self, run) -> None:
        fill(Path("photos"), ["a/1.png", "b/2.png"])
        build("photos")

        assert run("query", "red", "--index", "index", "--link-to", "out")[0] == 0

        assert {path.resolve() for path in Path("out").iterdir()} == {
            Path("photos/a/1.png").resolve(),
            Path("photos/b/2.png").resolve(),
        }


class TestProgress:
    @pytest.mark.parametrize("kind", ["table", "tar"])
    def test_totals_are_told_where_the_source_knows_them(self, kind: str) -> None:
        write_tar(Path("photos.tar"), members())
        told: list[retrieval.Progress] = []

        build(table() if kind == "table" else "photos.tar", progress=told.append)

        assert any(event.total == 8 and event.done == 8 for event in told)
