"""Define and read what lies in `vectors.lmdb`: records, columns, digests, checksums, changes to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.store.tables import seals as seals
    from indexes.store.tables.columns import (
        COLUMNS as COLUMNS,
        changes_of as changes_of,
        columns_of as columns_of,
        scan_columns as scan_columns,
        wrong_columns as wrong_columns,
    )
    from indexes.store.tables.digest_lookup import (
        holders as holders,
        ids_of_contents as ids_of_contents,
        not_found_by_content as not_found_by_content,
        not_found_by_key as not_found_by_key,
        record_by_key as record_by_key,
        records_by_key as records_by_key,
        room_of_runs as room_of_runs,
    )
    from indexes.store.tables.digest_runs import RUNS as RUNS
    from indexes.store.tables.pending import Changes as Changes
    from indexes.store.tables.records import (
        SOURCES as SOURCES,
        NewRow as NewRow,
        Record as Record,
        check_fields as check_fields,
        content_of as content_of,
        key_and_stamp as key_and_stamp,
        key_of as key_of,
        keys_and_stamps as keys_and_stamps,
        of_source as of_source,
        pack_id as pack_id,
        source_of as source_of,
        unpack_id as unpack_id,
        unpack_record as unpack_record,
    )
    from indexes.store.tables.seals import put_facts as put_facts
    from indexes.store.tables.tables import (
        FLAGS as FLAGS,
        NAMES as NAMES,
        OPTIONAL as OPTIONAL,
        PLAIN as PLAIN,
        block_sum as block_sum,
        describe as describe,
        missing as missing,
        packed_records as packed_records,
        records_of as records_of,
        renames_of as renames_of,
        rows_of as rows_of,
        rows_per_block as rows_per_block,
    )

lazy(__name__)
