"""How well are copies told from other images, on queries whose originals are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.evaluation.copy_detection.candidates import in_background
    from retrieval.evaluation.copy_detection.curves import Interval, Ranked, intervals, threshold_at
    from retrieval.evaluation.copy_detection.detection import DEPTH, measure
    from retrieval.evaluation.copy_detection.first_verified import FirstVerified
    from retrieval.evaluation.copy_detection.query_files import encoded, files_below
    from retrieval.evaluation.copy_detection.report import CopyDetection, PairRanking, WorstPair

__all__ = [
    "DEPTH",
    "CopyDetection",
    "FirstVerified",
    "Interval",
    "PairRanking",
    "Ranked",
    "WorstPair",
    "encoded",
    "files_below",
    "in_background",
    "intervals",
    "measure",
    "threshold_at",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "candidates": ("in_background",),
            "curves": ("Interval", "Ranked", "intervals", "threshold_at"),
            "detection": ("DEPTH", "measure"),
            "first_verified": ("FirstVerified",),
            "query_files": ("encoded", "files_below"),
            "report": ("CopyDetection", "PairRanking", "WorstPair"),
        },
    )
