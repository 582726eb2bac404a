"""The campaign's collections: tiny images, commands on them, and what must be found before and after each."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign.frame import Fault
from tests.retrieval.folders import ids_by_key

PLUGIN = Path(__file__).parent / "plugin"
OLD, NEW = "campaign:old", "campaign:new"
HOME = "photos"
CLOSE = 3e-3
"""How far a stored float16 row may lie from the vector that was stored."""


def warm() -> None:
    """Import all of both packages but torch, and let specs name the campaign's encoders; before anything is forked."""
    if str(PLUGIN) not in sys.path:
        sys.path.insert(0, str(PLUGIN))
    kept = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PLUGIN), *([kept] if kept else [])])
    stopped = [name for name in ("torch", "matplotlib", "skimage") if name not in sys.modules]
    for name in stopped:
        sys.modules[name] = None  # type: ignore[assignment]
    for package in ("indexes", "retrieval"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):  # it would run
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
    for name in stopped:
        sys.modules.pop(name, None)
    from indexes.engine.backend import faiss

    faiss().omp_set_num_threads(1)
    subprocess.run = _run_warm  # type: ignore[assignment]


_run_cold: Any = subprocess.run


def _run_warm(command: Any, *args: Any, **options: Any) -> Any:
    """Run ``python -m MODULE`` in a fork of this process, which has imported all that it needs; anything else as ever."""
    if not (isinstance(command, list) and command[0] == sys.executable and "-m" in command[:3]):
        return _run_cold(command, *args, **options)
    at = command.index("-m") + 1
    outs = [os.memfd_create("out"), os.memfd_create("err")]
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for place, descriptor in enumerate(outs, start=1):
                os.dup2(descriptor, place)
            sys.argv = list(command[at:])
            sys.modules.pop(command[at], None)
            runpy.run_module(command[at], run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:  # noqa: BLE001 - as an interpreter does
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    texts = [os.pread(descriptor, os.fstat(descriptor).st_size, 0) for descriptor in outs]
    for descriptor in outs:
        os.close(descriptor)
    if options.get("text") or options.get("encoding"):
        return subprocess.CompletedProcess(command, status, *(text.decode() for text in texts))
    return subprocess.CompletedProcess(command, status, *texts)


def warm_child() -> None:
    """Let specs name the campaign's encoders, in a process that was not forked from a warm one."""
    if str(PLUGIN) not in sys.path:
        sys.path.insert(0, str(PLUGIN))


@cache
def picture(seed: int, *, side: int = 32, form: str = "PNG") -> bytes:
    """Return a small image file: sixteen patches of random colours."""
    from PIL import Image

    patches = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(patches).resize((side, side), Image.Resampling.NEAREST).save(file, form)
    return file.getvalue()


def vector_of(data: bytes, spec: str) -> np.ndarray:
    """Return the unit vector of an image file, as a build should store it."""
    from PIL import Image

    from retrieval.encoders import load_encoder

    encoder: Any = load_encoder(spec)
    pixels = encoder.preprocess(Image.open(io.BytesIO(data)).convert("RGB"))
    return np.asarray(encoder.encode_pixels(pixels[None])[0])


@cache
def vector(seed: int, spec: str) -> np.ndarray:
    """Return the unit vector of `picture`."""
    return vector_of(picture(seed), spec)


Images = dict[str, int]
"""Key → the picture's seed: what a folder of images holds."""


def fill(folder: Path, images: Mapping[str, int]) -> None:
    """Write images into a folder."""
    for key, seed in images.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(seed))


def cli(*words: str | os.PathLike[str]) -> int:
    """Run one command of ``retrieve`` in this process; return its exit status."""
    from retrieval.cli import main

    return main([os.fspath(word) for word in words])


def must(*words: str | os.PathLike[str]) -> None:
    """Run a command that has to succeed."""
    status = cli(*words)
    if status != 0:
        raise Fault(f"{words[0]} fails with exit {status}\n{' '.join(map(str, words))}")


