"""Try settings of an upgrade in mixed galleries of its sample, which has the vectors of both encoders."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from indexes.migration import Background

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexes.migration import Probe
    from indexes.vectors import Vectors

_SHARES = (0.2, 0.5, 0.8)  # encoded again
_LEAST = 1e-9
_STRETCHES = (0.85, 1.15, 1.3, 1.5)
_WEIGHTS = (0.25, 0.5, 1.0)
"""Of the old side's score of rows that both encoders have seen. Unless another one finds clearly more, it is 1 where the old encoder
finds nearly as much as the new one, else 0.5."""
_NEARLY = 0.9
_BEYOND = 2.0
"""Standard errors by which a stretch must find more than none: few queries choose, and between like encoders a wrong one lets one
side of a mixed gallery crowd out the other."""


class MixedGalleries:
    """Galleries of which some rows are encoded again, asked by queries that settings are chosen by.

    Args:
        select: the queries and the gallery.
        old, new: ``(n, d_old)`` and ``(n, d_new)`` the sample, by which scores of both sides are put on one scale.
        by_both: both encoders ask, so rows that are encoded again are scored by the old side, too.
    """

    def __init__(self, select: Probe, *, old: Vectors, new: Vectors, by_both: bool) -> None:
        self._select, self._by_both = select, by_both
        self._moved = Background.of(old, new, moved=True)
        count = len(select.gallery_old)
        self._ranks = np.random.default_rng(0).permutation(count) / max(count, 1)
        side = self._moved.new
        asked = side.asked(select.new, moved=True)
        self._new = side.scores(asked, select.gallery_new), side.level(asked)
        by_old, by_new = (
            select.worth(queries @ gallery.T)
            for queries, gallery in ((select.old, select.gallery_old), (select.new, select.gallery_new))
        )
        self._weight = 1.0 if by_old >= _NEARLY * by_new else 0.5

    def worth(self, mapped: Vectors) -> float:
        """Return what mapped queries ``(q, d_old)`` count for in the mean over the galleries."""
        found = self._worth_each(mapped, self._placed(mapped))
        return float(found.mean()) if len(found) else 0.0

    def background(self, mapped: Vectors) -> Background:
        """Return what both sides' scores are put on one scale by, with the settings by which mapped queries find most."""
        best = self._placed(mapped)
        if self._by_both:
            options = [replace(best, old_weight=weight) for weight in _WEIGHTS]
            best = self._clearly_best(mapped, best, options, beyond=1.0)
        options = [replace(best, stretch=stretch) for stretch in _STRETCHES]
        best = self._clearly_best(mapped, best, options, beyond=_BEYOND)
        return self._spread(best, self._old_scores(mapped, best))

    def _clearly_best(
        self, mapped: Vectors, usual: Background, options: Sequence[Background], *, beyond: float
    ) -> Background:
        """Return the option that finds most, the usual one unless it finds more by so many standard errors."""
        found, chosen, most = self._worth_each(mapped, usual), usual, 0.0
        for option in options:
            won = self._worth_each(mapped, option) - found
            if won.mean() > max(most, beyond * won.std() / math.sqrt(max(len(won), 1))):
                chosen, most = option, float(won.mean())
        return chosen

    def _placed(self, mapped: Vectors) -> Background:
        """Say whether mapped queries have to be moved to where they lie about the mean, by what they find among old rows."""

        def alone(option: Background) -> float:
            asked = option.old.asked(mapped, moved=option.moved)
            return self._select.worth(option.old.scores(asked, self._select.gallery_old))

        weight = self._weight if self._by_both else 0.0
        usual = replace(self._moved, old_weight=weight)
        return max((usual, replace(usual, moved=False)), key=alone)

    def _old_scores(self, mapped: Vectors, option: Background) -> NDArray[np.float32]:
        """Return what mapped queries score by the old side, on the new side's scale, ``(q, g)``."""
        asked = option.old.asked(mapped, moved=option.moved)
        scores = option.old.scores(asked, self._select.gallery_old)
        return option.on_new_scale(scores, option.old.level(asked), self._new[1])

    def _spread(self, option: Background, old_scores: NDArray[np.float32]) -> Background:
        """Measure how far apart the sums of both sides' scores lie, beside those of the new side."""
        if not option.old_weight or not len(old_scores):
            return option
        others = np.ones(old_scores.shape, dtype=np.bool_)
        others[np.arange(len(others)), self._select.target] = False
        new_scores = self._new[0]
        both = new_scores + option.old_weight * old_scores
        spreads = [part.std(axis=1, where=others) for part in (both, new_scores)]  # (q,) each
        return replace(option, spread_of_both=float(np.median(spreads[0] / np.maximum(spreads[1], _LEAST))))

    def _worth_each(self, mapped: Vectors, option: Background) -> NDArray[np.float64]:
        """Return what each query counts for ``(q,)``, summed over the galleries' shares of a third each."""
        select, (new_scores, new_level) = self._select, self._new
        old_scores = self._old_scores(mapped, option)
        if option.old_weight:
            new_scores = self._spread(option, old_scores).of_both(old_scores, new_scores, new_level[0])
        own = np.arange(len(select.target)), select.target
        worth = np.zeros(len(mapped))
        for share in _SHARES:
            scores = np.where(self._ranks < share, new_scores, old_scores)
            if select.labels is not None:  # it is asked for where it is hard to find
                scores[own] = old_scores[own]
            worth += select.worth_each(scores) / len(_SHARES)
        return worth
