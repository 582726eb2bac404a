"""Answer other people and programs over HTTP: an API and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.application import create_app as create_app
    from retrieval.server.catalogue import (
        Catalogue as Catalogue,
        GenerationGone as GenerationGone,
        Served as Served,
        UnknownCollection as UnknownCollection,
        named_collections as named_collections,
    )
    from retrieval.server.process import serve as serve
    from retrieval.server.safety import read_token as read_token
    from retrieval.server.settings import (
        Batching as Batching,
        Limits as Limits,
        Settings as Settings,
        is_loopback as is_loopback,
    )

lazy(__name__)
