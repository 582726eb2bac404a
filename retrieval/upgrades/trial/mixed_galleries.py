"""Try settings of an upgrade in mixed galleries of its sample, which has the vectors of both encoders."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from indexes.migration import Background

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.migration import Probe
    from indexes.vectors import Vectors

_SHARES = (0.2, 0.5, 0.8)  # encoded again
_STRETCHES = (0.85, 1.15, 1.3, 1.5)
_BEYOND = 2.0
"""Standard errors by which a stretch must find more than none: few queries choose, and between like encoders a wrong one lets one
side of a mixed gallery crowd out the other."""


class MixedGalleries:
    """Galleries of which some rows are encoded again, asked by queries that settings are chosen by.

    Args:
        select: the queries and the gallery.
        old, new: ``(n, d_old)`` and ``(n, d_new)`` the sample, by which scores of both sides are put on one scale.
    """

    def __init__(self, select: Probe, *, old: Vectors, new: Vectors) -> None:
        self._select = select
        self._moved = Background.of(old, new, moved=True)
        count = len(select.gallery_old)
        self._ranks = np.random.default_rng(0).permutation(count) / max(count, 1)
        side = self._moved.new
        asked = side.asked(select.new, moved=True)
        self._new = side.scores(asked, select.gallery_new), side.level(asked)

    def worth(self, mapped: Vectors) -> float:
        """Return what mapped queries ``(q, d_old)`` count for in the mean over the galleries."""
        found = self._worth_each(mapped, self._placed(mapped))
        return float(found.mean()) if len(found) else 0.0

    def background(self, mapped: Vectors) -> Background:
        """Return what both sides' scores are put on one scale by, with the settings by which mapped queries find most."""
        best = self._placed(mapped)
        usual, chosen, most = self._worth_each(mapped, best), best, 0.0
        for stretch in _STRETCHES:
            option = replace(best, stretch=stretch)
            won = self._worth_each(mapped, option) - usual
            if won.mean() > max(most, _BEYOND * won.std() / math.sqrt(max(len(won), 1))):
                chosen, most = option, float(won.mean())
        return chosen

    def _placed(self, mapped: Vectors) -> Background:
        """Say whether mapped queries have to be moved to where they lie about the mean, by what they find among old rows."""

        def alone(option: Background) -> float:
            asked = option.old.asked(mapped, moved=option.moved)
            return self._select.worth(option.old.scores(asked, self._select.gallery_old))

        return max((self._moved, replace(self._moved, moved=False)), key=alone)

    def _worth_each(self, mapped: Vectors, option: Background) -> NDArray[np.float64]:
        """Return what each query counts for ``(q,)``, summed over the galleries' shares of a third each."""
        select, (new_scores, new_level) = self._select, self._new
        asked = option.old.asked(mapped, moved=option.moved)
        old_scores = option.on_new_scale(
            option.old.scores(asked, select.gallery_old), option.old.level(asked), new_level
        )
        own = np.arange(len(select.target)), select.target
        worth = np.zeros(len(mapped))
        for share in _SHARES:
            scores = np.where(self._ranks < share, new_scores, old_scores)
            if select.labels is not None:  # it is asked for where it is hard to find
                scores[own] = old_scores[own]
            worth += select.worth_each(scores) / len(_SHARES)
        return worth
