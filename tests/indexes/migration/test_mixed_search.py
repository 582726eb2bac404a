"""A gallery of two spaces is ranked as one, and neither side crowds out the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.derivation.derivation import derive
from indexes.errors import OptionError, ShapeError, StoreCorrupt
from indexes.migration import calibration, sides, staging
from indexes.migration.background import Background
from indexes.migration.calibration import Calibration
from indexes.migration.mixed_search import Mixture
from indexes.search.generation import Generation
from indexes.store import RERANK, RerankRows
from indexes.store.store import NewRow, VectorStore
from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space

OLD = Space(name="old", dim=16, fingerprint="old", nesting=(4, 8))
NEW = Space(name="new", dim=24, fingerprint="new", nesting=(4, 8, 16))
COUNT = 400


def rows(n, d, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((n, d)))


@pytest.fixture
def generation(tmp_path):
    """A generation of the old space, every fifth row tombstoned."""
    with VectorStore.create(tmp_path, dim=OLD.dim) as store:
        store.append(rows(COUNT, OLD.dim), [NewRow(key=b"%d" % n) for n in range(COUNT)])
        store.commit()
        store.remove(range(0, COUNT, 5))
        store.commit()
        manifest = derive(tmp_path, store, space=OLD, encoder=None, root=None)
    with Generation.open(tmp_path, manifest) as generation:
        yield generation


def mixture(generation, renewed, **options):
    """Mix in new rows, in another order than their ids."""
    table = np.full(COUNT, -1, dtype=np.int64)
    order = np.random.default_rng(1).permutation(renewed)
    table[order] = np.arange(len(order))
    fresh = rows(COUNT, NEW.dim, seed=2)[order].astype(np.float16)
    plain = {"image": options.pop("scale", Calibration())}
    return Mixture(generation, fresh, table, space=NEW, calibrations=plain, **options), table


def expected(generation, table, new, old, keep=None):
    """Score every row on its own side, by brute force: ``(q, COUNT)``."""
    scores = old @ np.asarray(generation.rows, dtype=np.float32).T
    there = table >= 0
    scores[:, there] = new @ rows(COUNT, NEW.dim, seed=2).astype(np.float16).astype(np.float32)[there].T
    hidden = ~generation.live if keep is None else ~(generation.live & keep)
    scores[:, hidden] = -np.inf
    return scores


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_both_sides_are_ranked_as_one(generation, share):
    renewed = np.flatnonzero(np.random.default_rng(3).random(COUNT) < share)
    mixed, table = mixture(generation, renewed)
    new, old = rows(7, NEW.dim, seed=4), rows(7, OLD.dim, seed=5)

    found = mixed.search(new, old, k=9)

    truth = expected(generation, table, new, old)
    np.testing.assert_allclose(found.scores, -np.sort(-truth, axis=1)[:, :9], atol=1e-3)
    np.testing.assert_allclose(np.take_along_axis(truth, found.ids, axis=1), found.scores, atol=1e-3)
    assert (found.renewed == (table[found.ids] >= 0)).all()


def test_filters_and_tombstones_hold_on_both_sides(generation):
    mixed, table = mixture(generation, np.arange(0, COUNT, 2))
    keep = np.arange(COUNT) % 3 == 0
    new, old = rows(5, NEW.dim, seed=4), rows(5, OLD.dim, seed=5)

    found = mixed.search(new, old, k=COUNT, keep=keep)

    wanted = np.flatnonzero(keep & generation.live)
    for ids in found.ids:
        assert sorted(ids[ids >= 0].tolist()) == wanted.tolist()
    assert np.isneginf(found.scores[found.ids < 0]).all()
    truth = expected(generation, table, new, old, keep)
    np.testing.assert_allclose(found.scores[:, 0], truth.max(axis=1), atol=1e-3)


def test_scores_are_calibrated_and_cosines_are_not(generation):
    scale = Calibration((-1.0, 0.0, 1.0), (-1.0, 0.5, 1.0))
    mixed, table = mixture(generation, np.arange(0, COUNT, 2), scale=scale)
    new, old = rows(3, NEW.dim, seed=4), rows(3, OLD.dim, seed=5)

    found = mixed.search(new, old, k=20)

    aside = ~found.renewed
    assert aside.any()
    np.testing.assert_allclose(found.scores[aside], scale.apply(found.cosines[aside]), atol=1e-6)
    np.testing.assert_allclose(found.scores[~aside], found.cosines[~aside], atol=1e-6)
    plain = expected(generation, table, new, old)
    np.testing.assert_allclose(found.cosines, np.take_along_axis(plain, found.ids, axis=1), atol=1e-3)


def test_prefixes_are_refused_unless_both_sides_have_them(generation):
    new, old = rows(3, NEW.dim, seed=4), rows(3, OLD.dim, seed=5)
    mixed, _ = mixture(generation, np.arange(100))
    with pytest.raises(OptionError, match="8 is no prefix width while old and new rows are mixed"):
        mixed.search(new, old, k=5, dim=8)

    nested, _ = mixture(generation, np.arange(100), prefixes=(4, 8))
    assert (nested.search(new, old, k=5, dim=8).ids >= 0).all()


def test_exact_search_of_both_sides_cannot_be_narrowed(generation):
    new, old = rows(3, NEW.dim, seed=4), rows(3, OLD.dim, seed=5)
    nested, _ = mixture(generation, np.arange(100), prefixes=(8, OLD.dim))
    for dim in (8, OLD.dim):  # the old rows' whole width cuts the new ones
        with pytest.raises(OptionError, match=r"exact.*leave one of them out"):
            nested.search(new, old, k=5, dim=dim, exact=True)


def test_queries_must_pair(generation):
    mixed, _ = mixture(generation, np.arange(10))
    with pytest.raises(ShapeError, match="expected"):
        mixed.search(rows(3, NEW.dim), rows(2, OLD.dim), k=1)
    with pytest.raises(ShapeError, match="expected"):
        mixed.search(rows(3, OLD.dim), rows(3, OLD.dim), k=1)


@given(seed=st.integers(0, 10_000), narrow=st.floats(0.05, 1.0), shift=st.floats(-0.3, 0.3))
def test_a_calibration_rises_and_keeps_the_ends(seed, narrow, shift):
    draws = np.random.default_rng(seed)
    new = draws.uniform(-0.9, 0.9, (20, 50))
    fitted = calibration.fit(np.clip(new * narrow + shift, -0.99, 0.99), new)

    grid = np.linspace(-1, 1, 401, dtype=np.float32)
    mapped = fitted.apply(grid)
    assert (np.diff(mapped) >= 0).all()
    assert mapped[0] == -1
    assert mapped[-1] == pytest.approx(1)
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_a_calibration_makes_both_distributions_one():
    new = np.random.default_rng(0).normal(0.1, 0.2, (100, 300)).clip(-1, 1)
    old = np.random.default_rng(1).normal(
        0.4, 0.05, (100, 300)
    )  # higher and narrower: it would crowd the other out
    mapped = calibration.fit(old, new).apply(old)

    for share in (0.5, 0.9, 0.99, 0.999):
        assert np.quantile(mapped, share) == pytest.approx(np.quantile(new, share), abs=0.01)
    both = np.concatenate([mapped, new], axis=1)
    best = np.argpartition(-both, 10, axis=1)[:, :10]
    assert 0.4 < (best < 300).mean() < 0.6  # uncalibrated: half as many again


@pytest.mark.parametrize("flat", [0.25, 1.0, -1.0])
def test_equal_scores_in_the_new_space_make_a_flat_calibration_without_steps_of_its_own(flat):
    old = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 50))
    fitted = calibration.fit(old, np.full((20, 50), flat))

    inside = fitted.new[1:-1]
    assert set(inside) == {flat}  # no claim that it rises: steps of 1e-7 would vanish in float32
    assert (np.diff(fitted.apply(np.linspace(-1, 1, 5001, dtype=np.float32))) >= 0).all()
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_padding_stays_padding():
    assert np.isneginf(Calibration().apply(np.array([-np.inf], dtype=np.float32))).all()


def test_a_calibration_that_falls_is_refused():
    with pytest.raises(StoreCorrupt, match="does not rise"):
        Calibration.from_json({"old": [-1, 0, 1], "new": [-1, 1, 0]})
    with pytest.raises(StoreCorrupt, match="not readable"):
        Calibration.from_json({"old": [0]})


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_with_a_background_both_sides_are_ordered_about_their_means_on_one_scale(generation, share, weight):
    background = Background.of(
        np.asarray(generation.rows, dtype=np.float32)[:200], rows(COUNT, NEW.dim, seed=2)[:200], moved=True
    )
    background = replace(background, old_weight=weight, spread_of_both=1 + 0.4 * weight)
    renewed = np.flatnonzero(np.random.default_rng(3).random(COUNT) < share)
    mixed, table = mixture(generation, renewed, background=background)
    new, old = rows(7, NEW.dim, seed=4), rows(7, OLD.dim, seed=5)

    found = mixed.search(new, old, k=100)  # four times as many is the whole gallery

    gallery = np.asarray(generation.rows, dtype=np.float32)
    sides = background.scores(old, new, gallery, rows(COUNT, NEW.dim, seed=2))
    truth = np.where(table >= 0, sides[1], sides[0])
    truth[:, ~generation.live] = -np.inf
    np.testing.assert_allclose(found.scores, -np.sort(-truth, axis=1)[:, :100], atol=5e-3)
    plain = np.where(table >= 0, new @ rows(COUNT, NEW.dim, seed=2).T, old @ gallery.T)
    np.testing.assert_allclose(np.take_along_axis(plain, found.ids, axis=1), found.cosines, atol=2e-3)
    assert (found.renewed == (table[found.ids] >= 0)).all()

    few = mixed.search(new, old, k=3, keep=np.arange(COUNT) < 10)
    assert set(few.ids[few.ids >= 0].tolist()) <= set(range(10))
    for ids in mixed.search(new, old, k=100, words=True).ids:  # words are found on one side each
        assert len(set(ids.tolist())) == 100
    deep = mixed.search(new, old, k=COUNT)
    assert np.isneginf(deep.cosines[deep.ids < 0]).all()
    assert deep.ids.shape == deep.scores.shape == deep.cosines.shape == (7, COUNT)


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95])
def test_what_is_taken_by_codes_alone_answers_as_comparing_all_does(tmp_path, monkeypatch, share, weight):
    monkeypatch.setattr(staging, "INDEXED", 60)
    monkeypatch.setattr(sides, "FEW", 50)
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((100, OLD.dim))
    old_rows = unit_rows(centres[draws.integers(0, 100, 2000)] + 0.5 * draws.standard_normal((2000, OLD.dim)))
    new_rows = unit_rows(old_rows @ draws.standard_normal((OLD.dim, NEW.dim)))
    with VectorStore.create(tmp_path / "old", dim=OLD.dim) as store:
        store.append(old_rows, [NewRow(key=b"%d" % n) for n in range(2000)])
        store.commit()
        manifest = derive(tmp_path / "old", store, space=OLD, encoder=None, kind="ivfrabitq")
    renewed = np.sort(draws.permutation(2000)[: round(share * 2000)])
    table = np.full(2000, -1, dtype=np.int64)
    table[renewed] = np.arange(len(renewed))
    with staging.Staging.open(tmp_path / "new", dim=NEW.dim) as store:
        store.append(renewed, new_rows[renewed], [b""] * len(renewed), state=staging.SERVED)
        store.commit()
        store.index(NEW, whole=True)
    fresh = np.asarray(RerankRows.open(tmp_path / "new" / RERANK, dim=NEW.dim, count=len(renewed)).rows)
    background = Background.of(old_rows[:400], new_rows[:400], moved=True)
    background = replace(background, old_weight=weight, spread_of_both=1 + 0.4 * weight)
    asked = draws.integers(0, 2000, 40)
    old, new = unit_rows(old_rows[asked] + 0.1), unit_rows(new_rows[asked] + 0.1)
    with Generation.open(tmp_path / "old", manifest) as generation:
        mixed = Mixture(
            generation,
            fresh,
            table,
            space=NEW,
            calibrations={"image": Calibration()},
            background=background,
            staging=tmp_path / "new",
        )
        quick = mixed.search(new, old, k=10)
        every = mixed.search(new, old, k=10, exact=True)
        for number in range(40):
            one = mixed.search(new[number : number + 1], old[number : number + 1], k=10)
            np.testing.assert_array_equal(one.ids[0], quick.ids[number])
            np.testing.assert_allclose(one.scores[0], quick.scores[number], atol=1e-5)
        mixed.close()

    found = np.mean([np.isin(a, b).mean() for a, b in zip(quick.ids, every.ids, strict=True)])
    assert found >= 0.9  # usual: 0.97
    assert (np.diff(quick.scores, axis=1) <= 0).all()
    np.testing.assert_array_equal(quick.renewed, table[quick.ids] >= 0)
