"""Conditions over columns find what they say, and strangers' text can do nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import retrieval
from indexes.store import VectorStore, WriterLock
from retrieval.columns import column_filter, pack
from retrieval.errors import MissingExtra, OptionError, ShapeError, StoreCorrupt
from tests.retrieval.columns.galleries import DIM, publish_store, store_rows

ROWS = [
    {"width": 100, "label": "cat", "score": 0.5, "taken": "2019-05-31T23:59:59", "ok": True},
    {"width": 200, "label": "dog", "score": 1.5, "taken": "2019-06-01T00:00:00", "ok": False},
    {"width": 300, "label": "Cat", "taken": "2020-01-01T10:00:00"},
    {"label": 'it\'s "odd" – ünï', "score": -1.0, "ok": True},
    {},
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Yield a collection of five rows with columns of every type, and some without."""
    directory = tmp_path_factory.mktemp("photos") / "collection"
    store_rows(directory, ROWS)
    with retrieval.open(directory) as collection:
        yield collection


def found(photos, where):
    return np.flatnonzero(photos.mask(where=where)).tolist()


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("width > 100", [1, 2]),
        ("width >= 100 AND width < 300", [0, 1]),
        ("width * 2 - 100 = 300", [1]),
        ("label = 'cat'", [0]),
        ("lower(label) = 'cat'", [0, 2]),
        ("label LIKE '%at'", [0, 2]),
        ("label LIKE 'c_t'", [0]),
        ("label ILIKE 'C%'", [0, 2]),
        ("label NOT LIKE '%at'", [1, 3]),
        ("label IN ('cat', 'dog')", [0, 1]),
        ("label NOT IN ('cat', 'dog')", [2, 3]),
        ("label = 'it''s \"odd\" – ünï'", [3]),
        ("taken >= '2019-06-01'", [1, 2]),
        ("taken BETWEEN '2019-01-01' AND '2019-12-31'", [0, 1]),
        ("year(taken) = 2020", [2]),
        ("taken > TIMESTAMP '2019-06-01 00:00:00'", [2]),
        ("CAST(taken AS DATE) = '2019-06-01'", [1]),
        ("ok", [0, 3]),
        ("NOT ok", [1]),
        ("ok IS NULL", [2, 4]),
        ("width IS NULL AND label IS NOT NULL", [3]),
        ("CASE WHEN width > 150 THEN 'big' ELSE 'small' END = 'big'", [1, 2]),
        ("coalesce(width, 0) = 0", [3, 4]),
        ('WIDTH > 100 AND "Width" < 250', [1]),
        ("abs(score) = 1", [3]),
        ("score > 1 OR score < 0", [1, 3]),
        ("score BETWEEN 0 AND 1 -- a comment", [0]),
        ("/* a comment */ width = 100", [0]),
        ("1 = 1", [0, 1, 2, 3, 4]),
        ("false", []),
        ("width = 5 OR NULL", []),
        ("starts_with(label, 'c')", [0]),
    ],
)
def test_a_condition_finds_the_rows_for_which_it_holds(photos, where, rows):
    assert found(photos, where) == rows


