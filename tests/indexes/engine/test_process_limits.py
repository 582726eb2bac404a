"""Where no thread or process can be started, the message names the limit and what raises it."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys

import pytest

from indexes.engine import process_limits
from indexes.engine.process_limits import bound_blas, has_room, require_threads, starting
from indexes.errors import SystemLimit
from tests.few_threads import with_threads


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_refusal_of_the_system_becomes_a_limit(error: Exception) -> None:
    with (
        pytest.raises(SystemLimit, match=r"no process can be started: .*nothing is damaged"),
        starting("process"),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("another one"), OSError(errno.ENOENT, "not there"), SystemLimit("told")]
)
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, starting("process"):
        raise error

    assert caught.value is error


def test_each_limit_is_named_with_what_raises_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_NPROC: (7, 9), resource.RLIMIT_AS: (1 << 30, 1 << 30)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    (tmp_path / "pids.max").write_text("64\n")
    (tmp_path / "pids.current").write_text("64\n")
    monkeypatch.setattr(process_limits, "_GROUP", tmp_path)

    with pytest.raises(SystemLimit) as caught, starting("thread"):
        raise RuntimeError("can't start new thread")

    assert str(caught.value) == (
        "no thread can be started: this user may run 7 of them (ulimit -u); raise it, or end other programs; "
        "or this container may run 64 of them (--pids-limit); raise it; "
        "or memory is limited to 1024 MiB (ulimit -v); raise it, and run the command again; nothing is damaged"
    )

    limits[resource.RLIMIT_NPROC] = (7, 7)
    with pytest.raises(SystemLimit, match="ask an administrator to raise it"), starting("thread"):
        raise RuntimeError("can't start new thread")


def test_a_full_control_group_has_no_room(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pids.max").write_text("64\n")
    (tmp_path / "pids.current").write_text("63\n")
    monkeypatch.setattr(process_limits, "_GROUP", tmp_path)
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "2")
        monkeypatch.delenv(name)
    has_room.cache_clear()
    try:
        bound_blas()

        assert [os.environ.get(name) for name in names] == ["1", "1"]

        monkeypatch.setenv(names[0], "3")
        bound_blas()

        assert os.environ[names[0]] == "3"  # the user's own
    finally:
        has_room.cache_clear()


def test_a_machine_without_limits_has_room(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_limits, "_GROUP", tmp_path)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    has_room.cache_clear()
    try:
        assert has_room()
    finally:
        has_room.cache_clear()


def test_threads_that_are_required_can_run_at_once() -> None:
    require_threads(3)
    code = "from indexes.engine import require_threads, has_room; print(has_room()); require_threads(3)"
    for count in (1, 2):
        done = subprocess.run(
            with_threads(count, sys.executable, "-c", code), capture_output=True, text=True, check=False
        )

        assert done.stdout == "False\n"
        assert (
            f"SystemLimit: 3 threads are needed, and fewer can be started: this user may run {count}"
            in done.stderr
        )
