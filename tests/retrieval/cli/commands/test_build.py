"""`build-index` as scripts see it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from retrieval.ingestion.changes.pruning import PROTECTED_ROWS
from retrieval.sources.folders.listing import RAW_SUFFIXES, SUFFIXES
from retrieval.testing import FakeEncoder
from tests.retrieval.cli.shell import BUILD_KEYS, PLAIN
from tests.retrieval.folders import fill


class TestBuild:
    def test_json_has_the_contracts_keys_in_order(self, run, tmp_path: Path) -> None:
        folder = fill(tmp_path / "photos", PLAIN)
        (folder / "empty.jpg").touch()
        status, out, _ = run("build-index", folder, "--encoder", "fake", "--json")
        report = json.loads(out)

        assert status == 0
        assert list(report) == BUILD_KEYS
        assert (report["images"], report["encoded"], report["skipped"]) == (20, 20, 1)
        assert report["skipped_by_reason"] == {"empty": 1}
        assert report["encoder"] == "fake@1"

    def test_the_summary_says_what_was_done_and_what_next(self, run, tmp_path: Path, monkeypatch) -> None:
        folder = fill(tmp_path / "photos", PLAIN)
        (folder / "empty.jpg").touch()
        monkeypatch.chdir(tmp_path)
        status, out, err = run("build-index", "photos", "--encoder", "fake")
        words = out.decode()

        assert status == 0
        for expected in (
            "20 in photos",
            "20 encoded",
            "1: 1 empty",
            "photos/.retrieve/skipped.tsv",
            "exact search, ",
        ):
            assert expected in words
        assert 'try: retrieve query "a red bus in snow" --index photos\n' in err

    def test_an_encoder_that_reads_no_words_is_asked_with_a_row_that_is_there(
        self, run, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.delattr(FakeEncoder, "encode_text")
        folder = fill(tmp_path / "photos", PLAIN)
        monkeypatch.chdir(folder)

        assert "try: retrieve query --id 0\n" in run("build-index", ".", "--encoder", "fake")[2]
        (folder / min(PLAIN)).unlink()

        assert "try: retrieve query --id 1\n" in run("build-index", ".")[2]
        assert run("query", "--id", "1")[0] == 0

    def test_again_nothing_changes(self, run, photos: Path) -> None:
        _, out, _ = run("build-index", photos, "--json")
        report = json.loads(out)

        assert [report[key] for key in ("encoded", "moved", "removed", "skipped")] == [0, 0, 0, 0]
        assert b"changes    none" in run("build-index", photos)[1]

    def test_quiet_is_silent(self, run, photos: Path) -> None:
        assert run("build-index", photos, "--quiet") == (0, b"", "")

    def test_strict_fails_and_says_where(self, run, photos: Path) -> None:
        (photos / "empty.jpg").touch()
        status, _, err = run("build-index", photos, "--strict")

        assert status == 1
        assert "skipped.tsv" in err

    def test_links_not_followed_and_formats_not_read_are_told(
        self, run, photos: Path, tmp_path: Path
    ) -> None:
        fill(tmp_path / "elsewhere", ["a.png"], first=200)
        (photos / "album").symlink_to(tmp_path / "elsewhere")
        (photos / "x.PSD").touch()
        _, out, _ = run("build-index", photos)
        words = out.decode()

        assert "2: 1 unsupported-format, 1 link-not-followed" in words or (
            "2: 1 link-not-followed, 1 unsupported-format" in words
        )
        assert "--follow-links" in words
        assert b"--follow-links" not in run("build-index", photos, "--follow-links")[1]

    def test_help_names_what_is_read_and_when_it_stops(self, run) -> None:
        words = " ".join(run("build-index", "--help")[1].decode().split())
        read = words.partition("end in ")[2].partition(".")[0]

        assert set(re.findall(r"\w+", read)) == SUFFIXES - RAW_SUFFIXES
        assert f"at least {PROTECTED_ROWS}" in words.partition("--prune")[2].partition("--strict")[0]

    def test_exclude_may_be_repeated(self, run, tmp_path: Path) -> None:
        folder = fill(tmp_path / "photos", ["a.png", "b.png", "c.png"])
        _, out, _ = run(
            "build-index", folder, "--encoder", "fake", "--exclude", "a.*", "--exclude", "b.*", "--json"
        )

        assert json.loads(out)["images"] == 1

    def test_vectors_and_keys_in_and_out(self, run, tmp_path: Path) -> None:
        rows = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)  # (n, d)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        np.save(tmp_path / "clip.npy", rows)
        (tmp_path / "keys.txt").write_text("".join(f"ключ {number}\n" for number in range(50)))
        folder = tmp_path / "vectors"
        arguments = ["--vectors", tmp_path / "clip.npy", "--keys", tmp_path / "keys.txt"]

        assert run("build-index", folder, *arguments, "--quiet") == (0, b"", "")
        assert (
            run("export", "--index", folder, "--vectors", tmp_path / "o.npy", "--keys", tmp_path / "o.txt")[0]
            == 0
        )
        assert (tmp_path / "o.txt").read_bytes() == (tmp_path / "keys.txt").read_bytes()
        np.testing.assert_allclose(np.load(tmp_path / "o.npy").astype(np.float32), rows, atol=1e-3)
        found = json.loads(run("query", "--id", "3", "--include-self", "--index", folder, "--json")[1])
        assert (found[0]["path"], found[0]["id"]) == ("ключ 3", 3)
        assert found[0]["score"] == pytest.approx(1, abs=1e-3)
        assert json.loads(run("info", "--index", folder, "--json")[1])["encoder"] == "clip"

    def test_the_index_of_the_environment(self, run, photos: Path, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RETRIEVE_INDEX", str(photos / ".retrieve"))

        assert run("info")[0] == 0


class TestSources:
    def test_sources_are_added_repeated_and_dropped(self, run, tmp_path: Path) -> None:
        photos, other = fill(tmp_path / "photos", PLAIN[:3]), fill(tmp_path / "other", ["x.png"], first=50)
        index = tmp_path / "index"

        status, out, _ = run("build-index", photos, other, "--index", index, "--encoder", "fake")
        assert (status, out.decode().splitlines()[0]) == (0, f"images     4 in {photos}, {other}")
        status, out, _ = run("build-index", "--index", index, "--json")
        assert (status, json.loads(out)["sources"]) == (0, [str(photos), str(other)])
        status, out, _ = run("build-index", photos, "--index", index)
        assert out.decode().splitlines()[:2] == [f"images     4 in {index}", f"built      {photos}"]
        status, out, _ = run("info", "--index", index)
        assert f"{photos} (folder)\n            {other} (folder)" in out.decode()
        status, out, _ = run("build-index", "--index", index, "--drop-source", other)
        assert (status, out.decode().splitlines()[1]) == (0, "changes    1 removed")

    def test_a_clash_of_keys_is_one_line(self, run, tmp_path: Path) -> None:
        photos, other = fill(tmp_path / "photos", ["x.png"]), fill(tmp_path / "other", ["x.png"], first=50)
        run("build-index", photos, "--index", tmp_path / "index", "--encoder", "fake")

        status, out, err = run("build-index", other, "--index", tmp_path / "index")

        assert (status, out) == (1, b"")
        assert err.startswith(f"error: {photos} and {other} both give the key 'x.png'; nothing was changed.")
        assert err.endswith(f"if that folder moved, say so with --root {other}\n")
