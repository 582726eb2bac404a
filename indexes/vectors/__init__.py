"""Arrays, spaces and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.vectors import linear_maps, transforms
    from indexes.vectors.arrays import (
        Bitmap,
        Halves,
        Ids,
        Vectors,
        floats,
        stored_rows,
        unit_rows,
    )
    from indexes.vectors.blas_threads import one_blas_thread
    from indexes.vectors.cosines import clipped, dots, rescored
    from indexes.vectors.integers import integer, optional_integer, places, row_flags, row_ids, spread
    from indexes.vectors.metrics import (
        compatibility,
        curve_area,
        map_at_k,
        micro_ap,
        recall_at_k,
        recall_of_each,
        regression_rate,
        update_gain,
    )
    from indexes.vectors.neighbors import Neighbors, best, merged, padding, ranking
    from indexes.vectors.space import Space
    from indexes.vectors.stacked_rows import StackedRows, as_stacked
    from indexes.vectors.transforms import Matrix, Transform, procrustes
else:
    __getattr__ = lazy(
        __name__,
        {
            "arrays": (
                "Bitmap",
                "Halves",
                "Ids",
                "Vectors",
                "floats",
                "stored_rows",
                "unit_rows",
            ),
            "blas_threads": ("one_blas_thread",),
            "cosines": ("clipped", "dots", "rescored"),
            "integers": ("integer", "optional_integer", "places", "row_flags", "row_ids", "spread"),
            "linear_maps": (),
            "metrics": (
                "compatibility",
                "curve_area",
                "map_at_k",
                "micro_ap",
                "recall_at_k",
                "recall_of_each",
                "regression_rate",
                "update_gain",
            ),
            "neighbors": ("Neighbors", "best", "merged", "padding", "ranking"),
            "space": ("Space",),
            "stacked_rows": ("StackedRows", "as_stacked"),
            "transforms": ("Matrix", "Transform", "procrustes"),
        },
    )

__all__ = [
    "Bitmap",
    "Halves",
    "Ids",
    "Matrix",
    "Neighbors",
    "Space",
    "StackedRows",
    "Transform",
    "Vectors",
    "as_stacked",
    "best",
    "clipped",
    "compatibility",
    "curve_area",
    "dots",
    "floats",
    "integer",
    "linear_maps",
    "map_at_k",
    "merged",
    "micro_ap",
    "one_blas_thread",
    "optional_integer",
    "padding",
    "places",
    "procrustes",
    "ranking",
    "recall_at_k",
    "recall_of_each",
    "regression_rate",
    "rescored",
    "row_flags",
    "row_ids",
    "spread",
    "stored_rows",
    "transforms",
    "unit_rows",
    "update_gain",
]
