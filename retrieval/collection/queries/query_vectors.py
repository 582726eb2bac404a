"""Turn queries into unit vectors: encode all their parts together, then weigh and sum them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from indexes.vectors import integer, unit_rows
from retrieval.collection.queries.inputs import existing
from retrieval.collection.queries.part_vectors import encode_images, encode_texts
from retrieval.collection.queries.query_encoders import Understood, understood
from retrieval.collection.queries.regions import Cut
from retrieval.encoders import TextEncoder
from retrieval.errors import (
    CapabilityMissing,
    EncoderError,
    ImageError,
    MissingRow,
    OptionError,
    QueryError,
    RetrievalError,
    ShapeError,
    StoreCorrupt,
    VectorError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from indexes.vectors import Vectors
    from retrieval.collection import Opened
    from retrieval.collection.queries.query_encoders import QueryEncoders
    from retrieval.collection.queries.terms import Query, Term
    from retrieval.encoders import Encoder
    from retrieval.sources import Source

_OFF = 0.01
"""By how much the length of a stored vector may differ from 1: halves keep it to 0.001."""

ONE_QUERYS = (QueryError, ImageError, MissingRow, OptionError, ShapeError, VectorError, CapabilityMissing)
"""Errors of one query, which others of its batch do not share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryVector:
    """A query as it is searched.

    Attributes:
        vector: ``(1, d)`` unit row, in both spaces while the encoder changes.
        rows: the stored rows that it is made of.
        words: it is made of words only.
        unknown_words: words that the encoder has not learned.
        read_as: misspelt words as they were written, and what they were read as.
    """

    vector: Vectors
    rows: frozenset[int]
    words: bool
    unknown_words: tuple[str, ...] = ()
    read_as: Mapping[str, str] = field(default_factory=dict)


Part: TypeAlias = tuple["Vectors", int | None]
"""One term's ``(1, d)`` unit row, and its id where it is a stored one."""


def encode_queries(
    queries: Sequence[Query], opened: Opened, encoders: QueryEncoders, *, root: Path, keep: Sequence[Collection[str]] = ()
) -> list[QueryVector | RetrievalError]:  # fmt: skip
    """Encode queries together; each has its own error.

    Args:
        queries: weighed parts each.
        opened: whose stored vectors answer for its rows and their unchanged files.
        encoders: for all other parts.
        root: where the images lie; relative paths may be relative to it, too.
        keep: for each query its words that are right as they are, in lower case.
    Returns:
        for each query its vector or its error: `QueryError` if its parts cancel each other out, a weight is too large or no
        word is known; `MissingRow`, `CapabilityMissing`, `ImageError`, `ShapeError` … of a part that cannot be had.
    Raises:
        EncoderError: the encoder does not keep its contract.
    """
    answers: list[QueryVector | RetrievalError | None] = [None] * len(queries)
    known: list[tuple[int, Understood]] = []
    for place, query in enumerate(queries):
        try:
            known.append((place, understood(query, encoders, keep=keep[place] if keep else ())))
        except ONE_QUERYS as error:
            answers[place] = error
    terms = [term for _, one in known for term in one.query.terms]
    parts = iter(_parts(terms, opened, encoders, root))
    for place, one in known:
        found = [next(parts) for _ in one.query.terms]
        try:
            answers[place] = _sum(one, found, opened)
        except (*ONE_QUERYS, EncoderError) as error:
            # Without the frames that it came through: these hold the answers, so that a decoded picture would stay until Python searches
            # for garbage.
            answers[place] = error.with_traceback(None)
    return [answer for answer in answers if answer is not None]


def encode_query(
    query: Query, opened: Opened, encoders: QueryEncoders, *, root: Path, keep: Collection[str] = ()
) -> QueryVector:
    """Encode one query.

    Raises:
        RetrievalError: what `encode_queries` would have in its place.
    """
    (found,) = encode_queries([query], opened, encoders, root=root, keep=[keep])
    if isinstance(found, RetrievalError):
        try:
            raise found
        finally:
            del found  # else the error holds this frame, and this frame the error
    return found


def _sum(asked: Understood, found: list[Part | RetrievalError], opened: Opened) -> QueryVector:
    pair = opened.pair
    sides = (slice(None),) if pair is None else pair.parts
    total = np.zeros((1, opened.space.dim if pair is None else pair.width), dtype=np.float64)
    rows: list[int] = []
    for term, part in zip(asked.query.terms, found, strict=True):
        if isinstance(part, RetrievalError):
            raise part
        vector, number = part
        total += term.weight * vector
        if number is not None:
            rows.append(number)
    for side in sides:  # one, or one in each of two spaces
        norm = math.sqrt(total[0, side].dot(total[0, side]))
        if not math.isfinite(norm):
            raise QueryError(
                "a weight of the query is too large, or no number; weights of 0.1 to 10 are usual"
            )
        if not norm > 1e-6:
            raise QueryError(
                "the parts of the query cancel each other out; change a weight or leave one away"
            )
        total[:, side] /= norm
    return QueryVector(
        vector=total.astype(np.float32),
        rows=frozenset(rows),
        words=all(term.kind == "text" for term in asked.query.terms),
        unknown_words=asked.unknown_words,
        read_as=asked.read_as,
    )


