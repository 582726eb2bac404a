"""FAISS indexes: made, trained, filled, saved, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine.lists import (
        assignment,
        block_lists,
        chain,
        factory_strings,
        ivf,
        mapped_lists,
        nearest,
        prefixes,
        segments,
    )
    from indexes.engine.lists.ivf import SMALLEST
    from indexes.engine.lists.list_choice import Probes, choose_lists, search_lists
else:
    __getattr__ = lazy(
        __name__,
        {
            "assignment": (),
            "block_lists": (),
            "chain": (),
            "factory_strings": (),
            "ivf": ("SMALLEST",),
            "mapped_lists": (),
            "nearest": (),
            "prefixes": (),
            "segments": (),
            "list_choice": ("Probes", "choose_lists", "search_lists"),
        },
    )

__all__ = [
    "SMALLEST",
    "Probes",
    "assignment",
    "block_lists",
    "chain",
    "choose_lists",
    "factory_strings",
    "ivf",
    "mapped_lists",
    "nearest",
    "prefixes",
    "search_lists",
    "segments",
]
