"""The state of a collection: duplicates, leaks, doubtful labels, poor images, what is rarely found, association bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.audit.association_bias import Association, AssociationSet, association
    from retrieval.curation.audit.audit_page import facts_in_words
    from retrieval.curation.audit.audit_report import Audit
    from retrieval.curation.audit.auditing import CHECKS, audit
    from retrieval.curation.audit.issues import Issue, IssueImage

__all__ = [
    "CHECKS",
    "Association",
    "AssociationSet",
    "Audit",
    "Issue",
    "IssueImage",
    "association",
    "audit",
    "facts_in_words",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "association_bias": ("Association", "AssociationSet", "association"),
            "audit_page": ("facts_in_words",),
            "audit_report": ("Audit",),
            "auditing": ("CHECKS", "audit"),
            "issues": ("Issue", "IssueImage"),
        },
    )
