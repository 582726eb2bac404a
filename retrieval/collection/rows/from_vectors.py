"""Build a collection from vectors that exist already, without reading images."""

from __future__ import annotations

import codecs
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from indexes.derivation import check_dim, derive
from indexes.store import CommitPace, NewRow, VectorStore
from indexes.vectors import Space, stored_rows
from retrieval.collection import require_settled, sweep
from retrieval.collection.rows.build_report import BuildReport
from retrieval.collection.rows.growth import plain
from retrieval.collection.rows.writable import check_request, learn_rotation, locked, opened, published
from retrieval.encoders import require_device
from retrieval.errors import OptionError, PruneRefused, ShapeError
from retrieval.location import place_collection, record_root
from retrieval.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from indexes.generation import Manifest
    from retrieval.progress import OnProgress

BLOCK_ROWS = 16_384

_HEAD_BYTES = 1 << 20  # of a file of keys, that show how its lines end

# A commit touches most pages of the tables that are ordered by hashes, so few large ones write far less than many small.
COMMIT_BYTES = 256 << 20


def build_index_from_vectors(
    folder: str | os.PathLike[str],
    vectors: Any,
    keys: str | os.PathLike[str] | Sequence[str | bytes],
    *,
    space: str | Space | None = None,
    index: str | os.PathLike[str] | None = None,
    kind: str | None = None,
    dim: int | str | None = None,
    recall: float | None = None,
    prune: bool = False,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> BuildReport:
    """Store vectors that were made elsewhere and index them; again, only what changed.

    Args:
        folder: where the collection lies (in its ``.retrieve``); made if need be.
        vectors: ``(n, d)`` real numbers, or the path of a ``.npy`` file of them (mapped, not read); normalised here.
        keys: n distinct names, or the path of a UTF-8 file with one a line. On a first import id = row number.
        space: the space the vectors live in, or a name for it; ``None`` is the collection's own, or the file's stem.
        index, kind, dim, recall, prune, device, progress: as in `build_index`.
    Raises:
        ShapeError: `vectors` is not ``(n, d)``, or there are not n keys.
        VectorError: a row is zero or not finite.
        OptionError: a key is empty or stands twice, or a file cannot be read.
        PruneRefused: the collection has rows whose keys are not among these, and `prune` does not allow to remove them.
        SpaceMismatch: the collection holds another space.
    """
    started = time.monotonic()
    device = require_device(device)
    home = Path(os.path.abspath(folder))
    rows = _open_vectors(vectors)
    names = _Keys(keys)
    if len(names) != len(rows):
        raise ShapeError(f"{len(rows)} vectors but {len(names)} keys; give one key a vector")
    directory = place_collection(home, index)
    with locked(directory) as lock:
        before = published(directory)
        if before is not None:
            sweep(directory, before)
        require_settled(before, what="vectors cannot be imported now")
        target = _space(space, vectors, dim=rows.shape[1], before=before)
        check_request(lambda: target, kind=kind, dim=dim, recall=recall)
        check_dim(target, dim, rows=len(rows))
        encoder = None if before is None else before.encoder
        recorded = record_root(directory, home)
        with opened(directory, lock, before, space=target, encoder=encoder, root=recorded) as growing:
            store = plain(growing)
            gone = np.array([record.id for record in store.scan() if record.key not in names], dtype=np.int64)
            if not prune:
                refuse_dropping(rows=store.live, removed=len(gone), keys=len(names), folder=home)
            counts = _import(rows, names, store, progress=progress)
            store.remove(gone)
            store.commit()
            lock.check()
            manifest = derive(
                directory,
                store,
                space=target,
                encoder=encoder,
                root=recorded,
                kind=kind,
                dim=dim,
                recall=recall,
                device=device,
                learn=learn_rotation,
                progress=None if progress is None else lambda event: progress(Progress.of(event)),
            )
    return BuildReport.of(
        manifest,
        root=home,
        directory=directory,
        seconds=time.monotonic() - started,
        encoded=counts["added"],
        reused=counts["reused"],
        moved=0,
        removed=len(gone),
        skipped_by_reason={},
    )


def refuse_dropping(*, rows: int, removed: int, keys: int, folder: Path) -> None:
    """Stop an import of vectors that would remove rows, because their keys are not among the new ones.

    Raises:
        PruneRefused: it would; nothing was changed.
    """
    if removed:
        raise PruneRefused(
            f"{removed} of {rows} rows of the collection of {folder} have keys that are not among the {keys} given, and would "
            f"be removed; nothing was changed. Give vectors and keys of all rows that are to stay, or remove the others "
            "with `prune=True`"
        )


class _Keys:
    """Distinct names in order; a file of them is read as a stream, and membership costs eight bytes a name."""

    def __init__(self, keys: str | os.PathLike[str] | Sequence[str | bytes]) -> None:
        # Read several times, so a stream that can be read but once is kept.
        self._source = (
            keys if isinstance(keys, str | os.PathLike) or not isinstance(keys, Iterator) else list(keys)
        )
        hashes = np.fromiter((_hash(key) for key in self), dtype=np.uint64)
        order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[order]
        twice = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(twice):
            first, second = sorted(int(order[twice[0] + offset]) for offset in (0, 1))
            raise OptionError(
                f"keys {first + 1} and {second + 1} are the same; every vector needs a key of its own"
            )

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, key: bytes) -> bool:
        place = int(np.searchsorted(self._sorted, np.uint64(_hash(key))))
        return place < len(self._sorted) and int(self._sorted[place]) == _hash(key)

    def __iter__(self) -> Iterator[bytes]:
        blank = 0  # a file may end in blank lines; one among others would shift all the rest
        for number, key in enumerate(self._raw(), start=1):
            if not key.strip():
                if not isinstance(self._source, str | os.PathLike):
                    raise OptionError(f"key {number} is empty; every vector needs a name")
                blank = blank or number
                continue
            if blank:
                raise OptionError(f"key {blank} is empty; every vector needs a name")
            yield key

    def _raw(self) -> Iterator[bytes]:
        if isinstance(self._source, str | os.PathLike):
            yield from _lines(self._source)
        else:
            for name in self._source:
                yield os.fsencode(name)


