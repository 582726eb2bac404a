"""Labels of images: guess them from labelled ones, find doubtful ones, search by examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.labels.classification import classify, suspects
    from retrieval.curation.labels.example_query import query_by_examples
    from retrieval.curation.labels.given_labels import KnownLabels, LabelsLike, known_labels
    from retrieval.curation.labels.guesses import Classification, Guess, Suspect, Suspects, Voter

__all__ = [
    "Classification",
    "Guess",
    "KnownLabels",
    "LabelsLike",
    "Suspect",
    "Suspects",
    "Voter",
    "classify",
    "known_labels",
    "query_by_examples",
    "suspects",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "classification": ("classify", "suspects"),
            "example_query": ("query_by_examples",),
            "given_labels": ("KnownLabels", "LabelsLike", "known_labels"),
            "guesses": ("Classification", "Guess", "Suspect", "Suspects", "Voter"),
        },
    )
