"""Groups of images that are alike: find them, name them, show what stands for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.groups.clustering import cluster as cluster
    from retrieval.curation.groups.group_report import Group as Group, Groups as Groups
    from retrieval.curation.groups.principal_axes import PrincipalAxes as PrincipalAxes
    from retrieval.curation.groups.vocabulary import (
        everyday_nouns as everyday_nouns,
        read_words as read_words,
        word_vectors as word_vectors,
    )

lazy(__name__)
