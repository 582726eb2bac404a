"""One collection, opened for searching: the manifest, the generation, the records and the encoder, glued together."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from indexes.arrays import Bitmap, Ids, Neighbors, Vectors, unit_rows
from indexes.generation import Generation
from indexes.keytable import KeyTable
from indexes.manifest import Manifest, read_manifest, read_pinned, store_path, verify
from indexes.mixed import Blend
from indexes.stages import Stage
from indexes.store import VectorStore
from retrieval import keys
from retrieval.accelerated import exact_on
from retrieval.encoders.checked import checked_pixels, checked_text
from retrieval.errors import (
    CapabilityMissing,
    CollectionNotFound,
    MissingRow,
    OptionError,
    QueryError,
    StoreCorrupt,
)
from retrieval.location import find_collection, resolve_root
from retrieval.provenance import activations
from retrieval.queries import Term, as_terms, subtract

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from indexes.manifest import FileCheck
    from indexes.space import Space
    from indexes.store import Record
    from indexes.targets import Aim
    from indexes.transforms import Transform
    from retrieval.encoders import Encoder
    from retrieval.migration import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer.

    Attributes:
        rank: 1 for the best.
        score: cosine at full stored width, higher is better.
        path: relative to the collection's root, ``/`` between parts; bytes that are not UTF-8 are surrogate-escaped.
        id: the row.
        copies: how many further files with exactly the same bytes are folded into this hit.
        cosine: while the encoder changes: the cosine within the row's own space, `score` being on the new space's scale.
        space: while the encoder changes: the name of that space.
    """

    rank: int
    score: float
    path: str
    id: int
    copies: int
    cosine: float | None = None
    space: str | None = None


def open_collection(
    path: str | os.PathLike[str] | None = None,
    *,
    encoder: Encoder | None = None,
    device: str = "auto",
    root: str | os.PathLike[str] | None = None,
) -> Collection:
    """Open a collection for searching; nothing is read but its manifest.

    Args:
        path: the collection's directory, its image folder, or anything below; ``None`` asks ``RETRIEVE_INDEX``, then walks up
            from the working directory.
        encoder: encodes queries instead of the recorded encoder; must be of the collection's space.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``, for queries that need the encoder; ``cuda`` searches there
            too, where faiss-gpu is installed.
        root: where the images lie, if not where the collection recorded them.
    Raises:
        CollectionNotFound: there is none.
        ManifestTooNew: it was written by a later version.
        StoreCorrupt: a file is missing or short.
        SpaceMismatch: `encoder` is of another space.
    """
    return Collection(find_collection(path), encoder=encoder, device=device, root=root)


