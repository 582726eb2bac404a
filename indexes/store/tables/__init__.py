"""Define and read what lies in `vectors.lmdb`: records, columns, digests, checksums, changes to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.store.tables import seals
    from indexes.store.tables.columns import COLUMNS, changes_of, columns_of, scan_columns, wrong_columns
    from indexes.store.tables.digest_lookup import (
        holders,
        ids_of_contents,
        not_found_by_content,
        not_found_by_key,
        record_by_key,
        records_by_key,
        room_of_runs,
    )
    from indexes.store.tables.digest_runs import RUNS
    from indexes.store.tables.pending import Changes
    from indexes.store.tables.records import (
        SOURCES,
        NewRow,
        Record,
        check_fields,
        content_of,
        key_and_stamp,
        key_of,
        of_source,
        pack_id,
        source_of,
        unpack_id,
        unpack_record,
    )
    from indexes.store.tables.seals import put_facts
    from indexes.store.tables.tables import (
        FLAGS,
        NAMES,
        OPTIONAL,
        PLAIN,
        block_sum,
        describe,
        missing,
        packed_records,
        records_of,
        renames_of,
        rows_of,
        rows_per_block,
    )

__all__ = [
    "COLUMNS",
    "FLAGS",
    "NAMES",
    "OPTIONAL",
    "PLAIN",
    "RUNS",
    "SOURCES",
    "Changes",
    "NewRow",
    "Record",
    "block_sum",
    "changes_of",
    "check_fields",
    "columns_of",
    "content_of",
    "describe",
    "holders",
    "ids_of_contents",
    "key_and_stamp",
    "key_of",
    "missing",
    "not_found_by_content",
    "not_found_by_key",
    "of_source",
    "pack_id",
    "packed_records",
    "put_facts",
    "record_by_key",
    "records_by_key",
    "records_of",
    "renames_of",
    "room_of_runs",
    "rows_of",
    "rows_per_block",
    "scan_columns",
    "seals",
    "source_of",
    "unpack_id",
    "unpack_record",
    "wrong_columns",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "columns": ("COLUMNS", "changes_of", "columns_of", "scan_columns", "wrong_columns"),
            "digest_lookup": (
                "holders",
                "ids_of_contents",
                "not_found_by_content",
                "not_found_by_key",
                "record_by_key",
                "records_by_key",
                "room_of_runs",
            ),
            "digest_runs": ("RUNS",),
            "pending": ("Changes",),
            "records": (
                "NewRow",
                "Record",
                "SOURCES",
                "check_fields",
                "content_of",
                "key_and_stamp",
                "key_of",
                "of_source",
                "pack_id",
                "source_of",
                "unpack_id",
                "unpack_record",
            ),
            "seals": ("put_facts",),
            "tables": (
                "FLAGS",
                "NAMES",
                "OPTIONAL",
                "PLAIN",
                "block_sum",
                "describe",
                "missing",
                "packed_records",
                "records_of",
                "renames_of",
                "rows_of",
                "rows_per_block",
            ),
        },
    )
