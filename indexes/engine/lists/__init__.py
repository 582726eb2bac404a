"""FAISS indexes: made, trained, filled, saved, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine.lists import (
        assignment as assignment,
        block_lists as block_lists,
        chain as chain,
        factory_strings as factory_strings,
        ivf as ivf,
        mapped_lists as mapped_lists,
        nearest as nearest,
        prefixes as prefixes,
        segments as segments,
    )
    from indexes.engine.lists.ivf import SMALLEST as SMALLEST
    from indexes.engine.lists.list_choice import (
        Probes as Probes,
        choose_lists as choose_lists,
        search_lists as search_lists,
    )

lazy(__name__)
