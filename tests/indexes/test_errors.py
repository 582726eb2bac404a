"""A caller's value is shown in a message, whatever it is."""

from __future__ import annotations

import sys
from functools import partial

import pytest

from indexes.errors import value_text


def test_a_value_is_cut():
    assert value_text("a" * 100, 5) == "'aaaa"
    assert value_text([1, 2]) == "[1, 2]"


def test_a_value_that_cannot_be_described_is_named_by_its_type(
    request: pytest.FixtureRequest,
):
    # Some libraries raise the interpreter's limit when they are imported.
    request.addfinalizer(partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(1000)
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]

    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert value_text(deep) == "<list>"
    assert value_text(Silent()) == "<Silent>"
