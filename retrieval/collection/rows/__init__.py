"""Write the rows of a collection: create it, open it for writing, add and delete rows, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.build_report import (
        BuildReport as BuildReport,
        published_facts as published_facts,
    )
    from retrieval.collection.rows.by_hand import (
        REFUSED as REFUSED,
        HandRows as HandRows,
        Held as Held,
        RowsReport as RowsReport,
        RowWriter as RowWriter,
        build_index_from_vectors as build_index_from_vectors,
        create as create,
        device_of as device_of,
        hand_number as hand_number,
        is_by_hand as is_by_hand,
        origin_of as origin_of,
        phrases_of as phrases_of,
        publish_by_hand as publish_by_hand,
        refuse_dropping as refuse_dropping,
        rows_where as rows_where,
        show_newest as show_newest,
        sources_with_hand as sources_with_hand,
        sync_vectors as sync_vectors,
        synchronized as synchronized,
        write_blocks as write_blocks,
        writing_rows as writing_rows,
    )
    from retrieval.collection.rows.generation_files import derived_files as derived_files
    from retrieval.collection.rows.growth import (
        BothSpaces as BothSpaces,
        Growing as Growing,
        carried as carried,
        plain as plain,
    )
    from retrieval.collection.rows.inputs import (
        Images as Images,
        KeyList as KeyList,
        KeysLike as KeysLike,
        VectorBlocks as VectorBlocks,
        VectorsLike as VectorsLike,
    )
    from retrieval.collection.rows.lock_wait import TIMEOUT as TIMEOUT, waiting_writer as waiting_writer
    from retrieval.collection.rows.moved_files import (
        forget_moved as forget_moved,
        moved_stamps as moved_stamps,
        remember_moved as remember_moved,
    )
    from retrieval.collection.rows.reindex import index_again as index_again
    from retrieval.collection.rows.writable import (
        check_request as check_request,
        learn_rotation as learn_rotation,
        locked as locked,
        opened as opened,
        published as published,
        swept as swept,
    )

lazy(__name__)
