"""What keeps the guides readable and true: short sentences, code that runs, commands and links that exist."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("indexes", "retrieval")
MOST_WORDS = 30
README_BYTES = 11_000

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).glob("**/*.py"))
GUIDES = sorted(
    {
        ROOT / "README.md",
        *(path for package in PACKAGES for path in (ROOT / package).glob("**/README.md")),
        *(
            path
            for folder in ("tests", "tools", "benchmarks")
            for path in (ROOT / folder).glob("**/README.md")
        ),
    }
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def passages(markdown: str) -> Iterator[str]:
    """Yield the texts of a page in which sentences stand: paragraphs, list items, headings, cells of tables."""
    markdown = re.sub(r"```.*?```", "\n\n", markdown, flags=re.DOTALL)
    paragraph: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        text = line.strip()
        starts = re.match(r"([-*+]|\d+\.|#+|>|\[\^)\s", text)
        if (not text or starts or text.startswith("|")) and paragraph:
            yield " ".join(paragraph)
            paragraph = []
        if text.startswith("|"):
            yield from (cell.strip() for cell in text.strip("|").split("|"))
        elif text:
            paragraph.append(re.sub(r"^([-*+]|\d+\.|#+|>)\s+", "", text))


def sentences(text: str) -> list[str]:
    """Split a passage where a full stop, question mark or exclamation mark ends a sentence; a code span is one word."""
    text = re.sub(r"`+[^`]*`+", "code", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return [part for part in re.split(r"(?<=[.!?…])[)\"*_]*\s+", text) if part]


def too_long(text: str) -> list[str]:
    return [part for part in sentences(text) if len(re.findall(r"[^\W_]+(?:[-'.,]\w+)*", part)) > MOST_WORDS]


def test_a_long_sentence_is_found_wherever_it_stands() -> None:
    long = " ".join(["word"] * (MOST_WORDS + 1))
    fits = " ".join(["word"] * MOST_WORDS)

    for page in (f"{long}.", f"- {long}", f"# {long}", f"| a | {long} |", f"Short. {long}", f"a\n{long}"):
        assert [len(too_long(text)) for text in passages(page)].count(1) == 1, page
    for page in (f"{fits}. {fits}.", f"{fits}\n\n{fits}", f"- {fits}\n- {fits}", f"```\n{long}\n```"):
        assert not any(too_long(text) for text in passages(page)), page


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_no_sentence_of_a_guide_is_long(path: Path) -> None:
    assert [long for text in passages(path.read_text()) for long in too_long(text)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_first_line_of_a_docstring_is_long(path: Path) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [
        ast.get_docstring(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, documented)
    ]
    firsts = [text.partition("\n\n")[0].partition("\n")[0] for text in texts if text]

    assert [long for first in firsts for long in too_long(first)] == []


def test_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= README_BYTES


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


def typed(path: Path) -> list[str]:
    """Return the commands of a page's consoles, one line each; a backslash continues a line."""
    lines = "\n".join(blocks(path, "console")).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photos/``, already indexed: what guides begin with."""
    skimage = pytest.importorskip("skimage", reason="the guides' example photographs come with scikit-image")
    home = tmp_path_factory.mktemp("guides")
    photos = home / "photos"
    photos.mkdir()
    for path in (Path(skimage.__file__).parent / "data").glob("*.png"):
        (photos / path.name).write_bytes(path.read_bytes())
    build = "import retrieval; retrieval.build_index('photos/')"
    subprocess.run([sys.executable, "-W", "error", "-c", build], check=True, cwd=home)
    return home


SLOW = {"retrieval/activation/README.md"}  # gradients through torch: half a minute


def pages_of_python() -> Iterator[Any]:
    for path in GUIDES:
        if blocks(path, "python"):
            marks = [pytest.mark.slow] if name_of(path) in SLOW else []
            yield pytest.param(path, id=name_of(path), marks=marks)


@pytest.mark.parametrize("path", list(pages_of_python()))
def test_python_of_a_guide_runs(path: Path, indexed: Path, tmp_path: Path) -> None:
    """Run a page's blocks one after another in a folder that holds what they name."""
    home = shutil.copytree(indexed, tmp_path / "home")
    script = "\n".join(blocks(path, "python"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]


def options_of(words: list[str]) -> tuple[set[str], list[str]]:
    """Return the options that a typed command may take, and those that it was given."""
    from retrieval.cli.group import retrieve

    known = {name for option in retrieve.params for name in (*option.opts, *option.secondary_opts)}
    command: click.Command = retrieve
    rest = words
    while rest and isinstance(command, click.Group):
        name = next((word for word in rest if not word.startswith("-")), None)
        found = command.commands.get(name) if name else None
        if found is None:
            assert command is not retrieve, f"no command {name!r}"
            break
        command, rest = found, rest[rest.index(name) + 1 :]
        known |= {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    given = [word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z0]", word)]
    return known | {"--help", "--version"}, given


@pytest.mark.parametrize(
    "path", [path for path in GUIDES if any("retrieve " in line for line in typed(path))], ids=name_of
)
def test_commands_of_a_guide_exist_with_their_options(path: Path) -> None:
    for line in typed(path):
        for part in re.split(r"\s(?:\||&&)\s", line):
            words = shlex.split(part, comments=True)
            if words and words[0] == "retrieve":
                known, given = options_of(words[1:])

                assert [option for option in given if option not in known] == [], line


def test_every_command_has_a_place_in_the_readme_and_in_a_guide() -> None:
    from retrieval.cli.group import retrieve

    guides = "\n".join(path.read_text() for path in GUIDES if path != ROOT / "README.md")
    readme = (ROOT / "README.md").read_text()

    for name in retrieve.commands:
        assert f"retrieve {name}" in readme, name
        assert f"retrieve {name}" in guides or name == "demo", name


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_links_of_a_guide_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]

    assert [link for link in local if not (path.parent / link).exists()] == []


def test_figures_of_the_readme_name_files_that_are_there() -> None:
    measured = (ROOT / "README.md").read_text().partition("## Measured")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w-]+\.json)`", measured)

    assert named
    assert [name for name in named if not (ROOT / "benchmarks" / "results" / name).is_file()] == []


def test_the_readme_begins_with_two_commands_that_do_everything() -> None:
    """What ``.ci/run`` extracts and runs as printed."""
    demo, tests = [line for line in typed(ROOT / "README.md") if line.startswith("python3 -m venv")]

    assert demo.endswith("&& .venv/bin/retrieve demo")
    assert tests.endswith("&& .venv/bin/pytest -n auto --dist loadfile")


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_modules_that_a_guide_names_by_path_are_there(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    named = re.findall(r"`([\w./-]+/[\w.-]+\.py)`", text)

    def stands(name: str) -> bool:
        return any((place / name).exists() for place in (path.parent, path.parent.parent, ROOT))

    assert [name for name in named if not stands(name)] == []


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_readmes_of_benchmarks_and_tools_name_every_module(folder: str) -> None:
    for place in sorted({path.parent for path in (ROOT / folder).glob("**/*.py")}):
        readme = (place / "README.md").read_text()
        modules = [path.name for path in place.glob("*.py") if not path.name.startswith("__")]

        assert [name for name in modules if f"`{name}`" not in readme] == [], place.name
