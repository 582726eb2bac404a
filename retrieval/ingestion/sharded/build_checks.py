"""Refuse what a sharded build cannot take, before its source is listed and before any image is encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexes.derivation import KINDS, shared_factory
from indexes.generation import MANIFEST, SHARDS
from retrieval.collection.rows import check_request
from retrieval.collection.sharded.rows import SHARD_ROWS
from retrieval.distributed import check_cluster
from retrieval.encoders import load_encoder
from retrieval.errors import OptionError
from retrieval.ingestion import DEFAULT_ENCODER
from retrieval.location import require_whole
from retrieval.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.vectors import Space

_REFUSED = ("views", "truncate_dim", "drop_source")


def check_options(
    given: Sequence[Any],
    directory: Path,
    shards: int | None,
    shard_rows: int | None,
    cluster: str | None,
    options: Mapping[str, Any],
) -> None:
    """Refuse what a sharded collection cannot take, before anything is written; takes what `build_shards` does.

    Raises:
        OptionError: there is such a thing.
    """
    require_whole(directory)
    check_cluster(cluster)
    for name, value in (("shards", shards), ("shard_rows", shard_rows)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise OptionError(f"{name} is {value!r:.80}; it must be a whole number, at least 1")
    if len(given) > 1:
        raise OptionError(
            f"a sharded collection has one source, not {len(given)}; name many files by one text with braces or stars, or in a "
            "listing"
        )
    for name in _REFUSED:
        if options[name]:
            raise OptionError(f"`{name}` works on one collection, not on a sharded one; leave it out")
    if (directory / MANIFEST).is_file() and not (directory / SHARDS).is_file():
        raise OptionError(
            f"{directory} is one collection already; make the sharded one elsewhere with `index=…`, or leave `shards` out"
        )
    if any(getattr(one, "spec", one) == STANDARD_INPUT for one in given):
        raise OptionError(
            "a list on standard input can be read once only, shards read it once each; write it to a file"
        )


def check_index(kind: str | None, recall: float | None, *, encoder: Any, known: Manifest | None) -> None:
    """Refuse an index that shards cannot have: each is built as a flat one, so the training of all would say so after hours.

    Args:
        kind, recall: as they were given.
        encoder: of the build; None for the default one. It is loaded only to learn the width for a factory string.
        known: the manifest of a shard; None before there is one.
    Raises:
        OptionError: a target that cannot be, or a kind that is none, cannot be made, or has no lists to share.
    """

    def space() -> Space:
        if known is not None:
            return known.space
        # A space is the same on every device, and a GPU is the jobs' own.
        return load_encoder(DEFAULT_ENCODER if encoder is None else encoder, device="cpu").space

    check_request(space, kind=None, dim=None, recall=recall)
    if kind is not None and kind not in KINDS:
        shared_factory(str(kind), [SHARD_ROWS], width=space().dim)
