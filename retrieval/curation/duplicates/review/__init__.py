"""Show sets to a person who decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.review.review_page import review_html, review_policy, write_review

__all__ = ["review_html", "review_policy", "write_review"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "review_page": ("review_html", "review_policy", "write_review"),
        },
    )
