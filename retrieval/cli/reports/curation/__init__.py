"""Print what was found about a collection's images: duplicates, groups, labels, maps."""

from __future__ import annotations

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from retrieval.cli.reports.curation.audits import audit_lines
    from retrieval.cli.reports.curation.comparisons import comparison_notes, comparison_table
    from retrieval.cli.reports.curation.duplicates import duplicate_notes, duplicate_sets, moved
    from retrieval.cli.reports.curation.groups import group_lines, group_notes
    from retrieval.cli.reports.curation.labels import label_lines, label_notes
    from retrieval.cli.reports.curation.maps import map_notes, map_page_notes
    from retrieval.cli.reports.curation.picks import picked_text

__all__ = [
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
]


def __getattr__(name: str) -> object:
    from retrieval.exports import lazy

    return lazy(
        __name__,
        {
            "audits": ("audit_lines",),
            "comparisons": ("comparison_notes", "comparison_table"),
            "duplicates": ("duplicate_notes", "duplicate_sets", "moved"),
            "groups": ("group_lines", "group_notes"),
            "labels": ("label_lines", "label_notes"),
            "maps": ("map_notes", "map_page_notes"),
            "picks": ("picked_text",),
        },
    )(name)
