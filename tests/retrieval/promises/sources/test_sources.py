"""What the guides promise of sources, asked from outside: by the command, or in Python."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import RetrievalError
from retrieval.testing import check_source
from tests.retrieval.folders import fill, picture
from tests.retrieval.promises.sources.places import NAMES, build, cut, keys, members, photos, table
from tests.retrieval.sources.tar.archives import png, write_tar

FIXTURES = Path(__file__).parents[3] / "fixtures"


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
