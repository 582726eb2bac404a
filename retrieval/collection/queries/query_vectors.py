"""Turn query terms into one unit vector; load encoders only when a term needs one."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.vectors import integer, unit_rows
from retrieval.collection.queries.encoder_check import require_same_encoder, require_same_vectors
from retrieval.encoders import TextEncoder, VocabularyEncoder, checked_pixels, checked_text, load_encoder
from retrieval.errors import CapabilityMissing, MissingRow, QueryError, UnknownWords
from retrieval.sources import open_source

if TYPE_CHECKING:
    from indexes.vectors import Vectors
    from retrieval.collection import Opened
    from retrieval.collection.queries.terms import Term
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.sources import Source


class QueryEncoders:
    """The encoder of a collection's queries, and the one before it where queries need both; each loaded on first use.

    Args:
        opened: the collection.
        device: where they run.
        given: used instead of the recorded encoder; compared with it when it is first used.
        root: where the images lie, if not where the collection recorded them.
    Raises:
        SpaceMismatch: `given` is of another space.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        device: str,
        given: EncoderLike | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        if given is not None:
            given = load_encoder(given, device=device)
            opened.space.require(given.space, what=f"the encoder {given.space.name}")
        self._opened = opened
        self._device = device
        self._given = given is not None
        self._unchecked, self._root = self._given, root
        self._encoder = given
        self._before: Encoder | None = None
        self._lock = forks.Lock()

    def follow(self, opened: Opened) -> None:
        """Go on with a newer generation of the collection."""
        self._opened = opened
        if self._encoder is not None and not opened.space.same_as(self._encoder.space):
            self._given = False
            self._encoder = None  # it was right before a change of the encoder began, or ended
        old = None if opened.pair is None else opened.pair.migration.old_space
        if self._before is not None and (old is None or not old.same_as(self._before.space)):
            self._before = None  # of a change that is over: the next one starts from another space

    @property
    def given(self) -> Encoder | None:
        """The encoder that was handed in and is still in use, if one was."""
        return self._encoder if self._given else None

    def current(self) -> Encoder:
        """Return the encoder of queries.

        Raises:
            CapabilityMissing: the collection was built from vectors and no encoder was given.
            SpaceMismatch: the recorded encoder no longer gives vectors of this space, or the given one gives others.
        """
        with self._lock:
            if self._encoder is None:
                spec, space = self._opened.encoder, self._opened.space
                if spec is None:
                    raise CapabilityMissing(
                        f"{self._opened.directory} {_origin(self._opened)} and records no encoder that could be loaded; "
                        f"open it with an encoder of the space {space.name}, or ask by ids or with vectors"
                    )
                self._encoder = self._load(spec, self._device)
            elif self._given and self._unchecked:
                self._check(self._encoder)
            return self._encoder

    def _check(self, encoder: Encoder) -> None:
        """Compare an encoder that was handed in with the one that the collection was built with, once."""
        require_same_encoder(encoder, self._opened.manifest, lambda: self._compare_rows(encoder))
        self._unchecked = False

    def _compare_rows(self, encoder: Encoder) -> None:
        opened = self._opened
        if opened.pair is None:  # else it is of the new space, of which few rows may be
            opened.enter()
            try:
                require_same_vectors(
                    encoder,
                    open_source(opened.directory, opened.manifest, root=self._root),
                    count=opened.manifest.count,
                    live=opened.is_live,
                    record=opened.store.record,
                    row=lambda number: opened.vectors([number])[0],
                )
            finally:
                opened.leave()

    def on(self, device: str) -> Encoder:
        """Return the encoder of queries on a device; ``auto`` is the one that they were made for.

        One that was given stays where it is. Raises as `current` does, and:

        Raises:
            OptionError: the device is not there.
        """
        spec = self._opened.encoder
        if device in {"auto", self._device} or self._given or spec is None:
            return self.current()
        return self._load(spec, device)

    def before(self) -> Encoder | None:
        """Return the old encoder where queries need both (the method ``slerp`` while the encoder changes)."""
        pair = self._opened.pair
        if pair is None or pair.migration.way.alpha is None:
            return None
        with self._lock:
            if self._before is None:
                migration = pair.migration
                if migration.old is None:
                    raise CapabilityMissing(
                        f"queries need the encoder of {migration.old_space.name} too (slerp), and no spec is recorded for it; "
                        "finish the upgrade with `backfill`"
                    )
                encoder = load_encoder(migration.old, device=self._device)
                migration.old_space.require(encoder.space, what=f"the encoder {migration.old}")
                require_same_encoder(encoder, self._opened.manifest, _nothing)
                self._before = encoder
            return self._before

    def _load(self, spec: str, device: str) -> Encoder:
        encoder = load_encoder(spec, device=device)
        self._opened.space.require(encoder.space, what=f"the encoder {spec}")
        require_same_encoder(encoder, self._opened.manifest, _nothing)
        return encoder


def _nothing() -> None:
    """Compare an encoder that is loaded by its recorded name with no rows: that would slow the first query."""


