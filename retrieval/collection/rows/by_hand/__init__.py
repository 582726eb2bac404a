"""Add, replace and delete rows by hand, and publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.by_hand.creation import create as create
    from retrieval.collection.rows.by_hand.hand_publication import (
        device_of as device_of,
        phrases_of as phrases_of,
        publish_by_hand as publish_by_hand,
        rows_where as rows_where,
    )
    from retrieval.collection.rows.by_hand.hand_rows import HandRows as HandRows, Held as Held
    from retrieval.collection.rows.by_hand.row_sources import (
        hand_number as hand_number,
        is_by_hand as is_by_hand,
        origin_of as origin_of,
        sources_with_hand as sources_with_hand,
    )
    from retrieval.collection.rows.by_hand.row_writer import (
        REFUSED as REFUSED,
        RowWriter as RowWriter,
        show_newest as show_newest,
        synchronized as synchronized,
        writing_rows as writing_rows,
    )
    from retrieval.collection.rows.by_hand.rows_by_hand import Contents as Contents
    from retrieval.collection.rows.by_hand.rows_report import RowsReport as RowsReport
    from retrieval.collection.rows.by_hand.vector_sync import (
        build_index_from_vectors as build_index_from_vectors,
        refuse_dropping as refuse_dropping,
        sync_vectors as sync_vectors,
        write_blocks as write_blocks,
    )

lazy(__name__)
