"""Hold a sharded collection to what was promised of it: it answers as one collection does, and says what it could not ask.

Long because a promise is said and held in one place, with the pictures and builds that all of them share.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import OptionError, RetrievalError
from retrieval.testing import FakeEncoder
from tests.command_line import command

ODD = ("a b", "ünïcode", "new\nline", "-dash", "per%20cent", 'comma,"quote')


def write(path, seed):
    """Write a picture of its own: 8 x 8 random blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((32, 32), Image.Resampling.NEAREST).save(path)


def fill(root, folders=4, each=12):
    for folder in range(folders):
        for number in range(each):
            write(root / f"f{folder}" / f"{number:02}.png", seed=100 * folder + number)
    return root


def build(root, index, **options):
    return retrieval.build_index(root, index=index, encoder=FakeEncoder(), progress=False, **options)


def opened(index, **options):
    return retrieval.open(index, encoder=FakeEncoder(), **options)


def ids_by_key(many):
    return {key: many.id_of(key) for key in list(many.keys())}


def oracle(vectors, query):
    """Return cosines by plain numpy, float64."""
    rows = np.asarray(vectors, np.float64)
    return rows @ np.asarray(query, np.float64) / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory, pictures):
    """Return the directories of one collection and of four shards over the same pictures; tests leave both as they are."""
    place = tmp_path_factory.mktemp("kept")
    build(pictures, place / "one")
    build(pictures, place / "many", shards=4)
    return place / "one", place / "many"


@pytest.fixture
def own(tmp_path):
    """Return a folder and a sharded collection of it that a test may change."""
    root = fill(tmp_path / "photos", folders=3, each=8)
    build(root, tmp_path / "many", shards=3)
    return root, tmp_path / "many"


def test_shards_answer_every_picture_as_one_collection_does(kept, pictures):
    with opened(kept[0]) as one, opened(kept[1]) as many:
        assert len(one) == len(many) == 48
        for picture in sorted(pictures.rglob("*.png"))[::5]:
            alone, together = (
                one.search(picture, k=7, include_self=True),
                many.search(picture, k=7, include_self=True),
            )

            assert [hit.path for hit in together] == [hit.path for hit in alone]
            assert [hit.score for hit in together] == pytest.approx([hit.score for hit in alone], abs=1e-3)
            assert [hit.rank for hit in together] == list(range(1, 8))


def test_shards_answer_words_and_batches_as_one_collection_does(kept):
    with opened(kept[0]) as one, opened(kept[1]) as many:
        alone, together = (
            one.search(["red", "blue"], k=5, names="off"),
            many.search(["red", "blue"], k=5, names="off"),
        )

        assert [[hit.path for hit in hits] for hits in together] == [
            [hit.path for hit in hits] for hits in alone
        ]


def test_scores_of_shards_are_the_cosines_that_numpy_finds(kept):
    with opened(kept[1]) as many:
        ids = many.row_ids()
        rows = many.vectors(ids)
        query = np.random.default_rng(3).standard_normal(rows.shape[1])
        hits = many.search(query, k=len(ids))
        cosines = dict(zip(ids.tolist(), oracle(rows, query), strict=True))

        assert sorted(hit.id for hit in hits) == sorted(ids.tolist())
        assert [hit.score for hit in hits] == pytest.approx([cosines[hit.id] for hit in hits], abs=2e-3)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_an_id_names_the_shard_in_its_upper_half_and_leads_back_to_its_key(kept):
    shards = json.loads((kept[1] / "shards.json").read_text())["shards"]
    with opened(kept[1]) as many:
        for key in list(many.keys()):
            number = many.id_of(key)

            assert many.key_of(number) == key
            assert 0 <= number >> 32 < len(shards)
        counted = np.bincount(many.row_ids() >> 32, minlength=len(shards))

    assert counted.tolist() == [shard["rows"] for shard in shards]
    assert (counted > 0).all()


@pytest.mark.parametrize(
    "filters", [{"under": "f2"}, {"glob": "f?/03.png"}, {"where": "width >= 32"}, {"where": "width > 32"}]
)
def test_filters_of_shards_leave_the_rows_that_they_leave_in_one_collection(kept, filters):
    with opened(kept[0]) as one, opened(kept[1]) as many:
        alone, together = (
            one.search("red", k=48, names="off", **filters),
            many.search("red", k=48, names="off", **filters),
        )

        assert [hit.path for hit in together] == [hit.path for hit in alone]
        assert together.searched == alone.searched


