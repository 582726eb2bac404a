"""Vectors and bytes: stores, transforms and indexes of unit vectors. Knows nothing of images."""

DISTRIBUTION = (
    "retrieval-engine"  # the only place that knows the name; `indexes.distribution` makes commands of it
)
