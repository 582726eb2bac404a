"""Hold what was measured of queries and their originals, as ``retrieve evaluate --pairs --json`` prints it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from retrieval.display import path_json

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from retrieval.evaluation.copy_detection.curves import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRanking:
    """How well one order of all pairs tells copies from others.

    Attributes:
        by: ``cosine``, or ``verified``: verified pairs first, by their probability, then the others.
        normalised: cosines are lowered by how near the query is to the background.
        micro_ap: average precision of all pairs in one ranking, 0 to 1.
        recall_at_precision_90: share of the true pairs above the best threshold with a precision of 0.9; likewise 0.99.
        threshold_90: the score of that threshold; None where no threshold has this precision.
        recall_at_1: share of the queries with an original whose first row is one.
    """

    by: str
    normalised: bool
    micro_ap: Interval
    recall_at_precision_90: Interval
    recall_at_precision_99: Interval
    threshold_90: float | None
    threshold_99: float | None
    recall_at_1: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstPair:
    """A pair that went wrong.

    Attributes:
        query: the path of its file.
        row: the key of the row: the original that was missed, or what was taken for one.
        score: what ranked it; None where it is not among the first hits.
        place: among the query's hits, the first is 1; None where it is not among them.
        probability: what the check says of the pair; None where it was not checked.
        relation: likewise; empty where it was not checked.
    """

    query: str
    row: str
    score: float | None
    place: int | None
    probability: float | None = None
    relation: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it with paths as JSON can carry them."""
        facts = {
            "score": self.score,
            "place": self.place,
            "probability": self.probability,
            "relation": self.relation,
        }
        return path_json(self.query, "query") | path_json(self.row, "row") | facts


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDetection:
    """What was measured of queries and their originals.

    Attributes:
        queries: queries that have an original.
        pairs: true pairs of a query and an original.
        distractors: queries without an original.
        background: images that scores were normalised with.
        depth: first hits of each query that were looked at.
        recall_at_depth: share of the true pairs among them: no order of the hits finds more.
        checked: pairs that were compared pixel by pixel.
        rankings: one for each order of the pairs.
        missed: true pairs that the last of these orders puts behind wrong ones, the worst first; before them those that are not among the first hits.
        mistaken: wrong pairs that it puts before true ones, the worst first.
        unreadable: files that could not be read, each with a reason; they do not count.
        unknown: lines whose original the collection does not have; they do not count.
        repeated: lines that came twice.
        in_the_collection: distractors and background images that the collection has, too; they do not count.
        pictures: from what the image of each row in these lists is read, by key; not in the JSON.
    """

    queries: int
    pairs: int
    distractors: int
    background: int
    depth: int
    recall_at_depth: float
    checked: int
    rankings: list[PairRanking]
    missed: list[WorstPair]
    mistaken: list[WorstPair]
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    repeated: int = 0
    in_the_collection: int = 0
    pictures: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract."""
        return {
            "queries": self.queries,
            "pairs": self.pairs,
            "distractors": self.distractors,
            "background": self.background,
            "depth": self.depth,
            "recall_at_depth": self.recall_at_depth,
            "checked": self.checked,
            "rankings": [asdict(ranking) for ranking in self.rankings],
            "missed": [pair.to_json() for pair in self.missed],
            "mistaken": [pair.to_json() for pair in self.mistaken],
            "unreadable": [path_json(path) | {"reason": reason} for path, reason in self.unreadable],
            "unknown": [
                path_json(query, "query") | path_json(original, "original")
                for query, original in self.unknown
            ],
            "repeated": self.repeated,
            "in_the_collection": self.in_the_collection,
        }

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write a page that shows the worst pairs, side by side.

        Raises:
            StoreFull: no space left; a file that had the name stays.
        """
        from retrieval.evaluation.copy_detection.page import write

        write(self, path)