def test_a_mask_and_ids_of_shards_filter_and_can_be_combined(kept):
    with opened(kept[1]) as many:
        mask = many.mask(under="f1")
        assert int(mask.sum()) == 12
        some = many.row_ids(mask)[:5]

        assert {hit.id for hit in many.search("red", k=48, names="off", mask=mask, ids=some)} == set(
            some.tolist()
        )


def test_one_large_folder_is_cut_by_ranges_of_its_keys(tmp_path):
    fill(tmp_path / "photos", folders=1, each=40)
    build(tmp_path / "photos", tmp_path / "many", shards=4)
    with opened(tmp_path / "many") as many:
        shard_of = [many.id_of(key) >> 32 for key in sorted(many.keys())]

    assert set(shard_of) == {0, 1, 2, 3}
    assert sum(left != right for left, right in itertools.pairwise(shard_of)) == 3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_pictures_than_shards_are_refused_and_nothing_is_made(tmp_path, count):
    (tmp_path / "photos").mkdir()
    fill(tmp_path / "photos", folders=1, each=count)

    with pytest.raises(OptionError, match="3 shards"):
        build(tmp_path / "photos", tmp_path / "many", shards=3)
    assert not (tmp_path / "many" / "shards.json").exists()


def test_a_shard_that_has_lost_all_its_pictures_costs_the_others_nothing(own):
    root, index = own
    shutil.rmtree(root / "f1")
    report = build(root, index)
    with opened(index) as many:
        assert many.search(root / "f2/05.png", include_self=True)[0].path == "f2/05.png"
        assert len(many) == len(many.search("red", k=24, names="off")) == 16
        assert all(check.ok for check in many.verify())

    assert (report.removed, report.images) == (8, 16)


def test_odd_names_in_shards_are_found_by_their_names(tmp_path):
    for number, name in enumerate(ODD):
        write(tmp_path / "photos" / f"{name}{number % 2}" / f"{name}.png", seed=number)
    bytes_name = os.fsencode(tmp_path / "photos") + b"/caf\xe9.png"
    shutil.copy(tmp_path / "photos/a b0/a b.png", tmp_path / "photos/x.png")
    write(tmp_path / "photos/x.png", seed=99)
    Path(os.fsdecode(bytes_name)).write_bytes((tmp_path / "photos/x.png").read_bytes())
    (tmp_path / "photos/x.png").unlink()
    build(tmp_path / "photos", tmp_path / "many", shards=3)
    with opened(tmp_path / "many") as many:
        for path in sorted((tmp_path / "photos").rglob("*.png")):
            key = os.fspath(path.relative_to(tmp_path / "photos"))

            assert many.search(path, include_self=True)[0].path == key
            assert many.key_of(many.id_of(key)) == key


def test_building_again_encodes_nothing_and_keeps_ids(own):
    root, index = own
    with opened(index) as many:
        before = ids_by_key(many)
    again = build(root, index)
    with opened(index) as many:
        assert ids_by_key(many) == before

    assert (again.encoded, again.removed, again.images) == (0, 0, 24)


def test_a_picture_that_moves_to_the_folder_of_another_shard_is_not_encoded_again(own):
    root, index = own
    with opened(index) as many:
        shards = {key: number >> 32 for key, number in ids_by_key(many).items()}
    assert shards["f0/00.png"] != shards["f2/00.png"]
    (root / "f0/00.png").rename(root / "f2/moved.png")
    report = build(root, index)
    with opened(index) as many:
        assert many.search(root / "f2/moved.png", include_self=True)[0].path == "f2/moved.png"
        assert "f0/00.png" not in list(many.keys())

    assert report.encoded == 0
    assert report.images == 24


def test_new_folders_go_to_the_last_shard_until_it_is_full_and_then_to_another(tmp_path):
    root = fill(tmp_path / "photos", folders=2, each=4)
    build(root, tmp_path / "many", shards=2, shard_rows=8)
    rows = []
    for folder in ("g0", "g1", "g2"):
        for number in range(4):
            write(root / folder / f"{number}.png", seed=hash_of(folder) + number)
        build(root, tmp_path / "many")
        rows.append(
            [shard["rows"] for shard in json.loads((tmp_path / "many/shards.json").read_text())["shards"]]
        )

    assert rows[0] == [4, 8]
    assert [sum(row) for row in rows] == [12, 16, 20]
    assert len(rows[-1]) >= 3
    assert rows[-1][:2] == [4, 8]


def hash_of(name):
    return 1000 + 50 * int(name[1:])


def test_retraining_encodes_no_picture(own):
    root, index = own
    report = build(root, index, retrain=True)
    with opened(index) as many:
        assert many.search(root / "f1/03.png", include_self=True)[0].path == "f1/03.png"

    assert report.encoded == 0


