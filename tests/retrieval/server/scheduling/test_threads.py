"""Threads of a server share two heaps, and sleep while they wait."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, os, sys, threading
from retrieval.server.scheduling import share_machine
if sys.argv[1] == "shared":
    share_machine()
together = threading.Barrier(12)
def work():
    together.wait()
    kept = [bytes(50_000) for _ in range(100)]
    together.wait()
    assert len(kept) == 100
threads = [threading.Thread(target=work) for _ in range(12)]
for one in threads: one.start()
for one in threads: one.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(os.environ.get("OMP_WAIT_POLICY"))
"""


def heaps(how: str, tmp_path: Path, **environment: str) -> tuple[int, str]:
    """Return how many heaps a process has whose threads allocate, and how threads of its searches wait."""
    told = tmp_path / "malloc.xml"
    ours = {"MALLOC_ARENA_MAX", "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how, str(told)],
        check=True,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in ours} | environment,
        timeout=60,
    )
    return told.read_text().count("<heap nr="), done.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems have no such heaps")
def test_threads_share_two_heaps(tmp_path: Path) -> None:
    before, _ = heaps("alone", tmp_path)
    after, waiting = heaps("shared", tmp_path)

    assert before > 2
    assert (after, waiting) == (2, "passive")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems have no such heaps")
def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    found, waiting = heaps("shared", tmp_path, MALLOC_ARENA_MAX="5", OMP_WAIT_POLICY="active")

    assert (found, waiting) == (5, "active")
