"""Check every file of a collection against what was recorded of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexes.engine import starting
from indexes.errors import RetrievalError, StoreCorrupt
from indexes.files import sha256
from indexes.generation.description import (
    MANIFEST,
    FileInfo,
    Manifest,
    generation_path,
    kept_files,
    read_manifest,
    returnable,
    store_path,
)
from indexes.generation.pins import read_pinned
from indexes.layout import VECTORS, VIEW_TABLE, VIEWS
from indexes.repair_hints import BUILD, UNREADABLE, cure_of_file, cure_of_generation, cure_of_store
from indexes.store import RERANK, VectorStore
from indexes.store.tables import seals

_AWAY = f"delete {RERANK}"

_CURE_OF_SAMPLE = "delete this one file: only the comparison of a later encoder with this one would need it"

_CURE_OF_KEPT = "delete this one file: `rollback`, which alone needs it, then makes its index anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """What was found out about one file.

    Attributes:
        path: relative to the collection's directory.
        ok: it is what it should be.
        cure: what is wrong and what to do about it; empty when ``ok``.
    """

    path: str
    ok: bool
    cure: str = ""


def verify(directory: str | os.PathLike[str]) -> list[FileCheck]:
    """Check every file of a collection, reading all of it: hashes, and the two copies of the rows against each other.

    Others may write to it meanwhile: what is checked is what one manifest names, whatever is published until then.

    Raises:
        FileNotFoundError: there is no collection: no manifest and no vectors.
        SystemLimit: no process can be started.
    """
    home = Path(directory)
    if not (home / MANIFEST).exists() and not VectorStore.exists(home):
        raise FileNotFoundError(f"{home}: no collection here (neither {MANIFEST} nor {VECTORS})")
    while True:
        manifest, kept, check = _manifest(home)
        stores = _stores(home, manifest)
        checks = [check]
        with kept:
            if manifest is not None:
                checks += _generation(home, manifest)
                checks += _kept(home, manifest)
                checks += _views(home, manifest)
                checks += [
                    _checked(home / name, home, info, lambda _: _CURE_OF_SAMPLE)
                    for name, info in kept_files(manifest).items()
                    if (home / name).exists()
                ]
            for folder, known in stores:
                name = folder.relative_to(home).as_posix()
                checks += [
                    replace(check, path=check.path if folder == home else f"{name}/{check.path}")
                    for check in _rows(folder, known)
                ]
        # Rows cannot be kept as a generation is: a change of the encoder that ended meanwhile took its own away.
        if all(check.ok for check in checks) or not _other_stores(home, stores):
            return checks


def _views(home: Path, manifest: Manifest) -> Iterator[FileCheck]:
    """Check the views of images; whatever is lost of them can be made again."""
    views = home / VIEWS
    if not manifest.views:
        return
    if not (views / MANIFEST).exists():
        if VIEW_TABLE not in manifest.files:  # the first ones are not published yet
            return
        yield FileCheck(path=VIEWS, ok=False, cure=f"missing; {BUILD}: the images' views are encoded again")
        return
    found = verify(views)
    lost = not all(check.ok for check in found if check.path in (MANIFEST, VECTORS))
    for check in found:
        cure = check.cure
        if cure and lost:  # a build mends what lies beside a whole store
            cure = f"damaged; move the folder {VIEWS} away and {BUILD}: the images' views are encoded again"
        yield replace(check, path=f"{VIEWS}/{check.path}", cure=cure)


def _other_stores(home: Path, stores: list[tuple[Path, list[str]]]) -> bool:
    """Say whether the rows lie elsewhere by now."""
    now = _stores(home, _manifest(home)[0])
    return {folder for folder, _ in now} != {folder for folder, _ in stores}


def _stores(home: Path, manifest: Manifest | None) -> list[tuple[Path, list[str]]]:
    """Return the directories that hold rows, each with the width and the least count that it must have."""
    if manifest is None:
        return [(home, [])]
    found = [(store_path(home, manifest), [str(manifest.space.dim), str(manifest.count)])]
    for upgrade in manifest.upgrades[-1:]:
        previous, staging = upgrade.get("previous"), upgrade.get("staging")
        if isinstance(previous, Mapping):
            width, count = previous["space"]["dim"], previous["count"]
            found.append((home / previous.get("store", ""), [str(width), str(count)]))
        if staging:
            found.append((home / str(staging), [str(upgrade["new_space"]["dim"]), "0"]))
    return found


def _manifest(home: Path) -> tuple[Manifest | None, AbstractContextManager[object], FileCheck]:
    """Read the manifest; return it, what keeps its generation from removal, and what was found out about it."""
    try:
        manifest, pin = read_pinned(home)
    except FileNotFoundError:
        wrong = f"missing; restore it from a backup, or move {home} away and {BUILD}"
    except RetrievalError as error:
        wrong = str(error)
    else:
        return manifest, pin, FileCheck(path=MANIFEST, ok=True)
    with suppress(FileNotFoundError, RetrievalError):  # it is the generation that is missing, or its pin
        return read_manifest(home), nullcontext(), FileCheck(path=MANIFEST, ok=True)
    return None, nullcontext(), FileCheck(path=MANIFEST, ok=False, cure=wrong)


def _generation(home: Path, manifest: Manifest) -> Iterator[FileCheck]:
    folder = generation_path(home, manifest.generation)
    relative = folder.relative_to(home)
    if not folder.is_dir():
        yield FileCheck(path=str(relative), ok=False, cure=f"missing; {cure_of_generation(manifest)}")
        return
    yield from _files(home, manifest, cure_of_file)


def _kept(home: Path, manifest: Manifest) -> Iterator[FileCheck]:
    """Check the indexes that are kept for a rollback; one that is gone is made anew by it."""
    for earlier in returnable(manifest):
        if generation_path(home, earlier.generation).is_dir():
            yield from _files(home, earlier, lambda _: _CURE_OF_KEPT)


def _files(home: Path, manifest: Manifest, cure: Callable[[Path], str]) -> Iterator[FileCheck]:
    folder = generation_path(home, manifest.generation)
    for name, info in manifest.files.items():
        path = folder / name
        yield _checked(path, home, info, cure)


def _checked(path: Path, home: Path, info: FileInfo, cure: Callable[[Path], str]) -> FileCheck:
    """Hold a file to its length and its hash; one that cannot be read is not known to be damaged."""
    wrong = ""
    try:
        found = path.stat().st_size
        if found != info.bytes:
            wrong = f"{found:,} bytes, expected {info.bytes:,}; {cure(path)}"
        elif sha256(path) != info.sha256:
            wrong = f"not the bytes that were published (SHA-256 differs); {cure(path)}"
    except FileNotFoundError:
        wrong = f"missing; {cure(path)}"
    except OSError as error:
        wrong = f"cannot be read ({error.strerror}); {UNREADABLE}"
    return FileCheck(path=str(path.relative_to(home)), ok=not wrong, cure=wrong)


def _lost(home: Path) -> str:
    """Say what to do about damaged vectors."""
    return f"the stored vectors are damaged: {cure_of_store(home / VECTORS)}"


def _search_path() -> list[str]:
    try:
        return [os.path.abspath(entry) for entry in sys.path]
    except FileNotFoundError:  # the working directory was deleted
        return [entry for entry in sys.path if os.path.isabs(entry)]


def _rows(home: Path, known: list[str]) -> list[FileCheck]:
    """Check a store in a process of its own: a damaged page tree may end the process that walks it."""
    command = [sys.executable, "-P", "-m", __name__, os.path.abspath(home), *known]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(_search_path())}
    # In a folder that is there: Python itself does not start in a working directory that was deleted.
    with starting("process"):
        run = subprocess.run(command, capture_output=True, env=environment, cwd=os.sep, check=False)
    found = [json.loads(line) for line in run.stdout.split(b"\n") if line.endswith(b"]")]
    checks = [FileCheck(path=path, ok=not cure, cure=cure) for path, cure in found]
    if run.returncode != 0:
        checks = [FileCheck(path=VECTORS, ok=False, cure=f"cannot be read to its end; {_lost(home)}")]
    return checks


def walk_rows(home: Path, *, dim: int | None = None, count: int = 0) -> Iterator[tuple[str, str]]:
    """Compare every row of the store with the rerank file; yield both files' names with what is wrong, or nothing.

    Args:
        home: the collection's directory.
        dim: width that the manifest says; None for the store's own.
        count: rows that the manifest needs.
    """
    try:
        store = VectorStore.open(home, dim=dim)
    except (RetrievalError, FileNotFoundError) as error:
        yield VECTORS, str(error)
        return
    with store:
        rerank = home / RERANK
        row = 2 * store.dim
        size = rerank.stat().st_size if rerank.exists() else 0
        copy = np.memmap(rerank, np.float16, "r", shape=(size // row, store.dim)) if size >= row else None
        wrong, torn = _walk(store, copy)
        wrong = wrong or _unled(store)
    if not wrong and store.count < count:
        wrong = f"holds {store.count:,} rows, {MANIFEST} names {count:,}"
    yield VECTORS, f"{wrong}; {_lost(home)}" if wrong else ""
    if not torn and size < store.count * row:
        torn = f"{size:,} bytes, expected at least {store.count * row:,}"
    again = f"restore {RERANK} from a backup" if wrong else f"{BUILD}: it is written again from {VECTORS}"
    yield RERANK, f"{torn}; {_AWAY} and {again}" if torn else ""


def _walk(
    store: VectorStore, copy: np.ndarray[tuple[int, int], np.dtype[np.float16]] | None
) -> tuple[str, str]:
    """Return what is wrong with the rows in LMDB, and with those in the rerank file: by block, each for itself."""
    wrong, torn = "", "" if copy is not None or store.count == 0 else "missing or empty"
    for number, first in enumerate(range(0, store.count, store.block_rows)):
        kept = store.block_sum(number)
        rows = None
        try:
            rows = store.rows(first, min(first + store.block_rows, store.count))
            norms = np.linalg.norm(rows.astype(np.float32), axis=1)  # (b,)
            bad = np.flatnonzero(~(np.abs(norms - 1) < 0.01))  # written so that not-a-number is bad
            if bad.size:
                wrong = wrong or f"row {first + bad[0]} is not a unit vector"
        except StoreCorrupt as error:
            wrong = wrong or str(error).removeprefix(f"{store.directory / VECTORS}: ").partition(";")[0]
        if copy is None or torn:
            continue
        mirror = copy[first : min(first + store.block_rows, store.count)]
        if rows is not None:
            differ = np.flatnonzero(
                (mirror.view(np.uint16) != rows[: len(mirror)].view(np.uint16)).any(axis=1)
            )
            if differ.size:
                torn = f"row {first + differ[0]} is not the stored one"
        elif not seals.rows_fit(kept, np.ascontiguousarray(mirror)):
            torn = f"rows {first} to {first + len(mirror) - 1} are not the stored ones"
    return wrong, torn


def _unled(store: VectorStore) -> str:
    """Return what is wrong with the ways from keys and contents to records, and with the columns beside these."""
    try:
        lost = next(store.not_found_by_key(), None)
        if lost is not None:
            return f"the key of record {lost} does not lead to it"
        lost = next(store.not_found_by_content(), None)
        if lost is not None:
            return f"the content hash of record {lost} does not lead to it"
        wrong = next(store.wrong_columns(), None)
        return "" if wrong is None else f"the columns of row {wrong} are not what was written"
    except RetrievalError as error:
        return str(error).removeprefix(f"{store.directory / VECTORS}: ").partition(";")[0]


def _main(home: str, dim: str = "", count: str = "0") -> None:
    for path, cure in walk_rows(Path(home), dim=int(dim) if dim else None, count=int(count)):
        sys.stdout.write(
            json.dumps([path, cure]) + "\n"
        )  # a path in a message may hold a tab or a line break


if __name__ == "__main__":
    _main(*sys.argv[1:])
