from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from benchmarks.synthetic import Recipe, vectors
from indexes.engine import ivf
from indexes.join import SelfJoin, self_join, small_tiles

ROWS = vectors(Recipe(rows=6000, dim=32, clusters=120, topics=8)).astype(np.float16)
THRESHOLD = 0.95


def index_of(rows, factory="IVF64,PQ8"):
    index = ivf.make(factory, dim=rows.shape[1])
    ivf.train(index, rows.astype(np.float32))
    ivf.add(index, [(np.arange(len(rows)), rows.astype(np.float32))])
    return index


@pytest.fixture(scope="module")
def index():
    return index_of(ROWS)


def truth(rows, threshold, live=None, asked=None):
    """All pairs by one matrix product in double precision."""
    wide = rows.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    reach = np.triu((wide @ wide.T).astype(np.float32) >= np.float32(threshold), 1)
    if live is not None:
        reach &= live[:, np.newaxis] & live
    if asked is not None:
        flags = np.zeros(len(rows), dtype=np.bool_)
        flags[asked] = True
        reach &= flags[:, np.newaxis] | flags
    return set(zip(*(part.tolist() for part in np.nonzero(reach)), strict=True))


def joined(rows, *, threshold=THRESHOLD, at_most=6000, **options):
    join = SelfJoin(rows, threshold=threshold, at_most=at_most, **options)
    return [join.pairs(block) for block in range(join.blocks)]


def as_set(blocks):
    return {pair for part in blocks for pair in zip(part.ids_a.tolist(), part.ids_b.tolist(), strict=True)}


def cells_wanted():
    """Let even a small join look into a few cells only."""
    return patch.object(self_join, "DIRECT", 0)


def test_every_pair_is_found_once_where_rows_are_few() -> None:
    blocks = joined(ROWS)

    assert as_set(blocks) == truth(ROWS, THRESHOLD)
    assert sum(map(len, blocks)) == len(as_set(blocks)) > 900
    assert sum(part.cut for part in blocks) == 0


def test_scores_are_exact_cosines() -> None:
    low, high, scores = joined(ROWS)[0]
    wide = ROWS.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)

    assert np.abs(scores - np.einsum("pd,pd->p", wide[low], wide[high])).max() < 1e-7
    assert scores.min() >= THRESHOLD


def test_blocks_give_a_pair_once() -> None:
    with patch.object(self_join, "_LARGEST", 1024):
        blocks = joined(ROWS, at_most=100)

    assert len(blocks) == 6
    assert as_set(blocks) == truth(ROWS, THRESHOLD)
    assert sum(map(len, blocks)) == len(as_set(blocks))


@pytest.mark.parametrize("lent", [True, False])
def test_cells_hold_nearly_all_pairs(index, lent) -> None:
    with cells_wanted(), patch.object(self_join, "_LARGEST", 1024):
        blocks = joined(ROWS, at_most=100, index=index if lent else None)
    expected = truth(ROWS, THRESHOLD)

    assert as_set(blocks) <= expected
    assert len(as_set(blocks)) >= 0.98 * len(expected)  # usually 0.995
    assert sum(map(len, blocks)) <= 1.001 * len(as_set(blocks))


def test_a_row_names_its_best_partners_and_the_others_are_counted() -> None:
    wide = ROWS.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    cosines = wide @ wide.T
    np.fill_diagonal(cosines, -1)
    reached = (cosines >= 0.9).sum(axis=1)
    best = np.argsort(-cosines, axis=1)[:, :5]
    expected = {
        (min(row, other), max(row, other))
        for row in range(len(ROWS))
        for other in best[row].tolist()
        if cosines[row, other] >= 0.9
    }

    blocks = joined(ROWS, threshold=0.9, at_most=5)

    assert as_set(blocks) == expected
    cut = np.maximum(reached - 5, 0).sum()
    assert (
        abs(sum(part.cut for part in blocks) - cut) < 0.001 * cut
    )  # they are counted before exact cosines are known


@pytest.mark.parametrize("direct", [True, False])
def test_deleted_rows_are_in_no_pair(index, direct) -> None:
    live = np.random.default_rng(1).random(len(ROWS)) < 0.8
    expected = truth(ROWS, THRESHOLD, live)
    if direct:
        found = as_set(joined(ROWS, live=live))
    else:
        with cells_wanted():
            found = as_set(joined(ROWS, live=live, index=index))

    assert found <= expected
    assert len(found) >= (1 if direct else 0.98) * len(expected)


@pytest.mark.parametrize("direct", [True, False])
def test_new_rows_are_joined_with_all(index, direct) -> None:
    new = np.arange(5900, 6000)
    expected = truth(ROWS, THRESHOLD, asked=new)
    if direct:
        found = as_set(joined(ROWS, asked=new))
    else:
        with cells_wanted():
            found = as_set(joined(ROWS, asked=new, index=index))

    assert found <= expected
    assert len(found) >= (1 if direct else 0.98) * len(expected) > 0


def test_few_new_rows_are_sampled_with_a_part_of_the_rows(index) -> None:
    new = np.arange(5880, 6000)
    expected = truth(ROWS, 0.85, asked=new)
    with cells_wanted(), patch.object(self_join, "_DIRECT_FEW", 0):
        join = SelfJoin(ROWS, threshold=0.85, at_most=6000, asked=new, index=index)
        found = as_set(join.pairs(block) for block in range(join.blocks))

    assert join.reach.recall >= 0.98  # not None: the part had pairs enough
    assert join.reach.pairs < 0.5 * len(expected)
    assert found <= expected
    assert len(found) >= 0.97 * len(expected)


