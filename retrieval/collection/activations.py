"""Record which images were activated, for which encoder and index, and whether that still holds.

The manifest's ``activations`` has one object a run; the images of a run are listed in a file of its own below
``activations/`` in the collection, one JSON object a line, so that opening a collection stays quick.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexes.engine import same_codes
from indexes.files import make_directories, replace_file, writing
from indexes.generation import read_whole_manifest, record_activations
from retrieval.collection.row_stores import ACTIVATIONS
from retrieval.errors import ImageError, OptionError, StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import WriterLock
    from retrieval.collection.collection import Collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One published copy.

    Attributes:
        path: the original, relative to the collection's directory where it can be.
        content: content hash of the original, in hexadecimal.
        output: the copy, relative to the collection's directory where it can be.
        output_content: content hash of the copy, in hexadecimal.
        status: ``activated`` or ``scaled_back``.
        psnr, ssim, linf: of the saved copy against the original.
        cosine_before, cosine_after: to the point where the index keeps the original, of the original and of the saved copy.
    """

    path: str
    content: str
    output: str
    output_content: str
    status: str
    psnr: float | None
    ssim: float
    linf: int
    cosine_before: float
    cosine_after: float


def identity(manifest: Manifest, probes: Sequence[str]) -> dict[str, Any]:
    """Return what an activation is tied to: the encoder and the trained index."""
    return {
        "encoder": manifest.encoder or manifest.space.name,
        "fingerprint": manifest.space.fingerprint,
        "generation": manifest.generation,
        "kind": manifest.index.kind,
        "factory": manifest.index.factory,
        "probes": list(probes),
    }


class Recording:
    """One run in a collection's manifest, its copies listed in a file beside; both grow as the run goes on.

    A copy is announced before it is put in its place: whenever the process is killed, no copy lies about that the
    collection does not know. At worst a few are listed that are not there; whoever reads the list looks.

    Args:
        directory: the collection's directory.
        lock: of the writer, held.
        tied_to: what `identity` returned when the run began.
        settings: of the run.
    """

    def __init__(
        self, directory: Path, lock: WriterLock, tied_to: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> None:
        self._directory, self._lock = directory, lock
        self._facts = {**tied_to, **settings}
        self._entries: list[Entry] = []
        self._earlier = read_whole_manifest(directory).activations
        self._name = f"{ACTIVATIONS}/{len(self._earlier) + 1:04d}.jsonl"
        self._listed = 0  # bytes of the list that are known to be right

    def announce(self, entries: Sequence[Entry]) -> None:
        """Record copies that are about to be put in their places.

        Raises:
            StoreLocked: the lock was lost.
            StoreFull, StoreReadOnly: the collection cannot be written.
        """
        if entries:
            self._entries += entries
            self._write(entries)

    def withdraw(self, entries: Sequence[Entry]) -> None:
        """Take back what was announced and not put in its place; raises as `announce` does."""
        if entries:
            withdrawn = set(map(id, entries))
            self._entries = [entry for entry in self._entries if id(entry) not in withdrawn]
            self._listed = 0
            self._write(self._entries)

    def _write(self, further: Sequence[Entry]) -> None:
        self._lock.check()
        path = self._directory / self._name
        lines = "".join(json.dumps(asdict(entry), ensure_ascii=True) + "\n" for entry in further).encode()
        with writing(path):
            make_directories(path.parent)
            if self._listed:
                with path.open(
                    "r+b"
                ) as file:  # appended: a list of many copies is not written anew each time
                    file.truncate(self._listed)
                    file.seek(self._listed)
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
            else:
                replace_file(path, lines)
        self._listed += len(lines)
        run = (self._run(),) if self._entries else ()
        record_activations(self._directory, (*self._earlier, *run))

    def _run(self) -> dict[str, Any]:
        done = self._entries
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            **self._facts,
            "images": len(done),
            "scaled_back": sum(entry.status == "scaled_back" for entry in done),
            "psnr": _mean([entry.psnr for entry in done]),
            "ssim": _mean([entry.ssim for entry in done]),
            "linf": max(entry.linf for entry in done),
            "cosine_before": _mean([entry.cosine_before for entry in done]),
            "cosine_after": _mean([entry.cosine_after for entry in done]),
            "file": self._name,
        }


def activations(collection: Collection) -> list[dict[str, Any]]:
    """Return the runs of a collection, oldest first, each with ``void``: None, or why it holds no more."""
    return [dict(run) | {"void": void_reason(collection, run)} for run in collection.manifest.activations]


def void_reason(collection: Collection, run: Mapping[str, Any]) -> str | None:
    """Return why a run's copies gain nothing any more, None if they do."""
    manifest = collection.manifest
    if run.get("fingerprint") != manifest.space.fingerprint:
        return (
            f"the encoder was changed, from {run.get('encoder')} to {manifest.encoder or manifest.space.name}"
        )
    if run.get("generation") == manifest.generation:
        return None
    if manifest.migrating:
        return f"an upgrade from {run.get('encoder')} is under way"
    try:
        now = collection.aim().probes()
    except OptionError:
        return (
            f"the index is {manifest.index.factory or manifest.index.kind} now, and was {run.get('factory')}"
        )
    if not same_codes(run.get("probes", []), now):
        return "the index was trained again"
    return None


def entries(collection: Collection, run: Mapping[str, Any]) -> Iterator[tuple[Path, Path, Entry]]:
    """Yield the images of a run: the original's path, the copy's, and what was recorded.

    Raises:
        StoreCorrupt: the list is missing or cannot be read.
    """
    listed = collection.directory / str(run.get("file"))
    try:
        # What lies behind the number in the manifest was being appended when the run was killed.
        for line in listed.read_bytes().splitlines()[: run["images"]]:
            entry = Entry(**json.loads(line))
            yield collection.directory / entry.path, collection.directory / entry.output, entry
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreCorrupt(
            f"{listed}: not a readable list of activated images ({error}); activate them again"
        ) from error


def is_there(path: Path, content: bytes) -> bool:
    """Say whether a file holds what was recorded of it."""
    from retrieval.sources.decoding import content_hash, read_file

    try:
        return content_hash(read_file(path)) == content
    except ImageError:
        return False


def relative(path: str | os.PathLike[str], directory: Path) -> str:
    """Return how a path is recorded: relative to the collection's directory, so that both can move together."""
    try:
        return os.path.relpath(path, directory)
    except ValueError:  # another drive
        return os.path.abspath(path)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None
