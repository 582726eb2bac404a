"""Answer other people and programs over HTTP: an API and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.application import create_app
    from retrieval.server.catalogue import (
        Catalogue,
        GenerationGone,
        Served,
        UnknownCollection,
        named_collections,
    )
    from retrieval.server.process import serve
    from retrieval.server.safety import read_token
    from retrieval.server.settings import Batching, Limits, Settings, is_loopback

__all__ = [
    "Batching",
    "Catalogue",
    "GenerationGone",
    "Limits",
    "Served",
    "Settings",
    "UnknownCollection",
    "create_app",
    "is_loopback",
    "named_collections",
    "read_token",
    "serve",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "application": ("create_app",),
            "catalogue": ("Catalogue", "GenerationGone", "Served", "UnknownCollection", "named_collections"),
            "process": ("serve",),
            "safety": ("read_token",),
            "settings": ("Batching", "Limits", "Settings", "is_loopback"),
        },
    )
