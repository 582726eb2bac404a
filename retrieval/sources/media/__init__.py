"""Films, documents and raw photographs become pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.media.films import (
        EVERY as EVERY,
        Every as Every,
        Moment as Moment,
        moments as moments,
        picture_at as picture_at,
    )
    from retrieval.sources.media.inputs import open_regular as open_regular
    from retrieval.sources.media.parts import (
        DOCUMENT_SUFFIXES as DOCUMENT_SUFFIXES,
        FILM_SUFFIXES as FILM_SUFFIXES,
        MediaOptions as MediaOptions,
        clock as clock,
        page_of as page_of,
        part_content as part_content,
        part_example as part_example,
        same_content as same_content,
        seconds_of as seconds_of,
        split_key as split_key,
        split_path as split_path,
    )
    from retrieval.sources.media.pdf_pages import Page as Page, page_at as page_at, pages as pages
    from retrieval.sources.media.pictures import (
        all_parts as all_parts,
        decode_path as decode_path,
        part_bytes as part_bytes,
        read_path as read_path,
        require_reader as require_reader,
    )

lazy(__name__)
