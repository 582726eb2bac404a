from __future__ import annotations

import inspect

import pytest

import retrieval
from retrieval import hints
from retrieval.hints import attribute_of, missing_attribute, named_arguments
from retrieval.testing import FakeEncoder


class Collection:
    """A class with the name of one that has guesses."""

    def search(self) -> str:
        return "found"

    @property
    def broken(self) -> str:
        raise AttributeError("the inner reason")

    def __getattr__(self, name: str) -> object:
        return attribute_of(self, name)


@named_arguments
def search(query: str, *, k: int = 10, min_score: float | None = None) -> str:
    """Find."""
    if k == 13:
        raise TypeError("a fault of its own")
    return query * k


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("query", "; use search(query, k=10)"),
        ("serach", "; did you mean 'search'?"),
        ("zzyzx", ""),
        ("_query", ""),
    ],
)
def test_a_name_that_a_class_does_not_have_is_told_with_the_one_that_is_meant(name, advice):
    with pytest.raises(AttributeError) as caught:
        getattr(Collection(), name)

    assert str(caught.value) == f"'Collection' object has no attribute {name!r}{advice}"


def test_a_property_that_fails_tells_its_own_reason():
    with pytest.raises(AttributeError, match=r"^the inner reason$"):
        _ = Collection().broken


def test_an_encoder_says_how_to_encode():
    with pytest.raises(AttributeError) as caught:
        FakeEncoder().encode_images([])

    assert str(caught.value) == "the encoder has no attribute 'encode_images'; use encode(images)"
    assert not hasattr(FakeEncoder(), "torch_module")


def test_a_module_is_told_as_a_module():
    error = missing_attribute("retrieval", "opne", ["open", "text"])

    assert str(error) == "module 'retrieval' has no attribute 'opne'; did you mean 'open'?"


@pytest.mark.parametrize(
    ("arguments", "named", "told"),
    [
        (("a",), {"top_k": 5}, "search() has no argument 'top_k'; use k="),
        (("a",), {"threshold": 0.5}, "search() has no argument 'threshold'; use min_score="),
        (("a",), {"min_scoer": 0.5}, "search() has no argument 'min_scoer'; use min_score="),
        (("a",), {"zzyzx": 1}, "search() has no argument 'zzyzx'"),
        (("a", 5), {}, "search() takes only query without a name; name the others, such as k=, min_score="),
        ((), {}, "search(): missing a required argument: 'query'"),
    ],
)
def test_arguments_that_do_not_fit_are_told_with_what_to_type(arguments, named, told):
    with pytest.raises(TypeError) as caught:
        search(*arguments, **named)

    assert str(caught.value) == told


def test_a_function_that_tells_its_arguments_is_otherwise_the_same():
    assert search("a", k=3) == "aaa"
    assert list(inspect.signature(search).parameters) == ["query", "k", "min_score"]
    assert search.__doc__ == "Find."
    with pytest.raises(TypeError, match=r"^a fault of its own$"):
        search("a", k=13)


def words_of(table: dict[str, str]) -> list[str]:
    return [word for words in table.values() for word in words.split()]


@pytest.mark.parametrize("owner", [*hints._NAMES, "arguments"])
def test_no_guess_stands_twice(owner):
    words = words_of(hints._NAMES.get(owner, {}))

    assert len(words) == len(set(words))


def test_no_public_name_is_called_a_wrong_guess():
    assert set(words_of(hints._NAMES["retrieval"])) & set(retrieval.__all__) == set()
    assert {
        name for name in words_of(hints._NAMES["Collection"]) if hasattr(retrieval.Collection, name)
    } == set()
