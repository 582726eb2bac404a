"""`Collection`: what users open and ask. Each method calls the module that does the work.

Long because every public method's contract stands at its definition.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from indexes import forks
from indexes.layout import SHARDS
from indexes.vectors import integer, optional_integer, unit_rows
from retrieval.collection.far_methods import FarMethods
from retrieval.collection.queries import QueryEncoders
from retrieval.collection.row_reads import RowReads
from retrieval.collection.row_writes import RowWrites
from retrieval.collection.snapshots import newest_version, open_newest
from retrieval.deprecation import renamed_attribute, warn_renamed
from retrieval.errors import OptionError, ShapeError, StoreClosed
from retrieval.hints import attribute_of, named_arguments, renamed_keywords
from retrieval.location import find_collection, resolve_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import SupportsIndex, Unpack

    from indexes.engine import Aim
    from indexes.generation import FileCheck, Manifest
    from indexes.join import Pairs
    from indexes.vectors import Neighbors, Space, Vectors
    from retrieval.collection.answers import Hits
    from retrieval.collection.queries import ArrayLike, QueryLike, RowNames, Single
    from retrieval.collection.search_run import NamesMode, SearchOptions
    from retrieval.collection.snapshots import Opened
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.sources import Source


def open_collection(
    path: str | os.PathLike[str] | None = None,
    *,
    encoder: EncoderLike | None = None,
    device: str = "auto",
    root: str | os.PathLike[str] | None = None,
    cluster: str | None = None,
    allow_partial: bool = False,
) -> Collection:
    """Open a collection for searching; nothing is read but its manifest.

    Args:
        path: the collection's directory, its image folder, or anything below; ``None`` asks ``RETRIEVE_INDEX``, then walks up
            from the working directory.
        encoder: a spec or an object that encodes queries instead of the recorded encoder; must be of the collection's space, and give the vectors that
            it holds: when it is first used, up to three of the collection's images are encoded and compared.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``, for queries that need the encoder; ``cuda`` searches there
            too, where faiss-gpu is installed.
        root: where the images lie, if not where the collection recorded them.
        cluster: where the shards of a sharded collection are kept: ``local``, ``ray`` or ``ray://HOST:PORT``; None is this process.
        allow_partial: search a sharded collection without the shards that are missing or damaged; answers name them (`Hits.missing`).
    Raises:
        CollectionNotFound: there is none.
        ManifestTooNew: it was written by a later version.
        StoreCorrupt: a file is missing or short.
        SpaceMismatch: `encoder` is of another space.
        OptionError: the device is not there, or `cluster` names none or is given for a collection that is not sharded.
        WorkerLost: a process of the cluster ended.
    """
    directory = find_collection(path)
    if (directory / SHARDS).is_file():
        from retrieval.collection.sharded import ShardedCollection

        return ShardedCollection(
            directory, encoder=encoder, device=device, root=root, cluster=cluster, allow_partial=allow_partial
        )
    if cluster is not None:
        raise OptionError(
            f"{directory} is one collection, which is searched in one process; leave `cluster=…` out"
        )
    return Collection(directory, encoder=encoder, device=device, root=root)


class Collection(RowReads, RowWrites, FarMethods, AbstractContextManager["Collection"]):
    """A collection opened for searching; safe to share among threads, and a context manager.

    It shows the generation that was current when it was opened; `refresh` moves on to a newer one. `RowReads` says what can be
    read of its rows, `RowWrites` how rows are added by hand. Functions that take a collection are its methods, too:
    `FarMethods` lists them.
    """

    def __init__(
        self,
        directory: Path,
        *,
        encoder: EncoderLike | None = None,
        device: str = "auto",
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self.directory = directory
        self._device = device if device in _ANYWHERE else _required(device)
        self._root = root
        self._refreshing = forks.Lock()
        self._closed = False
        self._opened = self._open_newest()
        try:
            self._encoders = QueryEncoders(self._opened, device=self._device, given=encoder, root=root)
        except BaseException:
            self._opened.close()
            raise

    def _open_newest(self, before: Opened | None = None) -> Opened:
        """Open the newest generation; ``before`` is what is open so far."""
        return open_newest(self.directory, device=self._device, before=before)

    def _newest_version(self) -> tuple[int, int]:
        return newest_version(self.directory)

    def refresh(self) -> bool:
        """Show the newest generation; say whether there was a newer one. Searches that are under way end in the old one.

        Raises:
            StoreClosed: the collection is closed.
            CollectionNotFound: it was deleted or moved; this one goes on answering.
        """
        with self._refreshing:
            self._require_open()
            if self._newest_version() == self.manifest.version:
                return False
            before = self._opened
            # Opened first: should it fail, the one before still answers.
            self._opened = self._open_newest(before)
            self._encoders.follow(self._opened)
            before.close()
            if self._closed:  # meanwhile, by another thread, which may have seen the one before only
                self._opened.close()
            self._require_open()
            return True

    def newer(self) -> Collection | None:
        """Open the newest generation beside this one, which goes on answering; None where this one is the newest.

        Both have the same encoder, if it is right for both. Each is closed by itself. Raises as `refresh` does.
        """
        with self._refreshing, self._using() as opened:
            if self._newest_version() == opened.manifest.version:
                return None
            newest = self._open_newest(opened)
            other = object.__new__(type(self))
            other.__dict__.update(self.__dict__)
            other._refreshing, other._closed = forks.Lock(), False
            other._opened, other._encoders = newest, self._encoders.followed_by(newest)
            return other

    def close(self) -> None:
        """Release every file once searches in other threads have ended; searching afterwards is an error."""
        self._closed = True  # before it is closed: a refresh that is under way looks afterwards
        self._opened.close()

    def _require_open(self) -> None:
        if self._closed:
            self._opened.enter()  # raises

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _using(self) -> _Using:
        """Give what is open, which nobody closes within the block.

        Raises:
            StoreClosed: the collection is closed.
        """
        return _Using(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle as the path and the options: whoever unpickles it opens the newest generation there."""
        return _opened_again, (*self._place(), self._encoders.given)

    def __copy__(self) -> Collection:
        """Open the same collection once more, with the same encoder."""
        return _opened_again(*self._place(), self._encoders.given)

    def __deepcopy__(self, memo: Any) -> Collection:
        return self.__copy__()

    def _place(self) -> tuple[str, str, str | None]:
        return (
            os.path.abspath(self.directory),
            self._device,
            None if self._root is None else os.path.abspath(self._root),
        )

    def __len__(self) -> int:
        return self.manifest.live

    def __repr__(self) -> str:
        return f"<Collection {str(self.directory)!r}: {len(self):,} rows, {self.space}>"

    def _repr_html_(self) -> str | None:
        """Show what the collection is, and some of its images, in a notebook."""
        from retrieval.collection.answers import collection_html

        return collection_html(self)

    @cached_property
    def root(self) -> Path:
        """The folder that hit paths are relative to."""
        return resolve_root(self.directory, self.manifest.root, given=self._root)

    @property
    def source(self) -> Source:
        """Where the images come from."""
        from retrieval.sources import open_source

        return open_source(self.directory, self.manifest, root=self._root)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the generation that answers."""
        return self._opened.manifest

    @property
    def space(self) -> Space:
        """The space that queries are encoded in: that of the stored vectors, or the new one while the encoder changes."""
        return self._opened.space

    @property
    def encoder(self) -> Encoder:
        """The encoder of queries, loaded on first use.

        Raises:
            CapabilityMissing: the collection was built from vectors and no encoder was given.
            SpaceMismatch: the recorded encoder no longer gives vectors of this space.
        """
        return self._encoders.current()

    def encoder_on(self, device: str) -> Encoder:
        """Return the encoder of queries on a device; ``auto`` is the one that the collection was opened for.

        An encoder that `open` was handed stays where it is. Raises as `encoder` does, and:

        Raises:
            OptionError: the device is not there.
        """
        return self._encoders.on(device)

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is also a sequence of texts, and one query all the same
        self, query: Single, **options: Unpack[SearchOptions]
    ) -> Hits: ...
    @overload
    def search(self, query: Sequence[QueryLike], **options: Unpack[SearchOptions]) -> list[Hits]: ...
    @overload
    def search(self, query: ArrayLike, **options: Unpack[SearchOptions]) -> Any: ...
    @renamed_keywords(dim="truncate_dim", fold_copies="fold_duplicates")
    @named_arguments
    def search(
        self,
        query: Any,
        *,
        k: int = 10,
        minus: QueryLike | Sequence[QueryLike] = (),
        min_score: float | None = None,
        names: NamesMode = "auto",
        truncate_dim: int | None = None,
        nprobe: int | None = None,
        exact: bool = False,
        under: str | os.PathLike[str] | None = None,
        glob: str | None = None,
        ids: RowNames | None = None,
        mask: Any = None,
        where: Any = None,
        include_self: bool = False,
        fold_duplicates: bool = True,
        verify: bool | int = False,
        sure: bool = False,
    ) -> Any:
        """Find what is most like a query, or like each query of a batch.

        Args:
            query: words (a `str`, never a file), a `Path`, a PIL image, encoded bytes, an open binary file, a uint8 array
                ``(h, w)``, ``(h, w, 3)`` or ``(h, w, 4)``, a row id, a list of numbers or an array or tensor ``(d,)`` or
                ``(1, d)``, or a `Query`, which combines these. Any other list, and an array ``(n, d)``, is a batch.
            k: how many hits at most.
            minus: a query, or several in a list, to steer away from.
            min_score: leave out hits below this cosine; one that only names have found has no such limit.
            names: ``auto`` also looks words up in the paths of the images, and fuses both rankings: a hit's `matched` says what
                had the words. ``only`` gives hits whose names have them; ``off`` compares vectors alone. Queries with an
                image are compared by vectors alone, unless it is ``only``.
            truncate_dim: rank every row by this prefix width, then ten candidates a hit (a hundred at least) at full width, or all
                rows at full width where their prefixes take more than 256 MB; a prefix of
                the space, or any width where a build has fitted a rotation. `retrieval.collection.prefix_loss` tells what that loses.
            nprobe: lists to probe; ``None`` is what the build measured. It changes nothing where no lists are searched: in a
                flat collection, with `exact` or `truncate_dim`.
            exact: compare with every row at full width, not through the index; not together with a narrower `truncate_dim`.
            under: only rows below this folder (relative to the root).
            glob: only rows whose key matches (``*`` crosses no ``/``, ``**`` does).
            ids: only these rows: ids (integers) and keys (text or bytes).
            mask: only rows whose flag is set: ``(count,)`` bool by row id, such as `mask` returns. All filters must hold.
            where: only rows for which a condition over their columns holds, such as ``"taken >= '2019-06-01' AND width > 2000"``:
                one boolean expression in SQL. `retrieval.columns` says what it may contain. Flags as for `mask` also do.
            include_self: let a query that is an indexed file, or an id, find itself.
            fold_duplicates: fold files with the same bytes into one hit.
            verify: compare the first 50 hits, or so many, with the picture that was asked with, pixel by pixel; those that show
                the same picture, altered or not, come first. Hits then have `verified`, `relation`, `verified_probability`
                and `outline`. `retrieval.matching` says what that proves.
            sure: drop the hits that likely do not match: `Hits.likely` of them stay, those before the first hit whose `match` is
                below 0.15. One that names have found, or that was verified, counts as a match.
        Returns:
            Best first, ties by smaller id, by cosines and names together where names take part; fewer than `k` only if fewer rows qualify. ``unknown_words`` of the list names
            words that the encoder has never learned, as far as it can tell. For a batch a list of such answers, in order;
            one that could not be had has its ``error``, which using that answer raises.
        Raises:
            QueryError: the query names nothing.
            UnknownWords: the encoder has learned none of its words, no name has one, and it has no other part.
            OptionError: a value that this collection cannot take; or `sure`, where `match` is not known of such a query.
            MissingRow: an id or key of `ids` that there is no row of.
            MissingExtra: a package that `where` or `verify` needs is not installed.
            ShapeError: `mask` is not one truth value a row.
            CapabilityMissing: words, for an encoder without a text tower, that no name has.
            StoreClosed: the collection is closed.
        """
        from retrieval.collection.answers import count_searched
        from retrieval.collection.queries import Query, as_batch, as_minus
        from retrieval.collection.search_run import SearchRun

        asked, away = as_batch(query, beside=self.root), as_minus(minus, beside=self.root)
        with self._using() as opened:
            keep = opened.row_filter(root=self.root, under=under, glob=glob, ids=ids, mask=mask, where=where)
            run = SearchRun(
                opened=opened,
                encoders=self._encoders,
                root=self.root,
                minus=away,
                keep=keep,
                searched=count_searched(opened, keep),
                k=integer(k, "k"),
                min_score=min_score,
                names=names,
                include_self=include_self,
                fold=fold_duplicates,
                verify=_checked(verify),
                sure=bool(sure),
                options={"dim": truncate_dim, "nprobe": nprobe, "exact": exact},
            )
            if isinstance(asked, Query):
                found = run.one(asked)
                found.missing = opened.missing
                return found
            answers = run.many(asked)
            for one in answers:
                one.missing = opened.missing
            return answers

    def search_many(self, queries: Sequence[QueryLike], **options: Unpack[SearchOptions]) -> list[Hits]:
        """Search for each query: the old name of ``search([…])``."""
        from retrieval.collection.queries import is_number, row

        warn_renamed("search_many(queries)", "search(list(queries))")
        batch: list[QueryLike] = [row(one) if is_number(one) else one for one in queries]
        return self.search(batch, **options)

    @renamed_keywords(keep="mask", dim="truncate_dim")
    @named_arguments
    def search_vectors(
        self,
        vectors: Any,
        *,
        k: int = 10,
        truncate_dim: int | None = None,
        nprobe: int | None = None,
        exact: bool = False,
        shortlist: int | None = None,
        under: str | os.PathLike[str] | None = None,
        glob: str | None = None,
        ids: RowNames | None = None,
        mask: Any = None,
        where: Any = None,
        words: bool = False,
    ) -> Neighbors:
        """Find the nearest rows of some vectors.

        Args:
            vectors: ``(q, d)`` or ``(d,)`` real numbers of the collection's space; normalised here.
            k: neighbours a query.
            truncate_dim, nprobe, exact: as in `search`.
            shortlist: candidates that are ordered at full width; ``None`` is what the build measured.
            under, glob, ids, mask, where: which rows may be found, as in `search`.
            words: they are vectors of texts; it matters only while the encoder changes.
        Returns:
            ids ``(q, k)`` int64 and cosines ``(q, k)`` float32, best first, padded with -1 and -inf.
        Raises:
            ShapeError: another width, or `mask` is not one truth value a row.
            VectorError: a row is zero or not finite.
            OptionError: `truncate_dim` is no prefix, or comes with `exact`.
            MissingRow: an id or key of `ids` that there is no row of.
            StoreClosed: the collection is closed.
        """
        if type(vectors) is not np.ndarray:
            _refuse_words(vectors)
        queries = unit_rows(vectors, dim=self.space.dim, what="query vectors")
        with self._using() as opened:
            return opened.neighbors(
                queries,
                k=k,
                keep=opened.row_filter(
                    root=self.root, under=under, glob=glob, ids=ids, mask=mask, where=where
                ),
                dim=truncate_dim,
                nprobe=nprobe,
                shortlist=shortlist,
                exact=exact,
                words=words,
            )

    @named_arguments
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
        queries = unit_rows(vectors, dim=self.space.dim, what="query vectors")
        with self._using() as opened:
            opened.require_settled("codes of one space only would answer")
            return opened.generation.codes(
                queries, k=integer(k, "k"), nprobe=optional_integer(nprobe, "nprobe")
            )

    def aim(self) -> Aim:
        """Return where the index keeps vectors, for active indexing.

        Raises:
            OptionError: the collection is flat, or its codes cannot be decoded.
        """
        from indexes.engine import Aim

        with self._using() as opened:
            opened.require_settled("images activated now would be moved for an index that is about to go")
            return Aim(opened.generation.first_stage().index)

    @named_arguments
    def pairs(
        self, threshold: float, *, at_most: int = 50, since: RowNames | None = None, first_block: int = 0
    ) -> Iterator[Pairs]:
        """Find all pairs of rows whose cosine reaches a threshold, block by block of rows.

        Up to some 46,000 rows each is compared with each. Of more rows each is compared with those in the lists of the index
        nearest to it: so many lists that they hold 99 % of the pairs of a sample. Thousands of rows that are nearly the same
        have a few that stand for them.

        Args:
            threshold: the least cosine of a pair.
            at_most: partners that a row names, the best ones. A pair is given if either row names the other.
            since: only pairs of these rows with any: ids and keys as in `vectors`, such as those of new rows. Deleted ones
                are left out.
            first_block: go on with this block of rows, after a call with the same arguments on the same generation.
        Returns:
            `Pairs`, one a block, each computed when it is asked for. Each pair comes once; it may come twice if it ties with
            the last that a row names, or belongs to a block before `first_block`.
        Raises:
            OptionError: `threshold` is no cosine, `at_most` is not from 1 to 10,000, or the encoder is being changed: the
                vectors are of two spaces.
            MissingRow, ShapeError: as in `vectors`.
            StoreClosed: the collection is closed, also between two blocks.
        """
        from retrieval.collection.near_pairs import near_pairs

        return near_pairs(self, threshold, at_most=at_most, since=since, first_block=first_block)

    def encode(self, query: QueryLike, *, minus: QueryLike | Sequence[QueryLike] = ()) -> Vectors:
        """Return the ``(1, d)`` float32 unit vector of a query, as `search` would use it."""
        from retrieval.collection.queries import as_minus, as_query, encode_query

        asked = as_query(query, beside=self.root)
        for away in as_minus(minus, beside=self.root):
            asked -= away
        with self._using() as opened:
            return encode_query(asked, opened, self._encoders, root=self.root).vector[:, : opened.space.dim]

    def verify(self) -> list[FileCheck]:
        """Check every file's hash; says which to rebuild."""
        from indexes.generation import verify
        from retrieval.collection.relevance import check_calibration

        return [*verify(self.directory), *check_calibration(self.directory)]

    def info(self) -> dict[str, Any]:
        """Return what ``retrieve info --json`` prints."""
        from indexes.generation import HAND
        from retrieval.collection.activations import activations
        from retrieval.collection.rows import published_facts
        from retrieval.sources import spec_of

        facts = published_facts(self.manifest, root=self.root, directory=self.directory)
        return facts | {
            "images": self.manifest.live,
            "width": facts["stored_dim"],
            "dim": facts["truncate_dim"],
            "columns": self.column_types(),
            "views": self._views(),
            "generation": self.manifest.generation,
            "format": self.manifest.format,
            "upgrade": self._upgrade(),
            "activations": activations(self),
            "sources": [
                {
                    "type": source.type,
                    "source": spec_of(self.directory, source),
                    "options": dict(source.options),
                }
                for source in self.manifest.sources
                if source.type != HAND
            ],
        }

    def _views(self) -> dict[str, Any] | None:
        """Return what is known of the parts of images that have vectors of their own; None where there are none."""
        if not self.manifest.views:
            return None
        with self._using() as opened:
            there = opened.views
            count, size = (
                (0, 0.0) if there is None else (there.manifest.live, there.manifest.index.bytes_per_vector)
            )
            return {"per_image": self.manifest.views, "count": count, "bytes_per_vector": size}

    def column_types(self) -> dict[str, str]:
        """Return the types of the columns by their names."""
        with self._using() as opened:
            return opened.columns.types()

    def _upgrade(self) -> dict[str, Any] | None:
        if not self.manifest.upgrades:
            return None
        from retrieval.collection.snapshots import summary

        return summary(self.manifest.upgrades[-1])

    def changed(self) -> bool:
        """Say, from modification times and without reading images, whether images came or went since the build.

        What lies at URLs is not asked, so as not to wait for a network: of that the next build tells.
        """
        return self.source.changed(self.directory)

    if not TYPE_CHECKING:  # a type checker shall find what is misspelt
        filter = renamed_attribute("Collection.filter", "mask")
        path = renamed_attribute("Collection.path", "key_of")
        __getattr__ = attribute_of

        def __setitem__(self, row: object, vector: object) -> None:
            raise TypeError("rows of a collection are set by `upsert(vectors, keys)`")


