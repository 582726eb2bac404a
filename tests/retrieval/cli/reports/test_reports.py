"""What commands report, to people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.cli.reports import pair_notes, recall_words
from tests.retrieval.cli.shell import BUILD_KEYS, COUNTERS, OF_SOURCES, PLAIN
from tests.retrieval.folders import fill


class TestReports:
    def test_info(self, run, photos: Path) -> None:
        status, out, _ = run("info", "--index", photos, "--json")
        facts = json.loads(out)
        text = run("info", "--index", photos)[1].decode()

        assert status == 0
        assert set(facts) == set(BUILD_KEYS) - {*COUNTERS, *OF_SOURCES} | {
            "generation",
            "format",
            "upgrade",
            "activations",
            "sources",
            "columns",
        }
        assert facts["columns"] == {"bytes": "integer", "height": "integer", "width": "integer"}
        assert facts["images"] == 28
        for expected in ("28 in ", "fake@1", "exact search, ", "format 5", "width (integer)"):
            assert expected in text
        assert max(map(len, text.splitlines())) <= 80 + len(str(photos))

    def test_verify(self, run, photos: Path) -> None:
        status, out, _ = run("verify", "--index", photos, "--json")
        checks = json.loads(out)

        assert status == 0
        assert set(checks) == {"ok", "files"}
        assert checks["ok"] is True
        assert all(set(file) == {"path", "ok", "cure"} for file in checks["files"])

    def test_verify_names_the_damaged_file_and_its_cure(self, run, photos: Path) -> None:
        path = photos / ".retrieve" / "rerank.f16"
        data = bytearray(path.read_bytes())
        data[5] ^= 0xFF
        path.write_bytes(data)
        status, out, _ = run("verify", "--index", photos)
        damaged = [line for line in out.decode().splitlines() if line.startswith("damaged")]

        assert status == 1
        assert len(damaged) == 1
        assert "rerank.f16: " in damaged[0]
        assert json.loads(run("verify", "--index", photos, "--json")[1])["ok"] is False

    def test_evaluate(self, run, photos: Path, tmp_path: Path) -> None:
        labels = tmp_path / "labels.csv"
        labels.write_text("file,label\n" + "".join(f"{name},{at % 2}\n" for at, name in enumerate(PLAIN)))
        status, out, _ = run("evaluate", "--index", photos, "--labels", labels, "--json")
        report = json.loads(out)
        text = run("evaluate", "--index", photos, "--labels", labels)[1].decode()

        assert status == 0
        assert list(report) == [
            "recall_at_10",
            "recall_sample",
            "latency_ms",
            "bytes_per_vector",
            "knn_accuracy",
            "labelled",
            "unknown",
            "first_unknown",
            "map_at_10",
            "text_recall_at_1",
            "text_recall_at_5",
            "text_recall_at_10",
            "captions",
            "dims",
            "attacks",
            "attacks_list",
            "pairs",
        ]
        assert set(report["latency_ms"]) == {"p50", "p95"}
        assert report["labelled"] == 20
        assert "20 labelled files" in text

    def test_pairs(self, run, photos: Path, tmp_path: Path) -> None:
        """`evaluate --pairs --html`: the table, notes on what does not count, and the page."""
        for name in list(PLAIN)[:3]:
            with Image.open(photos / name) as image:
                image.convert("RGB").rotate(90).save(tmp_path / f"{Path(name).stem}.png")
        pairs = tmp_path / "pairs.csv"
        known = [f"{Path(name).stem}.png,{name}" for name in list(PLAIN)[:3]]
        pairs.write_text("\n".join(["query,original", *known, known[0], "x.png,gone.png"]))
        page = tmp_path / "worst.html"
        asked = ("evaluate", "--index", photos, "--pairs", pairs)
        status, out, err = run(*asked, "--html", page)
        facts = json.loads(run(*asked, "--json")[1])["pairs"]

        assert status == 0
        assert "micro-AP" in out.decode()
        assert "3 queries with 3 originals" in out.decode()
        assert "1 line left out: their originals, such as gone.png, are not in the collection" in err
        assert "1 line came twice and counted once" in err
        assert f"wrote {page}" in err
        assert page.read_text().startswith("<!doctype html>")
        assert (facts["queries"], facts["repeated"], facts["unknown"]) == (
            3,
            1,
            [{"query": "x.png", "original": "gone.png"}],
        )
        assert run("evaluate", "--index", photos, "--html", page)[0] == 2

    def test_widths(self, run, tmp_path: Path) -> None:
        """`build-index --dim`, `query --dim` and `evaluate --dims --plot`, of an encoder without prefixes."""
        rows = np.random.default_rng(0).standard_normal((400, 32)) * np.linspace(2, 0.2, 32)
        np.save(tmp_path / "v.npy", rows)
        (tmp_path / "keys").write_text("".join(f"{number}\n" for number in range(400)))
        build = ("build-index", tmp_path / "c", "--vectors", tmp_path / "v.npy", "--keys", tmp_path / "keys")
        index = ("--index", tmp_path / "c")
        assert run(*build, "--quiet")[0] == 0
        before = (tmp_path / "c" / ".retrieve" / "manifest.json").read_bytes()
        refused = [
            run("query", "--id", "3", "--truncate-dim", "8", *index),
            run("evaluate", "--dims", "8,33", *index),
            run("evaluate", "--plot", tmp_path / "x.txt", *index),
            run(*build, "--truncate-dim", "0"),
            run(*build, "--truncate-dim", "33"),
        ]

        assert all((status, out) == (1, b"") for status, out, _ in refused)
        assert all(err.startswith("error: ") and err.count("\n") == 1 for *_, err in refused)
        assert "not trained for truncation" in refused[0][2]
        assert (tmp_path / "c" / ".retrieve" / "manifest.json").read_bytes() == before

        status, out, err = run(*build, "--truncate-dim", "8", "--json")
        facts = json.loads(out)
        assert (status, facts["kind"], facts["dim"], facts["width"]) == (0, "flat", 8, 32)
        assert facts["recall_at_10"] > 0.9
        assert "rotation by" in err
        assert "recall@10" in err
        assert "funnel" in run("info", *index)[1].decode()
        assert run("query", "--id", "3", "--truncate-dim", "5", "--json", *index)[0] == 0
        assert "chosen: " in run(*build, "--truncate-dim", "auto", "--kind", "flat")[2]

        figure = tmp_path / "widths.svg"
        status, out, _ = run("evaluate", "--dims", "32,8", "--plot", figure, "--json", *index)
        dims = json.loads(out)["dims"]
        assert [row["dim"] for row in dims] == [8, 32]
        assert all(
            set(row)
            == {
                "dim",
                "recall_at_10",
                "recall_at_10_reranked",
                "knn_accuracy",
                "bytes_per_vector",
                "latency_ms",
            }
            for row in dims
        )
        assert dims[0]["recall_at_10"] < dims[0]["recall_at_10_reranked"] <= 1
        assert (dims[1]["recall_at_10"], dims[1]["bytes_per_vector"]) == (1, 64)
        assert figure.read_text().startswith("<?xml")
        assert "reranked" in run("evaluate", "--dims", "8", *index)[1].decode()

    def test_a_kind_that_few_rows_cannot_have_is_said(self, run, tmp_path: Path) -> None:
        folder = fill(tmp_path / "few", PLAIN[:10])
        for arguments in (["--kind", "ivfrabitq"], ["--kind", "flat", "--truncate-dim", "auto"]):
            _, out, _ = run("build-index", folder, "--encoder", "fake", *arguments)
            _, info, _ = run("info", "--index", folder)

            assert b"10 rows are too few" in out
            assert b"10 rows are too few" in info
        assert b"too few" not in run("build-index", folder, "--kind", "flat")[1]

    def test_encoders(self, run) -> None:
        status, out, _ = run("encoders", "--json")
        known = json.loads(out)
        text = run("encoders")[1].decode()

        assert status == 0
        assert all(
            set(one) == {"spec", "available", "image", "text", "differentiable", "install"} for one in known
        )
        assert "fake@1" in [one["spec"] for one in known]
        assert all(one["spec"] in text for one in known if len(one["spec"]) < 30)

    def test_an_export_that_lines_cannot_carry_is_refused_whole(
        self, run, photos: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        status, _, err = run("export", "--index", photos, "--vectors", out / "v.npy", "--keys", out / "k.txt")

        assert status == 1
        assert "line break" in err or "UTF-8" in err
        assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.9731, "0.973: finds 97 of 100 true nearest, measured on 200 stored images"),
        (0.998, "0.998: finds 998 of 1,000 true nearest"),
        (0.99999, "1.000: finds 999 of 1,000 true nearest"),
        (1.0, "1.000: finds 100 of 100 true nearest"),
    ],
)
def test_measured_recall_is_said_in_words(share, said):
    facts = {"recall_at_10": share, "recall_at_10_text": None, "recall_sample": 200, "recall_reason": None}

    assert recall_words(facts | {"factory": "IVF4,PQ8"}).startswith(said)


@pytest.mark.parametrize(
    ("pair", "by", "is_named"),
    [
        ({"relation": "picture", "score": 2.9}, "verified", True),
        ({"relation": "none", "score": 0.9995}, "verified", False),
        ({"relation": "", "score": 0.9995}, "cosine", True),
        ({"relation": "", "score": 0.99}, "cosine", False),
        ({"relation": "", "score": None}, "cosine", False),
    ],
)
def test_wrong_pairs_that_show_the_same_picture_are_named(
    pair: dict[str, object], by: str, is_named: bool
) -> None:
    """A distractor may be in the collection under another name: then what is measured is wrong, and somebody has to look."""
    known = {"query": "others/7.webp", "row": "2019/IMG_10.jpg"} | pair
    other = known | {"relation": "scene", "row": "a.jpg"}
    lines = pair_notes(
        {
            "unknown": [],
            "unreadable": [],
            "repeated": 0,
            "in_the_collection": 0,
            "mistaken": [known, other],
            "rankings": [{"by": by, "normalised": False}],
        }
    )

    assert [line.startswith("of the 2 worst pairs counted as wrong 1 show the same") for line in lines] == [
        True
    ] * is_named
    assert all("others/7.webp and 2019/IMG_10.jpg" in line for line in lines)
