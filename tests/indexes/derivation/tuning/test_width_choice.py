"""`build-index --dim`: funnels and rotations, as published generations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from indexes.derivation import derivation
from indexes.derivation.construction import rotations
from indexes.derivation.tuning.width_choice import Design, ranked
from indexes.engine import flat
from indexes.errors import OptionError
from indexes.generation import generation_path, read_manifest, verify
from indexes.layout import REPORT, TRANSFORMS
from indexes.search.generation import Generation
from indexes.search.searchers.widths import prefixes_of
from indexes.store.store import VectorStore
from indexes.vectors import transforms
from indexes.vectors.arrays import unit_rows
from indexes.vectors.metrics import recall_at_k
from indexes.vectors.space import Space
from tests.indexes.search.test_generation import QUERIES, SPACE, VECTORS, fill, grow, same

PLAIN = Space(name="plain", dim=32, fingerprint="p" * 32)


def build(directory, space=SPACE, **options):
    with VectorStore.open(directory, dim=32, writable=True) as store:
        return derivation.derive(directory, store, space=space, encoder=None, root=None, **options)


def report(directory):
    return json.loads((generation_path(directory, read_manifest(directory).generation) / REPORT).read_text())


def check(directory, manifest):
    """The generation answers exactly when every row is on the shortlist, and well when it is not."""
    assert manifest == read_manifest(directory)
    assert all(file.ok for file in verify(directory))
    with VectorStore.open(directory, dim=32) as store, Generation.open(directory, manifest) as opened:
        live = ~store.tombstones()
        expected = flat.exact(store.rows(0, store.count), QUERIES, k=10, keep=live)
        same(opened.search(QUERIES, k=10, nprobe=10**6, shortlist=store.count), expected)
        found = opened.search(QUERIES, k=10)
        assert (found.ids >= 0).all()
        assert live[found.ids].all()
        if manifest.index.recall_reason is None:
            assert recall_at_k(found.ids, expected.ids) > 0.85  # 0.95 was asked for, on other queries


@pytest.mark.parametrize("space", [SPACE, PLAIN], ids=["nested", "plain"])
def test_flat_with_a_width_is_a_funnel(tmp_path, space):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, space, kind="flat", dim=8)
    info = manifest.index

    assert (info.kind, info.dim, info.factory, info.exact) == ("flat", 8, "PQ8x4fs", False)
    assert info.recall_at_10 >= 0.95 or info.recall_reason
    assert 4 <= info.bytes_per_vector < 10
    assert info.transform == (None if space.nesting else "pca")
    assert (TRANSFORMS in manifest.files) == (not space.nesting)
    check(tmp_path, manifest)
    assert build(tmp_path, space) == manifest
    assert build(tmp_path, space, kind="flat", dim=8) == manifest
    grow(tmp_path, 2000, 2100, dead=[3, 5, 2050])  # a tail
    manifest = build(tmp_path, space)
    assert (manifest.index.base_rows, manifest.count) == (2000, 2100)
    check(tmp_path, manifest)
    grow(tmp_path, 2100, 3000, dead=range(100, 700))  # merged
    manifest = build(tmp_path, space)
    assert (manifest.index.base_rows, manifest.count, manifest.index.dim) == (3000, 3000, 8)
    assert manifest.index.transform == info.transform
    check(tmp_path, manifest)
    assert build(tmp_path, space, kind="flat", dim=32).index.exact


def test_auto_with_a_width_is_a_funnel_while_there_are_few_rows(tmp_path):
    fill(tmp_path, 0, 1000)

    assert build(tmp_path, dim=16).index.kind == "flat"
    assert not read_manifest(tmp_path).index.exact
    assert build(tmp_path).index.dim == 16  # its own choice from now on


def test_too_few_rows_for_a_funnel_are_searched_exactly_and_it_is_said_why(tmp_path):
    fill(tmp_path, 0, 200)
    info = build(tmp_path, kind="flat", dim=8).index

    assert info.exact
    assert "too few" in info.recall_reason


@pytest.mark.parametrize("kind", ["ivfrabitq", "ivfpq", "IVF16,SQ8"])
def test_a_rotation_comes_before_the_prefix_of_an_encoder_without_any(tmp_path, kind):
    fill(tmp_path, 0, 2000)
    manifest = build(tmp_path, PLAIN, kind=kind, dim=16)
    (turn,) = transforms.load(generation_path(tmp_path, 1) / TRANSFORMS)

    assert (manifest.index.dim, manifest.index.transform) == (16, "pca")
    assert turn.source.same_as(PLAIN)
    assert turn.facts["fitted_on"] == 2000
    energy = np.cumsum((turn.apply(VECTORS[:2000]) ** 2).mean(axis=0))
    np.testing.assert_allclose(turn.facts["energy"], energy, atol=2e-3)
    assert turn.facts["energy"][15] > np.cumsum((VECTORS[:2000] ** 2).mean(axis=0))[15]
    check(tmp_path, manifest)
    grow(tmp_path, 2000, 2050)
    manifest = build(tmp_path, PLAIN)
    assert manifest.index.base_rows == 2000
    np.testing.assert_array_equal(
        transforms.load(generation_path(tmp_path, 2) / TRANSFORMS)[0].matrix, turn.matrix
    )
    check(tmp_path, manifest)


def test_a_fitted_rotation_lets_queries_be_narrowed_to_any_width(tmp_path):
    fill(tmp_path, 0, 1000)
    with (
        Generation.open(tmp_path, build(tmp_path, PLAIN)) as opened,
        pytest.raises(OptionError, match=r"not trained for truncation.*`build_index\(truncate_dim=…\)`"),
    ):
        opened.search(QUERIES, k=10, dim=8)
    with Generation.open(tmp_path, build(tmp_path, PLAIN, kind="flat", dim=8)) as opened:
        exact = opened.search(QUERIES, k=10, exact=True)
        narrow = opened.search(QUERIES, k=10, dim=5)

        same(opened.search(QUERIES, k=10, dim=5, shortlist=1000), exact)
        assert recall_at_k(narrow.ids, exact.ids) > 0.3


@pytest.mark.parametrize(
    ("space", "dim", "words"),
    [
        (SPACE, 0, "use 1 to 32"),
        (SPACE, -1, "use 1 to 32"),
        (SPACE, 33, "use 1 to 32"),
        (SPACE, 12, "12 is no prefix width"),
        (PLAIN, 64, "use 1 to 32"),
        (PLAIN, 8, "at least 32 vectors, not 20"),
    ],
)
@pytest.mark.parametrize("kind", ["flat", "ivfrabitq", None])
def test_widths_that_cannot_be_change_nothing(tmp_path, space, dim, words, kind):
    fill(tmp_path, 0, 20)
    before = build(tmp_path, space)
    with pytest.raises(OptionError, match=words) as caught:
        build(tmp_path, space, kind=kind, dim=dim)

    assert "\n" not in str(caught.value)
    assert read_manifest(tmp_path) == before


def test_a_collection_that_shrank_below_its_rotation_is_searched_exactly(tmp_path):
    fill(tmp_path, 0, 1000)
    build(tmp_path, PLAIN, kind="flat", dim=8)
    grow(tmp_path, 1000, 1001, dead=range(980))
    info = build(tmp_path, PLAIN).index

    assert info.exact
    assert "too few for a rotation" in info.recall_reason


@pytest.mark.parametrize(
    ("kind", "space"), [(None, SPACE), ("ivfrabitq", SPACE), ("IVF16,SQ8", SPACE), ("flat", PLAIN)]
)
def test_auto_measures_tells_and_chooses(tmp_path, kind, space):
    fill(tmp_path, 0, 1500)
    told = []
    manifest = build(
        tmp_path, space, kind=kind, dim="auto", recall=0.9, progress=lambda event: told.append(event.message)
    )
    designs = report(tmp_path)["designs"]

    check(tmp_path, manifest)
    tried = [line for line in told if line.startswith("tried ")]
    assert len(tried) == len(designs) >= 2
    assert any(line.startswith("chosen: ") for line in told)
    assert all(design["reached"] or design["trial"] for design in designs)
    if kind in ("flat", None):
        assert {design["method"] for design in designs} == {"exact", "prefix" if space.nesting else "pca"}
    assert manifest.index.recall_reason is None
    assert build(tmp_path, space) == manifest  # not chosen again
    assert build(tmp_path, space, kind=kind, dim="auto", recall=0.9) == manifest
    grow(tmp_path, 1500, 1550)
    again = build(tmp_path, space)
    assert (again.index.kind, again.index.dim) == (manifest.index.kind, manifest.index.dim)


def test_auto_of_too_few_rows_is_exact(tmp_path):
    fill(tmp_path, 0, 50)
    info = build(tmp_path, dim="auto").index

    assert info.exact
    assert "too few to choose" in info.recall_reason


def design(microseconds, *, bytes_=10.0, dim=16, reached=True):
    return Design(
        kind="flat",
        factory="PQ16x4fs",
        dim=dim,
        method="prefix",
        trial=None,
        reached=reached,
        microseconds=microseconds,
        bytes_per_vector=bytes_,
    )


def test_the_cheapest_that_reaches_the_target_comes_first():
    fast, alike, small, slow = (
        design(100),
        design(112, bytes_=5),
        design(114, bytes_=5, dim=8),
        design(200, bytes_=1),
    )
    short = design(10, reached=False)

    assert ranked([slow, short, fast, alike, small]) == [small, alike, fast, slow, short]


def test_a_learned_rotation_is_taken_where_it_is_better(tmp_path):
    # What tells neighbours apart has little energy; what has much only tells four topics apart, and PCA keeps that.
    rng = np.random.default_rng(0)
    centres = np.hstack(
        (0.5 * rng.normal(size=(300, 4)), 3 * np.eye(4)[rng.integers(4, size=300)], np.zeros((300, 24)))
    )
    rows = unit_rows(np.repeat(centres, 10, axis=0) + 0.02 * rng.normal(size=(3000, 32))).astype(np.float16)
    best = np.eye(32, dtype=np.float32)
    asked = []

    def learn(sample, widths, start):
        asked.append((sample.shape, tuple(widths), start.shape))
        return best

    live = np.arange(3000)
    good = rotations.fit(PLAIN, rows, live, widths=(4, 128), learn=learn)
    none = rotations.fit(PLAIN, rows, live, widths=(4,), learn=lambda *_: None)
    bad = rotations.fit(
        PLAIN, rows, live, widths=(4,), learn=lambda rows, widths, start: start[:, ::-1].copy()
    )

    assert asked == [((2500, 32), (4,), (32, 32))]
    assert good.method == "learned"
    assert good.facts["compared"]["learned"] > good.facts["compared"]["pca"] + 0.05
    assert len(good.facts["energy"]) == 32
    assert (none.method, bad.method) == ("pca", "pca")
    assert bad.facts["compared"]["learned"] < bad.facts["compared"]["pca"]
    x = rows[:50].astype(np.float32)
    np.testing.assert_allclose(good.apply(x) @ good.apply(x).T, x @ x.T, atol=2e-3)


def test_widths_worth_trying():
    assert prefixes_of(SPACE) == (8, 16)
    assert prefixes_of(PLAIN) == (16,)
