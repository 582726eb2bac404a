"""Listings of images: columns with headings on a terminal, tabs elsewhere."""

from __future__ import annotations

from retrieval.cli.reports.curation.listings import listing

HEADINGS = ("score", "label", "path")
ROWS = [("0.5", "a", "long folder/inner/one.jpg"), ("0.25", "名前", "two.jpg")]


def test_a_program_gets_tabs_and_no_headings() -> None:
    assert listing(HEADINGS, ROWS, columns=0) == "0.5\ta\tlong folder/inner/one.jpg\n0.25\t名前\ttwo.jpg\n"


def test_a_terminal_gets_headings_above_columns_that_fit() -> None:
    lines = listing(HEADINGS, ROWS, columns=32).splitlines()

    assert lines[0] == "score  label  path"
    assert lines[1].startswith("0.5    a      ")
    assert lines[1].endswith("one.jpg")
    assert lines[2] == "0.25   名前   two.jpg"
    assert max(map(len, lines)) <= 32


def test_nothing_has_no_headings() -> None:
    assert listing(HEADINGS, [], columns=80) == ""