def test_equal_files_in_two_shards_are_folded_and_are_duplicates(own):
    root, index = own
    shutil.copy(root / "f0/01.png", root / "f2/copy.png")
    build(root, index)
    with opened(index) as many:
        hits = many.search(root / "f0/01.png", k=24, include_self=True)
        unfolded = many.search(root / "f0/01.png", k=24, include_self=True, fold_duplicates=False)
        sets = retrieval.duplicates(many, kinds=["bytes"])

    assert {hits[0].path, *hits[0].duplicates} == {"f0/01.png", "f2/copy.png"}
    assert hits[0].n_duplicates == 1
    assert {hit.path for hit in unfolded[:2]} == {"f0/01.png", "f2/copy.png"}
    assert [sorted(image.path for image in one) for one in sets] == [["f0/01.png", "f2/copy.png"]]


def test_rows_by_hand_are_found_replaced_and_deleted_in_shards(own):
    index = own[1]
    vectors = np.random.default_rng(5).standard_normal((3, 64)).astype(np.float32)
    with opened(index) as many:
        ids = many.add(vectors, keys=["one", "two", "three"])
        assert many.search_vectors(vectors[1], k=1)[0][0][0] == ids[1]
        with pytest.raises(RetrievalError):
            many.add(vectors[:1], keys=["one"])
        many.upsert(-vectors[:1], keys=["one"])
        assert many.key_of(int(many.search_vectors(-vectors[0], k=1)[0][0][0])) == "one"
        assert many.delete(keys=["one", "two", "three"]) == 3
        assert len(many) == 24


def test_export_of_shards_has_every_key_once_with_its_own_vector(kept):
    with opened(kept[0]) as one, opened(kept[1]) as many:
        alone, together = one.export(), many.export()
        plain = dict(zip(alone[1], alone[0], strict=True))

        assert sorted(together[1]) == sorted(plain)
        for key, vector in zip(together[1], together[0], strict=True):
            assert np.array_equal(vector, plain[key])


def test_a_reader_shows_the_old_state_of_all_shards_until_it_is_refreshed(own):
    root, index = own
    with opened(index) as many:
        (root / "f0/00.png").unlink()
        write(root / "f2/new.png", seed=777)
        build(root, index)
        assert "f2/new.png" not in list(many.keys())
        assert "f0/00.png" in list(many.keys())
        assert many.refresh()
        assert "f2/new.png" in list(many.keys())
        assert "f0/00.png" not in list(many.keys())


def test_a_shard_that_is_away_is_an_error_that_names_it(own):
    root, index = own
    (index / "shard-00001").rename(index.parent / "away")

    with pytest.raises(RetrievalError, match="shard-00001"), opened(index) as many:
        many.search(root / "f0/00.png")


def test_partial_answers_say_what_was_not_searched(own):
    root, index = own
    (index / "shard-00001").rename(index.parent / "away")
    with opened(index, allow_partial=True) as many:
        hits = many.search(root / "f0/00.png", k=24, include_self=True)
        batch = many.search([root / "f0/00.png", "red"], k=24)

    assert hits.missing == ("shard-00001",)
    assert hits[0].path == "f0/00.png"
    assert {hit.id >> 32 for hit in hits} == {0, 2}
    assert [list(one.missing) for one in batch] == [["shard-00001"], ["shard-00001"]]


def test_info_says_which_shard_is_missing_and_what_is_still_there(own):
    index = own[1]
    (index / "shard-00001").rename(index.parent / "away")
    told = command("info", "--index", index, cwd=index.parent)

    assert told.returncode == 0, told.stderr
    assert [("missing" in line) for line in told.stdout.splitlines() if "shard-0000" in line] == [
        False,
        True,
        False,
    ]


def test_nothing_is_missing_from_a_whole_collection_that_may_be_partial(kept):
    with opened(kept[1], allow_partial=True) as many:
        assert many.search("red", names="off").missing == ()


