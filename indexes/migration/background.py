"""Put each query's scores in two spaces on one scale, by what it scores with a sample that is known in both.

Cosines of two encoders differ in level and in spread, and for each query in another way: so one curve for all queries lets one
side of a mixed gallery crowd out the other. Here a query is compared with the same sample of images on both sides, and its
scores are measured in standard deviations from their mean (as score normalisation by cohorts does in speaker
verification). Of the sample, its mean and the directions in which it varies most are kept: they tell mean and deviation of any
query's scores. Rows are compared about their mean: what all images of a collection share says nothing of which one is meant.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError, StoreCorrupt
from indexes.files import limit_reached, parsed
from indexes.vectors import Vectors

AXES = 64
"""Directions kept of a sample; with so many the spread of a query's scores is told to 3 %, by 512 of its rows to 6 %."""

_LEAST = 1e-6
_PARTS = ("mean", "centre", "axes", "rest")
_OF_BOTH = ("old_weight", "spread_of_both")
_KNEE = 0.9
Level: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""The mean and the standard deviation of what each query scores with the sample, ``(q, 1)`` both."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """What tells how queries score with a sample in one space.

    Attributes:
        mean: ``(d,)`` float32, of the collection's rows.
        centre: ``(d,)`` float32, the mean of the sample's unit rows about that mean.
        axes: ``(d, a)`` float32, the directions in which those rows vary most, each as long as their standard deviation along it.
        rest: their variance along any other direction, on average.
    """

    mean: NDArray[np.float32]
    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    rest: float

    @classmethod
    def of(cls, sample: Vectors) -> Side:
        """Make it of a sample ``(n, d)``."""
        mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        rows = _units(sample - mean)
        centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        rows -= centre
        values, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64) / max(len(rows), 1))
        values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
        kept = min(AXES, len(mean))
        rest = float(values[kept:].mean()) if kept < len(mean) else 0.0
        # A direction of an axis holds more than the rest: so what the rest would hold there is taken off.
        lengths = np.sqrt(np.maximum(values[:kept] - rest, 0))
        return cls(
            mean=mean,
            centre=centre,
            axes=np.ascontiguousarray(axes[:, :kept] * lengths, dtype=np.float32),
            rest=rest,
        )

    def asked(self, queries: Vectors, *, moved: bool) -> Vectors:
        """Return queries ``(q, d)`` as unit rows about the mean, if they have to be moved there."""
        return _units(queries - self.mean) if moved else np.ascontiguousarray(queries, dtype=np.float32)

    def lifted(self, asked: Vectors) -> Vectors:
        """Return the unit rows ``(q, d)`` that `asked` moves to these: queries that a map has moved, among rows as they are."""
        along = (asked @ self.mean)[:, np.newaxis]  # (q, 1)
        room = along**2 + 1 - float(self.mean @ self.mean)
        return _units((np.sqrt(np.maximum(room, 0)) - along) * asked + self.mean)

    def level(self, asked: Vectors) -> Level:
        """Return what each query scores with the sample."""
        along = asked @ self.axes  # (q, a)
        variance = np.einsum("qa,qa->q", along, along) + np.float32(self.rest)
        spread = np.maximum(np.sqrt(variance), _LEAST)
        return (asked @ self.centre)[:, np.newaxis], spread[:, np.newaxis]

    def scores(self, asked: Vectors, gallery: Vectors) -> NDArray[np.float32]:
        """Return the cosines about the mean of queries with every row of a gallery, ``(q, g)``."""
        scores: NDArray[np.float32] = asked @ _units(gallery - self.mean).T
        return scores


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """The same images in the old space and in the new one.

    Attributes:
        old, new: the sides, of the same images.
        moved: mapped queries lie about the old rows' mean, and have to be moved; else the map has done so.
        stretch: of the old side's standard deviations, chosen by what mixed galleries find: a row that answers a blurred query
            stands out less from the others than it would if it were asked for by its own encoder.
        old_weight: of the old side's score of a row that both spaces have, beside 1 of the new side's (a weighted sum of normalised
            scores, as the fusion of two biometric matchers; Jain, Nandakumar and Ross 2005). 0: the new side scores it alone.
        spread_of_both: standard deviation of that sum over the new side's.
    """

    old: Side
    new: Side
    moved: bool
    stretch: float = 1.0
    old_weight: float = 0.0
    spread_of_both: float = 1.0

    @classmethod
    def of(cls, old: Vectors, new: Vectors, *, moved: bool) -> Background:
        """Make it of a sample in both spaces, ``(n, d_old)`` and ``(n, d_new)`` paired unit rows.

        Raises:
            ShapeError: not as many rows of one as of the other, or none.
        """
        if len(old) != len(new) or not len(old):
            raise ShapeError(
                f"background: {len(old)} old rows and {len(new)} new ones; expected the same images"
            )
        return cls(old=Side.of(old), new=Side.of(new), moved=moved)

    def on_new_scale(
        self, scores: NDArray[Any], old: Level | tuple[float, float], new: Level | tuple[float, float]
    ) -> NDArray[np.float32]:
        """Return scores of the old side ``(q, k)`` as so many standard deviations on the new side; levels of the same queries.

        Those of one query, ``(k,)``, with its levels as numbers.

        From `_KNEE` on, of either scale, they rise to 1 at 1: on both sides a row that is asked for itself is behind none that is
        only alike.
        """
        (mean, spread), (new_mean, new_spread) = old, new
        slope = self.stretch * new_spread / spread  # (q, 1)
        knee, there = self.knee(
            mean, spread, new_mean, new_spread
        )  # (q, 1), on the old scale and the new one
        line = np.asarray(scores * slope + (new_mean - mean * slope), dtype=np.float32)
        beyond = scores > knee
        if not beyond.any():
            return line
        return np.where(beyond, there + (scores - knee) / (1 - knee) * (1 - there), line).astype(np.float32)

    def knee(self, mean: Any, spread: Any, new_mean: Any, new_spread: Any) -> tuple[Any, Any]:
        """Return from where on old scores rise to 1 at 1, on the old scale and on the new one; levels as of `on_new_scale`."""
        slope = self.stretch * new_spread / spread
        knee = mean + (_KNEE - new_mean) / slope
        knee = min(knee, _KNEE) if isinstance(knee, float) else np.minimum(knee, _KNEE)
        return knee, new_mean + (knee - mean) * slope

    def of_both(self, old: NDArray[Any], new: NDArray[Any], mean: Any) -> NDArray[np.float32]:
        """Return scores of rows that both spaces have, on the new side's scale.

        They have its mean and spread, so neither these rows nor those of one space crowd out the others. From `_KNEE` on they rise
        to 1 where both sides score 1.

        Args:
            old, new: what the rows score by either side, both on the new side's scale: ``(q, k)``, or ``(k,)`` of one query.
            mean: of the query's scores with the sample on the new side, ``(q, 1)`` or a number.
        """
        share = 1 / self.spread_of_both
        rest = (1 - (1 + self.old_weight) * share) * mean
        both = np.asarray((new + self.old_weight * old) * share + rest, dtype=np.float32)
        top = (1 + self.old_weight) * share + rest  # of a row that scores 1 on both sides
        knee = np.minimum(_KNEE, _KNEE * top)
        beyond = both > knee
        if not beyond.any():
            return both
        return np.where(beyond, knee + (both - knee) / (top - knee) * (1 - knee), both).astype(np.float32)

    def scores(
        self, old: Vectors, new: Vectors, gallery_old: Vectors, gallery_new: Vectors
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what queries score with every row of a gallery before it is encoded again and after, on one scale, ``(q, g)`` both.

        Args:
            old, new: ``(q, d_old)`` mapped and ``(q, d_new)`` new queries.
            gallery_old, gallery_new: ``(g, d_old)`` and ``(g, d_new)``.
        Returns:
            what they score by the old side, and by the new one (with an `old_weight`, by both).
        """
        asked = self.new.asked(new, moved=True)
        before, after = self.before(old, new, gallery_old), self.new.scores(asked, gallery_new)
        return before, self.of_both(before, after, self.new.level(asked)[0]) if self.old_weight else after

    def before(self, old: Vectors, new: Vectors, gallery: Vectors) -> NDArray[np.float32]:
        """Return what queries score with old rows ``(g, d_old)`` on the new side's scale, ``(q, g)``; queries as of `scores`."""
        asked_old, asked_new = self.old.asked(old, moved=self.moved), self.new.asked(new, moved=True)
        scores = self.old.scores(asked_old, gallery)
        return self.on_new_scale(scores, self.old.level(asked_old), self.new.level(asked_new))

    def save(self, path: Path) -> None:
        """Write it to an ``.npz`` without pickles."""
        file = io.BytesIO()
        sides = {
            f"{part}_{name}": np.asarray(getattr(side, part))
            for name, side in (("old", self.old), ("new", self.new))
            for part in _PARTS
        }
        settings = {name: np.array(getattr(self, name)) for name in ("moved", "stretch", *_OF_BOTH)}
        np.savez(file, allow_pickle=False, **settings, **sides)
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
                Side(
                    mean=data[f"mean_{name}"],
                    centre=data[f"centre_{name}"],
                    axes=data[f"axes_{name}"],
                    rest=float(data[f"rest_{name}"]),
                )
                for name in ("old", "new")
            )
            settings = {
                name: float(data[name]) for name in _OF_BOTH if name in data
            }  # earlier files have none
            return cls(
                old=old, new=new, moved=bool(data["moved"]), stretch=float(data["stretch"]), **settings
            )


def _units(rows: Vectors) -> Vectors:
    """Return rows of length 1; one that is nothing but the mean becomes some direction, as it says nothing."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, np.newaxis]  # (n, 1)
    if lengths.min(initial=1) < _LEAST:
        nothing = lengths[:, 0] < _LEAST
        rows, lengths = rows.copy(), np.maximum(lengths, _LEAST)
        rows[nothing], lengths[nothing] = 0, 1
        rows[nothing, 0] = 1
    return np.asarray(rows / lengths, dtype=np.float32)
