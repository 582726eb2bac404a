"""Give a build odd names, links, permissions, pipes, sockets, giants, and files that change or vanish meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import socket
import sys
import threading
import tty
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean
from tests.retrieval.folders import ids_by_key

SECONDS = 60.0
_OVERRIDES = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
SUFFIXES = (b".png", b".PNG", b".jpg", b"", b".jpeg", b".webp", b".xyz")
PIECES = (
    b"\n", b"\t", b"\r", b" ", b"-", b"--index", b"-0", b"'", b'"', b"\\", b"$HOME", b"`", b"*", b"?", b"[", b"]", b"{a,b}",
    b"%", b"%00", b"%0A", b"#", b"&", b";", b"|", b"<b>", b"~", b"..", b"...", b"\x1b[31m", b"\x07", b"\x7f", b"\x01",
    "é".encode(), "e\u0301".encode(), "ﬁ".encode(), "Å".encode(), "A\u030a".encode(), "🐱".encode(), "👩‍👩‍👧".encode(),
    "\u202e".encode(), "\u200b".encode(), "\ufeff".encode(), "кот".encode(), "東京".encode(), "\u2028".encode(), "\x85".encode(),
    b"\xff", b"\xfe\xff", b"\x80", b"\xc3", b"\xed\xa0\x80", b"CON", b"nul", b"2:", b"0.5:", b"https:__x", b"a" * 200,
)  # fmt: skip


@dataclass(slots=True)
class Tree:
    """What was made: images that must be indexed, files that must be indexed or listed, and what the tree has besides."""

    images: dict[bytes, int] = field(default_factory=dict)
    either: set[bytes] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)


class Part:
    """One folder a round."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        self._root = os.geteuid() == 0
        work.chmod(0o755)
        if not self._root:
            tally.facts["without privileges"] = "skipped: this user has none to give up"

    def round(self, rng: random.Random, number: int) -> None:
        """Make a folder, index it, ask by every command, index it again."""
        home = self._work / "home"
        _remove(home)
        home.mkdir()
        tree = _grow(home, rng)
        unprivileged = self._root and rng.random() < 0.4
        changing = rng.random() < 0.25
        odd = ", ".join(sorted(set(tree.odd)))
        if unprivileged:
            _forbid(home, tree, rng)
        what = f"{odd}{', without privileges' if unprivileged else ''}{', changing' if changing else ''}"
        stop = threading.Event()
        work = lambda: _all_commands(home, tree, unprivileged=unprivileged, changing=changing)  # noqa: E731
        running = events.Running(work)
        if changing:
            mover = threading.Thread(target=_disturb, args=(home, random.Random(rng.random()), stop))
            mover.start()
        ended = running.wait(seconds=SECONDS)
        stop.set()
        if changing:
            mover.join()
        clean(ended, "a build over odd files", what)
        self._tally.count("files", len(tree.images) + len(tree.either))
        for name in set(tree.odd):
            self._tally.by[name] += 1


def _remove(home: Path) -> None:
    for folder, folders, _ in os.walk(os.fsencode(home)):
        for name in (*folders, b"."):
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(home, ignore_errors=True)


