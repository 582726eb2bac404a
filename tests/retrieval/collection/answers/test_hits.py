"""An answer is a list of hits with the query's facts, and an answer that there is none of is never an empty list."""

from __future__ import annotations

import copy
import json
import pickle
import sys

import pandas as pd
import pytest

from retrieval.collection.answers.hit import Hit
from retrieval.collection.answers.hits import COLUMNS, Hits
from retrieval.errors import ImageError, MissingExtra, QueryError

THREE = [
    Hit(rank=n, score=1 / n, path=f"{n}.jpg", id=n, duplicates=["x"] * n, n_duplicates=n) for n in (1, 2, 3)
]
FACTS = {"query": "a cat", "searched": 3000, "unknown_words": ("qat",)}


def answer() -> Hits:
    return Hits(THREE, **FACTS)


def facts(hits: Hits) -> dict[str, object]:
    return {name: getattr(hits, name) for name in FACTS}


def test_it_is_a_list_of_hits() -> None:
    hits = answer()

    assert hits == THREE
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert (hits[0], hits[-1], len(hits)) == (THREE[0], THREE[2], 3)
    assert hits.error is None
    assert (bool(hits), bool(Hits())) == (True, False)


@pytest.mark.parametrize(
    "other",
    [
        lambda hits: hits[:],
        lambda hits: hits.copy(),
        copy.copy,
        copy.deepcopy,
        lambda hits: pickle.loads(pickle.dumps(hits)),  # noqa: S301
    ],
    ids=["slice", "copy", "copy.copy", "deepcopy", "pickle"],
)
def test_slices_and_copies_tell_of_the_same_query(other) -> None:
    hits = answer()
    new = other(hits)

    assert type(new) is Hits
    assert new is not hits
    assert (new, facts(new)) == (THREE, FACTS)


def test_a_part_is_an_answer_and_a_sum_is_a_plain_list() -> None:
    hits = answer()

    assert (hits[:2], facts(hits[:2])) == (THREE[:2], FACTS)
    assert type(hits + hits) is list
    assert hits + hits == THREE + THREE


def test_it_becomes_json_dictionaries_and_a_table() -> None:
    hits = answer()
    table = hits.to_pandas()

    assert json.loads(json.dumps(hits)) == hits.to_dicts() == [dict(hit) for hit in THREE]
    assert all(type(row) is dict for row in hits.to_dicts())
    assert tuple(table.columns) == COLUMNS
    assert table["path"].tolist() == ["1.jpg", "2.jpg", "3.jpg"]
    assert pd.DataFrame(hits).equals(table)


def test_the_table_of_no_hits_has_the_same_columns() -> None:
    assert tuple(Hits().to_pandas().columns) == COLUMNS
    assert len(Hits().to_pandas()) == 0
    assert json.dumps(Hits()) == "[]"


def test_without_pandas_the_message_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(MissingExtra, match=r"Hits\.to_pandas\(\) needs pandas.*: pip install pandas"):
        answer().to_pandas()


USES = {
    "iterate": list,
    "length": len,
    "truth": bool,
    "first": lambda hits: hits[0],
    "slice": lambda hits: hits[:2],
    "in": lambda hits: THREE[0] in hits,
    "json": json.dumps,
    "indented json": lambda hits: json.dumps(hits, indent=2),
    "json in a list": lambda hits: json.dumps([hits]),
    "dictionaries": lambda hits: hits.to_dicts(),
    "table": lambda hits: hits.to_pandas(),
    "pandas": pd.DataFrame,
    "sum": lambda hits: hits + [],  # noqa: RUF005
    "sum from the right": lambda hits: [] + hits,  # noqa: RUF005
    "extend": lambda hits: list(THREE).extend(hits),
    "unpack": lambda hits: [*hits],
    "sorted": sorted,
    "reversed": lambda hits: list(reversed(hits)),
    "copy": lambda hits: hits.copy(),
    "sort": lambda hits: hits.sort(),
    "max": max,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_an_answer_that_failed_raises_its_error_whatever_is_asked_of_it(use) -> None:
    error = QueryError("missing.jpg: no such file")

    with pytest.raises(QueryError, match=r"missing\.jpg: no such file") as caught:
        use(Hits.failed(error))
    assert caught.value is error


def test_an_answer_that_failed_tells_its_error_and_is_no_empty_list() -> None:
    error = QueryError("missing.jpg: no such file")
    hits = Hits.failed(error, query="missing.jpg")

    assert isinstance(hits, Hits)
    assert (hits.error, hits.query) == (error, "missing.jpg")
    assert repr(hits) == "<Hits: QueryError: missing.jpg: no such file>"
    assert hits != []
    assert hits != Hits()


def test_an_answer_that_failed_is_copied_and_pickled() -> None:
    hits = Hits.failed(ImageError("a.jpg is empty", reason="empty"), query="a.jpg")
    other = pickle.loads(pickle.dumps(hits))  # noqa: S301

    assert copy.copy(hits) is copy.deepcopy(hits) is hits
    assert (str(other.error), other.error.reason, other.query) == ("a.jpg is empty", "empty", "a.jpg")
    with pytest.raises(ImageError):
        len(other)


def test_a_name_guessed_wrong_is_answered_with_the_right_one() -> None:
    with pytest.raises(AttributeError, match=r"'Hits' object has no attribute 'to_json'; use json\.dumps"):
        answer().to_json()
