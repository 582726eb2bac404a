"""Fit the rotation that makes prefixes of vectors rank well (PCA or learned)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from indexes.engine import flat, prefixes
from indexes.errors import OptionError
from indexes.search.searchers import funnel
from indexes.vectors import Halves, Ids, Matrix, Space, Transform, Vectors, recall_of_each, transforms

Learn = Callable[[Vectors, Sequence[int], Matrix], Matrix | None]
"""Improves an orthogonal ``(d, d)`` matrix for prefixes of some widths on ``(n, d)`` rows; None if it cannot here."""


LEARNED_DIM = 64
"""Widest prefix for which a rotation is learned: above, PCA loses little (Kusupati et al. 2022, table of 1-NN accuracies)."""

ROWS = 50_000
"""Rows that a rotation is fitted on, at most."""

_ASKED = 500
_K = 10
_SHORTLIST = 100
_CLEAR = 2.0  # standard errors by which the learned rotation must be better


def fit(
    space: Space, rows: Halves, live: Ids, *, widths: Sequence[int], learn: Learn | None = None, seed: int = 0
) -> Transform:
    """Fit a rotation on the stored rows: PCA, or a learned one where it measurably beats PCA at a short prefix.

    Both keep every full-width cosine. Neither is shown the rows that they are compared on: stored rows that look for
    their ten nearest among the others, by the shortest prefix asked for and a shortlist of 100.

    Args:
        space: of the rows.
        rows: ``(n, d)`` float16.
        live: ``(m,)`` ids of the rows to fit on.
        widths: prefixes that are wanted, any below the full width.
        learn: tried for prefixes of up to `LEARNED_DIM`; None for PCA alone.
        seed: of the samples.
    Returns:
        a transform whose facts tell what it was fitted on, the ``energy`` of every prefix, and the comparison.
    Raises:
        OptionError: fewer live rows than the space is wide.
    """
    if len(live) < space.dim:
        raise OptionError(
            f"{space.name} has no prefixes, and a rotation of its {space.dim} dimensions needs at least {space.dim} "
            f"vectors, not {len(live):,}; leave `truncate_dim` out, or add images first"
        )
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(live)[:ROWS])
    short = sorted(width for width in widths if width <= LEARNED_DIM)
    if learn is None or not short or len(sample) < 2 * max(space.dim, _ASKED):
        return transforms.pca(space, rows[sample])
    asked = np.sort(rng.permutation(len(sample))[: min(_ASKED, len(sample) // 4)])
    rest = np.delete(sample, asked)
    plain = transforms.pca(space, rows[rest])
    matrix = learn(rows[rest].astype(np.float32), tuple(short), plain.matrix)
    if matrix is None:
        return transforms.pca(space, rows[sample])
    base = rows[sample]
    each = {
        method: shortlist_recall(base, asked, dim=short[0], rotation=turn)
        for method, turn in (("pca", plain.matrix), ("learned", matrix))
    }
    gain = each["learned"] - each["pca"]
    error = float(gain.std() / np.sqrt(len(gain)))
    compared = {
        "dim": short[0],
        "shortlist": _SHORTLIST,
        "queries": len(asked),
        "pca": round(float(each["pca"].mean()), 4),
        "learned": round(float(each["learned"].mean()), 4),
        "standard_error_of_gain": round(error, 4),
    }
    if not float(gain.mean()) > _CLEAR * error:
        found = transforms.pca(space, rows[sample])
        return replace(found, facts={**found.facts, "compared": compared})
    turned = prefixes.head(base, space.dim, rotation=matrix)
    energy = np.cumsum((turned.astype(np.float64) ** 2).mean(axis=0))
    facts = {"fitted_on": len(rest), "energy": energy.round(6).tolist(), "compared": compared}
    return transforms.rotation(space, matrix, method="learned", facts=facts)


def shortlist_recall(rows: Halves, asked: Ids, *, dim: int, rotation: Matrix | None) -> Vectors:
    """Return the share of each asked row's ten nearest others that a prefix finds among its hundred best, ``(q,)``.

    Args:
        rows: ``(n, d)``.
        asked: ``(q,)`` places of the rows that ask.
        dim: width of the prefix.
        rotation: ``(d, d)``, before it is cut.
    """
    queries = prefixes.head(rows[asked], rows.shape[1])
    heads = funnel.compact(rows, dim, rotation=rotation)
    found = flat.exact(heads, prefixes.head(queries, dim, rotation=rotation), k=_SHORTLIST + 1).ids
    true = flat.exact(rows, queries, k=_K + 1).ids
    true[true == asked[:, np.newaxis]] = -1
    return np.asarray(recall_of_each(found, true), dtype=np.float32)
