"""Say what an audit found: a line for each kind of issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.cli.reports.curation.listings import listing

if TYPE_CHECKING:
    from retrieval.curation.audit import Audit


def audit_lines(found: Audit, *, columns: int) -> str:
    """Lay out a line for each issue: how many images have it, what share, its name, and the worst of them.

    Args:
        found: the audit.
        columns: width of the terminal; 0 where there is none, and tabs stand between the fields.
    """
    rows = [
        (
            f"{len(issue):,}",
            f"{len(issue) / max(issue.looked_at, 1):.1%}",
            issue.name,
            issue.images[0].path if issue.images else "",
        )
        for issue in found
    ]
    return listing(("images", "share", "issue", "worst"), rows, columns=columns)