class Collection:
    """A collection opened for searching; safe to share among threads, and a context manager.

    It shows the generation that was current when it was opened; `refresh` moves on to a newer one.
    """

    def __init__(
        self,
        directory: Path,
        *,
        encoder: Encoder | None = None,
        device: str = "auto",
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self.directory = directory
        self._device = device
        self._encoder: Encoder | None = None
        self._old_encoder: Encoder | None = None
        self._given = encoder is not None
        self._root = root
        self._lock = threading.Lock()
        self._load()
        if encoder is not None:
            self.space.require(encoder.space, what=f"the encoder {encoder.space.name}")
            self._encoder = encoder

    def _load(self) -> None:
        while True:
            try:
                manifest, pin = read_pinned(self.directory)
            except FileNotFoundError as error:
                raise CollectionNotFound(f"no collection in {self.directory}") from error
            with pin:
                try:
                    return self._open(manifest)
                except (StoreCorrupt, FileNotFoundError):
                    # A change of the encoder may have ended meanwhile, and taken its rows away.
                    if read_manifest(self.directory).generation == manifest.generation:
                        raise

    def _open(self, manifest: Manifest) -> None:
        generation = Generation.open(
            self.directory, manifest, device=self._device, exact=exact_on(self._device)
        )
        try:
            pair = self._both_sides(manifest, generation) if manifest.migrating else None
            # No further than the manifest: a build that is running may have stored more.
            place = store_path(self.directory, manifest)
            store = VectorStore.open(place, dim=manifest.space.dim, count=manifest.count)
        except BaseException as error:
            generation.close()
            if isinstance(error, FileNotFoundError):
                raise StoreCorrupt(
                    f"{self.directory} has no vectors.lmdb; copy it whole again, or remove the directory and build anew"
                ) from error
            raise
        self._generation, self._store, self._pair = generation, store, pair
        self.manifest: Manifest = manifest
        self._paths: keys.PathFilter | None = None
        if self._encoder is not None and not self.space.same_as(self._encoder.space):
            self._given = False
            self._encoder = None  # it was right before a change of the encoder began, or ended

    def _both_sides(self, manifest: Manifest, generation: Generation) -> Pair | None:
        from retrieval.migration import Migration, Pair

        migration = Migration.read(self.directory, manifest)
        if migration is None:
            return None
        return Pair(migration, migration.open(self.directory, generation), generation)

    def refresh(self) -> bool:
        """Show the newest generation; say whether there was a newer one. Not for use while other threads search."""
        if read_manifest(self.directory).generation == self.manifest.generation:
            return False
        generation, store = self._generation, self._store
        self._load()  # first: should it fail, this one still answers
        generation.close()
        store.close()
        return True

    def close(self) -> None:
        """Release every file."""
        self._generation.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.manifest.live

    def __repr__(self) -> str:
        return f"<Collection {str(self.directory)!r}: {len(self)} rows, {self.space}>"

    @cached_property
    def root(self) -> Path:
        """The folder that hit paths are relative to."""
        from pathlib import Path

        return (
            resolve_root(self.directory, self.manifest.root)
            if self._root is None
            else Path(self._root).absolute()
        )

    @property
    def space(self) -> Space:
        """The space that queries are encoded in: that of the stored vectors, or the new one while the encoder changes."""
        return self.manifest.space if self._pair is None else self._pair.migration.new_space

    @property
    def encoder(self) -> Encoder:
        """The encoder of queries, loaded on first use.

        Raises:
            CapabilityMissing: the collection was built from vectors and no encoder was given.
            SpaceMismatch: the recorded encoder no longer gives vectors of this space.
        """
        with self._lock:
            if self._encoder is None:
                from retrieval.encoders import load_encoder

                spec = self._spec
                if spec is None:
                    raise CapabilityMissing(
                        f"{self.directory} was built from vectors of the space {self.space.name}; "
                        f"ask by --id or with vectors, or open it with an encoder of that space"
                    )
                encoder = load_encoder(spec, device=self._device)
                self.space.require(encoder.space, what=f"the encoder {spec}")
                self._encoder = encoder
            return self._encoder

    def encoder_on(self, device: str) -> Encoder:
        """Return the encoder of queries on a device; ``auto`` is the one that the collection was opened for.

        An encoder that `open` was handed stays where it is. Raises as `encoder` does, and:

        Raises:
            OptionError: the device is not there.
        """
        if device in {"auto", self._device} or self._given or self._spec is None:
            return self.encoder
        from retrieval.encoders import load_encoder

        encoder = load_encoder(self._spec, device=device)
        self.space.require(encoder.space, what=f"the encoder {self._spec}")
        return encoder

    @property
    def _spec(self) -> str | None:
        """How the encoder of queries is named; the new one while the encoder changes."""
        return self.manifest.encoder if self._pair is None else self._pair.migration.new

    def _earlier(self) -> Encoder | None:
        """Return the old encoder where queries need both (the method ``slerp`` while the encoder changes)."""
        if self._pair is None or self._pair.migration.way.alpha is None:
            return None
        with self._lock:
            if self._old_encoder is None:
                from retrieval.encoders import load_encoder

                migration = self._pair.migration
                if migration.old is None:
                    raise CapabilityMissing(
                        f"queries need the encoder of {migration.old_space.name} too (slerp), and no spec is recorded for it; "
                        "finish the upgrade with `retrieve upgrade --backfill all`"
                    )
                encoder = load_encoder(migration.old, device=self._device)
                migration.old_space.require(encoder.space, what=f"the encoder {migration.old}")
                self._old_encoder = encoder
            return self._old_encoder

    def search(
        self,
        query: Any,
        *,
        k: int = 10,
        minus: Any = (),
        min_score: float | None = None,
        dim: int | None = None,
        nprobe: int | None = None,
        exact: bool = False,
        under: str | os.PathLike[str] | None = None,
        glob: str | None = None,
        include_self: bool = False,
        fold_copies: bool = True,
    ) -> list[Hit]:
        """Find what is most like the query.

        Args:
            query: words, a path, a PIL image, encoded bytes, an RGB uint8 array ``(h, w, 3)``, a row id, a ``(d,)`` vector, a
                `Term`, or a list of these: each is normalised, weighed and summed.
            k: how many hits at most.
            minus: the same as `query`, to steer away from.
            min_score: leave out hits below this cosine.
            dim: rank every row by this prefix width, then ten candidates a hit (a hundred at least) at full width; a prefix of
                the space, or any width where a build has fitted a rotation. `retrieval.narrowing` tells what that loses.
            nprobe: lists to probe; ``None`` is what the build measured.
            exact: search every row, not the index.
            under: only files below this folder (relative to the root).
            glob: only files whose relative path matches (``*`` crosses no ``/``, ``**`` does).
            include_self: let a query that is an indexed file, or an id, find itself.
            fold_copies: fold files with the same bytes into one hit.
        Returns:
            Best first, ties by smaller id; fewer than `k` only if fewer rows qualify.
        Raises:
            QueryError: the query names nothing.
            OptionError: a value that this collection cannot take.
            CapabilityMissing: words, for an encoder without a text tower.
        """
        terms = (
            *as_terms(query, beside=self.root),
            *subtract(as_terms(minus, beside=self.root) if _given(minus) else ()),
        )
        vector, own = self._combine(terms)
        hits = self._hits(
            vector,
            words=all(term.kind == "text" for term in terms),
            k=_positive(k, "k"),
            hidden=frozenset() if include_self else own,
            keep=self._keep(under, glob),
            fold=fold_copies,
            options={"dim": dim, "nprobe": nprobe, "exact": exact},
        )
        return [hit for hit in hits if min_score is None or hit.score >= min_score]

    def search_many(self, queries: Sequence[Any], **options: Any) -> list[list[Hit]]:
        """Search for each query; takes the options of `search`."""
        return [self.search(query, **options) for query in queries]

    def search_vectors(
        self,
        vectors: Any,
        *,
        k: int = 10,
        keep: Bitmap | None = None,
        dim: int | None = None,
        nprobe: int | None = None,
        exact: bool = False,
        shortlist: int | None = None,
        plan: Sequence[tuple[int, int]] | None = None,
        words: bool = False,
    ) -> Neighbors:
        """Find the nearest rows of some vectors.

        Args:
            vectors: ``(q, d)`` or ``(d,)`` real numbers of the collection's space; normalised here.
            k: neighbours a query.
            keep: ``(count,)`` bool by row id; only these rows may be found.
            dim, nprobe, exact: as in `search`.
            shortlist: candidates that are ordered at full width; ``None`` is what the build measured.
            plan: a funnel, ``[(width, shortlist), …]``: every row is ranked by the first prefix, its shortlist by the next, the
                last shortlist, at least `k`, at full width.
            words: they are vectors of texts; it matters only while the encoder changes.
        Returns:
            ids ``(q, k)`` int64 and cosines ``(q, k)`` float32, best first, padded with -1 and -inf.
        Raises:
            ShapeError: another width, or `keep` of another length.
            VectorError: a row is zero or not finite.
            OptionError: `dim` or a width of `plan` is no prefix, or `plan` is none for other reasons, which are said.
        """
        queries = unit_rows(vectors, dim=self.space.dim, what="query vectors")
        stages = None if plan is None else tuple(Stage(dim=width, shortlist=kept) for width, kept in plan)
        if self._pair is not None:
            queries = self._pair.of(queries, None, words=words)
        found = self._search(
            queries,
            k=_positive(k, "k"),
            keep=keep,
            dim=dim,
            nprobe=nprobe,
            shortlist=shortlist,
            exact=exact,
            plan=stages,
            words=words,
        )
        return Neighbors(ids=found.ids, scores=found.scores)

    def _search(self, queries: Vectors, *, words: bool, **options: Any) -> Blend:
        """Search the gallery; while the encoder changes, both sides of it with queries in both spaces, side by side."""
        if self._pair is not None:
            if options.pop("plan", None) is not None:
                self._require_settled("a plan of prefixes is for rows of one space")
            new, old = (np.ascontiguousarray(queries[:, part]) for part in self._pair.parts)
            return self._pair.mixture.search(new, old, words=words, **options)
        found = self._generation.search(queries, **options)
        return Blend(
            ids=found.ids,
            scores=found.scores,
            cosines=found.scores,
            renewed=np.zeros(found.ids.shape, dtype=np.bool_),
        )

    def search_codes(self, vectors: Any, *, k: int = 1, nprobe: int | None = None) -> Neighbors:
        """Find the nearest rows by the first stage's codes alone, nothing reranked: for measuring what codes lose.

        Args:
            vectors: ``(q, d)`` or ``(d,)`` real numbers of the collection's space; normalised here.
            k: neighbours a query.
            nprobe: lists to probe; ``None`` is what the build measured.
        Returns:
            ids ``(q, k)``, and scores that are the index's own estimates: higher is better, but no cosines.
        Raises:
            OptionError: the collection is flat.
        """
        self._require_settled("codes of one space only would answer")
        queries = unit_rows(vectors, dim=self.space.dim, what="query vectors")
        return self._generation.codes(queries, k=_positive(k, "k"), nprobe=nprobe)

    def aim(self) -> Aim:
        """Return where the index keeps vectors, for active indexing.

        Raises:
            OptionError: the collection is flat, or its codes cannot be decoded.
        """
        from indexes.targets import Aim

        self._require_settled("images activated now would be moved for an index that is about to go")
        return Aim(self._generation.first_stage().index)

    def ids_of_content(self, content: bytes) -> Ids:
        """Return the live rows of files with this content hash (`retrieval.images.content_hash`), ascending."""
        ids = self._store.find_content(content)
        return ids[self._live()[ids]]

    @property
    def rows(self) -> np.ndarray[Any, np.dtype[np.float16]]:
        """Every stored vector by its id, ``(count, d)`` float16, mapped; those of tombstoned rows too.

        Raises:
            OptionError: the encoder is being changed: the vectors are of two spaces.
        """
        self._require_settled("the vectors are of two spaces")
        return self._generation.rows

    @property
    def live(self) -> Bitmap:
        """Which rows have no tombstone, ``(count,)`` bool; do not change it."""
        return self._live()

    @property
    def rotation(self) -> Transform | None:
        """The rotation that a build fitted to make prefixes rank well; None where they need none, or none was fitted."""
        return self._generation.rotation

    def filter(self, *, under: str | os.PathLike[str] | None = None, glob: str | None = None) -> Bitmap:
        """Return which rows lie below a folder and match a pattern, for `search_vectors`: ``(count,)`` bool."""
        keep = self._keep(under, glob)
        return np.ones(self.manifest.count, dtype=np.bool_) if keep is None else keep

    def encode(self, query: Any, *, minus: Any = ()) -> Vectors:
        """Return the ``(1, d)`` float32 unit vector of a query, as `search` would use it."""
        terms = (
            *as_terms(query, beside=self.root),
            *subtract(as_terms(minus, beside=self.root) if _given(minus) else ()),
        )
        return self._combine(terms)[0][:, : self.space.dim]

    def vectors(self, ids: Any) -> Vectors:
        """Return the stored vectors of some rows: ``(m, d)`` float32.

        While the encoder changes, a row that is not encoded again yet is given as where the new encoder is expected to
        put it.

        Raises:
            MissingRow: an id that the collection does not hold.
        """
        try:
            numbers = np.asarray(ids, dtype=np.int64)
        except OverflowError as error:
            raise MissingRow(f"{self.directory}: no row has an id as large as {ids}") from error
        if self._pair is not None:
            return self._pair.of_rows(numbers)[:, : self.space.dim]
        return self._generation.vectors(numbers)

    def path(self, number: int) -> str:
        """Return the relative path of a row."""
        return os.fsdecode(self._store.record(number).key)

    def ids_by_path(self) -> dict[str, int]:
        """Return every live row's id by its relative path."""
        return {os.fsdecode(record.key): record.id for record in self._records()}

    def export(self) -> tuple[np.ndarray[Any, np.dtype[np.float16]], list[bytes]]:
        """Return all live vectors ``(n, d)`` float16 and their keys (relative paths as bytes), in the order of ids.

        Raises:
            OptionError: the encoder is being changed: the vectors are of two spaces.
        """
        self._require_settled("the vectors are of two spaces")
        live = np.flatnonzero(self._live())  # (n,)
        rows = self._generation.rows[: self.manifest.count]
        if len(live) != self.manifest.count:
            rows = rows[live]
        return rows, [record.key for record in self._store.records(live)]

    def verify(self) -> list[FileCheck]:
        """Check every file's hash; says which to rebuild."""
        return verify(self.directory)

    def info(self) -> dict[str, Any]:
        """Return what ``retrieve info --json`` prints."""
        index = self.manifest.index
        return {
            "root": str(self.root),
            "index": str(self.directory),
            "encoder": self.manifest.encoder or self.space.name,
            "images": self.manifest.live,
            "kind": index.kind,
            "factory": index.factory,
            "width": self.manifest.space.dim,
            "dim": index.dim,
            "bytes_per_vector": index.bytes_per_vector,
            "recall_at_10": index.recall_at_10,
            "recall_sample": index.recall_sample,
            "recall_reason": index.recall_reason,
            "recall_at_10_text": index.recall_at_10_text,
            "generation": self.manifest.generation,
            "format": self.manifest.format,
            "upgrade": self._upgrade(),
            "activations": activations(self),
        }

    def _require_settled(self, what: str) -> None:
        if self.manifest.migrating:
            from retrieval.migration import require_settled

            require_settled(self.manifest, what=what)

    def _upgrade(self) -> dict[str, Any] | None:
        if not self.manifest.upgrades:
            return None
        from retrieval.migration import summary

        return summary(self.manifest.upgrades[-1])

    def changed(self) -> bool:
        """Say, from the folder's own modification times and without reading images, whether it changed since the build."""
        return keys.changed_since(self.directory, self.root)

    def _live(self) -> Bitmap:
        live = self._generation.live
        return np.ones(self.manifest.count, dtype=np.bool_) if live is None else live

    def _keep(self, under: str | os.PathLike[str] | None, glob: str | None) -> Bitmap | None:
        if under is None and glob is None:
            return None
        with self._lock:
            if self._paths is None:
                table = self._generation.keys() or KeyTable.of(self._store.keys())
                self._paths = keys.PathFilter(table, live=self._generation.live)
        return self._paths.keep(under=keys.relative(under, self.root), glob=glob)

    def _records(self) -> Iterable[Record]:
        return self._store.scan()

    def _combine(self, terms: tuple[Term, ...]) -> tuple[Vectors, frozenset[int]]:
        """Sum the terms' unit vectors; return the normalised sum ``(1, d)`` and the rows that the query itself is."""
        parts = (slice(None),) if self._pair is None else self._pair.parts
        total = np.zeros((1, self.space.dim if self._pair is None else self._pair.width), dtype=np.float64)
        own: set[int] = set()
        for term in terms:
            vector, number = self._vector(term)
            total += term.weight * vector
            if number is not None:
                own.add(number)
        for part in parts:  # one, or one in each of two spaces
            norm = float(np.linalg.norm(total[:, part]))
            if not math.isfinite(norm):
                raise QueryError(
                    "a weight of the query is too large, or no number; weights of 0.1 to 10 are usual"
                )
            if not norm > 1e-6:
                raise QueryError(
                    "the parts of the query cancel each other out; change a weight or leave one away"
                )
            total[:, part] /= norm
        return total.astype(np.float32), frozenset(own)

    def _vector(self, term: Term) -> tuple[Vectors, int | None]:
        number = int(term.value) if term.kind == "id" else None
        if term.kind == "image":
            number = self._indexed(term.value)
        if number is not None:
            if self._pair is None:
                return self.vectors([number]), number
            return self._pair.of_rows(np.array([number], dtype=np.int64)), number
        if term.kind == "vector":
            given = unit_rows(term.value, dim=self.space.dim, what="the query vector")
            return (given if self._pair is None else self._pair.of(given, None)), None
        if self._pair is None:
            return self._encoded(term, self.encoder), None
        new, earlier = self._encoded(term, self.encoder), self._earlier()
        old = None if earlier is None else self._encoded(term, earlier)
        return self._pair.of(new, old, words=term.kind == "text"), None

    @staticmethod
    def _encoded(term: Term, encoder: Encoder) -> Vectors:
        """Return the ``(1, d)`` unit vector that an encoder gives words or an image."""
        if term.kind == "text":
            return checked_text(encoder, [term.value])
        from retrieval.images import decode

        source = term.value
        if hasattr(source, "seek") and hasattr(source, "read"):  # two encoders may read it
            source.seek(0)
        image = decode(source, decode_size=getattr(encoder, "decode_size", None))
        return checked_pixels(encoder, encoder.preprocess(image)[np.newaxis])

    def _indexed(self, source: Any) -> int | None:
        """Return the row of a file that is indexed and unchanged since."""
        if not isinstance(source, str | os.PathLike):
            return None
        key = keys.key_of(source, self.root)
        number = None if key is None else self._store.find(key)
        if number is None or not self._live()[number]:
            return None
        return number if self._store.record(number).stamp == keys.stamp_of(source) else None

    def _hits(
        self,
        vector: Vectors,
        *,
        words: bool,
        k: int,
        hidden: frozenset[int],
        keep: Bitmap | None,
        fold: bool,
        options: dict[str, Any],
    ) -> list[Hit]:
        # Hidden rows and copies take places in the list, so ask for more until k distinct ones are there.
        rows = max(self.manifest.count, 1)
        wanted = min(k + len(hidden), rows)
        while True:
            found = self._search(vector, k=wanted, keep=keep, words=words, **options)
            count = int(np.count_nonzero(found.ids[0] >= 0))
            hits = self._fold(found, count, k=k, hidden=hidden, keep=keep, fold=fold)
            if len(hits) >= k or count < wanted or wanted == rows:
                return hits
            wanted = min(2 * wanted, rows)

    def _fold(
        self,
        found: Blend,
        count: int,
        *,
        k: int,
        hidden: frozenset[int],
        keep: Bitmap | None,
        fold: bool,
    ) -> list[Hit]:
        hits: list[Hit] = []
        seen: set[bytes] = set()
        live = self._live()
        ids, scores = found.ids[0, :count], found.scores[0, :count]
        for place, (record, score) in enumerate(zip(self._store.records(ids), scores.tolist(), strict=True)):
            if record.id in hidden or record.content in seen:
                continue
            copies = 0
            if fold and record.content:
                seen.add(record.content)
                same = self._store.find_content(record.content)
                same = same[live[same] if keep is None else live[same] & keep[same]]
                copies = sum(int(other) not in hidden for other in same) - 1
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    score=float(score),
                    path=os.fsdecode(record.key),
                    id=record.id,
                    copies=max(copies, 0),
                    **self._side(found, place),
                )
            )
            if len(hits) == k:
                break
        return hits

    def _side(self, found: Blend, place: int) -> dict[str, Any]:
        """Return what a hit says besides its score while rows of two spaces answer."""
        if self._pair is None:
            return {}
        migration = self._pair.migration
        space = migration.new_space if found.renewed[0, place] else migration.old_space
        return {"cosine": float(found.cosines[0, place]), "space": space.name}


def _given(minus: Any) -> bool:
    return not (isinstance(minus, list | tuple) and len(minus) == 0)


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise OptionError(f"{name} is {value}; it must be at least 1")
    return value
