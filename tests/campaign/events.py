"""Watch the file system calls of a forked child: count them, kill it at one, or let one fail.

The child installs a seccomp filter that hands each call that changes a file to its parent before it happens (Linux 5.9 and
later). So LMDB's and FAISS's calls are seen as well as Python's, and nothing in the program under test is replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import pickle
import platform
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

X86 = platform.machine() == "x86_64"

# Numbers of the system calls: x86-64's, then AArch64's; None where it has no such call.
CALLS: dict[str, tuple[int, int | None]] = {
    "write": (1, 64),
    "open": (2, None),
    "msync": (26, 227),
    "sendfile": (40, 71),
    "flock": (73, 32),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "mkdir": (83, None),
    "rmdir": (84, None),
    "creat": (85, None),
    "link": (86, None),
    "unlink": (87, None),
    "symlink": (88, None),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "sync_file_range": (277, 84),
    "utimensat": (280, 88),
    "fallocate": (285, 47),
    "pwritev": (296, 70),
    "renameat2": (316, 276),
    "copy_file_range": (326, 285),
    "pwritev2": (328, 287),
}
NUMBERS = {
    number: name for name, both in CALLS.items() if (number := both[0] if X86 else both[1]) is not None
}
BY_DESCRIPTOR = {
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
}
WRITES = {
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fallocate",
    "ftruncate",
    "copy_file_range",
    "sendfile",
}
SYNCS = {"fsync", "fdatasync", "msync", "sync_file_range"}
MAKES = {
    "open",
    "openat",
    "creat",
    "mkdir",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
}

_ARCH = 0xC000003E if X86 else 0xC00000B7
_SECCOMP = 317 if X86 else 277
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_PR_SET_NO_NEW_PRIVS = 38
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Event:
    """One call that is about to happen."""

    number: int
    name: str
    pid: int
    args: tuple[int, ...]

    def where(self) -> str:
        """Return the path that the call is about, as far as that can be told."""
        with contextlib.suppress(OSError):
            if self.name in BY_DESCRIPTOR:
                return os.readlink(f"/proc/{self.pid}/fd/{self.args[0]}")
            address = self.args[1] if self.name.endswith("at") or self.name == "renameat2" else self.args[0]
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return os.fsdecode(memory.read(512).split(b"\0")[0])
        return "?"


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a child ended.

    Attributes:
        status: its exit status, negative for a signal.
        hung: it was stopped after the time that it had.
        events: the names of the calls that were seen.
        at: the call at which it was killed, or that failed first.
        out, err: what it wrote.
        value: what the work returned; None if it was killed.
        error: the traceback of an exception that left the work.
        peak: the most memory that it held, in bytes.
    """

    status: int = 0
    hung: bool = False
    events: list[str] = field(default_factory=list)
    at: str = ""
    out: str = ""
    err: str = ""
    value: Any = None
    error: str = ""
    peak: int = 0
    seconds: float = 0.0


Decide = Callable[[Event], int | None]
"""What to do at a call: None lets it happen, an errno lets it fail, -9 kills the child."""


def supported() -> bool:
    """Say whether calls can be watched here."""
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        return False
    return _LIBC.syscall(_SECCOMP, 2, 0, ctypes.byref(ctypes.c_uint32(_NOTIFY))) == 0


def run(
    work: Callable[[], Any],
    *,
    decide: Decide | None = None,
    kill_after: float | None = None,
    seconds: float = 60.0,
    memory: int | None = None,
) -> Ended:
    """Do ``work`` in a forked child and say how that ended.

    Args:
        work: its return value is pickled.
        decide: asked before each call that changes a file.
        kill_after: SIGKILL after so many seconds.
        seconds: what it has before it counts as hung.
        memory: bytes of address space that it may take beyond what it has at the start.
    """
    return Running(work, decide=decide, memory=memory).wait(kill_after=kill_after, seconds=seconds)


class Running:
    """Work in a forked child; every one that is made must be waited for."""

    def __init__(
        self, work: Callable[[], Any], *, decide: Decide | None = None, memory: int | None = None
    ) -> None:
        self._outs = [os.memfd_create(name) for name in ("out", "err", "value")]
        self._decide, self._listener = decide, None
        ours, theirs = socket.socketpair() if decide is not None else (None, None)
        sys.stdout.flush()
        sys.stderr.flush()
        self._started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _child(work, self._outs, theirs, memory)
        self._pidfd = os.pidfd_open(self.pid)
        if ours is not None and theirs is not None:
            theirs.close()
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            ours.close()
            self._listener = fds[0] if fds else None

    def wait(self, *, kill_after: float | None = None, seconds: float = 60.0) -> Ended:
        """Wait for its end; take both times from its start."""
        ended = Ended()
        kill = None if kill_after is None else self._started + kill_after
        texts = []
        try:
            _wait(self.pid, self._pidfd, self._listener, self._decide, frozenset(self._outs), kill,
                  self._started + seconds, ended)  # fmt: skip
        finally:
            for stop in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError):
                    stop(self.pid, signal.SIGKILL)
            _, status, usage = os.wait4(self.pid, 0)
            ended.status = os.waitstatus_to_exitcode(status)
            ended.seconds = time.monotonic() - self._started
            ended.peak = usage.ru_maxrss << 10
            texts += [os.pread(descriptor, os.fstat(descriptor).st_size, 0) for descriptor in self._outs]
            for descriptor in (self._pidfd, self._listener, *self._outs):
                if descriptor is not None:
                    os.close(descriptor)
        ended.out, ended.err = (text.decode("utf-8", "replace") for text in texts[:2])
        if texts[2]:
            with contextlib.suppress(Exception):  # killed while it wrote
                ended.value, ended.error, ended.peak = pickle.loads(texts[2])  # noqa: S301 - a child of ours wrote it
        return ended