@pytest.mark.parametrize(
    ("where", "word"),
    [
        ("SELECT 1", "SELECT"),
        ("width IN (SELECT 1)", "SELECT"),
        ("EXISTS (SELECT 1)", "SELECT"),
        ("width = (SELECT count(*) FROM rows)", "SELECT"),
        ("(FROM rows)", "SELECT"),
        ("width > 1; DROP TABLE rows", ";"),
        ("width > 1) UNION SELECT 1 --", "SELECT|nothing behind|UNION|syntax"),
        ("1 = 1) ORDER BY (id", "nothing behind"),
        ("1 = 1) LIMIT (1", "nothing behind"),
        ("1 = 1) GROUP BY (width", "nothing behind"),
        ("1 = 1) HAVING (width", "nothing behind"),
        ("read_csv('/etc/passwd') = 1", "read_csv"),
        ("read_text('/etc/passwd') = 'x'", "read_text"),
        ("glob('/*') = 'x'", "glob"),
        ("getenv('HOME') = 'x'", "getenv"),
        ("current_setting('memory_limit') = 'x'", "current_setting"),
        ("current_user = 'x'", "current_user"),
        ("version() = 'x'", "version"),
        ("sum(width) > 1", "sum"),
        ("row_number() OVER () = 1", "OVER"),
        ("random() > 0", "random"),
        ("repeat('x', 1000000000) = 'x'", "repeat"),
        ("lpad('x', 1000000000, 'x') = 'x'", "lpad"),
        ("label || label = 'x'", r"\|\|"),
        ("replace(label, 'a', 'b') = 'x'", "replace"),
        ("regexp_matches(label, 'c')", "regexp_matches"),
        ("label ~ 'c'", "regexp"),
        ("label SIMILAR TO 'c'", "regexp"),
        ("printf('%s', label) = 'x'", "printf"),
        ("unnest([1, 2]) = 1", "unnest"),
        ("width = ANY([1, 2])", "SELECT|unnest"),
        ("list_filter([1], lambda x: x > 1) = [1]", "list_filter|lambda"),
        ("[1, 2][1] = width", "ARRAY EXTRACT|list_value"),
        ("{'a': 1}.a = width", "STRUCT EXTRACT|struct_pack"),
        ("width = ?", "parameter"),
        ("width = $1", "parameter"),
        ("COLUMNS('w.*') > 1", r"\*"),
        ("* = 1", r"\*|syntax"),
        ("label COLLATE NOCASE = 'x'", "COLLATE"),
        ("CAST(width AS main.odd) = 1", "odd"),
        ("CAST(label AS BLOB) = 'x'", "BLOB"),
        ("system.main.abs(width) = 1", "abs"),
        ("label LIKE label", "LIKE"),
        ("contains(label, label)", "contains"),
        ("label LIKE '%" + "a_" * 500 + "%'", "pattern"),
        ("nothing > 1", "nothing; there are label, ok, score, taken, width"),
        ("id = 1", "column id"),
        ("c0 = 1", "column c0"),
        ("rows.width = 1", "rows.width"),
        ("width >", "syntax"),
        ("1 = 1) AND (width = 100", r"\)"),
        ("", "empty"),
        ("  \n", "empty"),
        ("width\0 > 1", "NUL"),
        ("label = '\ud800'", "half a character"),
        ("(" * 3000 + "ok" + ")" * 3000, "brackets"),
        ("(label, " * 1100, "brackets"),
        ("NOT " * 2000 + "ok", "deeply"),
        ("ok AND " * 1600 + "ok", "characters"),
        ("label = 1 + 'a'", "cannot be computed"),
        ("width = 'wide'", "cannot be computed"),
        ("taken > 'yesterday'", "cannot be computed"),
        ("width * 9223372036854775807 > 1", "cannot be computed"),
        ("label + width > 1", "cannot be computed"),
    ],
)
def test_anything_else_is_refused_and_the_word_is_named(photos, where, word):
    with pytest.raises(OptionError, match=f"where.*(?:{word})") as raised:
        found(photos, where)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("where", ["CAST(label AS INTEGER) > 3", "label = 1", "label + width > 1"])
def test_messages_of_the_engine_name_columns_as_people_do(photos, where):
    with pytest.raises(OptionError, match="where cannot be computed") as raised:
        found(photos, where)
    assert re.search(r"\bc\d\b", str(raised.value)) is None


def test_a_cast_that_fails_is_told_what_to_write_instead(photos):
    with pytest.raises(OptionError, match=r"'cat' to INT32 .*source column label; TRY_CAST"):
        found(photos, "CAST(label AS INTEGER) > 3")

    assert found(photos, "TRY_CAST(label AS INTEGER) IS NULL AND width > 0") == [0, 1, 2]


@settings(max_examples=60)
@given(text=st.text(max_size=60))
def test_no_text_does_more_than_find_rows_or_be_refused(photos, text):
    try:
        rows = found(photos, text)
    except OptionError:
        return
    assert set(rows) <= set(range(5))


@pytest.mark.parametrize("kind", [3, b"width > 1", ["width > 1"], 2.5, True])
def test_other_things_than_text_and_flags_are_refused(photos, kind):
    with pytest.raises((OptionError, ShapeError), match="where"):
        photos.mask(where=kind)


