"""`query` and its forms of output."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.vectors import Space
from retrieval.render import Form, hits
from retrieval.testing import FakeEncoder
from tests.retrieval.cli.shell import PLAIN, RAW
from tests.retrieval.folders import fill


class TestQuery:
    def test_by_image_the_copies_are_folded_and_the_image_is_not_its_own_answer(
        self, run, photos: Path
    ) -> None:
        status, out, err = run("query", photos / PLAIN[1], "--index", photos, "--json", "-k", "3")
        found = json.loads(out)

        assert (status, err) == (0, "")
        assert [list(hit) for hit in found] == [
            ["rank", "score", "path", "id", "copies", "n_duplicates", "duplicates", "match", "columns"]
        ] * 3
        assert [hit["rank"] for hit in found] == [1, 2, 3]
        assert PLAIN[1] not in [hit["path"] for hit in found]
        assert found[0]["score"] >= found[1]["score"] >= found[2]["score"]

    def test_self_and_all(self, run, photos: Path) -> None:
        arguments = ["query", photos / PLAIN[0], "--index", photos, "-k", "3", "--json", "--include-self"]
        (folded, *_), unfolded = (json.loads(run(*arguments, *more)[1]) for more in ([], ["--no-fold"]))

        assert (folded["n_duplicates"], folded["score"]) == (2, pytest.approx(1, abs=1e-3))
        assert folded["copies"] == 2  # the old name, for one release
        assert {folded["path"], *folded["duplicates"]} == {PLAIN[0], "copy one.png", "plain/copy two.png"}
        assert {hit["path"] for hit in unfolded} == {PLAIN[0], "copy one.png", "plain/copy two.png"}

    def test_words_images_ids_and_minus_come_together(self, run, photos: Path) -> None:
        from retrieval.collection.collection import open_collection
        from retrieval.collection.queries.terms import image, row, text

        arguments = ["2:red", "--text", "blue", "--image", photos / PLAIN[2], "--id", "5", "--minus", "green"]
        status, out, _ = run("query", *arguments, "--index", photos, "--json")
        with open_collection(photos) as collection:
            expected = collection.search(
                2 * text("red") + "blue" + image(photos / PLAIN[2]) + row(5) - text("green")
            )

        assert status == 0
        assert [hit["id"] for hit in json.loads(out)] == [hit.id for hit in expected]

    def test_stdin_is_an_image(self, run, photos: Path, monkeypatch) -> None:
        data = io.BytesIO((photos / PLAIN[4]).read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
        found = json.loads(run("query", "-", "--index", photos, "--json", "-k", "1")[1])

        assert found[0]["path"] == PLAIN[4]
        assert found[0]["score"] == pytest.approx(1, abs=1e-2)

    def test_a_pipe_gets_score_tab_path(self, run, photos: Path) -> None:
        lines = run("query", "red", "--index", photos, "-k", "4")[1].decode().splitlines()

        assert len(lines) == 4
        assert all(re.fullmatch(r"-?\d\.\d{4}\t[^\t]+", line) for line in lines)

    def test_every_form_names_the_same_files(self, run, photos: Path) -> None:
        base = ["query", "red", "--index", photos, "-k", "50"]
        found = json.loads(run(*base, "--json")[1])
        lines = [json.loads(line) for line in run(*base, "--jsonl")[1].splitlines()]
        rows = list(csv.DictReader(io.StringIO(run(*base, "--csv")[1].decode(), newline="")))
        raw = run(*base, "-0")[1].split(b"\0")[:-1]
        shown = run(*base, "-f")[1].decode().splitlines()

        assert lines == found
        assert [row["path"] for row in rows] == [hit["path"] for hit in found]
        assert [(row["rank"], row["id"]) for row in rows] == [
            (str(hit["rank"]), str(hit["id"])) for hit in found
        ]
        assert raw == [_raw(hit) for hit in found]
        assert len(shown) == len(found)
        assert RAW in raw
        assert all(os.path.exists(os.path.join(os.fsencode(photos), name)) for name in raw)

    def test_no_hit_is_0(self, run, photos: Path) -> None:
        status, out, err = run("query", "red", "--index", photos, "--min-score", "1.01")

        assert (status, out) == (0, b"")
        assert err == "no image qualifies\n"
        assert run("query", "red", "--index", photos, "--min-score", "1.01", "--json", "--quiet") == (
            0,
            b"[]\n",
            "",
        )

    def test_min_score_zero_is_not_no_min_score(self, run, photos: Path) -> None:
        base = ["query", "--text", "red", "--minus", "green", "--index", photos, "-k", "99", "--json"]
        everything = json.loads(run(*base)[1])
        positive = json.loads(run(*base, "--min-score", "0")[1])

        assert min(hit["score"] for hit in everything) < 0
        assert positive == [hit for hit in everything if hit["score"] >= 0]

    def test_filters(self, run, photos: Path) -> None:
        base = ["query", "red", "--index", photos, "-k", "99", "--json"]
        under = json.loads(run(*base, "--under", "plain")[1])
        glob = json.loads(run(*base, "--glob", "plain/0*.png", "--exact")[1])
        ids = json.loads(run(*base, "--ids", "5,7", "--ids", PLAIN[0], "--all")[1])

        assert {hit["path"].partition("/")[0] for hit in under} == {"plain"}
        assert {hit["path"] for hit in glob} <= set(PLAIN[:10])
        assert glob
        assert {5, 7} < {hit["id"] for hit in ids}
        assert {hit["path"] for hit in ids if hit["id"] not in {5, 7}} == {PLAIN[0]}

    def test_an_id_or_key_without_a_row_is_one_line(self, run, photos: Path) -> None:
        for wrong in ("9999", "gone.png", "5,x", ""):
            status, out, err = run("query", "red", "--index", photos, "--ids", wrong)

            assert (status, out, len(err.splitlines())) == (1, b"", 1)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["gone.jpg"],
            ["a/b"],
            ["--text", ""],
            ["--id", "9999"],
            ["cat", "-k", "0"],
            ["cat", "--truncate-dim", "7"],
            ["cat", "--truncate-dim", "32", "--exact"],
        ],
    )
    def test_what_a_collection_cannot_take_is_1(self, arguments: list[str], run, photos: Path) -> None:
        status, out, err = run("query", *arguments, "--index", photos)

        assert (status, out) == (1, b"")
        assert err.startswith("error: ")
        assert err.count("\n") == 1

    def test_a_page_beside_the_results(self, run, photos: Path, tmp_path: Path) -> None:
        page = tmp_path / "hits.html"
        status, out, err = run("query", "red", "--index", photos, "-k", "40", "-f", "--html", page)
        html = page.read_text()

        assert status == 0
        assert len(out.splitlines()) == html.count("<li ")
        assert "<script" not in html
        assert "&lt;script&gt;alert(1)&lt;.png" in html
        assert err == f"wrote {page}\n"

    def test_a_changed_folder_is_said_once_on_stderr(self, run, photos: Path) -> None:
        (photos / "new.png").write_bytes((photos / PLAIN[0]).read_bytes())
        os.utime(photos, (1, 1))
        status, out, err = run("query", "red", "--index", photos, "-f")

        assert status == 0
        assert err.count("\n") == 1
        assert "retrieve build-index" in err
        assert b"note" not in out
        assert run("query", "red", "--index", photos, "-f", "--quiet") == (0, out, "")


def _raw(hit: dict[str, str]) -> bytes:
    return base64.b64decode(hit["path_bytes"]) if "path_bytes" in hit else os.fsencode(hit["path"])


def test_copies_that_are_folded_are_named(tmp_path, capsys):
    folder = fill(tmp_path / "p", ["a.png", "other.png"])
    for name in ("b.png", "deep/c.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    retrieval.build_index(folder, encoder=FakeEncoder())
    with retrieval.open(folder) as collection:
        (hit,) = collection.search(collection.vectors([0])[0], k=1)
        table = hits([hit], Form.TABLE, columns=80).decode()

    assert {hit.path, *hit.duplicates} == {"a.png", "b.png", "deep/c.png"}
    assert hit.n_duplicates == len(hit.duplicates) == 2
    assert [line.split() for line in table.splitlines()[2:]] == [["=", name] for name in hit.duplicates]


def test_a_prefix_of_too_many_images_is_not_ranked_by_and_it_is_said(tmp_path, run, monkeypatch):
    from indexes.search import prefix_scan

    rows = np.random.default_rng(0).normal(size=(300, 32)).astype(np.float32)
    space = Space(name="nested", dim=32, fingerprint="n", nesting=(8, 16))
    retrieval.sync_vectors(tmp_path / "home", rows, [str(n) for n in range(300)], space=space)
    asked = ("query", "--id", "5", "--index", tmp_path / "home", "--truncate-dim", "8")
    assert "components rank every row" in run(*asked)[2]
    monkeypatch.setattr(prefix_scan, "HEADS_BYTES", 2 * 8 * 300 - 1)
    status, out, err = run(*asked)

    assert (status, err.count("compared by all 32 components")) == (0, 1)
    assert out == run("query", "--id", "5", "--index", tmp_path / "home", "--exact")[1]


def test_words_are_looked_up_in_names_as_asked(tmp_path: Path, run) -> None:
    folder = fill(
        tmp_path / "photos", [*(f"wedding/{n}.png" for n in range(3)), *(f"{n}.png" for n in range(9))]
    )
    retrieval.build_index(folder, encoder="nano", progress=False)
    asked = ("query", "wedding", "--index", folder)

    only = json.loads(run(*asked, "--json", "--names", "only")[1])
    off = json.loads(run(*asked, "--json", "--names", "off")[1])

    assert {hit["path"].split("/")[0] for hit in only} == {"wedding"}
    assert all("path" in hit["matched"] for hit in only)
    assert len(off) == 10
    assert all("matched" not in hit for hit in off)
    status, out, err = run(*asked, "--names", "maybe")
    assert (status, out) == (2, b"")
    assert "'auto', 'only', 'off'" in err


def test_words_that_no_encoder_knows_find_names_without_a_score(tmp_path: Path, run) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 16))
    retrieval.sync_vectors(tmp_path / "home", rows, ["red shoe", "red hat", "blue hat"])
    asked = ("query", "hats", "--index", tmp_path / "home")

    assert run(*asked)[:2] == (0, b"-\tred hat\n-\tblue hat\n")
    assert [hit["score"] for hit in json.loads(run(*asked, "--json")[1])] == [None, None]
    assert b"1,-,red hat,1,0" in run(*asked, "--csv")[1]
    assert run("query", "trousers", "--index", tmp_path / "home")[0] == 1


def test_hits_are_copied_and_linked_into_a_folder(tmp_path: Path, run) -> None:
    folder = fill(tmp_path / "photos", ["a/1.png", "b/1.png"])
    retrieval.build_index(folder, encoder=FakeEncoder(dim=16), progress=False)
    asked = ("query", "--id", "0", "--include-self", "--index", folder)

    status, _, err = run(*asked, "--copy-to", tmp_path / "new" / "copies")
    assert (status, err) == (0, f"2 copied to {tmp_path}/new/copies\n")
    assert {path.name for path in (tmp_path / "new/copies").iterdir()} == {"a-1.png", "b-1.png"}
    (tmp_path / "new/copies/a-1.png").unlink()
    status, _, err = run(*asked, "--copy-to", tmp_path / "new" / "copies")
    assert (status, err) == (0, f"1 copied to {tmp_path}/new/copies, 1 lay there already\n")
    status, _, err = run(*asked, "--link-to", tmp_path / "links")
    assert (status, err) == (0, f"2 linked to {tmp_path}/links\n")
    assert all(path.is_symlink() for path in (tmp_path / "links").iterdir())
    status, _, err = run(*asked, "--link-to", tmp_path / "links", "--copy-to", tmp_path / "links")
    assert (status, "exclude each other" in err) == (2, True)
    (folder / "a/1.png").unlink()
    status, _, err = run(*asked, "--link-to", tmp_path / "more")
    assert (status, "--copy-to" in err) == (1, True)


def test_the_same_picture_is_marked_and_drawn(run, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="comparing pictures needs OpenCV")
    skimage = pytest.importorskip("skimage", reason="the photographs come with scikit-image")
    from PIL import Image

    folder = tmp_path / "shots"
    folder.mkdir()
    for name in ("coffee", "chelsea", "astronaut"):
        with Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png") as image:
            small = image.convert("RGB")
        small.thumbnail((300, 300))
        small.save(folder / f"{name}.png")
    small.rotate(90, expand=True).crop((20, 20, 220, 220)).save(tmp_path / "part.jpg")
    assert run("build-index", folder, "--encoder", "fake", "--quiet")[0] == 0
    asked = ("query", tmp_path / "part.jpg", "--index", folder, "--verify")
    page = tmp_path / "page.html"

    status, out, err = run(*asked, "--json", "--html", page)
    first, *others = json.loads(out)

    assert (status, err) == (0, f"compared 3 images: 1 the same picture\nwrote {page}\n")
    assert (first["path"], first["verified"], first["relation"], first["checked"]) == (
        "astronaut.png",
        True,
        "picture",
        3,
    )
    assert len(first["outline"]) == 4
    assert first["verified_probability"] > 0.9
    assert [(hit["verified"], hit["relation"], hit["outline"]) for hit in others] == [
        (False, "none", None)
    ] * 2
    assert page.read_text().count("<polygon") == 1
    assert run("query", "a cup", "--index", folder, "--verify")[0] == 1


def test_likely_nothing_is_told_and_cut(tmp_path: Path, run) -> None:
    folder = fill(tmp_path / "photos", [f"{n}.png" for n in range(50)])
    retrieval.build_index(folder, encoder="nano", progress=False)
    asked = ("query", "a piano", "--names", "off", "-k", "9", "--index", folder)

    hits = json.loads(run(*asked, "--json")[1])
    page = tmp_path / "page.html"
    cut = run(*asked, "--sure", "--json")
    run(*asked, "--html", page)

    assert len(hits) == 9
    assert all(0 <= hit["match"] < 0.5 for hit in hits)
    assert cut == (0, b"[]\n", "no image qualifies\n")
    assert page.read_text().count('<li class="line">likely nothing matches</li>') == 1


def test_sure_is_refused_where_a_match_is_not_known(tmp_path: Path, run) -> None:
    folder = fill(tmp_path / "photos", ["a.png", "b.png"])
    assert run("build-index", folder, "--encoder", "fake", "--quiet")[0] == 0

    status, out, err = run("query", "a cup", "--index", folder, "--sure")

    assert (status, out) == (1, b"")
    assert "that was not calibrated" in err
