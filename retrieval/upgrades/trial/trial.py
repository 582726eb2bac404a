"""Fit every upgrade method on a sample and measure each on held-out queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from retrieval.collection import Fitted
from retrieval.encoders import TextEncoder, encode_phrases
from retrieval.upgrades.trial.maps import Extension, Pairs, fit, refit
from retrieval.upgrades.trial.measurement import Measured, measure
from retrieval.upgrades.trial.questions import Questions
from retrieval.upgrades.trial.sample import Others, Sample

if TYPE_CHECKING:
    from indexes.vectors import Space, Vectors
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came out of fitting and measuring.

    Attributes:
        ways, measured: the methods and how each did.
        left_out: methods that were not fitted, and why.
        questions: the queries.
        pairs: all that a map may be fitted on, once it is chosen.
        measure: ``views`` or ``labels``.
        words: held-out phrases by the old and the new encoder; None unless both read words.
    """

    ways: list[Fitted]
    measured: list[Measured]
    left_out: dict[str, str]
    questions: Questions
    pairs: Pairs
    measure: str
    words: tuple[Vectors, Vectors] | None

    def final(self, way: Fitted) -> Fitted:
        """Return a measured way, fitted anew on all pairs: on the gallery that it was measured in, too."""
        return refit(way, self.pairs, self.questions.select)


def try_methods(
    taken: Sample,
    questions: Questions,
    *,
    method: str,
    extends: Extension | None,
    old: Encoder | None,
    new: Encoder,
    old_space: Space,
    others: Others | None = None,
    progress: OnProgress | None = None,
) -> Trial:
    """Fit every method that applies on the sample, and measure each on queries that nothing was fitted on.

    Args:
        taken, questions: the sample and its queries.
        method: ``auto``, or one to fit beside the baselines.
        extends: how the new encoder asks the old gallery, where it was trained to extend that space.
        old, new: the encoders; without the old one nothing that asks with both is tried.
        old_space: the collection's.
        others: old rows beyond the sample, for what is compatible.
        progress: called with a `Progress` after each kind of map.
    """
    words = _phrases(old, new)
    third = (
        None if words is None else np.arange(len(words[0])) % 3 == 2
    )  # measured on; the others are fitted on
    pairs = Pairs(
        old_space=old_space,
        new_space=new.space,
        old=taken.old[questions.rest],
        new=taken.new[questions.rest],
        views_old=taken.old[questions.viewed],
        views_new=questions.views,
        words_old=None if words is None or third is None else words[0][~third],
        words_new=None if words is None or third is None else words[1][~third],
    )
    viewed = np.isin(questions.viewed, questions.fitted)
    tried = replace(
        pairs,
        old=taken.old[questions.fitted],
        new=taken.new[questions.fitted],
        views_old=taken.old[questions.viewed[viewed]],
        views_new=questions.views[viewed],
    )
    ways, left_out = fit(tried, questions.select, method=method, extends=extends, progress=progress)
    if old is None:
        ways = [way for way in ways if way.alpha is None]
        left_out["slerp"] = "it asks with both encoders, and the old one cannot be loaded"
    kept = None if words is None or third is None else (words[0][third], words[1][third])
    measured = measure(
        ways,
        questions.held,
        select=questions.select,
        others=others,
        words_old=None if kept is None else kept[0],
        words_new=None if kept is None else kept[1],
    )
    return Trial(
        ways=ways,
        measured=measured,
        left_out=left_out,
        questions=questions,
        pairs=pairs,
        measure="views" if questions.held.labels is None else "labels",
        words=kept,
    )


def _phrases(old: Encoder | None, new: Encoder) -> tuple[Vectors, Vectors] | None:
    if not (isinstance(old, TextEncoder) and isinstance(new, TextEncoder)):
        return None
    both = encode_phrases(old), encode_phrases(new)
    if both[0] is None or both[1] is None:
        return None
    mixed = np.random.default_rng(0).permutation(len(both[0]))
    return both[0][mixed], both[1][mixed]
