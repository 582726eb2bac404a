"""The scale of a mixed gallery is chosen by what queries find, and not by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from indexes.migration import Probe
from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space
from indexes.vectors.transforms import Transform
from retrieval.collection import Fitted
from retrieval.upgrades.trial.measurement import backfill_curve, background_of, measure
from retrieval.upgrades.trial.sample import Others

DIM, COUNT = 32, 600
OLD, NEW = (Space(name=name, dim=DIM, fingerprint=name) for name in ("old", "new"))


def way_of(matrix):
    """Return a way that maps by a matrix."""
    image, back = (
        Transform(source=source, target=target, method="ridge", matrix=np.ascontiguousarray(part, np.float32))
        for source, target, part in ((NEW, OLD, matrix), (OLD, NEW, matrix.T))
    )
    return Fitted(method="ridge", image=image, back=back)


def probe_of(draws, turn, *, queries, noise):
    """Return a gallery that two encoders see nearly alike, but turned, and views of some of it."""
    gallery = unit_rows(draws.standard_normal((COUNT, DIM)))
    target = draws.permutation(COUNT)[:queries]
    seen = unit_rows(gallery[target] + noise * draws.standard_normal((queries, DIM)))
    return Probe(
        gallery_old=unit_rows(gallery @ turn + 0.02 * draws.standard_normal((COUNT, DIM))),
        gallery_new=gallery,
        old=unit_rows(seen @ turn),
        new=seen,
        target=target,
    )


@pytest.mark.parametrize("seed", [0, 5, 7])
def test_between_like_encoders_few_queries_choose_no_stretch(seed):
    draws = np.random.default_rng(seed)
    turn = np.linalg.qr(draws.standard_normal((DIM, DIM)))[0]
    probe = probe_of(draws, turn, queries=40, noise=0.4)  # one or two of them find more with a stretch

    background = background_of(way_of(turn), probe, old=probe.gallery_old, new=probe.gallery_new)

    assert background.stretch == 1.0


def test_a_map_that_blurs_stretches_the_old_side():
    draws = np.random.default_rng(0)
    turn = np.linalg.qr(draws.standard_normal((DIM, DIM)))[0]
    blurred = turn + 0.18 * draws.standard_normal((DIM, DIM))
    probe = probe_of(draws, turn, queries=300, noise=0.15)

    background = background_of(way_of(blurred), probe, old=probe.gallery_old, new=probe.gallery_new)

    assert background.stretch > 1


@pytest.mark.parametrize(("method", "compatible"), [("built-in", True), ("ridge", False)])
def test_a_map_that_the_encoder_was_trained_with_has_to_find_as_many_another_one_more(method, compatible):
    draws = np.random.default_rng(0)
    probe = probe_of(draws, np.eye(DIM), queries=40, noise=0.4)
    probe = replace(probe, gallery_new=probe.gallery_old, new=probe.old)

    (found,) = measure(
        [replace(way_of(np.eye(DIM)), method=method)], probe, select=probe, words_old=None, words_new=None
    )

    assert found.new_old == found.old_old
    assert found.compatible is compatible


def test_a_map_that_finds_more_among_few_rows_and_less_among_all_is_not_compatible():
    draws = np.random.default_rng(0)
    gallery, away = (unit_rows(draws.standard_normal((100, DIM))) for _ in range(2))
    mapped = unit_rows(gallery + 0.6 * away)
    probe = Probe(
        gallery_old=gallery,
        gallery_new=gallery,
        old=unit_rows(gallery + 0.4 * draws.standard_normal(gallery.shape)),
        new=mapped,
        target=np.arange(100),
    )
    near = Others(rows=mapped[:80], labels=None, share=0.1)  # where the map leads to, and old queries do not

    def found(others):
        (one,) = measure(
            [way_of(np.eye(DIM))], probe, select=probe, others=others, words_old=None, words_new=None
        )
        return one

    assert found(None).new_old == found(near).new_old > found(None).old_old
    assert [found(others).compatible for others in (None, near)] == [True, False]


def test_both_encoders_are_judged_with_the_rows_that_the_sample_has_encoded():
    draws = np.random.default_rng(0)
    probe = probe_of(draws, np.eye(DIM), queries=200, noise=0.4)
    blurred = unit_rows(probe.gallery_old + 0.3 * draws.standard_normal(probe.gallery_old.shape))
    probe = replace(
        probe, gallery_old=blurred, old=unit_rows(probe.old + 0.3 * draws.standard_normal((200, DIM)))
    )
    others = Others(rows=unit_rows(draws.standard_normal((300, DIM))), labels=None, share=0.6)
    way = replace(way_of(np.eye(DIM)), method="slerp", alpha=0.5)

    (found,) = measure([way], probe, select=probe, others=others, words_old=None, words_new=None)

    assert found.new_old > found.old_old
    assert found.compatible


def test_the_curve_ends_after_the_switch():
    draws = np.random.default_rng(0)
    probe = probe_of(draws, np.eye(DIM), queries=40, noise=0.4)
    background = background_of(way_of(np.eye(DIM)), probe, old=probe.gallery_old, new=probe.gallery_new)

    curve = backfill_curve(way_of(np.eye(DIM)), probe, background)

    assert len(curve["share"]) == len(curve["random"])
    assert curve["random"][-1] == pytest.approx(probe.right(probe.new, probe.gallery_new).mean(), abs=1e-6)
