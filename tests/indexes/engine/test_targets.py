from __future__ import annotations

import numpy as np
import pytest

from benchmarks.synthetic import Recipe, vectors
from indexes.engine import ivf
from indexes.engine.backend import faiss
from indexes.engine.refined import Refined
from indexes.engine.targets import Aim, Step, same_codes
from indexes.errors import OptionError

ROWS = vectors(Recipe(rows=3000, dim=32, clusters=60, topics=8)).astype(np.float32)

# Those behind a transform that loses width or scales it cannot be compared in the stored space.
INVERTIBLE = [
    "IVF16,PQ8",
    "OPQ4,IVF16,PQ4",
    "RR,IVF16,RaBitQfs",
    "HR,IVF16,RaBitQfs",
    "RR,IVF16,RaBitQ",
    "HR,IVF16,PQ8",
    "PQ8",
    "IVF16_HNSW8,PQ8",
    "IVF16,PQ4",
]
OTHERS = [
    "PCA16,LSH",
    "LSH",
    "ITQ,LSH",
    "PCA16,ITQ,LSH",
    "PCAW16,L2norm,IVF16,PQ4",
    "OPQ4_16,IVF16,PQ4",
    "RR,RaBitQ",
    "RR,IVF16,RaBitQfs4",
]


def build(factory, *, rows=ROWS, prefix=None):
    index = ivf.make(factory, dim=rows.shape[1], prefix=prefix)
    ivf.train(index, rows)
    ivf.add(index, [(np.arange(len(rows)), rows)])
    return index


@pytest.fixture(scope="module")
def indexes():
    made = {}

    def get(factory, **options):
        key = (factory, *options.items())
        if key not in made:
            made[key] = build(factory, **options)
        return made[key]

    return get


def cosines(left, right):
    return np.einsum("nd,nd->n", left, right) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))


@pytest.mark.parametrize("factory", INVERTIBLE)
def test_points_are_what_the_index_decodes_its_codes_to(factory, indexes):
    index = indexes(factory)
    aim = Aim(index)
    decoded = index.sa_decode(index.sa_encode(ROWS[:50]))

    np.testing.assert_allclose(aim.points(ROWS[:50]), aim.project(decoded), atol=2e-3)
    np.testing.assert_allclose(
        aim.cosines(ROWS[:50], aim.points(ROWS[:50])), cosines(ROWS[:50], decoded), atol=2e-3
    )


@pytest.mark.parametrize("factory", ["IVF16,PQ8", "OPQ4,IVF16,PQ4"])
def test_points_are_those_of_the_rows_that_are_stored(factory, indexes):
    index = indexes(factory)
    stored = index.reconstruct_n(0, 40) if not isinstance(index, faiss().IndexPreTransform) else None
    if stored is None:
        inner = ivf.innermost(index)
        stored = inner.reconstruct_n(0, 40)

    np.testing.assert_allclose(Aim(index).points(ROWS[:40]), stored, atol=1e-5)


@pytest.mark.parametrize("factory", [*INVERTIBLE, *OTHERS])
def test_steps_do_what_the_indexs_own_transforms_do(factory, indexes):
    index = indexes(factory)
    aim = Aim(index)
    expected = ROWS[:30]
    if isinstance(index, faiss().IndexPreTransform):
        for number in range(index.chain.size()):
            expected = faiss().downcast_VectorTransform(index.chain.at(number)).apply(expected)

    np.testing.assert_allclose(aim.project(ROWS[:30]), expected, atol=1e-4)
    assert aim.points(ROWS[:30]).shape == (30, aim.width)


@pytest.mark.parametrize("factory", [*INVERTIBLE, *OTHERS])
def test_codes_describe_their_rows(factory, indexes):
    aim = Aim(indexes(factory))
    found = aim.require_useful(ROWS[:1000])

    assert found.baseline < found.cosine < 1
    assert found.cosine > 0.5  # 0.7 to 0.97 is usual


def test_rabitq_decodes_alike_with_more_bits(indexes):
    one, four = Aim(indexes("RR,IVF16,RaBitQfs")), Aim(indexes("RR,IVF16,RaBitQfs4"))

    assert one.measure(ROWS[:500]).cosine == pytest.approx(four.measure(ROWS[:500]).cosine, abs=1e-3)


