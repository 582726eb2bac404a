"""Groups of images that are alike: find them, name them, show what stands for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.groups.clustering import cluster
    from retrieval.curation.groups.group_report import Group, Groups
    from retrieval.curation.groups.principal_axes import PrincipalAxes
    from retrieval.curation.groups.vocabulary import everyday_nouns, read_words, word_vectors

__all__ = [
    "Group",
    "Groups",
    "PrincipalAxes",
    "cluster",
    "everyday_nouns",
    "read_words",
    "word_vectors",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "clustering": ("cluster",),
            "group_report": ("Group", "Groups"),
            "principal_axes": ("PrincipalAxes",),
            "vocabulary": ("everyday_nouns", "read_words", "word_vectors"),
        },
    )