def _parts(
    terms: Sequence[Term], opened: Opened, encoders: QueryEncoders, root: Path
) -> list[Part | RetrievalError]:
    """Return each term's part or error; those that need an encoder go through it together."""
    parts: list[Part | RetrievalError | None] = [None] * len(terms)
    waiting: dict[str, list[tuple[int, Any]]] = {}
    opening: list[Source] = []

    def source() -> Source:
        if not opening:
            from retrieval.sources import open_source

            opening.append(open_source(opened.directory, opened.manifest, root=root))
        return opening[0]

    for place, term in enumerate(terms):
        try:
            value, number = _stored(term, opened, source, root)
            if number is not None:
                parts[place] = _row(number, opened)
            elif term.kind == "vector":
                parts[place] = _given(value, opened)
            else:
                waiting.setdefault(term.kind, []).append((place, value))
        except ONE_QUERYS as error:
            parts[place] = error
    for kind, asked in waiting.items():
        encoded = _encoded(kind, [value for _, value in asked], opened, encoders)
        for (place, _), one in zip(asked, encoded, strict=True):
            parts[place] = one if isinstance(one, RetrievalError) else (one, None)
    return [part for part in parts if part is not None]


def _stored(term: Term, opened: Opened, source: Callable[[], Source], root: Path) -> tuple[Any, int | None]:
    """Return a term's value, and the row that holds its vector already: by id, or as an indexed file that is unchanged."""
    value = term.value
    if term.kind == "id":
        return value, integer(value, "the id", least=None, most=None)
    if term.kind != "image":
        return value, None
    path = existing(os.fspath(value), root) or value if isinstance(value, str | os.PathLike) else value
    if term.region is not None:  # a part of a picture has no stored vector
        return Cut(path, term.region), None
    if not isinstance(value, str | os.PathLike):
        return value, None
    entry = source().find(path)
    number = None if entry is None else opened.store.find(entry.key)
    if entry is not None and number is not None and opened.is_live(number):
        return path, number if opened.store.record(number).stamp == entry.stamp else None
    return path, _added(value, opened)


def _added(image: str | os.PathLike[str], opened: Opened) -> int | None:
    """Return the row of a file that was added by hand under this very path, and is unchanged since."""
    record = opened.store.find_record(os.fsencode(image))
    if record is None or record.stamp or not opened.is_live(record.id):
        return None
    from retrieval.sources.decoding import content_hash, read_file

    return record.id if content_hash(read_file(image)) == record.content else None


def _row(number: int, opened: Opened) -> Part:
    vector = opened.vectors([number])
    if not opened.is_live(number):
        raise MissingRow(
            f"image {number} was removed or has changed since; ask with a file, or with the id it has now"
        )
    _require_whole(number, vector, opened)
    return vector, number


def require_whole_row(number: int, opened: Opened) -> None:
    """Make sure that a row is no damage, for instance zeros: they are as like to any query as to another.

    Raises:
        StoreCorrupt: its vector has not the length of 1.
    """
    _require_whole(number, opened.vectors([number]), opened)


def _require_whole(number: int, vector: Vectors, opened: Opened) -> None:
    # While the encoder changes, a row stands in both spaces, first in the new one: the old part is what is stored for certain.
    stored = vector if opened.pair is None else vector[:, opened.pair.parts[1]]
    length = float(np.linalg.norm(stored))
    if not abs(length - 1) < _OFF:  # not a number is damage, too
        raise StoreCorrupt(
            f"{opened.directory}: row {number} is damaged, its vector has length {length:.3g} instead of 1; run `verify`"
        )


def _given(value: Any, opened: Opened) -> Part:
    try:
        given = unit_rows(value, dim=opened.space.dim, what="the query vector")
    except ShapeError as error:
        if value.dtype.kind not in "iu":
            raise
        raise ShapeError(
            f"{error}; to ask with rows by their ids give a list of retrieval.row(id)"
        ) from error
    return (given if opened.pair is None else opened.pair.of(given, None)), None


def _encoded(
    kind: str, values: Sequence[Any], opened: Opened, encoders: QueryEncoders
) -> Sequence[Vectors | RetrievalError]:
    """Encode words or images with the encoder of the collection, and with the one before it where queries need both."""
    encode: Callable[[Sequence[Any], Encoder], Sequence[Vectors | RetrievalError]]
    encode = encode_texts if kind == "text" else encode_images
    pair = opened.pair
    try:
        encoder = encoders.current()
        if pair is None:
            return encode(values, encoder)
        if kind == "text" and not isinstance(encoder, TextEncoder):
            former = pair.migration.old or pair.migration.old_space.name
            raise CapabilityMissing(
                f"the encoder {encoder.space.name} understands no words, and queries use it while the upgrade from "
                f"{former} is under way; ask with images, or give the upgrade up (rollback) to ask {former} again"
            )
        before = encoders.before()
        new = encode(values, encoder)
        old: Sequence[Vectors | RetrievalError | None]
        old = [None] * len(new) if before is None else encode(values, before)
    except CapabilityMissing as error:
        return [error] * len(values)
    return [
        one
        if isinstance(one, RetrievalError)
        else other
        if isinstance(other, RetrievalError)
        else pair.of(one, other, words=kind == "text")
        for one, other in zip(new, old, strict=True)
    ]
