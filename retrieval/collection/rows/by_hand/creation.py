"""Create an empty collection, to be filled row by row."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.errors import value_text
from indexes.generation import read_manifest, write_manifest
from indexes.vectors import Space, integer
from retrieval.collection import Collection, open_collection
from retrieval.collection.rows import TIMEOUT, locked, opened, published
from retrieval.collection.rows.by_hand.vector_sync import named_space
from retrieval.encoders import canonical_spec, load_encoder, vectors_of_probes
from retrieval.errors import OptionError, ShapeError
from retrieval.hints import named_arguments
from retrieval.location import home_of, place_collection, record_root

if TYPE_CHECKING:
    from retrieval.encoders import EncoderLike

WIDEST = 65_536
"""The widest vectors that a collection is made for; no encoder is known with a fourth of it."""


@named_arguments
def create(
    directory: str | os.PathLike[str],
    *,
    dim: int | None = None,
    space: str | Space | None = None,
    encoder: EncoderLike | None = None,
    device: str = "auto",
    timeout: float = TIMEOUT,
) -> Collection:
    """Make an empty collection in a folder, and open it; `Collection.add` and `Collection.writer` fill it.

    Args:
        directory: the folder, made if need be; the collection lies in its ``.retrieve``.
        dim: width of the vectors; needed unless `space` or `encoder` says it.
        space: the space they live in, or a name for it; ``None`` is the encoder's, or one that is named after the folder.
        encoder: a spec such as ``nano``, or an encoder. With it the collection takes images, and answers words.
        device: where the encoder runs: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        timeout: seconds to wait for another writer.
    Raises:
        OptionError: there is a collection already; or `dim`, `space` and `encoder` say nothing, or not the same.
        UnknownEncoder, WeightsNotFound: the encoder cannot be had.
        StoreReadOnly, StoreFull: the folder cannot be written.
    """
    home = home_of(directory)
    given = None if encoder is None else load_encoder(encoder, device=device)
    target = _space(home, dim, space, None if given is None else given.space)
    spec = canonical_spec(encoder) if isinstance(encoder, str) else getattr(encoder, "spec", None)
    place = place_collection(home, None)
    with locked(place, timeout=timeout) as lock:
        if published(place) is not None:
            raise OptionError(f"{place} holds a collection already; open it, or name another folder")
        with opened(place, lock, None, space=target, encoder=spec, root=record_root(place, home)):
            pass
        if given is not None:  # so that later encoders of its fingerprint are compared with this one
            probes = {given.space.fingerprint: vectors_of_probes(given)}
            write_manifest(place, replace(read_manifest(place), probes=probes))
    return open_collection(place, encoder=given, device=device)


def _space(home: Path, dim: int | None, space: str | Space | None, encoded: Space | None) -> Space:
    """Return the one space that all that was said agrees on."""
    width = None if dim is None else integer(dim, "dim", most=WIDEST)
    if not isinstance(space, str | Space | None):
        raise OptionError(f"space is {value_text(space)} ({type(space).__name__}); give a name or a `Space`")
    own = space if isinstance(space, Space) else encoded
    if own is None:
        if width is None:
            raise OptionError("a collection needs `dim`, the width of its vectors, or an `encoder`")
        return named_space(space if isinstance(space, str) else home.name or "vectors", width)
    if encoded is not None:
        if isinstance(space, str) and space != encoded.name:
            raise OptionError(f"the encoder's space is {encoded.name}, not {space}; leave `space` out")
        own.require(encoded, what=f"the encoder {encoded.name}")
    if width not in (None, own.dim):
        raise ShapeError(
            f"dim is {width}, but the space {own.name} has vectors of {own.dim} numbers; leave `dim` out"
        )
    return own
