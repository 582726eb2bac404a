"""Labels of images: guess them from labelled ones, find doubtful ones, search by examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.labels.classification import classify, suspects
    from retrieval.curation.labels.example_query import query_by_examples
    from retrieval.curation.labels.guesses import Classification, Guess, Suspect, Suspects, Voter

__all__ = [
    "Classification",
    "Guess",
    "Suspect",
    "Suspects",
    "Voter",
    "classify",
    "query_by_examples",
    "suspects",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "classification": ("classify", "suspects"),
            "example_query": ("query_by_examples",),
            "guesses": ("Classification", "Guess", "Suspect", "Suspects", "Voter"),
        },
    )
