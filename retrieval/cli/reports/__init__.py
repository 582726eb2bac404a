"""What commands print, as aligned lines for people."""

from __future__ import annotations

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from retrieval.cli.reports.builds import build_summary, next_step
    from retrieval.cli.reports.calibrations import calibration_table
    from retrieval.cli.reports.curation import (
        audit_lines,
        comparison_notes,
        comparison_table,
        duplicate_notes,
        duplicate_sets,
        group_lines,
        group_notes,
        label_lines,
        label_notes,
        map_notes,
        map_page_notes,
        moved,
        picked_text,
    )
    from retrieval.cli.reports.evaluations import evaluation_tables, pair_notes
    from retrieval.cli.reports.index_facts import (
        bytes_words,
        index_words,
        number_words,
        recall_words,
        views_words,
    )
    from retrieval.cli.reports.paths import found_from_here, shown, unknown_notes
    from retrieval.cli.reports.search_notes import (
        collection_note,
        narrowed,
        retired,
        stale,
        unnarrowed,
        verified,
    )
    from retrieval.cli.reports.upgrades import backfilled, history, measured

__all__ = [
    "audit_lines",
    "backfilled",
    "build_summary",
    "bytes_words",
    "calibration_table",
    "collection_note",
    "comparison_notes",
    "comparison_table",
    "duplicate_notes",
    "duplicate_sets",
    "evaluation_tables",
    "found_from_here",
    "group_lines",
    "group_notes",
    "history",
    "index_words",
    "label_lines",
    "label_notes",
    "map_notes",
    "map_page_notes",
    "measured",
    "moved",
    "narrowed",
    "next_step",
    "number_words",
    "pair_notes",
    "picked_text",
    "recall_words",
    "retired",
    "shown",
    "stale",
    "unknown_notes",
    "unnarrowed",
    "verified",
    "views_words",
]


def __getattr__(name: str) -> object:
    from retrieval.exports import lazy

    return lazy(
        __name__,
        {
            "builds": ("build_summary", "next_step"),
            "calibrations": ("calibration_table",),
            "curation": (
                "audit_lines",
                "comparison_notes",
                "comparison_table",
                "duplicate_notes",
                "duplicate_sets",
                "group_lines",
                "group_notes",
                "label_lines",
                "label_notes",
                "map_notes",
                "map_page_notes",
                "moved",
                "picked_text",
            ),
            "evaluations": ("evaluation_tables", "pair_notes"),
            "index_facts": ("bytes_words", "index_words", "number_words", "recall_words", "views_words"),
            "paths": ("found_from_here", "shown", "unknown_notes"),
            "search_notes": ("collection_note", "narrowed", "retired", "stale", "unnarrowed", "verified"),
            "upgrades": ("backfilled", "history", "measured"),
        },
    )(name)
