"""Every error comes whole out of another process."""

from __future__ import annotations

import pickle

import pytest

from retrieval import errors

MADE = {
    "ImageError": lambda: errors.ImageError("a.jpg is empty", reason="empty", what="is empty"),
    "UnknownWords": lambda: errors.UnknownWords("qat", words=("qat",), encoder="nano@1"),
}


@pytest.mark.parametrize("name", errors.__all__)
def test_it_pickles(name: str) -> None:
    error = MADE.get(name, lambda: getattr(errors, name)("a message"))()
    again = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert (type(again), str(again), again.args, vars(again)) == (
        type(error),
        str(error),
        error.args,
        vars(error),
    )
