"""How many lists and candidates a search takes follows from what was measured for ten neighbours."""

from __future__ import annotations

import pytest

from indexes.search.searchers.widths import TUNED_K, lengthened, reaching


def test_ten_neighbours_of_all_rows_take_what_was_measured():
    assert reaching(12, k=TUNED_K) == 12
    assert reaching(12, k=1) == 12  # fewer are no easier to find, unless somebody says how deep a search goes


@pytest.mark.parametrize(("k", "share"), [(20, 1.0), (10, 0.5), (100, 0.1)])
def test_more_neighbours_and_fewer_rows_take_more_lists(k, share):
    assert reaching(12, k=k, share=share) > 12


def test_fewer_lists_are_probed_only_for_a_search_that_goes_less_deep():
    depths = [reaching(20, k=k, least=1) for k in range(1, 11)]

    assert depths == sorted(depths)
    assert depths[-1] == 20
    assert 0 < depths[0] < depths[4] < 20


def test_shortlists_grow_with_the_neighbours_wanted():
    assert lengthened(40, 3) == lengthened(40, 10) == 40
    assert lengthened(40, 25) == 100
