"""Load the encoders of a collection's queries on first use; correct misspelt words, and leave out words that they have not learned."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from indexes import forks
from retrieval.display import first_words
from retrieval.errors import CapabilityMissing, UnknownWords

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from indexes.generation import Manifest
    from indexes.vectors import Space
    from retrieval.collection import Opened
    from retrieval.collection.queries.terms import Query
    from retrieval.encoders import Encoder, EncoderLike


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
            from retrieval.encoders import load_encoder

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

    def followed_by(self, opened: Opened) -> QueryEncoders:
        """Return the encoders of a newer generation: those that are loaded already, as far as they are right for it."""
        with self._lock:
            other = copy.copy(self)
        other._lock = forks.Lock()  # noqa: SLF001 - its own
        other.follow(opened)
        return other

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
        from retrieval.collection.queries.encoder_check import require_same_encoder

        require_same_encoder(encoder, self._opened.manifest, lambda: self._compare_rows(encoder))
        self._unchecked = False

    def _compare_rows(self, encoder: Encoder) -> None:
        from retrieval.collection.queries.encoder_check import LOOKED_AT, require_same_vectors
        from retrieval.sources import open_source

        opened = self._opened
        if opened.pair is None:  # else it is of the new space, of which few rows may be
            opened.enter()
            try:
                require_same_vectors(
                    encoder,
                    open_source(opened.directory, opened.manifest, root=self._root),
                    ids=opened.spread_ids(LOOKED_AT),
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
                self._before = _recorded(
                    migration.old, self._device, migration.old_space, self._opened.manifest
                )
            return self._before

    def _load(self, spec: str, device: str) -> Encoder:
        return _recorded(spec, device, self._opened.space, self._opened.manifest)


def _recorded(spec: str, device: str, space: Space, manifest: Manifest) -> Encoder:
    """Load an encoder by its recorded name; raises as `QueryEncoders.current` does."""
    from retrieval.collection.queries.encoder_check import require_same_encoder
    from retrieval.encoders import load_encoder

    encoder = load_encoder(spec, device=device)
    space.require(encoder.space, what=f"the encoder {spec}")
    require_same_encoder(encoder, manifest, _nothing)
    return encoder


def _nothing() -> None:
    """Compare an encoder that is loaded by its recorded name with no rows: that would slow the first query."""


def _origin(opened: Opened) -> str:
    """Say how a collection without a recorded encoder was built; only rows of images have the stamp of a file."""
    from retrieval.collection.queries.encoder_check import LOOKED_AT

    space = opened.space.name
    if any(record.stamp for record in opened.store.records(opened.spread_ids(LOOKED_AT))):
        return f"was built from images by the encoder object {space}"
    return f"was built from vectors of the space {space}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A query as an encoder understands it.

    Attributes:
        query: its terms, without those that mean nothing, and with misspelt words corrected.
        unknown_words: words that the encoder has not learned.
        read_as: misspelt words as they were written, and what they were read as.
    """

    query: Query
    unknown_words: tuple[str, ...] = ()
    read_as: Mapping[str, str] = field(default_factory=dict)


def understood(query: Query, encoders: QueryEncoders, *, keep: Collection[str] = ()) -> Understood:
    """Correct misspelt words, leave out terms that mean nothing to the encoder, and say which words it has not learned.

    Encoders that cannot tell (see `retrieval.encoders.VocabularyEncoder`) understand everything.

    Args:
        keep: words that are right as they are, in lower case.
    Raises:
        UnknownWords: nothing is left.
        CapabilityMissing: there are words, and the encoder cannot be had.
    """
    if not any(term.kind == "text" for term in query.terms):
        return Understood(query=query)
    from retrieval.collection.queries.terms import Query
    from retrieval.encoders import SpellingEncoder, VocabularyEncoder

    encoder = encoders.current()
    if not isinstance(encoder, VocabularyEncoder):
        return Understood(query=query)
    kept, strange, read = [], dict[str, None](), dict[str, str]()
    for term in query.terms:
        if term.kind != "text":
            kept.append(term)
            continue
        if isinstance(encoder, SpellingEncoder):
            text, corrected = encoder.read_as(term.value, keep=keep)
            read.update(corrected)
        else:
            text = term.value
        strange.update(dict.fromkeys(encoder.unknown_words(text)))
        if encoder.known_words(text):
            kept.append(replace(term, value=text))
    words = tuple(strange)
    if not kept:
        name = encoder.space.name
        raise UnknownWords(
            f"the encoder {name} has learned none of the words {first_words(words, repr)}, so whatever came "
            "first would be chance; ask with common English words or with an image, or use a larger encoder",
            words=words,
            encoder=name,
        )
    return Understood(query=Query(tuple(kept)), unknown_words=words, read_as=read)
