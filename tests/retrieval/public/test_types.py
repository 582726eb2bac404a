"""What type checkers say of programs that use the library; beside mypy, pyright where it is installed.

``pyright --verifytypes retrieval --ignoreexternal`` counts the public types that are known.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
RIGHT, WRONG = PROGRAMS / "right_types.py", PROGRAMS / "wrong_types.py"
LEAST_KNOWN = 98.0  # per cent; usually 99.7


def environment() -> dict[str, str]:
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # pyright asks that python
    return os.environ | {"MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT), "PATH": here}


def mypy(program: Path) -> str:
    """Check a program as ``mypy --strict`` does, with what `tools/check` has in its cache."""
    pytest.importorskip("mypy", reason="types are checked where mypy is installed")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--strict"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
    return run([*command, *cache, str(program)])


def pyright(*arguments: str) -> str:
    found = shutil.which("pyright")
    if found is None:
        pytest.skip("pyright is not installed")
    return run([found, *arguments])


def run(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=PROGRAMS, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def lines_with_errors(output: str) -> set[int]:
    return {int(number) for number in re.findall(r"wrong_types\.py:(\d+)(?::\d+)?(?: -|:) error", output)}


def wrong_lines() -> set[int]:
    lines = enumerate(WRONG.read_text().splitlines(), start=1)
    return {number for number, line in lines if line.endswith("# wrong")}


@pytest.mark.parametrize("check", [mypy, lambda program: pyright(str(program))], ids=["mypy", "pyright"])
def test_a_program_that_is_right_has_no_errors_and_the_types_that_it_states(check):
    output = check(RIGHT)

    assert re.search(r": error:| - error:", output) is None, output
    assert re.search("Success|0 errors", output), output


@pytest.mark.parametrize("check", [mypy, lambda program: pyright(str(program))], ids=["mypy", "pyright"])
def test_each_mistake_is_found_and_nothing_else(check):
    output = check(WRONG)

    assert lines_with_errors(output) == wrong_lines(), output


def test_nearly_every_public_type_is_known():
    output = pyright("--verifytypes", "retrieval", "--ignoreexternal")
    score = re.search(r"Type completeness score: ([\d.]+)%", output)

    assert score is not None, output
    assert float(score[1]) >= LEAST_KNOWN


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "retrieval" / "py.typed").exists()
