"""Tar archives as a place that images come from: WebDataset's shards and any other tar files, plain or gzipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.tar.shard_names import expand_braces
    from retrieval.sources.tar.tar_source import TarSource

__all__ = ["TarSource", "expand_braces"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(__name__, {"shard_names": ("expand_braces",), "tar_source": ("TarSource",)})
