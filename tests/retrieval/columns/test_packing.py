"""Columns are packed into bytes and read back: equal columns, equal bytes."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from retrieval.columns import pack, parts, text_of, unpack
from retrieval.columns.types import merge, type_of, widen
from retrieval.errors import OptionError, StoreCorrupt

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
rows = st.dictionaries(texts.filter(bool), values, max_size=5)


@given(header=rows, own=rows)
def test_what_is_packed_is_read_back(header, own):
    data = pack(header, own)

    assert parts(data) == (header, own)
    assert unpack(data) == header | own
    assert list(unpack(data)) == sorted(header | own)
    assert pack(dict(reversed(header.items())), own) == data
    assert (data == b"") == (not header and not own)


def test_the_sources_value_counts():
    assert unpack(pack({"width": 3, "bytes": 9}, {"width": "wide"})) == {"width": "wide", "bytes": 9}


def test_values_that_say_nothing_are_left_out():
    given_values = {"a": None, "b": math.nan, "c": math.inf, "d": 10**400, "e": np.float32("nan")}
    assert pack({}, given_values) == b""


def test_values_of_other_kinds_become_columns_values():
    columns = {
        "numpy": np.int64(3),
        "half": np.float16(0.5),
        "flag": np.bool_(True),
        "day": dt.date(2019, 6, 1),
        "time": dt.datetime(2019, 6, 1, 12, 30),  # noqa: DTZ001 - as tables have them
        "large": 2**63,
        "half a character": "x\ud800",
        "long": "é" * 20_000,
    }
    assert unpack(pack({}, columns)) == {
        "numpy": 3,
        "half": 0.5,
        "flag": True,
        "day": "2019-06-01",
        "time": "2019-06-01T12:30:00",
        "large": float(2**63),
        "half a character": "x?",
        "long": "é" * 16_384,
    }


@pytest.mark.parametrize("name", ["", 3, None, "x" * 201])
def test_names_that_no_column_can_have_are_refused(name):
    with pytest.raises(OptionError, match="name of a column"):
        pack({}, {name: 1})


@pytest.mark.parametrize("value", [b"bytes", [1], {"a": 1}, object()])
def test_values_that_no_column_can_have_are_refused_by_name(value):
    with pytest.raises(OptionError, match="column 'odd'"):
        pack({}, {"odd": value})


def test_too_many_columns_are_refused():
    with pytest.raises(OptionError, match="at most 1,000"):
        pack({}, {f"c{number}": 1 for number in range(1001)})


@pytest.mark.parametrize("data", [b"x", b"[]", b"[1]", b'{"own": 3}', b"3", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_columns_are_corrupt(data):
    with pytest.raises(StoreCorrupt):
        unpack(data)


def test_words_are_texts_and_times_are_none():
    columns = {"taken": "2019-06-01T00:00:00", "caption": "a dog", "width": 3, "label": "pets"}
    assert text_of(columns) == [("caption", "a dog"), ("label", "pets")]


def test_types_are_told_and_widened():
    assert [type_of("x", value) for value in ("a", 1, 1.5, True)] == ["text", "integer", "number", "boolean"]
    assert type_of("taken", "2019-06-01T10:00:00") == "time"
    assert type_of("taken", "last summer") == "text"
    assert type_of("other", "2019-06-01") == "text"
    assert merge(None, "time") == "time"
    assert merge("integer", "number") == merge("number", "integer") == "number"
    assert merge("integer", "boolean") == merge("time", "text") == "text"
    types: dict[str, str] = {}
    for row in ({"a": 1, "b": "x"}, {"a": 2.5}, {"c": True}, {"c": True, "b": 1}):
        widen(types, row)
    assert types == {"a": "number", "b": "text", "c": "boolean"}
