"""Offer functions that take a collection as its methods: each is imported from its room when it is first used.

Those rooms stand above this one and import it, so this one names them by text only: nothing of them is loaded with a collection.
"""

from __future__ import annotations

import importlib
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.curation.audit import audit as _audit
    from retrieval.curation.compare import compare as _compare
    from retrieval.curation.duplicates import duplicates as _duplicates
    from retrieval.curation.groups import cluster as _cluster
    from retrieval.curation.labels import (
        classify as _classify,
        query_by_examples as _query_by_examples,
        suspects as _suspects,
    )
    from retrieval.curation.map import map_images as _map_images
    from retrieval.curation.picks import outliers as _outliers, representatives as _representatives
    from retrieval.evaluation import calibrate_matches as _calibrate_matches, evaluate as _evaluate


class FarMethod:
    """A function of another room as a method: its first argument is the collection.

    Args:
        home: of the function, as ``retrieval.room:function``.
    """

    __slots__ = ("_home",)

    def __init__(self, home: str) -> None:
        self._home = home

    def __get__(self, collection: object | None, owner: type | None = None) -> Any:
        module, _, name = self._home.partition(":")
        function = getattr(importlib.import_module(module), name)
        return function if collection is None else types.MethodType(function, collection)


class FarMethods:
    """The methods of `Collection` that are functions of the rooms above: `cluster`, `audit`, `evaluate` and their like."""

    if TYPE_CHECKING:  # a type checker sees the functions themselves
        audit = _audit
        calibrate_matches = _calibrate_matches
        classify = _classify
        cluster = _cluster
        compare = _compare
        duplicates = _duplicates
        evaluate = _evaluate
        map_images = _map_images
        outliers = _outliers
        query_by_examples = _query_by_examples
        representatives = _representatives
        suspects = _suspects
    else:
        audit = FarMethod("retrieval.curation.audit:audit")
        calibrate_matches = FarMethod("retrieval.evaluation:calibrate_matches")
        classify = FarMethod("retrieval.curation.labels:classify")
        cluster = FarMethod("retrieval.curation.groups:cluster")
        compare = FarMethod("retrieval.curation.compare:compare")
        duplicates = FarMethod("retrieval.curation.duplicates:duplicates")
        evaluate = FarMethod("retrieval.evaluation:evaluate")
        map_images = FarMethod("retrieval.curation.map:map_images")
        outliers = FarMethod("retrieval.curation.picks:outliers")
        query_by_examples = FarMethod("retrieval.curation.labels:query_by_examples")
        representatives = FarMethod("retrieval.curation.picks:representatives")
        suspects = FarMethod("retrieval.curation.labels:suspects")