_ANYWHERE = ("auto", "cpu")
"""Devices that every machine has."""


def _required(device: str) -> str:
    from retrieval.encoders import require_device

    return require_device(device)


def _refuse_words(vectors: Any) -> None:
    """Refuse words and images where vectors are wanted.

    Raises:
        ShapeError: they are.
    """
    from retrieval.collection.queries import is_key

    if is_key(vectors) or hasattr(vectors, "convert"):
        raise ShapeError(
            f"query vectors: {type(vectors).__name__} is none; `search(…)` takes words and images"
        )


def _checked(verify: bool | int) -> int:
    """Return how many hits are compared with the query's picture."""
    if verify is True:
        from retrieval.collection.verdicts import CHECKED

        return CHECKED
    return integer(int(verify), "verify", least=0)


class _Using:
    """The block of `Collection._using`; a generator would take three times as long, and every search has one."""

    __slots__ = ("_collection", "_opened")

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __enter__(self) -> Opened:
        while True:
            self._opened = opened = self._collection._opened  # noqa: SLF001 - a part of it
            try:
                opened.enter()
            except StoreClosed:
                if opened is self._collection._opened:  # noqa: SLF001
                    raise
            else:
                return opened

    def __exit__(self, *_error: object) -> None:
        self._opened.leave()


def _opened_again(directory: str, device: str, root: str | None, encoder: Encoder | None) -> Collection:
    return open_collection(directory, encoder=encoder, device=device, root=root)
