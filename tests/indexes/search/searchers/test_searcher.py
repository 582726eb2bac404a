from __future__ import annotations

import numpy as np
import pytest

from indexes.engine import flat
from indexes.generation.manifest import INDEX, generation_path
from indexes.search.generation import Generation
from indexes.search.searchers.exact import ExactSearcher
from indexes.search.searchers.funnel import FunnelSearcher
from indexes.search.searchers.inverted import InvertedSearcher
from indexes.search.searchers.recent_rows import WithRecent
from indexes.search.searchers.searcher import Parameters, Wanted
from tests.indexes.search.test_generation import DEAD, QUERIES, VECTORS, build, fill, grow, same


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Return a generation of each kind by name, and one with recent rows and tombstones."""
    found = {}
    for name, options in {
        "exact": {"kind": "flat"},
        "funnel": {"kind": "flat", "dim": 8},
        "inverted": {"kind": "ivfrabitq"},
    }.items():
        directory = tmp_path_factory.mktemp(name)
        fill(directory)
        found[name] = Generation.open(directory, build(directory, **options))
    directory = tmp_path_factory.mktemp("recent")
    fill(directory, 0, 3800)
    build(directory, kind="ivfrabitq")
    grow(directory, 3800, 4000, dead=DEAD)
    found["recent"] = Generation.open(directory, build(directory))
    yield found
    for generation in found.values():
        generation.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("exact", ExactSearcher),
        ("funnel", FunnelSearcher),
        ("inverted", InvertedSearcher),
        ("recent", WithRecent),
    ],
)
def test_each_kind_of_index_has_its_searcher(opened, name, kind):
    assert type(opened[name]._searcher) is kind


@pytest.mark.parametrize("name", ["funnel", "inverted", "recent"])
def test_a_depth_chooses_what_a_search_costs_and_not_how_many_it_finds(opened, name):
    searcher = opened[name]._searcher
    of_ten, of_fifty = searcher.parameters(Wanted(10)), searcher.parameters(Wanted(50))

    shallow = searcher.parameters(Wanted(50, depth=10))
    assert shallow == Parameters(of_ten.nprobe, max(of_ten.shortlist, 50 if name != "funnel" else 0))
    assert shallow.shortlist < of_fifty.shortlist
    found = opened[name].search(QUERIES, k=50, depth=10)
    assert (found.ids >= 0).all()


@pytest.mark.parametrize("name", ["exact", "funnel", "inverted", "recent"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_searcher_that_leaves_nothing_out_equals_brute_force(opened, name, share):
    generation = opened[name]
    flags = np.random.default_rng(0).random(4000) < share
    if name == "recent":
        flags[DEAD] = False
    wanted = Wanted(10, flags, filtered=share < 1, nprobe=10**6, shortlist=4000)
    expected = flat.exact(generation.rows, QUERIES, k=10, keep=flags)

    same(generation._searcher.search(QUERIES, wanted), expected)


def test_parameters_are_those_measured_and_grow_with_what_is_wanted(opened):
    searcher, index = opened["inverted"]._searcher, opened["inverted"].manifest.index
    tenth = np.arange(4000) % 10 == 0

    assert searcher.parameters(Wanted(10)) == (index.nprobe, index.shortlist)
    assert searcher.parameters(Wanted(3, nprobe=7, shortlist=2)) == Parameters(7, 3)
    assert searcher.parameters(Wanted(40)).shortlist == 4 * index.shortlist
    assert searcher.parameters(Wanted(40)).nprobe > index.nprobe
    assert searcher.parameters(Wanted(10, tenth, filtered=True)).nprobe > index.nprobe
    assert searcher.parameters(Wanted(10, ~tenth, filtered=False)).nprobe == index.nprobe


def test_parameters_of_searchers_without_lists(opened):
    index = opened["funnel"].manifest.index

    assert opened["exact"]._searcher.parameters(Wanted(10)) == Parameters(None, 4000)
    assert opened["funnel"]._searcher.parameters(Wanted(10)) == Parameters(None, index.shortlist)
    assert opened["funnel"]._searcher.parameters(Wanted(20)) == Parameters(None, 2 * index.shortlist)


def test_memory_is_what_the_first_stage_reads(opened):
    sizes = {name: generation._searcher.memory for name, generation in opened.items()}
    files = {
        name: (generation_path(generation._directory, generation.manifest.generation) / INDEX).stat().st_size
        for name, generation in opened.items()
        if name != "exact"
    }

    assert sizes["exact"] == 2 * VECTORS.size
    assert sizes["funnel"] == files["funnel"]
    assert sizes["inverted"] == files["inverted"]
    assert sizes["recent"] == files["recent"] + 2 * 200 * 32
