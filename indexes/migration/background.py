"""Put each query's scores in two spaces on one scale, by what it scores with a sample that is known in both.

Cosines of two encoders differ in level and in spread, and for each query in another way: so one curve for all queries lets one
side of a mixed gallery crowd out the other. Here a query is compared with the same few hundred images on both sides, and its
scores are measured in standard deviations from their mean (as score normalisation by cohorts does in speaker
verification). Rows are compared about their mean: what all images of a collection share says nothing of which one is meant.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError, StoreCorrupt
from indexes.files import limit_reached, parsed
from indexes.layout import BACKGROUND
from indexes.vectors import Halves, Ids, Vectors, unit_rows

__all__ = ["BACKGROUND", "Background", "Side"]

ROWS = 512
_LEAST = 1e-6
_KNEE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """A sample in one space.

    Attributes:
        mean: ``(d,)`` float32, of the collection's rows.
        rows: ``(b, d)`` float32 unit rows: some of the sample, about the mean.
    """

    mean: NDArray[np.float32]
    rows: Vectors

    @classmethod
    def of(cls, sample: Vectors, picked: Ids) -> Side:
        """Make it of a sample ``(n, d)`` and the places of the rows to keep ``(b,)``."""
        mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        return cls(mean=mean, rows=_units(sample[picked] - mean))

    def asked(self, queries: Vectors, *, moved: bool) -> Vectors:
        """Return queries ``(q, d)`` as unit rows about the mean, if they have to be moved there."""
        return _units(queries - self.mean) if moved else np.ascontiguousarray(queries, dtype=np.float32)

    def lifted(self, asked: Vectors) -> Vectors:
        """Return the unit rows ``(q, d)`` that `asked` moves to these: queries that a map has moved, among rows as they are."""
        along = (asked @ self.mean)[:, np.newaxis]  # (q, 1)
        room = along**2 + 1 - float(self.mean @ self.mean)
        return _units((np.sqrt(np.maximum(room, 0)) - along) * asked + self.mean)

    def level(self, asked: Vectors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the mean and the standard deviation of what each query scores with the sample, ``(q, 1)`` both."""
        scores = asked @ self.rows.T  # (q, b)
        return scores.mean(axis=1, keepdims=True), np.maximum(scores.std(axis=1, keepdims=True), _LEAST)

    def scores(self, asked: Vectors, gallery: Vectors) -> NDArray[np.float32]:
        """Return the cosines about the mean of queries with every row of a gallery, ``(q, g)``."""
        scores: NDArray[np.float32] = asked @ _units(gallery - self.mean).T
        return scores

    def found(
        self, asked: Vectors, queries: Vectors, rows: Halves, ids: Ids
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the cosines about the mean, and those of the queries as they are, with rows that were found.

        Args:
            asked, queries: ``(q, d)`` what `asked` returned, and the unit rows that it was given.
            rows: ``(n, d)``.
            ids: ``(q, k)`` of rows, padded with -1.
        Returns:
            ``(q, k)`` both, padded with -inf.
        """
        centred = np.full(ids.shape, -np.inf, dtype=np.float32)
        plain = centred.copy()
        for number, places in enumerate(ids):
            there = places >= 0
            near = rows[places[there]].astype(np.float32)  # (k, d)
            plain[number, there] = near @ queries[number] / np.maximum(np.linalg.norm(near, axis=1), _LEAST)
            near -= self.mean
            centred[number, there] = near @ asked[number] / np.maximum(np.linalg.norm(near, axis=1), _LEAST)
        return centred, np.clip(plain, -1, 1, where=np.isfinite(plain), out=plain)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """The same images in the old space and in the new one.

    Attributes:
        old, new: the sides; as many rows of one as of the other, the same images.
        moved: mapped queries lie about the old rows' mean, and have to be moved; else the map has done so.
        stretch: of the old side's standard deviations, chosen by what mixed galleries find: a row that answers a blurred query
            stands out less from the others than it would if it were asked for by its own encoder.
    """

    old: Side
    new: Side
    moved: bool
    stretch: float = 1.0

    def __post_init__(self) -> None:
        if len(self.old.rows) != len(self.new.rows) or not len(self.old.rows):
            raise ShapeError(
                f"background: {len(self.old.rows)} old rows and {len(self.new.rows)} new ones; expected the same images"
            )

    @classmethod
    def of(cls, old: Vectors, new: Vectors, *, moved: bool, seed: int = 0) -> Background:
        """Make it of a sample in both spaces, ``(n, d_old)`` and ``(n, d_new)`` paired unit rows."""
        picked = np.random.default_rng(seed).permutation(len(old))[:ROWS]
        return cls(old=Side.of(old, picked), new=Side.of(new, picked), moved=moved)

    def on_new_scale(
        self, scores: NDArray[Any], asked_old: Vectors, asked_new: Vectors
    ) -> NDArray[np.float32]:
        """Return scores of the old side ``(q, k)`` as so many standard deviations on the new side.

        From `_KNEE` on, of either scale, they rise to 1 at 1: on both sides a row that is asked for itself is behind none that is
        only alike.
        """
        (mean, spread), (new_mean, new_spread) = self.old.level(asked_old), self.new.level(asked_new)
        slope = self.stretch * new_spread / spread  # (q, 1)
        knee = np.minimum(mean + (_KNEE - new_mean) / slope, _KNEE)  # (q, 1), on the old scale
        there = new_mean + (knee - mean) * slope
        near = there + (scores - knee) / (1 - knee) * (1 - there)
        return np.asarray(np.where(scores > knee, near, new_mean + (scores - mean) * slope), dtype=np.float32)

    def scores(
        self, old: Vectors, new: Vectors, gallery_old: Vectors, gallery_new: Vectors
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what queries score with every row of a gallery by either side, on one scale, ``(q, g)`` both.

        Args:
            old, new: ``(q, d_old)`` mapped and ``(q, d_new)`` new queries.
            gallery_old, gallery_new: ``(g, d_old)`` and ``(g, d_new)``.
        """
        asked_old, asked_new = self.old.asked(old, moved=self.moved), self.new.asked(new, moved=True)
        return (
            self.on_new_scale(self.old.scores(asked_old, gallery_old), asked_old, asked_new),
            self.new.scores(asked_new, gallery_new),
        )

    def save(self, path: Path) -> None:
        """Write it to an ``.npz`` without pickles."""
        file = io.BytesIO()
        np.savez(
            file,
            allow_pickle=False,
            mean_old=self.old.mean,
            mean_new=self.new.mean,
            rows_old=self.old.rows.astype(np.float16),
            rows_new=self.new.rows.astype(np.float16),
            moved=np.array(self.moved),
            stretch=np.array(self.stretch),
        )
        path.write_bytes(file.getvalue())

    @classmethod
    def load(cls, path: Path) -> Background:
        """Read what `save` wrote.

        Raises:
            StoreCorrupt: missing or not readable.
        """
        try:
            return parsed(lambda: cls._load(path))
        except Exception as error:  # numpy's parser raises what it likes
            raise limit_reached(error, path) or StoreCorrupt(
                f"{path}: not readable ({error}); restore it from a backup, or give the upgrade up with `rollback`"
            ) from error

    @classmethod
    def _load(cls, path: Path) -> Background:
        with np.load(path, allow_pickle=False) as data:
            old, new = (
                Side(mean=data[f"mean_{name}"], rows=_units(data[f"rows_{name}"].astype(np.float32)))
                for name in ("old", "new")
            )
            return cls(old=old, new=new, moved=bool(data["moved"]), stretch=float(data["stretch"]))


def _units(rows: Vectors) -> Vectors:
    """Return rows of length 1; one that is nothing but the mean becomes some direction, as it says nothing."""
    nothing = np.linalg.norm(rows, axis=1) < _LEAST
    if nothing.any():
        rows = rows.copy()
        rows[nothing, 0] = 1.0
    return unit_rows(rows, what="rows about their mean")
