from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.synthetic import Recipe, queries, vectors
from indexes.engine import factory_strings, flat, ivf
from indexes.engine.refined import Refined
from indexes.errors import OptionError, StoreCorrupt
from indexes.generation import NAMED
from indexes.vectors.metrics import recall_at_k
from tests.strategies import unit

RECIPE = Recipe(rows=3000, dim=32, clusters=60, topics=8)
ROWS = vectors(RECIPE).astype(np.float16)
QUERIES = queries(RECIPE, 40)

FACTORIES = [
    "RR,IVF16,RaBitQfs",
    "HR,IVF16,RaBitQfs",
    "RR,IVF16,RaBitQfs2",
    "IVF16,PQ8",
    "IVF16,PQ4",
    "OPQ4,IVF16,PQ4",
    "IVF16,PQ8x4fs",
    "IVF16_HNSW8,SQ8",
    "PCA16,IVF8,SQfp16",
    "HNSW16,Flat",
    "SQ8",
    "PQ8",
    "RaBitQfs",
    "RQ2x4",
    "PCA16,LSH",
    "LSH",
]


def build(factory, *, rows=ROWS, prefix=None):
    index = ivf.make(factory, dim=rows.shape[1], prefix=prefix)
    wide = rows.astype(np.float32)
    ivf.train(index, wide)
    ivf.add(
        index,
        [
            (np.arange(start, min(start + 700, len(wide))), wide[start : start + 700])
            for start in range(0, len(wide), 700)
        ],
    )
    return index


@pytest.fixture(scope="module", params=FACTORIES)
def built(request, tmp_path_factory):
    index = build(request.param)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    ivf.save(index, path)
    return index, path


def same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=2e-6)


def test_every_list_probed_and_every_row_reranked_equals_exact_search(built):
    stage = Refined(built[0], ROWS)
    found = stage.search(QUERIES, k=10, nprobe=stage.nlist or None, shortlist=len(ROWS))

    same(found, flat.exact(ROWS, QUERIES, k=10))


def test_a_mapped_index_answers_as_the_one_in_memory(built):
    index, path = built
    for settings in ({"nprobe": 3, "shortlist": 50}, {"nprobe": 1, "shortlist": 10}):
        found = Refined(ivf.open_mapped(path), ROWS).search(QUERIES, k=10, **settings)
        expected = Refined(index, ROWS).search(QUERIES, k=10, **settings)

        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_scores_are_cosines_of_the_stored_rows(built):
    found = Refined(built[0], ROWS).search(QUERIES, k=5, nprobe=4, shortlist=40)
    expected = np.einsum("qkd,qd->qk", ROWS[found.ids].astype(np.float32), QUERIES)

    np.testing.assert_allclose(found.scores, expected, atol=2e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_a_filter_holds_inside_the_search(built):
    stage = Refined(ivf.open_mapped(built[1]), ROWS)
    keep = np.random.default_rng(0).random(len(ROWS)) < 0.2
    if not stage.filters:
        with pytest.raises(RuntimeError):
            stage._refined.base_index.search(QUERIES, 5, params=_plain_parameters(ivf.selector(keep)))
        return
    found = stage.search(
        QUERIES, k=10, nprobe=stage.nlist or None, shortlist=len(ROWS), selector=ivf.selector(keep)
    )

    same(found, flat.exact(ROWS, QUERIES, k=10, keep=keep))


def _plain_parameters(selector):
    from indexes.engine.backend import faiss

    return faiss().SearchParameters(sel=selector)


def test_one_query_and_many_agree(built):
    stage = Refined(built[0], ROWS)
    whole = stage.search(QUERIES, k=10, nprobe=4, shortlist=60)
    for number in range(5):
        one = stage.search(QUERIES[number : number + 1], k=10, nprobe=4, shortlist=60)

        np.testing.assert_array_equal(one.ids[0], whole.ids[number])


def test_concurrent_searches_with_other_settings_give_what_serial_ones_give():
    stage = Refined(build("RR,IVF16,RaBitQfs"), ROWS)
    settings = [(nprobe, shortlist) for nprobe in (1, 2, 5, 16) for shortlist in (10, 30, 90)] * 6
    serial = [stage.search(QUERIES, k=10, nprobe=nprobe, shortlist=s) for nprobe, s in settings]
    fresh = Refined(stage.index, ROWS)
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda s: fresh.search(QUERIES, k=10, nprobe=s[0], shortlist=s[1]), settings))

    assert len({found.ids.tobytes() for found in serial}) > 4  # the settings do matter
    for one, other in zip(serial, at_once, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)


def test_ties_are_ordered_by_smaller_id_across_the_end():
    rows = np.repeat(ROWS[:300], 10, axis=0)
    stage = Refined(build("IVF8,SQ8", rows=rows), rows)
    for q in (1, 9):
        found = stage.search(QUERIES[:q], k=15, nprobe=8, shortlist=200)

        same(found, flat.exact(rows, QUERIES[:q], k=15))