@pytest.mark.parametrize("at_most", [5, 6000])
def test_cells_compared_together_give_what_each_alone_gives(index, at_most) -> None:
    new = np.arange(5800, 6000)
    stretches = []

    def seen(*args, **options):
        stretches.append(args[2])
        return small_tiles.compare_together(*args, **options)

    with cells_wanted(), patch.object(self_join, "compare_together", seen):
        together = joined(ROWS, threshold=0.9, at_most=at_most, asked=new, index=index)
    with cells_wanted(), patch.object(small_tiles, "_SMALL", 0):
        alone = joined(ROWS, threshold=0.9, at_most=at_most, asked=new, index=index)

    assert max(map(len, stretches)) > 2
    assert as_set(together) == as_set(alone)
    assert sum(part.cut for part in together) == sum(part.cut for part in alone)


def test_rows_that_the_index_does_not_hold_are_found(index) -> None:
    rows = np.concatenate((ROWS, ROWS[:200]))
    with cells_wanted():
        found = as_set(joined(rows, index=index))

    assert {(row, 6000 + row) for row in range(200)} <= found


def test_a_later_block_can_be_computed_alone() -> None:
    with patch.object(self_join, "_LARGEST", 1024):
        whole = joined(ROWS, at_most=100)
        join = SelfJoin(ROWS, threshold=THRESHOLD, at_most=100)
        rest = [join.pairs(block) for block in range(3, join.blocks)]

    assert as_set(whole) == as_set(whole[:3]) | as_set(rest)


def crowd(count, *, seed=0, cosine=0.999, dim=32):
    """Rows about one direction, as of blank pages."""
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal(dim)
    middle /= np.linalg.norm(middle)
    noise = rng.standard_normal((count, dim))
    noise -= (noise @ middle)[:, np.newaxis] * middle
    noise *= np.sqrt(1 / cosine**2 - 1) / np.linalg.norm(noise, axis=1, keepdims=True)
    rows = middle + noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def compared(rows, **options):
    """Return the pairs, and how many comparisons they took."""
    work = []
    original = self_join.SelfJoin._compare

    def counted(self, cell, asked, whose, kept):
        work.append(len(whose) * len(self.cells.members(cell)))
        return original(self, cell, asked, whose, kept)

    with cells_wanted(), patch.object(self_join.SelfJoin, "_compare", counted):
        blocks = joined(rows, at_most=50, **options)
    return blocks, sum(work)


def paired(blocks):
    return np.unique(np.concatenate([np.concatenate((part.ids_a, part.ids_b)) for part in blocks]))


def test_a_few_rows_stand_for_a_crowd_in_one_list(index) -> None:
    """Comparing each of 20,000 blank pages with each would take 100 million products."""
    pages = crowd(10_000, cosine=0.99999)
    blocks, work = compared(np.concatenate((ROWS, pages)), index=index)

    assert work < 16_000 * 5000
    cut = sum(part.cut for part in blocks)
    assert 0.9 * 10_000**2 < cut < 1.1 * 10_000**2
    assert np.isin(np.arange(6000, 16_000), paired(blocks)).all()  # each page is in a pair with another
    found = as_set(blocks)
    expected = truth(ROWS, THRESHOLD)
    assert len(found & expected) >= 0.98 * len(expected)


def test_work_grows_as_the_rows_of_a_crowd_in_many_cells() -> None:
    with patch.object(self_join, "_COMPARED", 1000):
        few, of_few = compared(np.concatenate((ROWS, crowd(2000, cosine=0.97))))
        many, of_many = compared(np.concatenate((ROWS, crowd(8000, cosine=0.97))))

    assert of_many < 6 * of_few
    for blocks, count in ((few, 2000), (many, 8000)):
        assert np.isin(np.arange(6000, 6000 + count), paired(blocks)).all()


def test_a_few_rows_stand_for_a_crowd_that_k_means_has_cut() -> None:
    join = SelfJoin(np.concatenate((ROWS, crowd(8000))), threshold=THRESHOLD, at_most=50)
    with cells_wanted():
        hidden = np.count_nonzero(join.cells.cell_of < 0)

    assert hidden > 7500


def test_the_frames_of_one_film_do_not_hide_other_pairs() -> None:
    steps = np.random.default_rng(3).standard_normal((10_000, 32)).cumsum(axis=0)
    film = (steps / np.linalg.norm(steps, axis=1, keepdims=True)).astype(np.float16)

    blocks, work = compared(np.concatenate((ROWS, film)))

    assert work < 16_000 * 6_000
    found = as_set(blocks)
    expected = truth(ROWS, THRESHOLD)
    assert len(found & expected) >= 0.9 * len(
        expected
    )  # usually 0.97: what a film's frames put out of a list is no loss
    next_frames = {(6000 + number, 6001 + number) for number in range(9_999)}
    assert len(found & next_frames) > 9_000


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_rows(count) -> None:
    blocks = joined(ROWS[:1].repeat(count, axis=0))

    assert as_set(blocks) == ({(0, 1)} if count == 2 else set())
