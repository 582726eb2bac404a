from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.synthetic import Recipe, queries, vectors
from indexes.derivation import funnel_plan
from indexes.engine import flat, ivf, prefixes, tune
from indexes.errors import OptionError
from indexes.search import funnel, stages
from indexes.search import rotated_prefixes as turned
from indexes.search.funnel import Funnel
from indexes.search.stages import Stage
from indexes.vectors.arrays import unit_rows
from indexes.vectors.metrics import recall_at_k
from indexes.vectors.space import Space

RECIPE = Recipe(rows=6000, dim=64, clusters=80, topics=8)
ROWS = vectors(RECIPE).astype(np.float16)
QUERIES = queries(RECIPE, 40)
SPACE = Space(name="s", dim=64, fingerprint="f", nesting=(8, 16, 32))
PLAIN = Space(name="p", dim=64, fingerprint="p")
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)


def built(dim=16, rotation=None, stages=None, rows=ROWS, middle=None):
    index = ivf.make(funnel.factory_for(dim), dim=64, prefix=dim, rotation=rotation)
    wide = rows.astype(np.float32)
    ivf.train(index, wide)
    ivf.add(index, [(np.arange(len(rows)), wide)])
    plan = stages or (Stage(dim=dim, shortlist=200),)
    return Funnel(index, rows, plan, rotation=rotation, turned=middle)


def same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=2e-6)


def test_a_head_is_sliced_and_then_normalised():
    wide = ROWS[:50].astype(np.float32)

    np.testing.assert_allclose(prefixes.head(ROWS[:50], 8), unit_rows(wide[:, :8]), atol=1e-6)
    np.testing.assert_allclose(
        prefixes.head(wide, 8, rotation=TURN), unit_rows((wide @ TURN)[:, :8]), atol=1e-5
    )
    np.testing.assert_allclose(funnel.compact(ROWS, 8), prefixes.head(ROWS, 8), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.sampled_from([1, 3, 8, 16, 32, 63]), min_size=1, max_size=4, unique=True).map(sorted),
    k=st.integers(1, 40),
    turned=st.booleans(),
    share=st.none() | st.floats(0.01, 1),
    early=st.booleans(),
)
def test_full_shortlists_equal_exact_search(widths, k, turned, share, early):
    rows = ROWS[:300]
    keep = None if share is None else np.random.default_rng(1).random(300) < share
    # A margin beyond every gain stops only where nothing can be missed.
    stages = tuple(Stage(dim=width, shortlist=300, margin=2.0 if early else None) for width in widths)
    found = funnel.search(rows, QUERIES[:5], stages, k=k, keep=keep, rotation=TURN if turned else None)

    same(found, flat.exact(rows, QUERIES[:5], k=k, keep=keep))


@pytest.mark.parametrize("rotation", [None, TURN])
@pytest.mark.parametrize("kept", [1.0, 0.9, 0.5, 0.2, 0.05])
def test_a_built_funnel_with_full_shortlists_equals_exact_search(rotation, kept):
    keep = None if kept == 1 else np.random.default_rng(2).random(len(ROWS)) < kept
    first = built(rotation=rotation)
    stages = (Stage(dim=16, shortlist=len(ROWS)), Stage(dim=32, shortlist=len(ROWS)))
    expected = flat.exact(ROWS, QUERIES, k=12, keep=keep)

    same(first.search(QUERIES, k=12, stages=stages, keep=keep), expected)
    same(first.search(QUERIES, k=12, stages=stages[:1], keep=keep), expected)


def test_heads_at_hand_change_nothing():
    stages = (Stage(dim=16, shortlist=50), Stage(dim=32, shortlist=20))
    heads = funnel.compact(ROWS, 16)

    same(
        funnel.search(ROWS, QUERIES, stages, k=10, heads=heads),
        funnel.search(ROWS, QUERIES, stages, k=10),
    )


def test_one_query_finds_what_it_finds_in_a_batch():
    first = built(stages=(Stage(dim=16, shortlist=300, margin=0.2), Stage(dim=32, shortlist=60, margin=0.1)))
    together = first.search(QUERIES, k=10)
    alone = [first.search(query[np.newaxis], k=10) for query in QUERIES]

    np.testing.assert_array_equal(together.ids, np.vstack([found.ids for found in alone]))