def _name(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.6:
        name = b"".join(rng.choice(PIECES) for _ in range(rng.choice((1, 1, 2, 3))))
    elif kind < 0.8:
        name = bytes(
            rng.choice([byte for byte in range(1, 256) if byte != 0x2F]) for _ in range(rng.randrange(1, 30))
        )
    elif kind < 0.9:
        name = bytes([rng.randrange(1, 256)]).replace(b"/", b"_")
    else:
        name = b"x" * rng.randrange(230, 252)
    return name[:248]


def _grow(home: Path, rng: random.Random) -> Tree:
    tree = Tree()
    top = os.fsencode(home)
    folders = [b""]
    for _ in range(rng.randrange(5)):
        folder = os.path.join(rng.choice(folders), _name(rng))
        if folder.strip(b"./") and _is_plain(folder):
            with contextlib.suppress(OSError):
                os.makedirs(os.path.join(top, folder), exist_ok=True)
                folders.append(os.path.normpath(folder))
    for _ in range(rng.randrange(5, 40)):
        key = os.path.normpath(os.path.join(rng.choice(folders), _name(rng) + rng.choice(SUFFIXES)))
        path = os.path.join(top, key)
        if not _is_plain(key) or os.path.lexists(path):
            continue
        with contextlib.suppress(OSError):
            _make(path, key, tree, rng)
    tree.images.setdefault(b"plain.png", 1)
    (home / "plain.png").write_bytes(world.picture(1))
    return tree


def _is_plain(key: bytes) -> bool:
    return not any(part.startswith(b"._") or part in {b".", b"..", b""} for part in key.split(b"/"))


def _make(path: bytes, key: bytes, tree: Tree, rng: random.Random) -> None:
    image_like = key.lower().endswith((b".png", b".jpg", b".jpeg", b".webp"))
    kind = rng.choice(
        ("image",) * 8
        + (
            "link",
            "dangling",
            "loop",
            "pipe",
            "socket",
            "sparse",
            "empty",
            "text",
            "folder link",
            "hard link",
            "old",
            "device",
            "huge folder",
            "proc link",
        )
    )
    seed = rng.randrange(9000, 9400)
    if kind in {"image", "old", "hard link"}:
        with open(path, "wb") as file:
            file.write(world.picture(seed))
        tree.images[key] = seed
        if kind == "old":
            when = rng.choice((-1, 0, 10**10, -(10**10), 2**33))
            os.utime(path, (when, when))
        if kind == "hard link" and not os.path.lexists(path + b"2.png"):
            os.link(path, path + b"2.png")
            tree.images[key + b"2.png"] = seed
    elif kind == "link" and tree.images:
        other = rng.choice(sorted(tree.images))
        os.symlink(os.path.join(path[: len(path) - len(key)], other), path)
        tree.images[key] = tree.images[other]
    elif kind == "dangling":
        os.symlink(b"nowhere" * rng.choice((1, 30)), path)
        if image_like:
            tree.either.add(key)
    elif kind == "loop":
        os.symlink(os.path.basename(path), path)
        if image_like:
            tree.either.add(key)
    elif kind == "folder link":
        os.symlink(rng.choice((b".", b"..", b"/", b"/proc/self/fd")), path)
    elif kind == "proc link":
        os.symlink(
            rng.choice((b"/dev/zero", b"/dev/stdin", b"/proc/kmsg", b"/proc/self/mem", b"/dev/random")), path
        )
        if image_like:
            tree.either.add(key)
    elif kind == "pipe":
        os.mkfifo(path)
        if image_like:
            tree.either.add(key)
    elif kind == "device":
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
        if image_like:
            tree.either.add(key)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        if len(path) < 100:
            server.bind(path)
            if image_like:
                tree.either.add(key)
        server.close()
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.write(rng.choice((b"", world.picture(seed)[:400], world.picture(seed))))
            file.truncate(rng.choice((1 << 30, 1 << 40)))
        if image_like:
            tree.either.add(key)
    elif kind == "empty":
        open(path, "wb").close()
        if image_like:
            tree.either.add(key)
    elif kind == "text":
        with open(path, "wb") as file:
            file.write(
                rng.choice(
                    (
                        b"hello\n" * 9,
                        b"BM",
                        b"\xff\xd8\xff",
                        b"II*\0",
                        b"RIFF",
                        b"GIF89a",
                        rng.randbytes(3000),
                    )
                )
            )
        if image_like:
            tree.either.add(key)
    elif kind == "huge folder":
        os.mkdir(path)
        for number in range(30):
            with open(os.path.join(path, b"%d.png" % number), "wb") as file:
                file.write(world.picture(seed + number))
            tree.images[os.path.join(key, b"%d.png" % number)] = seed + number
    tree.odd.append(kind)


def _forbid(home: Path, tree: Tree, rng: random.Random) -> None:
    """Take permissions away from some files and folders."""
    for key in sorted(tree.images):
        if rng.random() < 0.1 and key != b"plain.png":
            path = os.path.join(os.fsencode(home), key)
            if not os.path.islink(path):
                os.chmod(path, 0)
    for folder, folders, _ in os.walk(os.fsencode(home)):
        for name in folders:
            path = os.path.join(folder, name)
            if rng.random() < 0.1 and not os.path.islink(path):
                os.chmod(path, rng.choice((0, 0o100, 0o400)))
    for key in sorted(tree.images):
        path = os.path.join(os.fsencode(home), key)
        if not _readable(path, os.fsencode(home)):
            del tree.images[key]
            tree.either.add(key)
    tree.odd.append("forbidden")


def _readable(path: bytes, home: bytes) -> bool:
    """Say whether another user can read a file, by the modes that were given."""
    real = os.path.realpath(path)
    if not os.stat(real).st_mode & 0o400:
        return False
    for one in {path, real}:
        folder = os.path.dirname(one)
        while len(folder) > len(home):
            if os.stat(folder).st_mode & 0o500 != 0o500:
                return False
            folder = os.path.dirname(folder)
    return True


def _disturb(home: Path, rng: random.Random, stop: threading.Event) -> None:
    """Change, move and remove files while a build reads them."""
    top = os.fsencode(home)
    while not stop.wait(0.002):
        with contextlib.suppress(OSError):
            folder = rng.choice(
                [
                    top,
                    *(
                        entry.path
                        for entry in os.scandir(top)
                        if entry.is_dir(follow_symlinks=False) and entry.name != b".retrieve"
                    ),
                ]
            )
            files = [
                entry.path
                for entry in os.scandir(folder)
                if entry.is_file(follow_symlinks=False) and entry.name != b"plain.png"
            ]
            if not files:
                continue
            path = rng.choice(files)
            way = rng.randrange(6)
            if way == 0:
                os.unlink(path)
            elif way == 1:
                os.rename(path, path + b"~.png")
            elif way == 2:
                with open(path, "r+b") as file:
                    file.truncate(rng.randrange(200))
            elif way == 3:
                with open(path, "ab") as file:
                    file.write(b"more")
            elif way == 4 and folder != top:
                os.rename(folder, folder + b"_")
            else:
                with open(path, "wb") as file:
                    file.write(world.picture(rng.randrange(9000, 9100)))


def give_up_privileges() -> None:
    """Let permissions bind this process and its children, as they bind any user: root keeps its name and its files.

    Another user could not run a Python that lies in root's home.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _OVERRIDES:
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, for what is executed
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    for place in range(3):
        data[place] &= ~sum(1 << capability for capability in _OVERRIDES)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _all_commands(home: Path, tree: Tree, *, unprivileged: bool, changing: bool) -> None:
    if unprivileged:
        give_up_privileges()
    os.chdir("/")
    status, out, err = _run("build-index", home, "--encoder", world.OLD, "--json", "--quiet")
    if status != 0:
        raise Fault(f"a build over odd files: exit {status}\n{err}")
    report = json.loads(out)
    _compare(home, tree, report, changing=changing)
    if changing:
        return
    status, out, err = _run("build-index", home, "--json", "--quiet")
    second = json.loads(out)
    if status != 0 or second["encoded"] or second["removed"] or second["images"] != report["images"]:
        raise Fault(f"a second build over odd files does something\n{status} {second} {err}")
    _ask(home, tree)


def _compare(home: Path, tree: Tree, report: dict[str, object], *, changing: bool) -> None:
    import retrieval
    from retrieval.sources.skipped_list import read_skipped

    with retrieval.open(home) as collection:
        ids = {os.fsencode(path): number for path, number in ids_by_key(collection).items()}
        listed = read_skipped(home / ".retrieve")
        if b"plain.png" not in ids:
            raise Fault("a plain image among odd files is not indexed")
        if report["images"] != len(ids) or report["skipped"] != len(listed):
            raise Fault(
                f"a build over odd files counts otherwise than it lists\n{report} {len(ids)} {len(listed)}"
            )
        wanted = {b"plain.png": 1} if changing else tree.images
        if lost := [key for key in wanted if key not in ids]:
            raise Fault(
                f"an image with an odd name or file is not indexed\n{lost[:5]}\n{[listed.get(key) for key in lost[:5]]}"
            )
        keys = sorted(wanted)
        rows = collection.vectors(np.array([ids[key] for key in keys]))
        for key, row in zip(keys, rows, strict=True):
            if np.abs(row - world.vector(wanted[key], world.OLD)).max() > world.CLOSE:
                raise Fault(f"an image with an odd name got another's vector\n{key!r}")
        if changing:
            return
        folders = list(listed)
        for key in tree.either:
            below = any(key.startswith(folder.rstrip(b"/") + b"/") for folder in folders)
            if key not in ids and key not in listed and not below:
                raise Fault(f"an odd file is neither indexed nor listed\n{key!r}")


def _ask(home: Path, tree: Tree) -> None:
    """Ask by every way that prints names."""
    everything = len(tree.images) + 200
    status, out, err = _run(
        "query",
        "--image",
        home / "plain.png",
        "-k",
        str(everything),
        "--no-fold",
        "--include-self",
        "-0",
        "--index",
        home,
        "--quiet",
        binary=True,
    )
    if status != 0:
        raise Fault(f"query -0 over odd names: exit {status}\n{err}")
    found = set(out.split(b"\0")[:-1])
    if lost := set(tree.images) - found - {os.path.join(os.fsencode(home), key) for key in tree.images}:
        rooted = {os.path.relpath(os.path.join(b"/", name), os.fsencode(home)) for name in found}
        if lost := lost - rooted:
            raise Fault(
                f"query -0 does not print an odd name as it is\n{sorted(lost)[:3]}\n{sorted(found)[:3]}"
            )
    for form in ("--json", "--csv", "--jsonl", "-f", ""):
        words = [form] if form else []
        status, out, err = _run(
            "query",
            "--image",
            home / "plain.png",
            "-k",
            "50",
            *words,
            "--index",
            home,
            "--quiet",
            binary=True,
        )
        if status != 0:
            raise Fault(f"query {form} over odd names: exit {status}\n{err}")
        if form == "--json":
            json.loads(out)
    status, out, err = _run(
        "query", "--image", home / "plain.png", "-k", "50", "--index", home, "--quiet", terminal=True
    )
    if status != 0:
        raise Fault(f"query in a terminal over odd names: exit {status}\n{err}")
    if any((ord(char) < 32 and char not in "\r\n") or char in "\x7f\u202e\x9b\x85" for char in out):
        raise Fault(f"query lets control characters through to a terminal\n{out[:500]!r}")
    for words in (("info",), ("verify",), ("verify", "--json"), ("info", "--json")):
        status, out, err = _run(*words, "--index", home)
        if status != 0:
            raise Fault(f"{' '.join(words)} over odd names: exit {status}\n{out}\n{err}")
    for key in sorted(tree.images)[:6]:
        status, out, err = _run(
            "query",
            "--image",
            os.path.join(home, os.fsdecode(key)),
            "-k",
            "1",
            "--include-self",
            "--index",
            home,
            "--quiet",
        )
        if status != 0:
            raise Fault(f"query by an image of an odd name: exit {status}\n{key!r}\n{err}")
    status, out, err = _run("export", "--vectors", home.parent / "e.npy", "--keys", home.parent / "e.txt",
                            "--index", home, "--quiet")  # fmt: skip
    if status not in {0, 1} or "this is a bug" in err or (status == 1 and len(err.strip().splitlines()) != 1):
        raise Fault(f"export over odd names: exit {status}\n{err}")


def _run(
    *words: str | os.PathLike[str], binary: bool = False, terminal: bool = False
) -> tuple[int, Any, str]:
    """Run a command; return its status, what it printed, and what it said."""
    outs = [os.memfd_create("out"), os.memfd_create("err")]
    if terminal:
        leader, follower = os.openpty()
        tty.setraw(follower)
    kept = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        for place, descriptor in enumerate(outs, start=1):
            os.dup2(follower if terminal and place == 1 else descriptor, place)
        try:
            status = world.cli(*words)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        for place, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, place)
            os.close(descriptor)
    out, err = (os.pread(descriptor, os.fstat(descriptor).st_size, 0) for descriptor in outs)
    if terminal:
        out = b""
        os.set_blocking(leader, False)
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(leader, 65536):
                out += piece
        outs += [leader, follower]
    for descriptor in outs:
        os.close(descriptor)
    text = err.decode("utf-8", "replace")
    if "this is a bug" in text or "Traceback" in text:
        raise Fault(f"{words[0]} over odd files: a bug\n{words}\n{text}")
    return status, out if binary else out.decode("utf-8", "replace"), text
