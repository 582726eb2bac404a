"""Words are also looked up in the names of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.names.fusion import SAMPLE as SAMPLE, fused as fused
    from retrieval.names.lookup import LookedUp as LookedUp, joined as joined
    from retrieval.names.name_index import has_fts5 as has_fts5
    from retrieval.names.names import Names as Names
    from retrieval.names.names_file import NAMES as NAMES, NamesFile as NamesFile
    from retrieval.names.words import AskedWord as AskedWord, asked_words as asked_words

lazy(__name__)