# --- What a collection should answer ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """What a collection holds: each key's vector in each space that may answer.

    Attributes:
        rows: encoder's spec → key → unit vector.
        mixed: an upgrade is under way.
    """

    rows: Mapping[str, Mapping[str, np.ndarray]]
    mixed: bool = False

    @classmethod
    def of(cls, images: Images, *specs: str, mixed: bool = False) -> State:
        """Return the state of a folder of images."""
        return cls({spec: {key: vector(seed, spec) for key, seed in images.items()} for spec in specs}, mixed)

    @classmethod
    def of_vectors(cls, rows: Mapping[str, np.ndarray]) -> State:
        """Return the state of imported vectors."""
        return cls({"": dict(rows)})


def seen(home: Path, states: Iterable[State], *, index: Path | None = None) -> int:
    """Open a collection, ask it, and return which of the states it is in.

    Raises:
        Fault: it answers as none of them.
    """
    import retrieval

    reasons = []
    with retrieval.open(index or home) as collection:
        for number, state in enumerate(states):
            reason = differs(collection, state)
            if not reason:
                return number
            reasons.append(reason)
    raise Fault("a collection answers as neither before nor after\n" + "\n".join(reasons))


def differs(collection: Any, state: State) -> str:
    """Return how a collection's answers differ from a state, or nothing."""
    facts = collection.info()
    upgrade = facts["upgrade"] or {}
    mixed = upgrade.get("state") not in {None, "complete", "rolled back", "finished", "done"}
    if mixed != state.mixed:
        return f"upgrade is {upgrade.get('state')}, expected {'one under way' if state.mixed else 'none'}"
    spec = "" if "" in state.rows else facts["encoder"]
    if state.mixed:
        spec = next(reversed(state.rows))
    if spec not in state.rows:
        return f"encoder is {spec}, expected {list(state.rows)}"
    rows = state.rows[spec]
    ids = ids_by_key(collection)
    if set(ids) != set(rows):
        lost, more = sorted(set(rows) - set(ids)), sorted(set(ids) - set(rows))
        return f"{len(lost)} keys lost {lost[:3]}, {len(more)} too many {more[:3]}"
    if len(collection) != len(rows):
        return f"{len(collection)} rows, expected {len(rows)}"
    if not rows:
        return ""
    keys = sorted(rows)
    numbers = np.array([ids[key] for key in keys])
    wanted = np.stack([rows[key] for key in keys])  # (n, d)
    if not state.mixed:
        off = np.abs(collection.vectors(numbers) - wanted).max(axis=1)  # (n,)
        if off.max() > CLOSE:
            return f"the vector of {keys[int(off.argmax())]} is another's (off by {off.max():.3f})"
    return _asked(collection, keys, numbers, wanted, mixed=state.mixed)


def _asked(collection: Any, keys: list[str], numbers: np.ndarray, wanted: np.ndarray, *, mixed: bool) -> str:
    """Search for a few rows and compare with brute force."""
    some = np.linspace(0, len(keys) - 1, min(4, len(keys))).astype(int)
    k = min(5, len(keys))
    for place in some:
        hits = collection.search(wanted[place], k=k, fold_duplicates=False)
        if not mixed and (not hits or hits[0].path != keys[place] or abs(hits[0].score - 1) > CLOSE):
            return f"{keys[place]} does not find itself: {[(h.path, round(h.score, 3)) for h in hits[:2]]}"
        if mixed:
            own = collection.search(int(numbers[place]), k=1, include_self=True)
            if not own or own[0].path != keys[place]:
                return f"{keys[place]} does not find itself while the encoder changes"
            continue
        exact = collection.search(wanted[place], k=k, exact=True, fold_duplicates=False)
        truth = np.sort(wanted @ wanted[place])[::-1][:k]
        found = np.array([hit.score for hit in exact])
        off = found - truth
        if collection.manifest.views:  # a part of an image may be nearer than the whole, never farther
            off = np.minimum(off, 0)
        if len(found) != k or np.abs(off).max() > CLOSE:
            return f"exact search for {keys[place]}: {found} instead of {truth}"
    return ""