def _lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the lines of a UTF-8 file; they end in LF or CRLF, and in CR where the file has no other (old Macs).

    A byte-order mark is no part of the first.

    Raises:
        OptionError: it cannot be read, or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise OptionError(f"{os.fspath(path)}: is UTF-16; save it as UTF-8, one key a line")
            file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
            lines = iter(file) if b"\n" in head or b"\r" not in head else iter(file.read().split(b"\r"))
            for number, line in enumerate(lines, start=1):
                key = line.removesuffix(b"\n").removesuffix(b"\r")
                try:
                    key.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise OptionError(
                        f"{os.fspath(path)}: line {number} is not UTF-8; save it as UTF-8, one key a line"
                    ) from error
                yield key
    except OSError as error:
        raise OptionError(f"{os.fspath(path)}: the keys cannot be read ({error.strerror})") from error


def _hash(key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def _open_vectors(vectors: Any) -> NDArray[Any]:
    if isinstance(vectors, str | os.PathLike):
        try:
            vectors = np.load(vectors, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise OptionError(f"{os.fspath(vectors)}: no .npy file of numbers ({error})") from error
    rows: NDArray[Any] = np.asanyarray(vectors)
    if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "fiu":
        raise ShapeError(f"vectors: expected (n, d) real numbers, got shape {rows.shape} of {rows.dtype}")
    return rows


def _space(space: str | Space | None, vectors: Any, *, dim: int, before: Manifest | None) -> Space:
    if space is None and before is not None:
        target = before.space
    elif isinstance(space, Space):
        target = space
    else:
        name = space or (Path(vectors).stem if isinstance(vectors, str | os.PathLike) else "vectors")
        # The caller vouches for the name: equal names are equal spaces.
        target = Space(name=name, dim=dim, fingerprint=hashlib.sha256(f"named:{name}".encode()).hexdigest())
    if target.dim != dim:
        raise ShapeError(f"vectors: expected {target.dim} columns for the space {target.name}, got {dim}")
    if before is not None:
        before.space.require(target, what="the imported array")
    return target


def _import(
    rows: NDArray[Any], names: Iterable[bytes], store: VectorStore, *, progress: OnProgress | None
) -> dict[str, int]:
    """Bring new and changed rows into the store, block by block."""
    counts = {"added": 0, "reused": 0}
    again = store.count > 0  # into an empty store every name is new
    keys = iter(names)
    most = max(BLOCK_ROWS, COMMIT_BYTES // (2 * store.dim))
    pace = CommitPace(store, rows=most)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = stored_rows(rows[start : start + BLOCK_ROWS], dim=store.dim, what=f"vectors from row {start}")
        added: list[int] = []
        records: list[NewRow] = []
        for offset, stored in enumerate(block):
            key = next(keys)
            content = hashlib.blake2b(stored.tobytes(), digest_size=16).digest()
            known = store.find_record(key) if again else None
            if known is not None and known.content == content:
                counts["reused"] += 1
                continue
            added.append(offset)
            records.append(NewRow(key=key, content=content))
        if added:
            store.append(block if len(added) == len(block) else block[added], records)
            pace.commit_if_due()
        counts["added"] += len(added)
        if progress is not None:
            progress(Progress(phase="store", done=min(start + BLOCK_ROWS, len(rows)), total=len(rows)))
    store.commit()
    return counts
