"""Which photographs are altered and searched, their vectors, and what is known of them."""

from benchmarks.copies.photographs.chosen import SEED, names, opened, ways
from benchmarks.copies.photographs.galleries import MOST, PICTURES, ROWS, gallery, unmeasured
from benchmarks.copies.photographs.truth import relation_of
from benchmarks.copies.photographs.vectors import encoded, encoded_names

__all__ = [
    "MOST",
    "PICTURES",
    "ROWS",
    "SEED",
    "encoded",
    "encoded_names",
    "gallery",
    "names",
    "opened",
    "relation_of",
    "unmeasured",
    "ways",
]