def verified(home: Path, *, index: Path | None = None) -> None:
    """Raise a `Fault` where ``verify`` finds a file damaged."""
    from indexes.generation.verification import verify

    bad = [f"{check.path}: {check.cure}" for check in verify(index or home / ".retrieve") if not check.ok]
    if bad:
        raise Fault("verify finds damage that nobody did\n" + "\n".join(bad))


def shape(home: Path) -> dict[str, int]:
    """Return what lies below a folder: names with numbers made alike → how many."""
    found: dict[str, int] = {}
    for folder, _, files in os.walk(home):
        for name in [*files, ""]:
            path = os.path.relpath(os.path.join(folder, name), home)
            path = re.sub(r"(?<![A-Za-z0-9])[0-9a-f]{12,}|\d+", "N", path)
            found[path] = found.get(path, 0) + 1
    return found


def size(home: Path) -> int:
    """Return the bytes that all files below a folder take on the disk, each file once."""
    total, known = 0, set()
    for folder, _, files in os.walk(home):
        for name in files:
            try:
                status = os.lstat(os.path.join(folder, name))
            except OSError:  # a command at work removed it
                continue
            if (status.st_dev, status.st_ino) not in known:
                known.add((status.st_dev, status.st_ino))
                total += min(status.st_size, 512 * status.st_blocks)  # a hole takes no room
    return total


def leftovers(now: Mapping[str, int], then: Mapping[str, int]) -> list[str]:
    """Return what lies there that an undisturbed run does not leave.

    A list of activated images, which a killed run leaves for the next to continue, is no leftover.
    """
    return sorted(
        path
        for path, count in now.items()
        if ".partial" in path or (count > then.get(path, 0) and not path.endswith("activations/N.jsonl"))
    )