def test_the_command_line_says_which_shard_is_missing_and_answers_in_part_if_asked(tmp_path):
    root = fill(tmp_path / "photos", folders=2, each=3)
    made = command("build-index", root, "--index", "big", "--shards", 2, "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["images"] == 6
    (tmp_path / "big/shard-00000").rename(tmp_path / "away")

    refused = command("query", root / "f1/00.png", "--index", "big", "--json", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "shard-00000" in refused.stderr
    assert "Traceback" not in refused.stderr

    partial = command(
        "query",
        root / "f1/00.png",
        "--index",
        "big",
        "--include-self",
        "--allow-partial",
        "--json",
        cwd=tmp_path,
    )
    assert partial.returncode == 0, partial.stderr
    answer = json.loads(partial.stdout)
    assert answer[0]["path"] == "f1/00.png"
    assert all(hit["path"].startswith("f1/") and hit["missing"] == ["shard-00000"] for hit in answer)
    assert "not searched: shard-00000" in partial.stderr

    checked = command("verify", "--index", "big", "--json", cwd=tmp_path)
    assert checked.returncode == 1
    found = json.loads(checked.stdout)
    assert not found["ok"]
    assert any("shard-00000" in file["path"] and not file["ok"] for file in found["files"])


def test_a_damaged_list_of_shards_is_an_error_that_names_it(own):
    index = own[1]
    text = (index / "shards.json").read_bytes()
    (index / "shards.json").write_bytes(text.replace(b'"rows"', b'"rowz"', 1))

    with pytest.raises(RetrievalError, match=r"shards\.json"):
        opened(index).search("red")


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_of_shards_below_one_is_refused_before_anything_is_made(tmp_path, number):
    fill(tmp_path / "photos", folders=1, each=2)

    with pytest.raises(OptionError, match="shards"):
        build(tmp_path / "photos", tmp_path / "many", shards=number)
    assert not (tmp_path / "many").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"views": 4}, "views"), ({"truncate_dim": 16}, "truncate"), ({"cluster": "cloud"}, "cloud")],
)
def test_what_shards_cannot_do_is_refused_by_name(tmp_path, options, named):
    fill(tmp_path / "photos", folders=1, each=4)

    with pytest.raises(OptionError, match=named):
        build(tmp_path / "photos", tmp_path / "many", shards=2, **options)


def test_processes_of_this_machine_are_refused_for_a_collection_without_shards(kept):
    with pytest.raises(OptionError, match="one collection"):
        opened(kept[0], cluster="local:2")


def workers():
    """Return the process ids of this process's worker processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == os.getpid() and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return set(found)


def test_processes_answer_as_this_one_does_also_after_they_were_killed(kept):
    before = workers()
    with opened(kept[1]) as here, opened(kept[1], cluster="local:1") as there:
        query = np.random.default_rng(9).standard_normal(64)
        plain = [(hit.id, round(hit.score, 5)) for hit in here.search(query, k=9)]
        assert [(hit.id, round(hit.score, 5)) for hit in there.search(query, k=9)] == plain
        started = workers() - before
        assert started
        for process in started:
            os.kill(process, signal.SIGKILL)

        assert [(hit.id, round(hit.score, 5)) for hit in there.search(query, k=9)] == plain


KILLED = """
import os, signal, sys
import retrieval
from retrieval.testing import FakeEncoder

class Mortal(FakeEncoder):
    def encode_pixels(self, batch):
        if os.path.exists(os.path.join(sys.argv[2], "shard-00001", "manifest.json")):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_pixels(batch)

retrieval.build_index(sys.argv[1], index=sys.argv[2], encoder=Mortal(), shards=3, progress=False)
"""


class Counted(FakeEncoder):
    """Count the pictures that are encoded."""

    def __init__(self):
        super().__init__()
        self.pictures = 0

    def encode_pixels(self, batch):
        self.pictures += len(batch)
        return super().encode_pixels(batch)


@pytest.mark.parametrize("shards", [3, None])
def test_a_killed_build_goes_on_and_encodes_no_committed_shard_again(tmp_path, shards):
    root = fill(tmp_path / "photos", folders=3, each=8)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, root, tmp_path / "many"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    counted = Counted()
    report = retrieval.build_index(
        root, index=tmp_path / "many", encoder=counted, shards=shards, progress=False
    )
    build(root, tmp_path / "whole", shards=3)
    with opened(tmp_path / "many") as many, opened(tmp_path / "whole") as whole:
        assert sorted(many.keys()) == sorted(whole.keys())
        assert [hit.path for hit in many.search("red", k=24, names="off")] == [
            hit.path for hit in whole.search("red", k=24, names="off")
        ]

    assert report.images == 24
    assert counted.pictures <= 16 + 2, (
        "beside the pictures of two shards, two probes tell what the encoder computes"
    )


def test_a_build_that_would_lose_most_pictures_of_all_shards_stops_and_changes_nothing(own):
    root, index = own
    for folder in ("f0", "f1"):
        shutil.rmtree(root / folder)

    with pytest.raises(RetrievalError, match="prune"):
        build(root, index)
    with opened(index) as many:
        assert len(many) == 24
    assert build(root, index, prune=True).removed == 16
    with opened(index) as many:
        assert len(many) == 8
