"""Which collection a command takes, and what it says where that is not plain."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.retrieval.cli.shell import PLAIN
from tests.retrieval.folders import fill


@pytest.fixture
def above(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the folder that the indexed folder lies in."""
    monkeypatch.chdir(photos.parent)
    return photos.parent


class TestBelow:
    def test_the_only_collection_below_answers_and_that_is_said(self, run, above: Path) -> None:
        status, out, err = run("query", "red", "-f")

        assert (status, out) == run("query", "red", "-f", "--index", "photos")[:2]
        assert status == 0
        assert err.startswith("note: ")
        assert err.count("\n") == 1
        assert "photos" in err
        assert run("query", "red", "-f", "--quiet")[2] == ""

    def test_raw_paths_exist_below_the_folder_that_was_named(self, run, above: Path) -> None:
        names = run("query", "red", "-0")[1].split(b"\0")[:-1]

        assert names
        assert all(os.path.exists(os.path.join(b"photos", name)) for name in names)

    @pytest.mark.parametrize("command", ["info", "verify", "evaluate"])
    def test_every_command_finds_it(self, run, above: Path, command: str) -> None:
        status, out, err = run(command, "--json")

        assert (status, bool(json.loads(out))) == (0, True)
        assert "photos" in err.splitlines()[0]

    def test_of_several_one_is_to_be_named(self, run, above: Path) -> None:
        for name in ("scans", "my scans"):
            fill(above / name, PLAIN[:2])
            assert run("build-index", name, "--encoder", "fake", "--quiet")[0] == 0
        status, out, err = run("query", "red")

        assert (status, out) == (1, b"")
        assert err.count("\n") == 1
        for name in ("photos", "scans", "'my scans'"):
            assert f"--index {name}" in err

    def test_one_above_comes_first(self, run, photos: Path, monkeypatch) -> None:
        fill(photos / "inner", PLAIN[:2])
        assert run("build-index", photos / "inner", "--encoder", "fake", "--quiet")[0] == 0
        monkeypatch.chdir(photos)
        status, out, err = run("info", "--json")

        assert (status, json.loads(out)["root"], err) == (0, str(photos), "")

    def test_a_manifest_of_something_else_is_no_collection(self, run, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "manifest.json").write_text("{}")
        monkeypatch.chdir(tmp_path)
        status, _, err = run("info")

        assert status == 1
        assert "no collection in" in err

    def test_commands_that_open_none_say_nothing(self, run, above: Path) -> None:
        assert run("encoders", "--json")[2] == ""


class TestBuildingInside:
    def test_a_second_collection_inside_another_is_said_once(self, run, photos: Path, monkeypatch) -> None:
        monkeypatch.chdir(photos)
        status, _, err = run("build-index", "plain", "--encoder", "fake")
        again = run("build-index", "plain")[2]

        assert status == 0
        notes = [line for line in err.splitlines() if line.startswith("note: ")]
        assert len(notes) == 1
        assert "plain/.retrieve" in notes[0]
        assert "--index" in notes[0]
        assert "note: " not in again

    def test_the_cure_takes_the_folder_up_into_the_first(self, run, photos: Path, monkeypatch) -> None:
        monkeypatch.chdir(photos)
        fill(photos, ["plain/more.png"], first=300)
        _, out, err = run("build-index", "plain", "--index", ".retrieve", "--json")

        assert (json.loads(out)["images"], "note: " in err) == (29, False)
        assert not (photos / "plain" / ".retrieve").exists()

    def test_a_folder_inside_nothing_has_no_note(self, run, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").write_text("{}")
        folder = fill(tmp_path / "alone", PLAIN[:2])

        assert "note: " not in run("build-index", folder, "--encoder", "fake")[2]


class TestEnvironment:
    def test_a_collection_of_another_folder_is_not_offered_to_be_replaced(
        self, run, photos: Path, tmp_path: Path, monkeypatch
    ) -> None:
        other = fill(tmp_path / "other", PLAIN[:2])
        monkeypatch.setenv("RETRIEVE_INDEX", str(photos))
        status, out, err = run("build-index", other)

        assert (status, out, err.count("\n")) == (1, b"", 1)
        assert "unset RETRIEVE_INDEX" in err
        assert "--root" not in err
        assert run("build-index", other, "--index", other / ".retrieve", "--encoder", "fake")[0] == 0

    def test_named_on_the_command_line_the_folder_may_have_moved(
        self, run, photos: Path, tmp_path: Path
    ) -> None:
        other = fill(tmp_path / "other", PLAIN[:2])
        err = run("build-index", other, "--index", photos)[2]

        assert "--root" in err
        assert "RETRIEVE_INDEX" not in err

    def test_of_a_folder_that_is_gone_both_are_said(
        self, run, photos: Path, tmp_path: Path, monkeypatch
    ) -> None:
        one = fill(tmp_path / "one", PLAIN[:2])
        index = tmp_path / "index"
        assert run("build-index", one, "--index", index, "--encoder", "fake", "--quiet")[0] == 0
        one.rename(tmp_path / "moved")
        monkeypatch.setenv("RETRIEVE_INDEX", str(index))
        err = run("build-index", tmp_path / "moved")[2]

        assert "RETRIEVE_INDEX" in err
        assert f"--root {tmp_path / 'moved'}" in err


class TestNamed:
    def test_a_path_that_is_not_there_is_no_other_collection(self, run, photos: Path) -> None:
        status, out, err = run("query", "red", "--index", photos / "nosuch" / "typo")

        assert (status, out) == (1, b"")
        assert "nosuch/typo does not exist; check the path, or mount its drive" in err

    def test_files_that_came_are_taken_up_into_the_collection_that_was_asked(
        self, run, tmp_path: Path
    ) -> None:
        folder = fill(tmp_path / "s", ["a.png", "b.png"])
        run("build-index", folder, "--encoder", "fake", "--index", tmp_path / "ext")
        fill(folder, ["c.png"], first=7)
        note = run("query", "--id", "0", "--index", tmp_path / "ext")[2]

        assert f"retrieve build-index {folder} --index {tmp_path / 'ext'}" in note

    def test_a_folder_that_is_not_utf8_holds_images_but_no_collection(self, run, tmp_path: Path) -> None:
        folder = fill(Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xff")), ["a.png"])
        status, _, err = run("build-index", folder, "--encoder", "fake")
        assert status == 1
        assert "put that elsewhere with --index" in err
        assert not (folder / ".retrieve").exists()
        status, out, _ = run(
            "build-index", folder, "--encoder", "fake", "--index", tmp_path / "ext", "--json"
        )

        assert status == 0
        assert json.loads(out)["root"].endswith("/d%FF")
        assert json.loads(run("info", "--index", tmp_path / "ext", "--json")[1])["root"].endswith("/d%FF")