# --- Commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command on one collection.

    Attributes:
        name: what it is called in the table.
        prepare: builds what it works on in an empty folder.
        words: the command line, from the folder.
        before: what the collection answers until the command has published; None where there is none.
        after: what it answers once the command is done.
        between: what it may answer besides, when the command was stopped.
        done: what the command may say when there is nothing left to do.
        torch: it needs torch.
        check: what else must hold when it is done.
    """

    name: str
    prepare: Callable[[Path], None]
    words: Callable[[Path], list[str]]
    before: State | None
    after: State
    between: tuple[State, ...] = ()
    done: str = ""
    torch: bool = False
    check: Callable[[Path], None] = field(default=lambda _: None)

    def run(self, place: Path) -> int:
        """Run it in this process."""
        return cli(*self.words(place))


FEW: Images = {f"{number:02}.png": number for number in range(30)} | {
    f"sub/{number:02}.png": 100 + number for number in range(10)
}
CHANGED: Images = (
    {key: seed for key, seed in FEW.items() if not key.startswith("0")}
    | {
        "10.png": 500,  # changed
        "sub/new.png": 501,
        "moved/01.png": FEW["01.png"],
        "copy.png": FEW["20.png"],
    }
    | {f"later/{number:02}.png": 600 + number for number in range(8)}
)
MOVED: Images = {"moved/01.png" if key == "01.png" else key: seed for key, seed in FEW.items()}
MANY: Images = {f"{number:03}.png": 2000 + number for number in range(300)}
ADDED: Images = FEW | {f"added/{number}.png": 800 + number for number in range(6)}


def change(folder: Path, before: Images, after: Images) -> None:
    """Make a folder that holds some images hold others; a moved image keeps its times."""
    gone = {key: seed for key, seed in before.items() if key not in after}
    for key, seed in after.items():
        if before.get(key) == seed:
            continue
        source = next((old for old, its in gone.items() if its == seed), None)
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        if source is not None:
            os.rename(folder / source, folder / key)
            del gone[source]
        else:
            fill(folder, {key: seed})
    for key in gone:
        (folder / key).unlink()


def build(place: Path, images: Images = FEW, *more: str) -> None:
    """Fill a folder and index it."""
    fill(place / HOME, images)
    must("build-index", place / HOME, "--encoder", OLD, "--quiet", *more)


def upgraded(place: Path, *backfill: str) -> None:
    """Build, then begin an upgrade, and encode some images again."""
    build(place)
    must(*_upgrade(place))
    if backfill:
        must("upgrade", "--backfill", *backfill, "--index", place / HOME, "--quiet")


def _upgrade(place: Path) -> list[str]:
    return [
        "upgrade",
        "--encoder",
        NEW,
        "--force",
        "--method",
        "ridge",
        "--index",
        str(place / HOME),
        "--quiet",
    ]


def _vectors(place: Path, rows: Mapping[str, np.ndarray]) -> None:
    np.save(place / "v.npy", np.stack(list(rows.values())))
    (place / "k.txt").write_text("".join(f"{key}\n" for key in rows))


def _import(place: Path, *more: str) -> list[str]:
    return ["build-index", str(place / HOME), "--vectors", str(place / "v.npy"), "--keys", str(place / "k.txt"),
            "--space", "made", "--quiet", *more]  # fmt: skip


def _rows(seed: int, count: int, dim: int = 24) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return {f"row {number}": row for number, row in enumerate(drawn)}


FIRST_ROWS = _rows(1, 400)
NEXT_ROWS = {key: row for key, row in FIRST_ROWS.items() if not key.endswith("7")} | {
    f"new {key}": row for key, row in _rows(2, 60).items()
}


def _imported(place: Path) -> None:
    place.joinpath(HOME).mkdir()
    _vectors(place, FIRST_ROWS)
    must(*_import(place))
    _vectors(place, NEXT_ROWS)


def _exported(place: Path) -> None:
    keys = (place / "out.txt").read_text().splitlines()
    rows = np.load(place / "out.npy").astype(np.float32)
    if sorted(keys) != sorted(FEW):
        raise Fault("export writes other keys than the collection's")
    wanted = np.stack([vector(FEW[key], OLD) for key in keys])
    if np.abs(rows - wanted).max() > CLOSE:
        raise Fault("export writes other vectors than the collection's")


def _activated(place: Path) -> None:
    from PIL import Image

    for number in range(3):
        with Image.open(place / "out" / f"{number:03}.png") as image:
            image.load()


def _backfill(place: Path, count: str) -> list[str]:
    return ["upgrade", "--backfill", count, "--index", str(place / HOME), "--quiet"]


def _changed_folder(place: Path) -> None:
    build(place)
    change(place / HOME, FEW, CHANGED)


def _viewed(place: Path) -> None:
    build(place)
    must("build-index", place / HOME, "--views", "2", "--quiet")


def _viewed_then_changed(place: Path) -> None:
    _viewed(place)
    change(place / HOME, FEW, CHANGED)


def _finished(place: Path) -> None:
    upgraded(place, "all")


def _finished_then_added(place: Path) -> None:
    _finished(place)
    change(place / HOME, FEW, ADDED)
    must("build-index", place / HOME, "--quiet")


def commands() -> dict[str, Command]:
    """Return every command that writes, by name."""
    old, new = State.of(FEW, OLD), State.of(FEW, NEW)
    mixed = State.of(FEW, OLD, NEW, mixed=True)
    many = State.of(MANY, OLD)
    made = [
        Command(
            name="build",
            prepare=lambda place: fill(place / HOME, FEW),
            words=lambda place: ["build-index", str(place / HOME), "--encoder", OLD, "--quiet"],
            before=None,
            after=old,
            between=(
                State.of({}, OLD),
            ),  # what is to be built is recorded first, so that the next build asks the same
        ),
        Command(
            name="build again",
            prepare=_changed_folder,
            words=lambda place: ["build-index", str(place / HOME), "--quiet"],
            before=old,
            after=State.of(CHANGED, OLD),
            # A moved file is found where it is as soon as that is known; a build that an error ends shows what it has.
            between=(State.of(MOVED, OLD), State.of(MOVED | CHANGED, OLD)),
        ),
        Command(
            name="views",
            prepare=build,
            words=lambda place: ["build-index", str(place / HOME), "--views", "2", "--quiet"],
            before=old,
            after=old,
        ),
        Command(
            name="views again",
            prepare=_viewed_then_changed,
            words=lambda place: ["build-index", str(place / HOME), "--quiet"],
            before=old,
            after=State.of(CHANGED, OLD),
            between=(State.of(MOVED, OLD), State.of(MOVED | CHANGED, OLD)),
        ),
        Command(
            name="no views",
            prepare=_viewed,
            words=lambda place: ["build-index", str(place / HOME), "--views", "0", "--quiet"],
            before=old,
            after=old,
        ),
        Command(
            name="kind",
            prepare=lambda place: build(place, MANY),
            words=lambda place: ["build-index", str(place / HOME), "--kind", "IVF4,PQ8x4fs", "--quiet"],
            before=many,
            after=many,
        ),
        Command(
            name="upgrade",
            prepare=build,
            words=_upgrade,
            before=old,
            after=mixed,
            done="under way",
        ),
        Command(
            name="backfill",
            prepare=upgraded,
            words=lambda place: _backfill(place, "15"),
            before=mixed,
            after=mixed,
            between=(new,),
        ),
        Command(
            name="backfill all",
            prepare=lambda place: upgraded(place, "15"),
            words=lambda place: _backfill(place, "all"),
            before=mixed,
            after=new,
            done="no upgrade is under way",
        ),
        Command(
            name="finish",
            prepare=_finished,
            words=lambda place: ["upgrade", "--drop-old", "--index", str(place / HOME), "--quiet"],
            before=new,
            after=new,
            done="no old vectors|nothing|gone|given up|no upgrade|not kept|has no",
        ),
        Command(
            name="rollback midway",
            prepare=lambda place: upgraded(place, "15"),
            words=lambda place: ["rollback", "--index", str(place / HOME), "--quiet"],
            before=mixed,
            after=old,
            done="nothing|no upgrade|rolled back|not been",
        ),
        Command(
            name="rollback",
            prepare=_finished_then_added,
            words=lambda place: ["rollback", "--index", str(place / HOME), "--quiet"],
            before=State.of(ADDED, NEW),
            after=State.of(ADDED, OLD),
            done="nothing|no upgrade|rolled back|not been",
        ),
        Command(
            name="export",
            prepare=build,
            words=lambda place: [
                "export",
                "--vectors",
                str(place / "out.npy"),
                "--keys",
                str(place / "out.txt"),
                "--index",
                str(place / HOME),
                "--quiet",
            ],
            before=old,
            after=old,
            check=_exported,
        ),
        Command(
            name="vectors",
            prepare=_imported,
            words=lambda place: _import(place, "--prune"),
            before=State.of_vectors(FIRST_ROWS),
            after=State.of_vectors(NEXT_ROWS),
            between=(
                State.of_vectors(FIRST_ROWS | NEXT_ROWS),
            ),  # an import that an error ends shows what it has
        ),
        Command(
            name="activate",
            prepare=lambda place: build(place, MANY, "--kind", "IVF4,PQ8"),
            words=lambda place: [
                "activate",
                *(str(place / HOME / f"{number:03}.png") for number in range(3)),
                "--out",
                str(place / "out"),
                "--steps",
                "2",
                "--index",
                str(place / HOME),
                "--quiet",
            ],
            before=many,
            after=many,
            torch=True,
            check=_activated,
        ),
    ]
    return {command.name: command for command in made}


def copy(template: Path, place: Path) -> None:
    """Copy a prepared folder with its times, in place of what is there."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place, symlinks=True)
