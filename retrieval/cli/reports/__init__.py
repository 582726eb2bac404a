"""What commands print, as aligned lines for people."""

from __future__ import annotations

from indexes.exports import lazy

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from retrieval.cli.reports.builds import build_summary as build_summary, next_step as next_step
    from retrieval.cli.reports.calibrations import calibration_table as calibration_table
    from retrieval.cli.reports.curation import (
        audit_lines as audit_lines,
        comparison_notes as comparison_notes,
        comparison_table as comparison_table,
        duplicate_notes as duplicate_notes,
        duplicate_sets as duplicate_sets,
        group_lines as group_lines,
        group_notes as group_notes,
        label_lines as label_lines,
        label_notes as label_notes,
        map_notes as map_notes,
        map_page_notes as map_page_notes,
        moved as moved,
        picked_text as picked_text,
    )
    from retrieval.cli.reports.evaluations import (
        evaluation_tables as evaluation_tables,
        pair_notes as pair_notes,
    )
    from retrieval.cli.reports.index_facts import (
        bytes_words as bytes_words,
        index_words as index_words,
        number_words as number_words,
        recall_words as recall_words,
        views_words as views_words,
    )
    from retrieval.cli.reports.paths import (
        found_from_here as found_from_here,
        shown as shown,
        unknown_notes as unknown_notes,
    )
    from retrieval.cli.reports.search_notes import (
        collection_note as collection_note,
        narrowed as narrowed,
        retired as retired,
        stale as stale,
        unnarrowed as unnarrowed,
        verified as verified,
    )
    from retrieval.cli.reports.upgrades import (
        backfilled as backfilled,
        encoded_again as encoded_again,
        history as history,
        measured as measured,
    )

lazy(__name__)
