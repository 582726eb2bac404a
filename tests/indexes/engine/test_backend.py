from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from indexes.engine import backend
from indexes.engine.backend import faiss, faiss_threads, fp16_view, threads
from indexes.errors import MissingExtra, ShapeError
from tests.strategies import unit


def run(code: str, **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"} | environment
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


IMPORT = """
import os
from indexes.engine import backend
seen = []
import importlib
real = importlib.import_module
def spy(name):
    seen.append(os.environ.get("OPENBLAS_CORETYPE"))
    return real(name)
backend.importlib.import_module = spy
backend.faiss(); backend.faiss()
print(seen, os.environ.get("OPENBLAS_CORETYPE"))
"""


WAITING = """
import sys
from indexes.engine import backend
backend._SPARED = 100
print(backend.can_wait(60), backend.can_wait(40), backend.can_wait(1), "faiss" in sys.modules)
backend._compared = 0
backend.faiss()
print(backend.can_wait(1))
"""


def test_faiss_is_not_loaded_for_few_rows_until_they_have_added_up():
    assert run(WAITING) == "True True False False\nFalse"


def test_where_faiss_is_missing_nothing_waits_for_it(monkeypatch):
    monkeypatch.setattr(backend, "_module", None)
    monkeypatch.setattr(backend, "find_spec", lambda _: None)
    monkeypatch.setattr(backend, "_compared", 0)  # whatever this process has compared before
    for name in [name for name in sys.modules if name == "faiss"]:
        monkeypatch.delitem(sys.modules, name)

    assert not backend.can_wait(1)


def test_kernels_are_named_around_the_first_import_only():
    expected = backend._best_kernels(backend._cpu_flags())

    assert run(IMPORT) == f"{[expected]} None"


def test_kernels_that_the_user_named_stay():
    assert run(IMPORT, OPENBLAS_CORETYPE="Nehalem") == "['Nehalem'] Nehalem"


def test_importing_the_package_does_not_import_faiss():
    code = "import sys, indexes.engine.backend, indexes.engine.scan.flat, indexes.search.generation, indexes.derivation.derivation; print('faiss' in sys.modules)"

    assert run(code) == "False"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx512f avx512bw avx512cd avx512dq avx512vl avx2 fma", "SkylakeX"),
        ("avx512f avx2 fma", "Haswell"),
        ("avx2 fma sse2", "Haswell"),
        ("sse2", None),
        ("", None),
    ],
)
def test_kernels_by_cpu(flags, expected):
    assert backend._best_kernels(frozenset(flags.split())) == expected


def test_a_missing_faiss_says_what_to_install(monkeypatch):
    monkeypatch.setattr(backend, "_module", None)
    monkeypatch.setitem(sys.modules, "faiss", None)

    with pytest.raises(MissingExtra, match=r"pip install .*\[cpu\]'") as caught:
        faiss()
    assert "\n" not in str(caught.value)


def test_the_batch_threshold_that_somebody_chose_stays():
    code = (
        "import faiss; faiss.cvar.distance_compute_blas_threshold = 77\nfrom indexes.engine import backend\n"
    )
    read = "print(backend.faiss().cvar.distance_compute_blas_threshold)"

    assert run(code + read) == "77"
    assert run("from indexes.engine import backend\n" + read) == str(backend.BATCH_THRESHOLD)


def test_threads_obey_omp_num_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    assert backend._allowed_cores() == 1


def test_threads_are_at_least_one_and_at_most_the_cores():
    assert 1 <= threads() <= (os.cpu_count() or 1)


def test_faiss_threads_belong_to_the_calling_thread_and_come_back():
    before = faiss().omp_get_max_threads()
    seen = []

    def work():
        seen.append(faiss().omp_get_max_threads())
        other = threading.Thread(target=lambda: seen.append(faiss().omp_get_max_threads()))
        other.start()
        other.join()
        raise KeyError

    with pytest.raises(KeyError), faiss_threads(7):
        work()

    assert seen[0] == 7
    assert seen[1] != 7
    assert faiss().omp_get_max_threads() == before


def test_a_view_reads_the_rows_themselves():
    rows = unit(50, 8, seed=1).astype(np.float16)
    query = unit(1, 8, seed=2)
    view = fp16_view(rows)
    scores, ids = view.search(query, 50)
    wide = rows.astype(np.float32) @ query[0]

    np.testing.assert_array_equal(ids[0], np.argsort(-wide, kind="stable"))
    np.testing.assert_allclose(scores[0], np.sort(wide)[::-1], atol=1e-6)
    rows[17] = query[0]
    assert view.search(query, 1)[1][0, 0] == 17


def test_a_view_keeps_its_rows_alive():
    view = fp16_view(unit(1000, 64, seed=3).astype(np.float16))
    query = unit(1, 64, seed=3)

    np.testing.assert_allclose(view.search(query, 1)[0], 1, atol=1e-3)


def test_a_view_of_nothing_is_empty():
    assert fp16_view(np.empty((0, 5), dtype=np.float16)).ntotal == 0


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((3, 4), dtype=np.float32),
        np.zeros(4, dtype=np.float16),
        np.zeros((4, 3), dtype=np.float16).T,
    ],
)
def test_a_view_refuses_what_faiss_would_misread(rows):
    with pytest.raises(ShapeError, match="contiguous"):
        fp16_view(rows)


TIGHT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
import numpy as np
before = len(os.listdir("/proc/self/task"))
from indexes.engine import flat
from indexes.engine.backend import faiss, threads
rows = np.random.default_rng(0).standard_normal((20_000, 64), dtype=np.float32)
index = faiss().IndexFlatIP(64)
index.add(rows)
index.search(rows[:500], 5)
flat.exact(rows.astype(np.float16), rows[:50], k=5)
print(len(os.listdir("/proc/self/task")) - before, threads(), os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/task")
def test_where_address_space_is_limited_no_threads_are_started():
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    }
    done = subprocess.run(
        [sys.executable, "-c", TIGHT], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "0 1 None\n"), done.stderr[-500:]


def test_a_quota_counts_and_the_hosts_load_does_not(monkeypatch):
    from retrieval.embedding import cores

    monkeypatch.setattr(backend, "_affinity", lambda: 16)
    monkeypatch.setattr(backend, "_quota", lambda: 2.5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    assert backend.allowed_cores() == cores() == threads() == 2
    monkeypatch.setattr(backend, "_quota", lambda: float("inf"))
    assert (cores(), threads()) == (16, 16)
