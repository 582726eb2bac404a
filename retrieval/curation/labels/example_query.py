"""Make a query of examples: a small linear model of what is wanted, against how the whole collection varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.collection import require_settled
from retrieval.collection.queries import Query, as_minus, vector
from retrieval.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.vectors import Vectors
    from retrieval.collection import Collection
    from retrieval.collection.queries import QueryLike

_SAMPLE: Final = 20_000
_SEED: Final = 20_221
_SHRINKAGE: Final = 10.0
"""Added to the variance in each direction, in mean variances: directions in which images hardly differ shall not decide."""
_WEIGHT: Final = 3.0
"""Of one example, in mean variances, beside the collection, which weighs 1."""


def query_by_examples(
    collection: Collection,
    like: QueryLike | Sequence[QueryLike],
    unlike: QueryLike | Sequence[QueryLike] = (),
) -> Query:
    """Return a query for images like some examples and unlike others.

    The vector is that of a ridge regression: examples that are wanted shall score 1, those that are not 0, as all other
    images do. An unwanted example is often near to what you want; it pulls less than one that is subtracted from a query.

    Args:
        collection: an open one.
        like: images, rows or words that are wanted, as `Collection.search` takes them; one at least.
        unlike: those that are not.
    Returns:
        a query for `search`, which does not find the examples themselves. Its scores are lower than those between like images.
    Raises:
        QueryError: there is no wanted example, or nothing tells them from all other images.
        OptionError: the encoder is being changed.
    """
    require_settled(
        collection.manifest, what="the vectors are of two spaces, so examples cannot be compared with them"
    )
    wanted, unwanted = (as_minus(some, beside=collection.root) for some in (like, unlike))
    if not wanted:
        raise QueryError("there is no example of what you want; give one in `like`")
    mean, covariance = _spread(collection)
    scale = float(np.trace(covariance)) / len(covariance) or 1.0
    examples = np.concatenate([collection.encode(one) for one in (*wanted, *unwanted)]) - mean  # (e, d)
    targets = np.concatenate([np.ones(len(wanted)), np.zeros(len(unwanted))])  # (e,)
    system = covariance + scale * (_SHRINKAGE * np.eye(len(covariance)) + _WEIGHT * examples.T @ examples)
    found = np.linalg.solve(system, scale * _WEIGHT * examples.T @ targets)  # (d,)
    length = float(np.linalg.norm(found))
    if not length > 1e-9:
        raise QueryError("nothing tells the wanted examples from all other images; give other ones")
    query = vector((found / length).astype(np.float32))
    for example in (*wanted, *unwanted):
        pictures = tuple(term for term in example.terms if term.kind in {"id", "image"})
        if pictures:  # they weigh nothing, and a search leaves out the rows that it was asked with
            query += 0.0 * Query(pictures)
    return query


def _spread(collection: Collection) -> tuple[Vectors, Vectors]:
    """Return the mean ``(d,)`` and the covariance ``(d, d)`` of the collection, from a sample of 20,000 rows."""
    live = collection.row_ids()
    some = np.sort(np.random.default_rng(_SEED).permutation(live)[:_SAMPLE])
    if not len(some):
        raise QueryError(f"{collection.directory} holds no images to compare examples with")
    rows = collection.vectors(some)  # (s, d)
    mean: Vectors = rows.mean(axis=0)
    rows -= mean
    covariance: Vectors = np.asarray(rows.T @ rows / len(rows), dtype=np.float32)
    return mean, covariance