def test_more_wanted_than_there_are_is_padded():
    stage = Refined(build("IVF4,Flat", rows=ROWS[:30]), ROWS[:30])
    found = stage.search(QUERIES[:3], k=50, nprobe=4, shortlist=50)

    same(found, flat.exact(ROWS[:30], QUERIES[:3], k=50))
    assert (found.ids[:, 30:] == -1).all()
    assert np.isneginf(found.scores[:, 30:]).all()


def test_a_prefix_stage_ranks_by_the_normalised_prefix():
    stage = Refined(build("IVF1,Flat", prefix=8), ROWS)
    found = stage.search(QUERIES, k=1, nprobe=1, shortlist=1)  # reranking one row changes nothing
    heads = ROWS[:, :8].astype(np.float64)
    heads /= np.linalg.norm(heads, axis=1, keepdims=True)
    expected = (QUERIES[:, :8] @ heads.T).argmax(axis=1)

    # The stage hands on the two best, of which exact cosines choose.
    assert np.mean(found.ids[:, 0] == expected) > 0.3
    everything = stage.search(QUERIES, k=10, nprobe=1, shortlist=len(ROWS))
    same(everything, flat.exact(ROWS, QUERIES, k=10))


@pytest.mark.parametrize("factory", ["RR,IVF16,RaBitQfs", "IVF16,PQ8", "PCA16,IVF8,SQfp16", "IVF16,PQ8x4fs"])
def test_rows_removed_and_added_are_gone_and_found(factory, tmp_path):
    index = build(factory, rows=ROWS[:2000])
    assert ivf.removable(index)
    assert ivf.remove(index, np.arange(100, 400)) == 300
    ivf.add(index, [(np.arange(2500, 3000), ROWS[2500:].astype(np.float32))])
    ivf.save(index, tmp_path / "i")
    stage = Refined(ivf.open_mapped(tmp_path / "i"), ROWS)
    found = stage.search(QUERIES, k=10, nprobe=stage.nlist, shortlist=3000)
    keep = np.ones(3000, dtype=np.bool_)
    keep[100:400] = keep[2000:2500] = False

    assert index.ntotal == 2200
    same(found, flat.exact(ROWS, QUERIES, k=10, keep=keep))


@pytest.mark.parametrize("factory", ["HNSW16,Flat", "PQ8", "LSH"])
def test_kinds_whose_ids_are_positions_are_not_removable(factory):
    assert not ivf.removable(ivf.make(factory, dim=32))


@pytest.mark.parametrize("factory", ["nonsense", "IVF16,Nonsense", "IVF0,PQ", "IVF4,PQ5", ""])
def test_a_factory_that_does_not_parse_is_refused_in_one_line(factory):
    with pytest.raises(OptionError) as caught:
        ivf.make(factory, dim=32)

    message = str(caught.value)
    assert repr(factory) in message
    assert "\n" not in message
    assert ".cpp" not in message


@pytest.mark.parametrize(
    "factory",
    [
        "IDMap,Flat",
        "IDMap2,Flat",
        "PCA16,IDMap,Flat",
        "IDMap,PCA16,Flat",
        "IDMap,IVF16,SQ8",
        "IVF16,SQ8,IDMap",
    ],
)
def test_an_id_map_wherever_it_stands_is_refused_with_its_cure(factory):
    with pytest.raises(OptionError, match=f"{factory}.*leave IDMap out"):
        ivf.make(factory, dim=32)


def test_rows_that_an_index_cannot_take_are_refused_in_one_line():
    index = ivf.faiss().index_factory(32, "IDMap,Flat", ivf.faiss().METRIC_INNER_PRODUCT)
    with pytest.raises(
        OptionError, match=r"cannot hold these rows: add does not.*; choose another kind"
    ) as caught:
        ivf.add(index, [(np.arange(10), ROWS[:10].astype(np.float32))])

    assert ".cpp" not in str(caught.value)


def test_too_few_rows_to_train_are_refused_with_a_cure():
    with pytest.raises(
        OptionError, match=r"10 rows.*; use more rows, a kind with fewer .* or leave `kind` out"
    ):
        ivf.train(ivf.make("IVF64,Flat", dim=32), ROWS[:10].astype(np.float32))


def test_training_prints_nothing(capfd):
    build("IVF32,PQ4", rows=ROWS[:300])

    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_is_named_with_its_cure(tmp_path):
    (tmp_path / "index.faiss").write_bytes(b"IxXX nothing of the kind")
    for read in (ivf.load, ivf.open_mapped):
        with pytest.raises(StoreCorrupt, match=r"index\.faiss.*delete this one file and run `build_index`"):
            read(tmp_path / "index.faiss")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(0, 1), (1, 1), (100, 2), (50_000, 832), (1_000_000, 3968), (4_000_000, 8000), (16_777_216, 16_384)],
)
def test_lists_grow_with_the_root_of_the_rows(rows, expected):
    assert factory_strings.lists_for(rows) == expected
    assert factory_strings.lists_for(rows) * 40 <= max(rows, 40)


