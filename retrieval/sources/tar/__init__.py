"""Tar archives as a place that images come from: WebDataset's shards and any other tar files, plain or gzipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.tar.shard_names import expand_braces as expand_braces
    from retrieval.sources.tar.tar_source import TarSource as TarSource

lazy(__name__)
