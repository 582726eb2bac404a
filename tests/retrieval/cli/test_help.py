"""What help pages look like, and that they say what is so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from retrieval.cli.commands import SUMMARIES
from retrieval.cli.group import retrieve


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

    assert "otherwise .retrieve in the first SOURCE" in words
    assert "upwards" not in words
    assert "RETRIEVE_INDEX" in words


def test_metavariables_are_what_is_accepted(run) -> None:
    assert "[N|all]" in page(run, "upgrade", "backfill")


def commands() -> list[list[str]]:
    names = [[], *([name] for name in retrieve.commands)]
    return [*names, *(["upgrade", name] for name in retrieve.commands["upgrade"].commands)]


@pytest.mark.parametrize("names", commands(), ids=" ".join)
def test_a_page_fits_a_screen_and_ends_with_an_example(run, names: list[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = page(run, *names).splitlines()

    assert len(lines) <= 47
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: {' '.join(['retrieve', *names])} ")
    if names:
        assert lines[-2] == "Example:"
        assert lines[-1].strip().startswith(f"retrieve {names[0]}")
        options = lines[next(n for n, line in enumerate(lines) if line in {"Options:", "Everywhere:"}) :]
        first = [line.split()[0].rstrip(",") for line in options if line.startswith("  -")]
        assert len(first) == len(set(first))


@pytest.mark.parametrize("name", ["build-index", "query"])
def test_a_page_of_many_options_names_them_all_and_another_explains_them(run, name: str) -> None:
    brief = page(run, name)
    status, out, _ = run(name, "--help-all")

    whole = [line.split()[0].rstrip(",") for line in out.decode().splitlines() if line.startswith("  -")]
    assert status == 0
    assert len(whole) > 20
    assert [option for option in whole if option not in brief and option not in {"-f", "-0"}] == []
    assert out.decode().splitlines()[-1] == brief.splitlines()[-1]


def test_common_options_come_first(run) -> None:
    text = page(run, "query")
    options = text[text.index("Options:") : text.index("More, explained")]

    assert [line.split()[0] for line in options.splitlines()[1:] if line.startswith("  -")] == [
        "-k", "--under", "--minus", "--html", "--json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["find", "a", "dog"], "retrieve query"),
        (["search", "x"], "retrieve query"),
        (["dupes"], "retrieve duplicates"),
        (["index", "photos"], "retrieve build-index"),
        (["querry", "x"], "retrieve query"),
        (["evalute"], "retrieve evaluate"),
        (["a red bus"], "retrieve query 'a red bus'"),
        (["upgrade", "backfil"], "retrieve upgrade backfill"),
        (["upgrade", "zzz"], "backfill, report, finish"),
    ],
)
def test_an_unknown_command_gets_a_suggestion(run, words: list[str], hint: str) -> None:
    status, out, err = run(*words)

    assert (status, out) == (2, b"")
    assert hint in err


@pytest.mark.parametrize(("option", "hint"), [("-n", "-k"), ("-l", "-k"), ("--limit", "-k"), ("--top", "-k")])
def test_an_unknown_option_for_how_many_hits_gets_a_suggestion(run, option: str, hint: str) -> None:
    status, _, err = run("query", "a dog", option, "5")

    assert status == 2
    assert f"{hint} N" in err
    assert "'.." not in err


def test_the_page_of_all_commands_says_of_each_what_its_own_page_begins_with():
    own = {name: command.get_short_help_str(limit=200) for name, command in retrieve.commands.items()}
    assert own == SUMMARIES


def test_the_page_of_all_commands_loads_none_of_them():
    code = (
        "import sys; sys.argv = ['retrieve']; from retrieval.cli import main; main();"
        "print([name for name in sys.modules if name.startswith('retrieval.cli.commands.')], file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "build-index" in shown.stdout
    assert shown.stderr.strip() == "[]"


def test_no_command_is_listed_with_its_sentence_cut_off(run, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    assert "..." not in page(run, "upgrade").split("Commands:")[1]
    assert "..." not in page(run).split("Commands:")[1]