def test_where_also_takes_flags_and_all_filters_must_hold(photos):
    flags = np.array([True, True, False, False, True])

    assert found(photos, flags) == [0, 1, 4]
    both = photos.mask(where="width > 100", mask=flags)
    assert np.flatnonzero(both).tolist() == [1]
    assert np.flatnonzero(photos.mask(where="width > 100", ids=[0, 2])).tolist() == [2]
    with pytest.raises(ShapeError, match="where"):
        photos.mask(where=flags[:3])


def test_searches_find_only_rows_for_which_it_holds(photos):
    query = np.ones(DIM)
    hits = photos.search(query, where="width >= 200", k=5)
    ids, _ = photos.search_vectors(query, where="width >= 200", k=5)

    assert sorted(hit.id for hit in hits) == [1, 2]
    assert hits.searched == 2
    assert all(hit.columns["width"] >= 200 for hit in hits)
    assert sorted(ids[0].tolist()) == [-1, -1, -1, 1, 2]
    assert len(photos.search(query, where="false")) == 0


def test_names_that_differ_in_capitals_odd_names_and_types_that_change(tmp_path):
    store_rows(
        tmp_path / "odd",
        [
            {"Label": "a", "label": "b", 'the "best" one': 1, "exif.model": "X", "größe": 1, "mixed": 1},
            {"Label": "b", "label": "a", 'the "best" one': 2.5, "exif.model": "Y", "größe": 2, "mixed": "x"},
            {"select": True, "mixed": False, " ": 3},
        ],
    )
    with retrieval.open(tmp_path / "odd") as photos:
        assert found(photos, "\"Label\" = 'a'") == [0]
        assert found(photos, "label = 'a'") == [1]
        with pytest.raises(OptionError, match="one of Label, label; write it in double quotes"):
            found(photos, "LABEL = 'a'")
        assert found(photos, '"the ""best"" one" > 2') == [1]
        assert found(photos, "exif.model = 'X'") == found(photos, "\"exif.model\" = 'X'") == [0]
        assert found(photos, "größe = 2") == [1]
        assert found(photos, '"select"') == [2]
        assert found(photos, "mixed = '1'") == [0]
        assert found(photos, "mixed = 'false'") == [2]
        assert found(photos, '" " = 3') == [2]


def test_a_collection_without_columns_names_none(tmp_path):
    folder = tmp_path / "plain"
    retrieval.sync_vectors(folder, np.eye(3), ["a", "b", "c"])
    with retrieval.open(folder) as photos:
        with pytest.raises(OptionError, match="no column width: the collection has none"):
            found(photos, "width > 1")
        assert found(photos, "true") == [0, 1, 2]


def test_recent_rows_are_seen_whatever_their_types(tmp_path):
    """Rows behind the published table are read from the store, and may have types that its columns do not hold."""
    store_rows(tmp_path / "grown", [{"a": 1}, {"a": 2}])
    store_rows(tmp_path / "grown", [{"a": 2.5}, {"b": "x"}], seed=1)
    store_rows(tmp_path / "grown", [{"a": "2", "b": "y"}, {}], seed=2)
    with retrieval.open(tmp_path / "grown") as photos:
        assert found(photos, "a = '2'") == [1, 4]
        assert found(photos, "b IS NOT NULL") == [3, 4]


def test_rows_added_beside_a_generation_are_seen(tmp_path):
    folder = tmp_path / "photos"
    store_rows(folder, ROWS)
    with retrieval.open(folder) as photos:
        assert found(photos, "width IS NULL") == [3, 4]
        photos.add(np.ones((2, DIM)), ["new", "newer"])
        assert found(photos, "width IS NULL") == [3, 4, 5, 6]
        photos.delete("new")
        assert found(photos, "width IS NULL") == [3, 4, 6]


