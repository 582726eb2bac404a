"""Block lists left in their file answer as those that FAISS copies into memory, and anything odd is FAISS's to read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexes.engine.backend import faiss
from indexes.engine.lists import ivf, mapped_lists
from tests.strategies import unit

DIM = 64
ROWS = unit(4000, DIM, seed=1)
QUERIES = unit(30, DIM, seed=2)

FACTORIES = [
    "HR,IVF32,RaBitQfs",
    "RR,IVF32,RaBitQfs",
    "IVF32,RaBitQfs2",
    "IVF32,PQ16x4fs",
    "OPQ16,IVF32_HNSW8,PQ16x4fs",
]


def saved(path: Path, factory: str, *, prefix: int | None = None, rows: np.ndarray = ROWS) -> Path:
    index = ivf.make(factory, dim=DIM, prefix=prefix)
    ivf.train(index, ROWS)
    ivf.add(index, [(np.arange(len(rows)), rows)] if len(rows) else [])
    ivf.save(index, path)
    return path


def assert_same_answers(found, expected, **settings) -> None:
    for queries in (QUERIES, QUERIES[:1]):
        for nprobe in (1, 5, 32):
            parameters = ivf.parameters(expected, nprobe=nprobe, shortlist=20, **settings)
            scores, ids = found.search(queries, 20, params=parameters)
            expected_scores, expected_ids = expected.search(queries, 20, params=parameters)

            np.testing.assert_array_equal(ids, expected_ids)
            np.testing.assert_array_equal(scores, expected_scores)


@pytest.mark.parametrize("factory", FACTORIES)
def test_answers_are_those_of_the_index_in_memory(tmp_path, factory):
    path = saved(tmp_path / "i", factory)
    found, expected = mapped_lists.open_in_place(path), ivf.load(path)

    assert (found.ntotal, found.d) == (4000, DIM)
    assert_same_answers(found, expected)
    keep = np.random.default_rng(0).random(4000) < 0.1
    assert_same_answers(found, expected, selector=ivf.selector(keep))


def test_a_prefix_before_the_lists_and_lists_without_rows_are_no_obstacle(tmp_path):
    path = saved(tmp_path / "i", "IVF32,RaBitQfs", prefix=32, rows=ROWS[:40])
    assert_same_answers(mapped_lists.open_in_place(path), ivf.load(path))

    empty = saved(tmp_path / "empty", "IVF32,RaBitQfs", rows=ROWS[:0])
    (ids,) = set(mapped_lists.open_in_place(empty).search(QUERIES, 5)[1].ravel().tolist())
    assert ids == -1


@pytest.mark.parametrize(
    "factory", ["Flat", "IVF32,PQ16", "OPQ16,IVF32,PQ16", "IVF32,SQfp16", "PQ16x4fs", "HNSW8"]
)
def test_other_lists_are_left_to_faiss_without_reading_them(tmp_path, factory, monkeypatch):
    path = saved(tmp_path / "i", factory)
    read, real = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: read.append(real(*asked)) or read[-1])

    assert mapped_lists.open_in_place(path) is None
    transforms = 4 * DIM * DIM + mapped_lists._STEP if factory.startswith("OPQ") else 0
    assert sum(map(len, read)) <= 100 + transforms
    assert ivf.open_mapped(path).ntotal == 4000


def test_a_file_that_is_not_whole_is_left_to_faiss(tmp_path):
    path = saved(tmp_path / "i", "RR,IVF32,RaBitQfs")
    data = path.read_bytes()
    start = data.index(b"ilbl") + 36
    odd = [
        b"",
        data[: len(data) // 2],
        data[:-1],
        data + b"\0" * 16,
        data[:start] + b"\xff" * 8 + data[start + 8 :],
        data[: start - 32] + b"\xff" * 7 + b"\0" + data[start - 24 :],
        data[start - 36 :],
    ]
    for number, changed in enumerate(odd):
        path = tmp_path / str(number)
        path.write_bytes(changed)
        assert mapped_lists.open_in_place(path) is None, number
    assert mapped_lists.open_in_place(tmp_path / "missing") is None


def test_what_looks_like_lists_within_the_centroids_is_passed_over(tmp_path):
    index = ivf.make("IVF32,RaBitQfs", dim=DIM)
    ivf.train(index, ROWS)
    ivf.add(index, [(np.arange(len(ROWS)), ROWS)])
    mark = b"\xff" * 8 + (32).to_bytes(8, "little")
    ivf.save(index, tmp_path / "i")
    data = bytearray((tmp_path / "i").read_bytes())
    centroid = faiss().rev_swig_ptr(faiss().downcast_index(index.quantizer).get_xb(), DIM).tobytes()
    place = data.index(centroid)
    data[place + 16 : place + 32] = mark
    (tmp_path / "i").write_bytes(data)

    found = mapped_lists.open_in_place(tmp_path / "i")

    assert found.ntotal == 4000
    assert faiss().extract_index_ivf(found).invlists.list_size(31) > 0


def test_the_file_stays_as_it_was_and_takes_no_rows(tmp_path):
    path = saved(tmp_path / "i", "RR,IVF32,RaBitQfs")
    before = path.read_bytes()
    found = mapped_lists.open_in_place(path)
    with pytest.raises(RuntimeError, match=r"[Rr]ead.only|only block inverted lists"):
        found.add_with_ids(ROWS[:1], np.array([9999]))
    found.search(QUERIES, 5)
    del found

    assert path.read_bytes() == before


class Other:
    """FAISS as it might be one day."""

    def __init__(self, **changed) -> None:
        self.__dict__.update(changed)

    def __getattr__(self, name):
        return getattr(faiss(), name)


class Wider:
    """A vector whose lists have one field more."""

    def __init__(self) -> None:
        self.memory = np.zeros(0, np.uint64)

    def resize(self, size):
        self.memory = np.zeros(4 * size, np.uint64)

    def data(self):
        return faiss().swig_ptr(self.memory)

    def at(self, number):
        size, capacity, offset, _ = self.memory[4 * number : 4 * number + 4].tolist()
        return Other(size=size, capacity=capacity, offset=offset)


class Swapped(Wider):
    def at(self, number):
        offset, size, capacity = self.memory[3 * number : 3 * number + 3].tolist()
        return Other(size=size, capacity=capacity, offset=offset)


@pytest.mark.parametrize(
    "changed",
    [
        {"__version__": "1.16.0"},
        {"__version__": "2.15.1"},
        {"OnDiskOneListVector": Wider},
        {"OnDiskOneListVector": Swapped},
    ],
    ids=str,
)
def test_another_faiss_reads_the_file_itself_and_that_is_said_once(tmp_path, monkeypatch, changed):
    path = saved(tmp_path / "i", "RR,IVF32,RaBitQfs")
    other = Other(**changed)
    monkeypatch.setattr(mapped_lists, "faiss", lambda: other)

    with pytest.warns(
        RuntimeWarning, match=r"read into memory instead of mapped; install faiss-cpu>=1.15,<1.16"
    ):
        found = ivf.open_mapped(path)
    assert found.ntotal == 4000
    assert mapped_lists.open_in_place(path) is None  # a second warning would be an error
    assert type(faiss().downcast_InvertedLists(faiss().extract_index_ivf(found).invlists)).__name__ == (
        "BlockInvertedLists"
    )


def test_lists_whose_ids_faiss_looks_for_elsewhere_are_read_into_memory(tmp_path, monkeypatch):
    path = saved(tmp_path / "i", "RR,IVF32,RaBitQfs")
    in_file = mapped_lists._in_file

    def shifted(module, path, sizes, places):
        lists = in_file(module, path, sizes, places)
        lists.code_size = 8
        return lists

    monkeypatch.setattr(mapped_lists, "_in_file", shifted)
    with pytest.warns(RuntimeWarning, match="read into memory instead of mapped"):
        assert mapped_lists.open_in_place(path) is None


MEMORY = """
import re, sys
from pathlib import Path
from indexes.engine import ivf
from indexes.engine.backend import faiss
faiss()
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
before = anonymous()
index = ivf.open_mapped(Path(sys.argv[1]))
print(anonymous() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
def test_lists_take_no_memory_of_their_own(tmp_path):
    many = unit(200_000, DIM, seed=3)
    path = saved(tmp_path / "i", "RR,IVF32,RaBitQfs", rows=many)
    size = path.stat().st_size
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True
    )

    assert re.fullmatch(r"-?\d+\n", run.stdout)
    assert int(run.stdout) < size / 4  # usual: 0.5 MB of 5; copied, they take all of it