def _child(
    work: Callable[[], Any], outs: list[int], channel: socket.socket | None, memory: int | None
) -> None:
    value, error, status = None, "", 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(outs[0], 1)
        os.dup2(outs[1], 2)
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak counts from here
        if memory is not None:
            held = (
                int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
            )
            resource.setrlimit(resource.RLIMIT_AS, (held + memory, held + memory))
        if channel is not None:
            listener = _listen()
            socket.send_fds(channel, [b"x"], [listener])
            os.close(listener)
            channel.close()
        value = work()
        status = 0
    except BaseException as raised:  # noqa: BLE001 - the parent reports it
        error = traceback.format_exc()
        if type(raised).__name__ == "Fault":
            error = f"Fault: {raised}"
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    with contextlib.suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        data = pickle.dumps((value, error, _peak()))
    except BaseException:  # noqa: BLE001
        data = pickle.dumps((None, traceback.format_exc(), 0))
    os.pwrite(outs[2], data, 0)
    os._exit(status)


def _peak() -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) << 10
    return 0


def _listen() -> int:
    """Install the filter; return the descriptor on which the parent is asked."""
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    code = _program()

    class Program(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    program = Program(len(code) // 8, code)
    listener = _LIBC.syscall(_SECCOMP, 1, 1 << 3, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "no seccomp listener")
    return int(listener)


def _program() -> bytes:
    load, equal, more, any_bit, back = 0x20, 0x15, 0x25, 0x45, 0x06

    def step(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("HBBI", code, yes, no, k)

    steps = [step(load, 4), step(equal, _ARCH, 1, 0), step(back, _ALLOW), step(load, 0)]
    for number, name in NUMBERS.items():
        if name in {"open", "openat"}:
            flags = 16 + 8 * (1 if name == "open" else 2)
            steps += [
                step(equal, number, 0, 4),
                step(load, flags),
                step(any_bit, _CHANGES, 0, 1),
                step(back, _NOTIFY),
                step(back, _ALLOW),
            ]
        elif name in BY_DESCRIPTOR:
            steps += [
                step(equal, number, 0, 4),
                step(load, 16),
                step(more, 2, 0, 1),
                step(back, _NOTIFY),
                step(back, _ALLOW),
            ]
        else:
            steps += [step(equal, number, 0, 1), step(back, _NOTIFY)]
    return b"".join([*steps, step(back, _ALLOW)])


def _wait(
    pid: int,
    pidfd: int,
    listener: int | None,
    decide: Decide | None,
    ours: frozenset[int],
    kill: float | None,
    deadline: float,
    ended: Ended,
) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if listener is not None:
        poller.register(listener, select.POLLIN)
    while True:
        now = time.monotonic()
        if kill is not None and now >= kill:
            os.kill(pid, signal.SIGKILL)
            ended.at = "a moment"
            kill = None
        if now >= deadline:
            ended.hung = True
            return
        until = deadline if kill is None else min(kill, deadline)
        ready = dict(poller.poll(max(0.0, until - now) * 1000 + 0.5))
        if listener is not None and ready.get(listener, 0) & select.POLLIN:
            assert decide is not None
            _answer(pid, listener, decide, ours, ended)
        elif pidfd in ready:
            return
        elif listener is not None and listener in ready:
            poller.unregister(listener)
            listener = None


def _answer(pid: int, listener: int, decide: Decide, ours: frozenset[int], ended: Ended) -> None:
    notice = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice, True)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINTR}:
            return
        raise
    number, thread, _, call, _, _, *args = struct.unpack("QIIiIQ6Q", notice)
    event = Event(len(ended.events), NUMBERS.get(call, "?"), thread, tuple(args))
    if event.name in BY_DESCRIPTOR and args[0] in ours:
        fails = None  # how the child tells its result
    else:
        ended.events.append(event.name)
        fails = decide(event)
    if fails is not None and not ended.at:
        ended.at = f"event {event.number} ({event.name} {os.path.basename(event.where())})"
    if fails == -signal.SIGKILL:
        os.kill(pid, signal.SIGKILL)
        return
    answer = (
        struct.pack("QqiI", number, 0, 0, _CONTINUE)
        if fails is None
        else struct.pack("QqiI", number, 0, -fails, 0)
    )
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SEND, answer)
