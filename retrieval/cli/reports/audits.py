"""Say what an audit found: a line for each kind of issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.display import cells, escape, shorten

if TYPE_CHECKING:
    from retrieval.curation.audit import Audit

__all__ = ["audit_lines"]


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
            escape(issue.images[0].path) if issue.images else "",
        )
        for issue in found
    ]
    if not columns:
        return "".join("\t".join(row).rstrip("\t") + "\n" for row in rows)
    wide = [max((len(row[at]) for row in rows), default=0) for at in range(3)]
    lines = []
    for count, share, name, path in rows:
        front = f"{count:>{wide[0]}}  {share:>{wide[1]}}  {name:<{wide[2]}}"
        lines.append(f"{front}  {shorten(path, max(columns - cells(front) - 2, 8))}".rstrip() + "\n")
    return "".join(lines)
