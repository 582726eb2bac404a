"""A type checker finds mistakes in what people type."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import retrieval

MISTAKES = """
import retrieval

c = retrieval.open("x")
retrieval.opne("x")
c.serach("x")
c.search(k=5)
c.search({"a": 1})
c.search("a dog", top_k=5)
"""
RIGHT = """
import numpy as np

import retrieval

with retrieval.open("x") as c:
    for hit in c.search("a dog", k=5):
        print(hit.path, hit.score + 1, hit.file.name, hit.open().size)
    answers = c.search(["a dog", "a cat"])
    print(answers[0][0].path)
    ids, scores = c.search_vectors(np.ones(64), k=5)
    query = retrieval.image("x.jpg") + 0.5 * retrieval.text("at night") - retrieval.text("people")
    print(c.search(query, under="2019", ids=[1, 2])[0].rank, ids[0, 0] + 1)
"""


def test_a_type_checker_finds_the_mistakes_and_nothing_else(tmp_path):
    api = pytest.importorskip("mypy.api", reason="mypy is not installed")
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    (tmp_path / "right.py").write_text(RIGHT)
    house = Path(retrieval.__file__).resolve().parents[1]
    cache = house / ".mypy_cache"

    options = ["--strict", "--no-error-summary", "--config-file", os.devnull, "--cache-dir", str(cache)]
    options += ["--follow-imports", "silent", "--ignore-missing-imports"]
    out, err, _ = api.run([*options, str(tmp_path / "mistakes.py"), str(tmp_path / "right.py")])

    found = sorted(int(line) for line in re.findall(r"mistakes\.py:(\d+): error", out))
    assert sorted(set(found)) == [5, 6, 7, 8, 9], out + err
    assert "right.py" not in out, out
