"""Print what was found about a collection's images: duplicates, groups, labels, maps."""

from __future__ import annotations

from indexes.exports import lazy

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from retrieval.cli.reports.curation.audits import audit_lines as audit_lines
    from retrieval.cli.reports.curation.comparisons import (
        comparison_notes as comparison_notes,
        comparison_table as comparison_table,
    )
    from retrieval.cli.reports.curation.duplicates import (
        duplicate_notes as duplicate_notes,
        duplicate_sets as duplicate_sets,
        moved as moved,
    )
    from retrieval.cli.reports.curation.groups import group_lines as group_lines, group_notes as group_notes
    from retrieval.cli.reports.curation.labels import label_lines as label_lines, label_notes as label_notes
    from retrieval.cli.reports.curation.maps import map_notes as map_notes, map_page_notes as map_page_notes
    from retrieval.cli.reports.curation.picks import picked_text as picked_text

lazy(__name__)