@pytest.mark.parametrize("k", [1, 10, 35, 900])
@pytest.mark.parametrize("margin", [None, 0.0])
def test_never_fewer_than_k(k, margin):
    first = built(
        stages=(Stage(dim=16, shortlist=80, margin=margin), Stage(dim=32, shortlist=20, margin=margin))
    )
    found = first.search(QUERIES, k=k)

    assert found.ids.shape == (len(QUERIES), k)
    assert (found.ids >= 0).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_rows_that_are_filtered_out_take_no_place_in_the_shortlist():
    first = built()
    stages = (Stage(dim=16, shortlist=200),)
    order = first.handed_on(QUERIES[:1], (Stage(dim=16, shortlist=len(ROWS)),))
    keep = np.ones(len(ROWS), dtype=np.bool_)
    keep[order.ids[0, :1500]] = False  # far more than would have been on it
    handed = first.handed_on(QUERIES[:1], stages, keep=keep)

    np.testing.assert_array_equal(np.sort(handed.scores[0]), np.sort(order.scores[0, 1500:1700]))
    assert keep[handed.ids].all()
    assert keep[first.search(QUERIES[:1], k=10, stages=stages, keep=keep).ids].all()


def test_an_early_stop_reads_fewer_rows_and_misses_only_beyond_its_margin(monkeypatch):
    read = []
    floats = flat.floats
    monkeypatch.setattr(flat, "floats", lambda part, out: (read.append(len(part)), floats(part, out)))
    first = built()
    whole = (Stage(dim=16, shortlist=400),)
    handed = first.handed_on(QUERIES, whole)
    gain = max(
        float((first.cosines(query, ids) - scores).max())
        for query, ids, scores in zip(QUERIES, handed.ids, handed.scores, strict=True)
    )
    read.clear()
    full = first.search(QUERIES, k=10, stages=(Stage(dim=16, shortlist=400, margin=5.0),))
    all_read = sum(read)
    read.clear()
    safe = first.search(QUERIES, k=10, stages=(Stage(dim=16, shortlist=400, margin=gain + 1e-4),))
    safe_read = sum(read)
    read.clear()
    hasty = first.search(QUERIES, k=10, stages=(Stage(dim=16, shortlist=400, margin=-0.1),))

    assert all_read == 400 * len(QUERIES)
    same(safe, full)
    assert sum(read) < safe_read <= all_read
    assert recall_at_k(hasty.ids, full.ids) < 1


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ((), "at least one stage"),
        ((Stage(dim=0, shortlist=50),), "0 is no width"),
        ((Stage(dim=64, shortlist=50),), "64 is no width below the full one"),
        ((Stage(dim=100, shortlist=50),), "100 is no width"),
        ((Stage(dim=9, shortlist=50),), "9 is no prefix width"),
        ((Stage(dim=16, shortlist=50), Stage(dim=8, shortlist=20)), "must rise"),
        ((Stage(dim=8, shortlist=20), Stage(dim=16, shortlist=50)), "longer than the one before"),
        (
            (Stage(dim=8, shortlist=50), Stage(dim=16, shortlist=9)),
            "last shortlist, 9, is shorter than the 10",
        ),
    ],
)
def test_plans_that_cannot_be_are_refused(plan, words):
    with pytest.raises(OptionError, match=words):
        stages.check(plan, k=10, space=SPACE)


def test_naive_truncation_is_refused_with_the_reason():
    plan = (Stage(dim=8, shortlist=50),)
    with pytest.raises(OptionError, match="not trained for truncation"):
        stages.check(plan, k=10, space=PLAIN)

    stages.check(plan, k=10, space=PLAIN, turned=True)


@pytest.fixture(scope="module")
def asked():
    return {"image": tune.stored_questions(ROWS, live=None, sample=300)}


