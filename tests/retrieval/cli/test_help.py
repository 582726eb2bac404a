"""What help pages look like, and that they say what is so."""

from __future__ import annotations

import pytest

from retrieval.cli.commands import retrieve


def page(run, *arguments: str) -> str:
    return run(*arguments, "--help")[1].decode()


@pytest.mark.parametrize("name", ["", *retrieve.commands])
def test_no_page_shows_a_mark_of_the_formatter(run, name: str) -> None:
    text = page(run, *filter(None, [name]))

    assert "\\b" not in text
    assert "\b" not in text


def test_the_first_examples_have_a_line_each(run) -> None:
    lines = [line.split() for line in page(run).splitlines()]
    examples = [words for words in lines if words[:1] == ["retrieve"]]

    assert [words[1] for words in examples] == ["demo", "build-index", "query", "query"]


def test_where_a_build_puts_its_collection(run) -> None:
    words = " ".join(page(run, "build-index").split())

    assert "otherwise FOLDER/.retrieve" in words
    assert "upwards" not in words
    assert "RETRIEVE_INDEX" in words


def test_metavariables_are_what_is_accepted(run) -> None:
    assert "--backfill N|all" in page(run, "upgrade")
