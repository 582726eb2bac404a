"""Choose the encoder of a build and the space that the collection stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexes.vectors import spread
from retrieval.collection import Migration
from retrieval.collection.queries import LOOKED_AT, require_same_encoder, require_same_vectors
from retrieval.collection.rows import plain
from retrieval.encoders import (
    canonical_spec,
    encode_phrases,
    load_encoder,
    note_when_encoding,
    vectors_of_probes,
)
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.vectors import Space, Vectors
    from retrieval.collection.rows import Growing
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.sources import Source

DEFAULT_ENCODER = "nano"


class BuildEncoder:
    """The encoder of a build, loaded only when an image must be encoded.

    Args:
        encoder: what the caller asked for: a spec, an encoder, or None for the collection's own.
        directory: the collection's.
        before: its manifest. While its encoder changes, new images are encoded by the new encoder only.
        device: where it runs.
    Attributes:
        spec: how it is named; None for one without a name.
    Raises:
        OptionError: the collection holds vectors of another encoder, or was built from vectors.
        UnknownEncoder: no such encoder.
        SpaceMismatch: an encoder that was given is of another space.
    """

    def __init__(
        self, encoder: EncoderLike | None, directory: Path, before: Manifest | None, device: str
    ) -> None:
        migration = None if before is None else Migration.read(directory, before)
        self._device = device
        self._before = before
        self._migration = migration
        self._encoder: Encoder | None = None
        self._vouched = before is None  # whatever it gives is what the collection will hold
        recorded = None if before is None else before.encoder
        if migration is not None:  # new images are encoded by the new encoder only
            recorded = migration.new
        if before is not None and recorded is None and encoder is None:
            raise OptionError(
                f"this collection records no encoder: it was built from vectors of the space {before.space.name}, or by an "
                "encoder object; name an encoder of that space, or add to it with its vectors and keys"
            )
        if isinstance(encoder, str) or encoder is None:
            self.spec: str | None = canonical_spec(encoder or recorded or DEFAULT_ENCODER)
            if before is not None and recorded not in (None, self.spec):
                raise OptionError(
                    f"this collection holds vectors of {recorded}, not of {self.spec}; "
                    "leave `encoder` away, or name another place with `index=…`"
                )
        else:
            self._encoder = load_encoder(encoder)
            self.spec = getattr(encoder, "spec", None) or recorded  # of one space: who built it still answers
            self._check()

    def require(self) -> None:
        """Load the encoder now if none is recorded or another one was asked for: what cannot be had stops no walk midway."""
        if self._before is None or self._before.encoder is None:
            _ = self.encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use."""
        if self._encoder is None:
            if self.spec is None:
                raise OptionError("the collection records no encoder; give one")
            self._encoder = load_encoder(self.spec, device=self._device)
            self._check()
        return self._encoder

    def checked(self, store: Growing, source: Source) -> Encoder:
        """Return the encoder, after it was compared with the one that made what the collection holds.

        Raises:
            SpaceMismatch: it has the collection's fingerprint and gives other vectors; by its first batch, where the
                manifest has its vectors of probes.
        """
        if self._before is None or not require_same_encoder(
            self.encoder, self._before, lambda: self._compare_rows(store, source)
        ):
            note_when_encoding(self.encoder)
            self._vouched = self._migration is None  # of the new encoder the upgrade has recorded the probes
        return self.encoder

    def _compare_rows(self, store: Growing, source: Source) -> None:
        if self._migration is not None:  # it is of the new space, of which few rows may be
            return
        rows = plain(store)
        gone = rows.tombstones()
        ids = spread(len(gone), LOOKED_AT)
        require_same_vectors(
            self.encoder,
            source,
            ids=ids[~gone[ids]],
            record=rows.record,
            row=lambda number: rows.rows(number, number + 1)[0],
        )

    def probes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what the manifest is to record of the encoder, so that later ones are compared with it."""
        if self._encoder is None or not self._vouched:
            return {}
        return {self.encoder.space.fingerprint: vectors_of_probes(self.encoder)}

    @property
    def space(self) -> Space:
        """The space of what is encoded."""
        if self._migration is not None:
            return self._migration.new_space
        return self._before.space if self._before is not None else self.encoder.space

    @property
    def stored_space(self) -> Space:
        """The space of the collection's own rows; another one only while its encoder changes."""
        return self.space if self._migration is None else self._migration.old_space

    @property
    def stored(self) -> str | None:
        """The encoder of those."""
        return self.spec if self._migration is None else self._migration.old

    def phrases(self) -> Mapping[str, Vectors]:
        """Encode the built-in phrases: text queries lie off the images' distribution, so their recall is measured too."""
        words = encode_phrases(self.encoder)
        if words is not None and self._migration is not None:
            words = self._migration.way.queries(words, None, words=True)
        return {} if words is None else {"text": words}

    def _check(self) -> None:
        if self._encoder is not None and self._before is not None:
            self.space.require(self._encoder.space, what=f"the encoder {self._encoder.space.name}")
