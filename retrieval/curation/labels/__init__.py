"""Labels of images: guess them from labelled ones, find doubtful ones, search by examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.labels.classification import classify as classify, suspects as suspects
    from retrieval.curation.labels.example_query import query_by_examples as query_by_examples
    from retrieval.curation.labels.guesses import (
        Classification as Classification,
        Guess as Guess,
        Suspect as Suspect,
        Suspects as Suspects,
        Voter as Voter,
    )

lazy(__name__)
