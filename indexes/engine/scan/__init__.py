"""Exact search of float16 rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine.scan import flat
    from indexes.engine.scan.flat import exact
    from indexes.engine.scan.knn import knn_accuracy
    from indexes.engine.scan.products import Floats
else:
    __getattr__ = lazy(__name__, {"flat": ("exact",), "knn": ("knn_accuracy",), "products": ("Floats",)})

__all__ = ["Floats", "exact", "flat", "knn_accuracy"]