def _origin(opened: Opened) -> str:
    """Say how a collection without a recorded encoder was built; only rows of images have the stamp of a file."""
    space = opened.space.name
    if opened.manifest.count and opened.store.record(opened.manifest.count - 1).stamp:
        return f"was built from images by the encoder object {space}"
    return f"was built from vectors of the space {space}"


def understood(terms: tuple[Term, ...], encoders: QueryEncoders) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """Leave out terms that mean nothing to the encoder, and say which words it has not learned.

    Encoders that cannot tell (see `retrieval.encoders.VocabularyEncoder`) understand everything.

    Raises:
        UnknownWords: nothing is left.
        CapabilityMissing: there are words, and the encoder cannot be had.
    """
    if not any(term.kind == "text" for term in terms):
        return terms, ()
    encoder = encoders.current()
    if not isinstance(encoder, VocabularyEncoder):
        return terms, ()
    kept, strange = [], dict[str, None]()
    for term in terms:
        if term.kind == "text":
            strange.update(dict.fromkeys(encoder.unknown_words(term.value)))
        if term.kind != "text" or encoder.known_words(term.value):
            kept.append(term)
    words = tuple(strange)
    if not kept:
        name = encoder.space.name
        raise UnknownWords(
            f"the encoder {name} has learned none of the words {', '.join(map(repr, words))}, so whatever came "
            "first would be chance; ask with common English words or with an image, or use a larger encoder",
            words=words,
            encoder=name,
        )
    return tuple(kept), words


def combine(
    terms: tuple[Term, ...], opened: Opened, encoders: QueryEncoders, *, source: Source
) -> tuple[Vectors, frozenset[int]]:
    """Sum the terms' unit vectors.

    Args:
        terms: weighed parts.
        opened: whose stored vectors answer for its rows and their unchanged files.
        encoders: for all other parts.
        source: where the images lie.
    Returns:
        The normalised sum ``(1, d)``, in both spaces while the encoder changes, and the rows that the query itself is.
    Raises:
        QueryError: the parts cancel each other out, or a weight is too large.
        MissingRow, CapabilityMissing, ImageError: a part that cannot be had.
    """
    pair = opened.pair
    parts = (slice(None),) if pair is None else pair.parts
    total = np.zeros((1, opened.space.dim if pair is None else pair.width), dtype=np.float64)
    own: set[int] = set()
    for term in terms:
        vector, number = _vector(term, opened, encoders, source)
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


def _vector(
    term: Term, opened: Opened, encoders: QueryEncoders, source: Source
) -> tuple[Vectors, int | None]:
    """Return one part's vector, and its row where it is a stored one."""
    number = integer(term.value, "the id", least=None, most=None) if term.kind == "id" else None
    if term.kind == "image":
        number = _indexed(term.value, opened, source)
    if number is not None:
        vector = opened.vectors([number])
        if not opened.is_live(number):
            raise MissingRow(
                f"image {number} was removed or has changed since; ask with a file, or with the id it has now"
            )
        return vector, number
    pair = opened.pair
    if term.kind == "vector":
        given = unit_rows(term.value, dim=opened.space.dim, what="the query vector")
        return (given if pair is None else pair.of(given, None)), None
    if pair is not None and term.kind == "text" and not isinstance(encoders.current(), TextEncoder):
        former = pair.migration.old or pair.migration.old_space.name
        raise CapabilityMissing(
            f"the encoder {encoders.current().space.name} understands no words, and queries use it while the upgrade from "
            f"{former} is under way; ask with images, or give the upgrade up (rollback) to ask {former} again"
        )
    new = _encoded(term, encoders.current())
    if pair is None:
        return new, None
    before = encoders.before()
    old = None if before is None else _encoded(term, before)
    return pair.of(new, old, words=term.kind == "text"), None


def _indexed(image: Any, opened: Opened, source: Source) -> int | None:
    """Return the row of a file that is indexed and unchanged since."""
    if not isinstance(image, str | os.PathLike):
        return None
    entry = source.find(image)
    number = None if entry is None else opened.store.find(entry.key)
    if entry is not None and number is not None and opened.is_live(number):
        return number if opened.store.record(number).stamp == entry.stamp else None
    return _added(image, opened)


def _added(image: str | os.PathLike[str], opened: Opened) -> int | None:
    """Return the row of a file that was added by hand under this very path, and is unchanged since."""
    record = opened.store.find_record(os.fsencode(image))
    if record is None or record.stamp or not opened.is_live(record.id):
        return None
    from retrieval.sources.decoding import content_hash, read_file

    return record.id if content_hash(read_file(image)) == record.content else None


def _encoded(term: Term, encoder: Encoder) -> Vectors:
    """Return the ``(1, d)`` unit vector that an encoder gives words or an image."""
    if term.kind == "text":
        return checked_text(encoder, [term.value])
    from retrieval.sources.decoding import decode

    source = term.value
    if hasattr(source, "seek") and hasattr(source, "read"):  # two encoders may read it
        source.seek(0)
    image = decode(source, decode_size=getattr(encoder, "decode_size", None))
    return checked_pixels(encoder, encoder.preprocess(image)[np.newaxis])
