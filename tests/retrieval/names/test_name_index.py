"""The index of names answers as a look at every row's words would."""

from __future__ import annotations

import errno
import itertools
import random
import resource
import threading
from pathlib import Path

import pytest

from retrieval.errors import StoreCorrupt
from retrieval.names.name_index import COMMON, NameIndex

WORDS = [f"w{number}" for number in range(30)]


def made(count: int, *, seed: int = 0) -> list[list[str]]:
    rng = random.Random(seed)
    return [rng.sample(WORDS, rng.randrange(1, 6)) for _ in range(count)]


def with_all(texts: list[list[str]], words: list[str]) -> list[int]:
    return [row for row, text in enumerate(texts) if set(words) <= set(text)]


@pytest.mark.parametrize("on_disk", [True, False])
def test_rows_are_those_that_have_all_words(tmp_path: Path, *, on_disk: bool) -> None:
    texts = made(300)
    index = NameIndex(tmp_path / "names.sqlite", writable=True) if on_disk else NameIndex()
    index.add(texts[:100])
    index.add(texts[100:])
    if on_disk:
        index.close()
        index = NameIndex(tmp_path / "names.sqlite")

    assert len(index) == 300
    for words in itertools.chain(([word] for word in WORDS), itertools.combinations(WORDS[:8], 2)):
        assert index.rows(list(words)).tolist() == with_all(texts, list(words))
    assert index.rows(["never"]).tolist() == []


def test_any_of_some_and_all_of_others() -> None:
    texts = made(300)
    index = NameIndex()
    index.add(texts)

    found = index.rows_with_any([["w1"], ["w2", "w3"]], and_all=["w4"])

    either = {*with_all(texts, ["w1"]), *with_all(texts, ["w2", "w3"])}
    assert found.tolist() == sorted(either & set(with_all(texts, ["w4"])))


def test_a_changed_row_is_found_by_its_new_words() -> None:
    index = NameIndex()
    index.add([["one"], ["two"], ["three"]])
    index.add([["four"]], changed=[(1, ["new", "two"]), (0, ["new"])])

    assert index.rows(["new"]).tolist() == [0, 1]
    assert index.rows(["two"]).tolist() == [1]
    assert index.rows(["four"]).tolist() == [3]
    assert index.moved.tolist() == [1, 0]


def test_words_of_very_many_rows_are_common() -> None:
    index = NameIndex()
    index.add([["often", "odd" if row % 2 else "even"] for row in range(COMMON + 10)])

    assert index.common(["often"]) == COMMON + 10
    assert index.common(["often", "odd"]) is None
    assert index.common(["never"]) is None
    assert index.rows(["often"], limit=5).tolist() == [0, 1, 2, 3, 4]


def test_words_are_no_expressions() -> None:
    index = NameIndex()
    index.add([["or"], ["near"]])

    assert index.rows(["or"]).tolist() == [0]
    assert index.rows(["near"]).tolist() == [1]
    assert index.rows(["not"]).tolist() == []


def test_facts_are_kept(tmp_path: Path) -> None:
    index = NameIndex(tmp_path / "names.sqlite", writable=True)
    index.add([["a"]], facts={"renames": 7})
    index.close()

    assert NameIndex(tmp_path / "names.sqlite").facts["renames"] == 7


def test_two_files_of_the_same_rows_have_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        index = NameIndex(tmp_path / name, writable=True)
        index.add(made(500))
        index.close()

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_no_index_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "names.sqlite").write_bytes(b"no database at all, of some length" * 100)

    with pytest.raises(StoreCorrupt, match=r"names\.sqlite"):
        NameIndex(tmp_path / "names.sqlite")


def test_a_file_that_may_not_grow_is_the_systems_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    index = NameIndex(tmp_path / "names.sqlite", writable=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            index.add([f"word{row}", f"other{row}"] for row in range(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        index.close()

    assert caught.value.errno == errno.EFBIG


def test_names_of_folders_may_hold_anything(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%20\udcff"
    folder.mkdir()
    index = NameIndex(folder / "names.sqlite", writable=True)
    index.add([["a"]])
    index.close()

    assert NameIndex(folder / "names.sqlite").rows(["a"]).tolist() == [0]


def test_many_threads_look_up_together(tmp_path: Path) -> None:
    texts = made(300)
    index = NameIndex(tmp_path / "names.sqlite", writable=True)
    index.add(texts)
    index.close()
    index = NameIndex(tmp_path / "names.sqlite")
    wrong: list[str] = []

    def look(word: str) -> None:
        wrong.extend(word for _ in range(20) if index.rows([word]).tolist() != with_all(texts, [word]))

    threads = [threading.Thread(target=look, args=(word,)) for word in WORDS[:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
