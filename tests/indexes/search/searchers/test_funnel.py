from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.synthetic import Recipe, queries, vectors
from indexes.derivation.tuning import funnel_plan
from indexes.engine import flat, ivf, prefixes, tune
from indexes.errors import OptionError
from indexes.search import prefix_scan
from indexes.search.searchers import funnel, widths
from indexes.search.searchers.funnel import Funnel
from indexes.vectors.arrays import unit_rows
from indexes.vectors.metrics import recall_at_k
from indexes.vectors.space import Space

RECIPE = Recipe(rows=6000, dim=64, clusters=80, topics=8)
ROWS = vectors(RECIPE).astype(np.float16)
QUERIES = queries(RECIPE, 40)
SPACE = Space(name="s", dim=64, fingerprint="f", nesting=(8, 16, 32))
PLAIN = Space(name="p", dim=64, fingerprint="p")
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0].astype(np.float32)


def built(dim=16, rotation=None, rows=ROWS):
    index = ivf.make(funnel.factory_for(dim), dim=64, prefix=dim, rotation=rotation)
    wide = rows.astype(np.float32)
    ivf.train(index, wide)
    ivf.add(index, [(np.arange(len(rows)), wide)])
    return Funnel(index, rows)


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


@settings(max_examples=25)
@given(
    dim=st.sampled_from([1, 3, 8, 16, 32, 63]),
    k=st.integers(1, 40),
    turned=st.booleans(),
    share=st.none() | st.floats(0.01, 1),
)
def test_a_full_shortlist_equals_exact_search(dim, k, turned, share):
    rows = ROWS[:300]
    keep = None if share is None else np.random.default_rng(1).random(300) < share
    rotation = TURN if turned else None
    heads = funnel.compact(rows, dim, rotation=rotation)
    found = funnel.search(rows, heads, QUERIES[:5], shortlist=300, k=k, keep=keep, rotation=rotation)

    same(found, flat.exact(rows, QUERIES[:5], k=k, keep=keep))


@pytest.mark.parametrize("rotation", [None, TURN])
@pytest.mark.parametrize("kept", [1.0, 0.9, 0.5, 0.2, 0.05])
def test_a_built_funnel_with_a_full_shortlist_equals_exact_search(rotation, kept):
    keep = None if kept == 1 else np.random.default_rng(2).random(len(ROWS)) < kept
    expected = flat.exact(ROWS, QUERIES, k=12, keep=keep)

    same(built(rotation=rotation).search(QUERIES, k=12, shortlist=len(ROWS), selector=keep), expected)


def test_more_prefixes_than_are_kept_are_not_made_and_rows_are_searched_exactly(monkeypatch):
    narrow = prefix_scan.Narrow(ROWS, SPACE, rotation=lambda: None)
    keep = np.arange(len(ROWS)) % 3 > 0
    found = narrow.search(QUERIES, dim=16, shortlist=12, k=10, keep=keep)
    expected = flat.exact(ROWS, QUERIES, k=10, keep=keep)
    assert recall_at_k(found.ids, expected.ids) < 1

    monkeypatch.setattr(prefix_scan, "HEADS_BYTES", 2 * 16 * len(ROWS) - 1)
    narrow = prefix_scan.Narrow(ROWS, SPACE, rotation=lambda: None)
    monkeypatch.setattr(funnel, "compact", None)
    same(narrow.search(QUERIES, dim=16, shortlist=12, k=10, keep=keep), expected)


@pytest.mark.parametrize("keep", [None, np.arange(len(ROWS)) % 3 > 0], ids=["all", "some"])
def test_one_query_finds_what_it_finds_in_a_batch(keep):
    first = built()
    together = first.search(QUERIES, k=10, shortlist=100, selector=keep)
    alone = [first.search(query[np.newaxis], k=10, shortlist=100, selector=keep) for query in QUERIES]

    np.testing.assert_array_equal(together.ids, np.vstack([found.ids for found in alone]))


