"""The state of a collection: duplicates, leaks, doubtful labels, poor images, what is rarely found, association bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.audit.association_bias import (
        Association as Association,
        AssociationSet as AssociationSet,
        association as association,
    )
    from retrieval.curation.audit.audit_page import facts_in_words as facts_in_words
    from retrieval.curation.audit.audit_report import Audit as Audit
    from retrieval.curation.audit.auditing import CHECKS as CHECKS, audit as audit
    from retrieval.curation.audit.issues import Issue as Issue, IssueImage as IssueImage

lazy(__name__)
