"""Store, transform and search unit vectors. This package knows nothing of images."""

DISTRIBUTION = (
    "retrieval-engine"  # the only place that knows the name; `indexes.distribution` makes commands of it
)
