"""Exact search of float16 rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine.scan import flat as flat
    from indexes.engine.scan.flat import exact as exact
    from indexes.engine.scan.knn import knn_accuracy as knn_accuracy
    from indexes.engine.scan.products import Floats as Floats

lazy(__name__)