@pytest.mark.parametrize("k", [1, 10, 35, 900])
def test_never_fewer_than_k(k):
    found = built().search(QUERIES, k=k, shortlist=20)

    assert found.ids.shape == (len(QUERIES), k)
    assert (found.ids >= 0).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_rows_that_are_filtered_out_take_no_place_in_the_shortlist():
    first = built()
    every = np.ones(len(ROWS), dtype=np.bool_)
    order = first.among(QUERIES[:1], len(ROWS), every)
    keep = every.copy()
    keep[order.ids[0, :1500]] = False  # far more than would have been on it
    handed = first.among(QUERIES[:1], 200, keep)

    np.testing.assert_array_equal(np.sort(handed.scores[0]), np.sort(order.scores[0, 1500:1700]))
    assert keep[handed.ids].all()
    assert keep[first.search(QUERIES[:1], k=10, shortlist=200, selector=keep).ids].all()


@pytest.mark.parametrize(
    ("dim", "words"),
    [(0, "`truncate_dim=0`: no width of s"), (65, "use 1 to 64"), (9, "9 is no prefix width")],
)
def test_widths_that_cannot_be_are_refused(dim, words):
    with pytest.raises(OptionError, match=words):
        widths.require_prefix(dim, SPACE, turned=False)


def test_naive_truncation_is_refused_with_the_reason():
    with pytest.raises(OptionError, match="not trained for truncation"):
        widths.require_prefix(8, PLAIN, turned=False)

    widths.require_prefix(8, PLAIN, turned=True)


@pytest.fixture(scope="module")
def asked():
    return {"image": tune.stored_questions(ROWS, live=None, sample=300)}


def test_the_shortlist_chosen_reaches_the_target_on_queries_it_has_not_seen(asked):
    first = built()
    tuned = funnel_plan.tune_funnel(first, asked, target=0.9)
    fresh = queries(RECIPE, 400)
    found = first.search(fresh, k=10, shortlist=tuned.chosen.shortlist)

    assert tuned.reached
    assert tuned.chosen in tuned.tried
    assert tuned.chosen.recall["image"] >= 0.9
    assert recall_at_k(found.ids, flat.exact(ROWS, fresh, k=10).ids) > 0.87  # usually above 0.9
    passed = [trial for trial in tuned.tried if tune.passes(trial, 0.9)]
    assert tuned.chosen.microseconds == min(trial.microseconds for trial in passed)
    assert {96, 128} <= {trial.shortlist for trial in tuned.tried}  # steps below the first that passed, 160


def test_a_higher_target_takes_a_longer_shortlist(asked):
    first = built(dim=8)
    low, high = (funnel_plan.tune_funnel(first, asked, target=target).chosen for target in (0.5, 0.95))

    assert low.shortlist < high.shortlist


def test_a_target_out_of_reach_is_told_with_the_best_that_was_found(asked, monkeypatch):
    monkeypatch.setattr(funnel_plan, "SHORTLISTS", (20, 40))
    tuned = funnel_plan.tune_funnel(built(dim=8), asked, target=1.0)

    assert not tuned.reached
    assert tuned.chosen.recall["image"] == max(trial.recall["image"] for trial in tuned.tried)


def test_no_longer_shortlist_is_tried_than_there_are_rows():
    rows = ROWS[:300]
    asked = {"image": tune.stored_questions(rows, live=None, sample=50)}
    tuned = funnel_plan.tune_funnel(built(dim=1, rows=rows), asked, target=1.0)

    assert max(trial.shortlist for trial in tuned.tried) == 320


def test_more_neighbours_than_were_tuned_for_take_longer_shortlists():
    assert [widths.lengthened(45, k) for k in (3, 10, 25)] == [45, 45, 113]


def test_a_width_that_nothing_was_measured_for_takes_ten_candidates_a_neighbour():
    taken = [widths.unmeasured(k, shortlist) for k, shortlist in
             ((1, None), (10, None), (25, None), (25, 5), (1, 5))]  # fmt: skip

    assert taken == [100, 100, 250, 25, 5]