def test_the_plan_chosen_reaches_the_target_on_queries_it_has_not_seen(asked):
    first = built()
    tuned = funnel_plan.tune(first, asked, target=0.9, dim=16, widths=(32,))
    fresh = queries(RECIPE, 400)
    found = first.search(fresh, k=10, stages=stages.from_json(tuned.chosen.stages))

    assert tuned.reached
    assert tuned.chosen in tuned.tried
    assert tuned.chosen.recall["image"] >= 0.9
    assert recall_at_k(found.ids, flat.exact(ROWS, fresh, k=10).ids) > 0.87  # usually above 0.9
    passed = [trial for trial in tuned.tried if tune.passes(trial, 0.9)]
    assert tuned.chosen.microseconds == min(trial.microseconds for trial in passed)
    assert any(len(trial.stages) > 1 for trial in tuned.tried)
    assert any(trial.stages[-1][2] is not None for trial in tuned.tried)


def test_a_higher_target_takes_a_longer_shortlist(asked):
    first = built(dim=8)
    low, high = (funnel_plan.tune(first, asked, target=target, dim=8).chosen for target in (0.5, 0.95))

    assert low.shortlist < high.shortlist


def test_a_target_out_of_reach_is_told_with_the_best_that_was_found(asked, monkeypatch):
    monkeypatch.setattr(funnel_plan, "SHORTLISTS", (20, 40))
    tuned = funnel_plan.tune(built(dim=8), asked, target=1.0, dim=8)

    assert not tuned.reached
    assert tuned.chosen.recall["image"] == max(trial.recall["image"] for trial in tuned.tried)


def test_more_neighbours_than_were_planned_for_take_longer_shortlists():
    plan = (Stage(dim=8, shortlist=45, margin=0.1), Stage(dim=16, shortlist=20))

    assert stages.for_k(plan, 10) == stages.for_k(plan, 3) == plan
    assert [stage.shortlist for stage in stages.for_k(plan, 25)] == [113, 50]


def test_a_width_that_nothing_was_measured_for_takes_ten_candidates_a_neighbour():
    taken = [stages.unplanned(8, k=k, shortlist=shortlist)[0].shortlist for k, shortlist in
             ((1, None), (10, None), (25, None), (25, 5), (1, 5))]  # fmt: skip

    assert taken == [100, 100, 250, 25, 5]


def test_turned_prefixes_are_the_first_components_of_the_turned_rows():
    made = turned.turned(ROWS, 24, TURN)

    np.testing.assert_allclose(made, (ROWS.astype(np.float32) @ TURN)[:, :24], atol=1e-3)
    # A BLAS may add up in another order for fewer columns: a half-precision step more or less.
    np.testing.assert_allclose(made[:, :8], turned.turned(ROWS, 8, TURN), rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize("width", [8, 32, 48])
def test_turned_prefixes_at_hand_change_nothing(width):
    """Stages wider than what is at hand turn their candidates themselves."""
    plan = (Stage(dim=8, shortlist=300), Stage(dim=16, shortlist=100), Stage(dim=32, shortlist=40))
    plain = built(dim=8, rotation=TURN, stages=plan)
    with_file = built(dim=8, rotation=TURN, stages=plan, middle=turned.turned(ROWS, width, TURN))

    expected, found = (one.search(QUERIES, k=10) for one in (plain, with_file))
    assert recall_at_k(found.ids, expected.ids) > 0.99  # half precision may swap two that nearly tie
    handed = [one.handed_on(QUERIES, plan) for one in (plain, with_file)]
    np.testing.assert_allclose(handed[0].scores, handed[1].scores, atol=2e-3)


def test_a_cascade_of_three_widths_is_planned_for_turned_rows(asked):
    index = ivf.make(funnel.factory_for(8), dim=64, prefix=8, rotation=TURN)
    ivf.train(index, ROWS.astype(np.float32))
    ivf.add(index, [(np.arange(len(ROWS)), ROWS.astype(np.float32))])
    tuned = funnel_plan.plan(index, ROWS, asked, space=PLAIN, target=0.8, dim=8, rotation=TURN)
    widths = {tuple(dim for dim, *_ in trial.stages) for trial in tuned.tried}

    assert widths == {(8,), (8, 16), (8, 32), (8, 16, 32)}
    assert tuned.reached
    fresh = queries(RECIPE, 400)
    chosen = stages.from_json(tuned.chosen.stages)
    first = Funnel(index, ROWS, chosen, rotation=TURN, turned=turned.turned(ROWS, 32, TURN))
    assert recall_at_k(first.search(fresh, k=10).ids, flat.exact(ROWS, fresh, k=10).ids) > 0.75