def test_changed_columns_are_seen_by_the_next_generation_only(tmp_path):
    folder = tmp_path / "photos"
    store_rows(folder, ROWS)
    with retrieval.open(folder) as photos:
        assert found(photos, "width = 100") == [0]
        with (
            WriterLock(folder) as lock,
            VectorStore.open(folder, dim=DIM, writable=True, lock=lock) as store,
        ):
            store.set_columns(0, pack({}, {"width": 150, "label": "lion"}))
            store.commit()
            assert found(photos, "width = 100") == [0]
            publish_store(folder, store)
        assert photos.refresh()
        assert found(photos, "width = 100") == []
        assert found(photos, "label = 'lion'") == [0]


def test_the_generations_table_is_taken_over_and_damage_is_named(tmp_path):
    folder = tmp_path / "photos"
    store_rows(folder, ROWS)
    store_rows(folder, [{"width": 7}], seed=1)
    path = next((folder / "generations").glob("*/columns.arrow"))
    with retrieval.open(folder) as photos:
        assert found(photos, "width = 7") == [5]
        data = bytearray(path.read_bytes())
    for place in range(0, len(data), max(1, len(data) // 10)):
        spoiled = bytearray(data)
        spoiled[place] ^= 0x5A
        path.write_bytes(spoiled)
        with retrieval.open(folder) as photos:
            with pytest.raises(StoreCorrupt, match=r"columns\.arrow"):
                found(photos, "width = 7")
            assert not all(check.ok for check in photos.verify())
    path.write_bytes(data)


def test_without_the_published_table_the_store_is_read(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.columns.columns_file.find_spec", lambda _name: None)
        store_rows(folder, ROWS)
    assert not list(folder.glob("generations/*/columns.arrow"))
    with retrieval.open(folder) as photos:
        assert found(photos, "width > 100") == [1, 2]


@pytest.mark.parametrize("module", ["duckdb", "pyarrow"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, module):
    folder = tmp_path / "photos"
    store_rows(folder, ROWS)
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with retrieval.open(folder) as photos, pytest.raises(MissingExtra, match=rf"{module}.*tables"):
        found(photos, "width > 100")


@pytest.mark.parametrize("different", [300, 2])
def test_memory_is_bounded_whatever_functions_make_of_long_texts(tmp_path, different):
    """The engine does not count what its functions hold: forty of them, five megabytes each, if all rows came at once."""
    folder = tmp_path / "photos"
    store_rows(folder, [{"text": f"{number % different:05}" + "x" * 16_000} for number in range(300)])
    nested = "reverse(" * 40 + "text" + ")" * 40
    code = f"""if True:
        import resource, retrieval
        with retrieval.open({os.fspath(folder)!r}) as photos:
            photos.mask(where="text = 'x'")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            photos.mask(where={f"{nested} = 'x'"!r})
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """

    grown = int(subprocess.check_output([sys.executable, "-c", code]))

    assert grown < 60 * 1024  # kB; without small chunks over 150 MB


def test_a_condition_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    store_rows(folder, [{"text": "a" * 8000, "n": number} for number in range(500)])
    slow = " OR ".join(["text LIKE '%" + "a" * 150 + "_b%'"] * 30)
    with retrieval.open(folder) as photos:
        with monkeypatch.context() as patch:
            patch.setattr(column_filter, "SECONDS", 0.2)
            with pytest.raises(OptionError, match="took over"):
                found(photos, slow)
        assert found(photos, "n = 7") == [7]


def test_many_threads_ask_at_once(photos):
    wrong = []

    def ask(least):
        answers = [found(photos, f"width > {least}") for _ in range(10)]
        wrong.extend(
            answer for answer in answers if answer != [row for row in (0, 1, 2) if 100 * row + 100 > least]
        )

    threads = [threading.Thread(target=ask, args=(least,)) for least in (50, 150, 250, 350)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_forked_child_asks_for_itself(photos):
    assert found(photos, "width > 100") == [1, 2]
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if found(photos, "width > 100") == [1, 2] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert found(photos, "width > 100") == [1, 2]


def test_a_closed_collection_says_so(tmp_path):
    store_rows(tmp_path / "photos", ROWS)
    photos = retrieval.open(tmp_path / "photos")
    assert found(photos, "width > 100") == [1, 2]
    photos.close()
    with pytest.raises(retrieval.errors.StoreClosed):
        found(photos, "width > 100")
