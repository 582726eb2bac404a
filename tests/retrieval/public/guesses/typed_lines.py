"""Run a line as it is typed, and check what it gives: a value, or one sentence that says what to type."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import copy
import io
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import RetrievalError, StoreClosed
from retrieval.testing import FakeEncoder
from tests.retrieval.public.guesses.photographs import (
    ENCODER,
    as_bytes,
)

MODULES = {
    "asyncio": asyncio,
    "copy": copy,
    "io": io,
    "json": json,
    "np": np,
    "pickle": pickle,
    "retrieval": retrieval,
    "Image": Image,
    "Path": Path,
    "FakeEncoder": FakeEncoder,
    "ENCODER": ENCODER,
    "as_bytes": as_bytes,
}


def typed(code, request):
    """Run what was typed; return the value of the last expression and what the names stood for."""
    tree = ast.parse(code)
    known = dict(MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known and node.id in FIXTURES:
            known[node.id] = request.getfixturevalue(node.id)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<typed>", "exec"), known)  # noqa: S102 - the lists are code
    if last is None:
        return None, known
    return eval(compile(ast.Expression(last.value), "<typed>", "eval"), known), known  # noqa: S307


FIXTURES = {
    *("album", "empty", "folder", "hit", "hits", "img", "mask", "mine", "more", "nano", "neighbors", "new"),
    *("own", "pd", "photos", "torch", "v", "vectors"),
}


def finds(path, *, score=1.0):
    """The best hit is this image, with this cosine."""

    def check(found):
        assert found[0].path == path
        assert found[0].score == pytest.approx(score, abs=2e-3)
        assert found[0].score <= 1
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))

    return check


def each(*checks):
    """A list of as many answers, in the order of the queries."""

    def check(found):
        assert isinstance(found, list)
        assert len(found) == len(checks)
        for answer, inner in zip(found, checks, strict=True):
            inner(answer)

    return check


def near(expected, *, tolerance=2e-3):
    """An array of that shape and those values, up to the rounding of halves."""

    def check(found):
        assert np.shape(found) == np.shape(expected)
        assert np.asarray(found, dtype=np.float64) == pytest.approx(np.asarray(expected), abs=tolerance)

    return check


def kind(*types):
    def check(found):
        assert isinstance(found, types)
        assert found

    return check


def text_with(*words):
    def check(found):
        assert isinstance(found, str)
        for word in words:
            assert word in found

    return check


def shown(*words, without=()):
    """HTML for a notebook: small, with these words, and with none of those."""

    def check(found):
        assert len(found) <= 200_000
        assert "<" in found
        for word in words:
            assert word in found
        for word in without:
            assert word not in found

    return check


def no_rows():
    def check(found):
        assert len(found) == 0

    return check


def best(path):
    return lambda found: found[0].path == path


def meets(expected, found):
    """A check has asserted, or answers whether it is met; anything else is the value itself."""
    if callable(expected):
        assert expected(found) in {None, True}, f"not {found!r}"
    else:
        assert found == expected


BUILTINS = (TypeError, ValueError, AttributeError, LookupError, ImportError, FileNotFoundError)


def says(error, *words):
    """It is an error of ours or one that fits; one line; it names what to type."""
    assert isinstance(error, (RetrievalError, *BUILTINS))
    message = str(error)
    assert message.strip()
    assert "\n" not in message
    assert "--" not in message, "the library advises options of the command line"
    for word in words:
        found = any(part in message or f"`{part.rstrip('=')}`" in message for part in word.split("|"))
        assert found, f"{message!r} does not say {word!r}"


def contents(known):
    """What the collections that a line names hold."""
    found = {}
    for name in ("photos", "own", "mine", "album", "empty"):
        with contextlib.suppress(KeyError, StoreClosed):
            found[name] = sorted(known[name].keys())
    return found


def fails(code, request, *words):
    """Run a line that must fail, with a sentence, and change nothing."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id in FIXTURES:
            request.getfixturevalue(node.id)
    known = {name: request.getfixturevalue(name) for name in FIXTURES if re.search(rf"\b{name}\b", code)}
    before = contents(known)
    with pytest.raises((RetrievalError, *BUILTINS)) as caught:
        typed(code, request)

    says(caught.value, *words)
    after = contents(known)
    assert after == {name: before[name] for name in after}


def lines(table):
    return [pytest.param(*entry, id=entry[0].replace("\n", "; ")) for entry in table]


def sentences(table):
    return [pytest.param(code, words, id=code) for code, *words in table]