def test_a_prefix_first_stage_is_aimed_at_in_its_own_width(indexes):
    aim = Aim(indexes("IVF16,PQ8", prefix=16))
    head = ROWS[:20, :16] / np.linalg.norm(ROWS[:20, :16], axis=1, keepdims=True)

    assert (aim.dim, aim.width) == (32, 16)
    np.testing.assert_allclose(aim.project(ROWS[:20]), head, atol=1e-5)


def test_a_refined_index_is_aimed_at_through_its_codes(indexes):
    base = indexes("IVF16,PQ8")
    refined = Refined(base, ROWS.astype(np.float16))._refined

    np.testing.assert_array_equal(Aim(refined).points(ROWS[:9]), Aim(base).points(ROWS[:9]))
    assert Aim(refined).measure(ROWS[:100]).cosine < 0.99  # not the rows themselves


def test_cells_are_the_lists_that_hold_the_rows(indexes):
    index = indexes("IVF16,PQ8")
    aim = Aim(index)
    cells = aim.cells(ROWS[:100], k=4)
    lists = index.invlists
    held = [faiss().rev_swig_ptr(lists.get_ids(number), lists.list_size(number)) for number in range(16)]

    assert all(row in held[cell] for row, cell in enumerate(cells[:, 0]))
    np.testing.assert_allclose(aim.centroids(cells)[:, 0], index.quantizer.reconstruct_n(0, 16)[cells[:, 0]])
    assert not aim.centroids(np.array([-1])).any()
    with pytest.raises(OptionError, match="no inverted lists"):
        Aim(indexes("PCA16,LSH")).cells(ROWS[:2])


@pytest.mark.parametrize("factory", ["IVF16,PQ8x4fs", "HNSW16,Flat"])
def test_codes_that_faiss_cannot_decode_are_refused_before_it_tries(factory, indexes):
    with pytest.raises(OptionError, match="cannot decode"):
        Aim(indexes(factory))


@pytest.mark.parametrize("factory", ["IVF16,Flat", "SQ8"])
def test_codes_that_lose_nothing_are_refused(factory, indexes):
    with pytest.raises(OptionError, match="nothing is to be gained"):
        Aim(indexes(factory)).require_useful(ROWS[:200])


def test_codes_that_decode_badly_are_refused():
    # Signs about the origin say nothing of rows that share one far mean: no code at all describes them better.
    rows = ROWS * np.float32(0.05) + np.linspace(0.1, 1, 32, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    with pytest.raises(OptionError, match="decode badly"):
        Aim(build("LSH", rows=rows)).require_useful(rows[:200])


def test_probes_tell_whether_an_index_was_trained_again(indexes, tmp_path):
    index = indexes("IVF16,PQ8")
    before = Aim(index).probes()
    ivf.save(index, tmp_path / "index.faiss")
    more = ivf.load(tmp_path / "index.faiss")
    ivf.add(more, [(np.arange(3000, 3100), ROWS[:100])])
    other = ivf.make("IVF16,PQ8", dim=32)
    ivf.train(other, ROWS[::2])

    assert same_codes(before, Aim(ivf.open_mapped(tmp_path / "index.faiss")).probes())
    assert same_codes(before, Aim(more).probes())
    assert not same_codes(before, Aim(other).probes())
    assert not same_codes([], before)


def test_a_step_without_a_matrix_normalises():
    np.testing.assert_allclose(np.linalg.norm(Step().apply(5 * ROWS[:4]), axis=1), 1, atol=1e-6)


def test_training_opq_prints_nothing(capfd):
    build("OPQ4,IVF16,PQ4")

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "factory", ["IVF16,PQ8", "IVF16,PQ4", "PCA16,LSH", "HR,IVF16,RaBitQfs", "OPQ4_16,IVF16,PQ4"]
)
def test_codes_alone_are_searched_and_nothing_reranked(factory, indexes):
    index = indexes(factory)
    stage = Refined(index, ROWS.astype(np.float16))
    found = stage.codes(ROWS[:200], k=5, nprobe=1)
    aim = Aim(index)
    own = aim.cosines(ROWS[:200], aim.points(ROWS[:200]))

    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert (found.ids[:, 0] == np.arange(200)).mean() > 0.5  # 0.75 to 1; IVF16,PQ8 lets longer codes win
    assert not np.allclose(found.scores[:, 0], 1, atol=1e-3)  # estimates, no cosines of a row with itself
    assert own.max() < 1
