"""``retrieve calibrate``: hits have a match from then on, where that was measured to be true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.retrieval.evaluation.test_match_calibration import write_things


@pytest.fixture
def labelled(tmp_path: Path, run) -> Path:
    labels = write_things(tmp_path / "things", kinds=10, each=6, seed=0)
    lines = [f"{file},{label}" for file, label in labels.items()]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines, "gone.png,thing 1"]))
    assert run("build-index", tmp_path / "things", "--encoder", "fake", "--quiet")[0] == 0
    return tmp_path / "things"


def test_it_says_which_queries_have_a_match_now(labelled: Path, tmp_path: Path, run) -> None:
    write_things(tmp_path / "everyday", kinds=100, each=1, seed=1)

    status, out, err = run(
        "calibrate",
        "--index",
        labelled,
        "--labels",
        tmp_path / "labels.csv",
        "--background",
        tmp_path / "everyday",
    )

    assert status == 0, err
    text = out.decode()
    assert "10 of 60 labelled images" in text
    assert "100 images of the background" in text
    assert "1 listed file is not in the collection, first " in err
    for kind in ("words", "images"):
        (line,) = [line for line in text.splitlines() if line.startswith(kind)]
        assert "have a match now" in line or "above 0.1; hits have no match" in line


def test_json_has_the_same_facts_and_the_hits_agree(labelled: Path, tmp_path: Path, run) -> None:
    write_things(tmp_path / "everyday", kinds=100, each=1, seed=1)
    arguments = ("--labels", tmp_path / "labels.csv", "--background", tmp_path / "everyday", "--json")

    facts = json.loads(run("calibrate", "--index", labelled, *arguments)[1])
    hits = json.loads(run("query", "--index", labelled, "--id", "0", "--json")[1])

    assert (facts["labels"], facts["background"], facts["own_background"]) == (10, 100, False)
    assert (hits[0]["match"] is not None) == ("images" in facts["used"])


@pytest.mark.parametrize("labels", [(), ("--labels", "labels.csv", "--column", "label")])
def test_labels_are_named_once(labelled: Path, tmp_path: Path, run, labels: tuple[str, ...]) -> None:
    given = [tmp_path / one if one.endswith(".csv") else one for one in labels]

    status, _, err = run("calibrate", "--index", labelled, *given)

    assert status == 2
    assert "give --labels CSV or --column NAME, one of both" in err


def test_a_column_that_is_not_there_is_said(labelled: Path, run) -> None:
    status, _, err = run("calibrate", "--index", labelled, "--column", "shows")

    assert status == 1
    assert "the column 'shows' gives no image" in err


def test_what_is_missing_is_said_with_the_command_that_cures_it(labelled: Path, tmp_path: Path, run) -> None:
    status, _, err = run("query", "--index", labelled, "--id", "0", "--sure")

    assert status == 1
    assert "which `retrieve calibrate` does" in err

    status, _, err = run("calibrate", "--index", labelled, "--labels", tmp_path / "labels.csv")

    assert status == 1
    assert "the background has 60 images; give at least 100" in err


def test_the_collection_itself_is_no_background(labelled: Path, tmp_path: Path, run) -> None:
    given = ("--labels", tmp_path / "labels.csv", "--background", labelled)

    status, _, err = run("calibrate", "--index", labelled, *given)

    assert status == 1
    assert "the collection itself; leave it out" in err


def test_a_quote_that_nothing_closes_is_an_error_of_its_line(labelled: Path, tmp_path: Path, run) -> None:
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    lines[3] = lines[3].replace(",", ',"')
    (tmp_path / "labels.csv").write_text("\n".join(lines))

    status, _, err = run("calibrate", "--index", labelled, "--labels", tmp_path / "labels.csv")

    assert status == 1
    assert "cannot be read from line 4 on" in err


def test_a_list_that_is_no_utf_8_says_so(labelled: Path, tmp_path: Path, run) -> None:
    text = (tmp_path / "labels.csv").read_text().replace("gone.png", "größe.png")
    (tmp_path / "labels.csv").write_bytes(text.encode("latin-1"))

    status, _, err = run("classify", "--index", labelled, "--labels", tmp_path / "labels.csv")

    assert status == 0, err
    assert "1 listed file is not in the collection" in err
    assert "this list is not UTF-8; save it so" in err


def test_a_damaged_calibration_is_named_and_queries_have_no_match(
    labelled: Path, tmp_path: Path, run
) -> None:
    write_things(tmp_path / "everyday", kinds=100, each=1, seed=1)
    arguments = ("--labels", tmp_path / "labels.csv", "--background", tmp_path / "everyday")
    assert run("calibrate", "--index", labelled, *arguments)[0] == 0
    (labelled / ".retrieve" / "relevance" / "background.npz").write_bytes(b"junk")

    status, out, err = run("query", "--index", labelled, "--id", "0", "--json")
    verified, told, _ = run("verify", "--index", labelled)

    assert status == 0, err
    assert json.loads(out)[0]["match"] is None
    assert "the calibration of matches is damaged" in err
    assert "`retrieve calibrate` makes it anew" in err
    assert verified == 1
    assert "relevance: the calibration of matches is damaged" in told.decode()
