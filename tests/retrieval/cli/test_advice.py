"""The library's errors name Python's words; the command line turns them into options and commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from retrieval.cli.frame.advice import COMMANDS, OPTIONS, in_options
from retrieval.cli.group import retrieve
from tests.retrieval.cli.shell import ROOT

COMMAND_LINE = re.compile(r"(?<![\w-])--[a-z]|\bretrieve [a-z]+(-[a-z]+)*\b")
OTHERS = re.compile(
    r"--(upgrade|revision|force-reinstall|no-deps|id=|query-gpu|format=csv|pids-limit)|--[a-z-]+:|var\(--[a-z-]+\)"
)
"""Options of pip, of nvidia-smi, of containers and of huggingface-cli, and names in style sheets."""

IN_SKIPPED_TSV = {
    "retrieval/sources/decoding/decoder.py",
    "retrieval/sources/folders/folder_walk.py",
    "retrieval/sources/media/film_reading.py",
}
"""What these say of an image is written to skipped.tsv, a list that people read, so it names the option itself."""


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module that are no docstrings, the fixed parts of f-strings joined."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(value) for value in node.values)
            yield (
                node.lineno,
                "".join(value.value if isinstance(value, ast.Constant) else "…" for value in node.values),
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


LIBRARY = [
    path
    for package in ("indexes", "retrieval")
    for path in sorted((ROOT / package).glob("**/*.py"))
    if "cli" not in path.relative_to(ROOT).parts
]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_knows_no_options_of_the_command_line(path):
    found = [(line, text) for line, text in strings(path) if COMMAND_LINE.search(OTHERS.sub("", text))]

    assert str(path.relative_to(ROOT)) in IN_SKIPPED_TSV or found == []


def test_every_argument_that_a_message_names_is_an_option():
    named = {
        name for path in LIBRARY for _, text in strings(path) for name in re.findall(r"`(\w+)=[^`]*`", text)
    }

    assert named - OPTIONS == {"mask"}  # flags by row are for Python alone


def test_options_and_commands_are_there():
    def options(command: click.Command) -> set[str]:
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        return {name for param in command.params for name in param.opts}.union(*map(options, inner))

    assert {f"--{name.replace('_', '-')}" for name in OPTIONS} <= options(retrieve)
    for line in COMMANDS.values():
        command: click.Command = retrieve
        for word in line.split()[1:]:
            if word.startswith("--"):
                assert word in options(command)
                continue
            assert isinstance(command, click.Group)
            command = command.commands[word]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("remove the rows with `prune=True`", "remove the rows with --prune"),
        ("`follow_links=False` leaves them", "--no-follow-links leaves them"),
        ('use `device="cpu"` (or auto)', "use --device cpu (or auto)"),
        ('left out by `exclude="a b/*.gif"`', "left out by --exclude 'a b/*.gif'"),
        (
            "`truncate_dim=7`: no width; leave `truncate_dim` out",
            "--truncate-dim 7: no width; leave --truncate-dim out",
        ),
        ("run `build_index` on the folder", "run `retrieve build-index` on the folder"),
        ('build one with `build_index("my photos")`', "build one with `retrieve build-index 'my photos'`"),
        ("run `build_index(…, root=…)` there", "run `retrieve build-index … --root …` there"),
        ("end it with `backfill`", "end it with `retrieve upgrade backfill all`"),
        ("run `backfill(count=0)`", "run `retrieve upgrade backfill 0`"),
        ("begin with `upgrade(encoder=SPEC)`", "begin with `retrieve upgrade --encoder SPEC`"),
        ("a file `prune` names, 3 `cats`, truncate_dim=3", "a file --prune names, 3 `cats`, truncate_dim=3"),
    ],
)
def test_pythons_words_become_options(message, shown):
    assert in_options(message) == shown


def test_an_argument_of_another_name_is_told_by_its_option():
    assert in_options("`kinds` is 'foo'; give some of bytes") == "--kind is 'foo'; give some of bytes"
    assert in_options("`n` is 0; give 1 at least") == "-n is 0; give 1 at least"
    assert in_options("`k` is 0") == "-k is 0"