def test_a_width_that_is_no_power_of_two_is_turned_by_a_whole_matrix():
    assert factory_strings.factory_for("ivfrabitq", rows=1_000_000, dim=768) == "RR,IVF3968,RaBitQfs"


def test_many_lists_get_a_graph_as_coarse_quantiser():
    assert factory_strings.factory_for("ivfrabitq", rows=40_000_000, dim=512) == "HR,IVF25280_HNSW32,RaBitQfs"
    assert factory_strings.factory_for("ivfrabitq", rows=1_000_000, dim=512, bits=2) == "HR,IVF3968,RaBitQfs2"
    assert factory_strings.factory_for("ivfpq", rows=1_000_000, dim=512) == "IVF3968,PQ64"
    assert factory_strings.factory_for("ivfpq", rows=1_000_000, dim=100) == "IVF3968,PQ20"


def test_each_named_kind_has_a_factory_string_of_its_own_and_no_other_name_has():
    assert sorted(factory_strings.FACTORIES) == sorted(NAMED)
    for kind in NAMED:
        for lists, dim in ((64, 512), (20_000, 100)):
            factory = factory_strings.factory_for(kind, rows=0, dim=dim, lists=lists)
            assert factory_strings.kind_of(factory, dim=dim, lists=lists) == kind
    with pytest.raises(OptionError, match="ivfother"):
        factory_strings.factory_for("ivfother", rows=1000, dim=64)


@pytest.mark.parametrize("factory", ["IVF64,PQ64x4fs", "OPQ64,IVF64,PQ64", "IVF64,PQ32", "IVF64,RaBitQfs"])
def test_a_factory_string_like_that_of_a_kind_is_not_taken_for_it(factory):
    assert factory_strings.kind_of(factory, dim=512, lists=64) is None


def test_a_shortlist_brings_recall():
    stage = Refined(build("RR,IVF16,RaBitQfs"), ROWS)
    true = flat.exact(ROWS, QUERIES, k=10).ids
    recalls = [
        recall_at_k(stage.search(QUERIES, k=10, nprobe=16, shortlist=s).ids, true) for s in (11, 80, 600)
    ]

    assert recalls == sorted(recalls)
    assert recalls[-1] > 0.97  # 1.0 here


def test_unit_rows_of_any_width_can_be_indexed():
    for dim in (1, 3, 17, 100):
        rows = unit(600, dim, seed=dim).astype(np.float16)
        for kind in ("ivfpq", "ivfrabitq"):
            stage = Refined(build(factory_strings.factory_for(kind, rows=600, dim=dim), rows=rows), rows)
            asked = unit(4, dim, seed=0)

            same(stage.search(asked, k=3, nprobe=stage.nlist, shortlist=600), flat.exact(rows, asked, k=3))


@pytest.mark.parametrize("factory", ["IVF16,PQ4", "PQ2", "OPQ4_16,IVF16,PQ4", "IVF16,SQ8"])
def test_codes_are_compared_by_inner_product_where_faiss_can(factory):
    from indexes.engine.backend import faiss

    index = ivf.make(factory, dim=32)

    assert ivf.innermost(index).metric_type == faiss().METRIC_INNER_PRODUCT
    assert ivf.metric_note(index, factory) is None


def by_l2(factory, rows):
    """Build an index whose codes are compared by L2, as earlier versions did with short product codes."""
    from indexes.engine.backend import faiss

    index = faiss().index_factory(32, factory, faiss().METRIC_L2)
    wide = rows.astype(np.float32)
    ivf.train(index, wide)
    ivf.add(index, [(np.arange(len(wide)), wide)])
    return index


def test_an_index_of_an_earlier_version_that_compares_by_l2_answers():
    stage = Refined(by_l2("IVF16,PQ4", ROWS), ROWS)

    same(
        stage.search(QUERIES, k=10, nprobe=16, shortlist=len(ROWS)),
        flat.exact(ROWS, QUERIES, k=10),
    )


@pytest.mark.parametrize("make", [by_l2, build])
@pytest.mark.parametrize("factory", ["IVF16,PQ4", "PCA16,LSH", "IVF16,PQ8"])
def test_padding_never_comes_before_what_was_found(factory, make):
    few = ROWS[:300]
    stage = Refined(make(factory, rows=few), few)
    found = stage.search(QUERIES, k=10, nprobe=1, shortlist=400)

    assert ((found.ids[:, :-1] >= 0) | (found.ids[:, 1:] < 0)).all()
    assert (found.ids[:, 0] >= 0).all()
    assert np.isneginf(found.scores[found.ids < 0]).all()
