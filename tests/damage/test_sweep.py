"""Damage to any file of a collection is an error that names it, or changes nothing that a search finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.errors import StoreCorrupt
from tests.damage.sweep import KINDS, answers, build, damages

ROOT = Path(__file__).parents[2]


def swept(kind: str, count: int, seed: int) -> list[dict[str, str]]:
    """Run a sweep in a process that has searched nothing."""
    command = [sys.executable, "-m", "tests.damage.sweep", kind, str(count), str(seed)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return [json.loads(line) for line in run.stdout.splitlines()]


def check(outcomes: list[dict[str, str]], count: int) -> None:
    assert [outcome for outcome in outcomes if outcome["fault"]] == []
    assert len(outcomes) > 0.8 * count  # some damages change nothing
    assert (
        sum(bool(outcome["error"]) for outcome in outcomes) > 0.2 * count
    )  # usually a half: the others hit no bit in use


@pytest.mark.parametrize("kind", ["flat", "ivfrabitq", "prefix", "views"])
def test_a_few_damages_of_every_sort(kind):
    check(swept(kind, 60, 11), 60)


def test_rows_that_are_no_numbers_are_an_error(tmp_path):
    home = tmp_path / "c"
    home.mkdir()
    build(home, "graph")
    index = next(home.rglob("index.faiss"))  # read as halves, some of its bytes are none
    (home / ".retrieve" / "rerank.f16").write_bytes(index.read_bytes())
    with pytest.raises(StoreCorrupt, match=r"rerank\.f16.*verify"):
        answers(home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [*KINDS, "views", "format-1-rotated", "format-1-ivfpq", "format-1-funnel", "format-2", "format-4"]
)
def test_many_damages(kind):
    check(swept(kind, 400, 12), 400)


def test_damages_are_seeded_and_each_changes_its_file():
    files = {"a": bytes(range(256)) * 40, "b": b"short", "empty": b""}
    made = list(damages(files, 200, 3))

    assert made == list(damages(files, 200, 3))
    assert all(data != files[name] for name, _, data in made)
    assert {name for name, _, _ in made} == {"a", "b"}
    assert {what.partition(" ")[0] for _, what, _ in made} == {
        "flip",
        "byte",
        "cut",
        "zero",
        "swap",
        "longer",
    }
