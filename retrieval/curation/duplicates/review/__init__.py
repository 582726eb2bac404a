"""Show sets to a person who decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.review.review_page import (
        review_html as review_html,
        review_policy as review_policy,
        write_review as write_review,
    )

lazy(__name__)
