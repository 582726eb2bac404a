from __future__ import annotations

import numpy as np
import pytest

from benchmarks.synthetic import Recipe, queries, vectors
from indexes.engine import flat, ivf, tune
from indexes.engine.refined import Refined
from indexes.vectors.metrics import recall_at_k, recall_of_each

RECIPE = Recipe(rows=4000, dim=32, clusters=80, topics=8)
ROWS = vectors(RECIPE).astype(np.float16)


@pytest.fixture(scope="module")
def stage():
    index = ivf.make("RR,IVF32,RaBitQfs", dim=32)
    wide = ROWS.astype(np.float32)
    ivf.train(index, wide)
    ivf.add(index, [(np.arange(len(wide)), wide)])
    return Refined(index, ROWS)


@pytest.fixture(scope="module")
def asked():
    return {"image": tune.stored_questions(ROWS, live=None, sample=300)}


def test_a_stored_row_is_left_out_of_its_own_answers():
    live = np.random.default_rng(0).random(len(ROWS)) < 0.5
    asked = tune.stored_questions(ROWS, live=live, sample=200)

    assert live[asked.own].all()
    assert len(set(asked.own.tolist())) == 200
    assert asked.true.shape == (200, 10)
    assert not (asked.true == asked.own[:, np.newaxis]).any()
    assert live[asked.true].all()
    np.testing.assert_array_equal(
        asked.true[3],
        [i for i in flat.exact(ROWS, asked.queries[3:4], k=11, keep=live).ids[0] if i != asked.own[3]],
    )


def test_a_row_hidden_among_its_copies_still_has_ten_answers():
    rows = np.repeat(ROWS[:1], 40, axis=0)
    asked = tune.stored_questions(rows, live=None, sample=40)

    assert asked.true.shape == (40, 10)
    assert not (asked.true == asked.own[:, np.newaxis]).any()


def test_fewer_rows_than_the_sample_are_all_asked():
    assert len(tune.stored_questions(ROWS[:50], live=None).own) == 50


@pytest.mark.parametrize("target", [0.6, 0.9, 0.98])
def test_the_setting_chosen_reaches_the_target_on_queries_it_has_not_seen(stage, asked, target):
    tuned = tune.tune(stage, asked, target=target)
    fresh = queries(RECIPE, 500)
    found = stage.search(fresh, k=10, nprobe=tuned.chosen.nprobe, shortlist=tuned.chosen.shortlist)

    assert tuned.reached
    assert tuned.chosen.recall["image"] >= target
    assert (
        recall_at_k(found.ids, flat.exact(ROWS, fresh, k=10).ids) > target - 0.03
    )  # usually above the target
    assert tuned.chosen in tuned.tried


def test_a_higher_target_takes_more_work(stage, asked):
    low, high = (tune.tune(stage, asked, target=target).chosen for target in (0.6, 0.99))

    assert low.nprobe * low.shortlist < high.nprobe * high.shortlist


def test_no_cheaper_nprobe_passes_with_the_same_shortlist(stage, asked):
    tuned = tune.tune(stage, asked, target=0.9)
    failed = [
        t.nprobe for t in tuned.tried if t.shortlist == tuned.chosen.shortlist and t.recall["image"] < 0.9
    ]

    assert not failed or max(failed) < tuned.chosen.nprobe


def test_every_set_of_questions_must_reach_the_target(stage, asked):
    # Directions that no row has are harder to find the neighbours of.
    strange = np.random.default_rng(1).standard_normal((60, 32)).astype(np.float32)
    strange /= np.linalg.norm(strange, axis=1, keepdims=True)
    both = {**asked, "text": tune.other_questions(ROWS, strange, live=None)}
    tuned = tune.tune(stage, both, target=0.9)

    assert min(tuned.chosen.recall.values()) >= 0.9
    assert set(tuned.chosen.recall) == {"image", "text"}


def test_a_target_out_of_reach_is_told_with_the_best_that_was_found(asked):
    index = ivf.make("LSH", dim=32)
    ivf.add(index, [(np.arange(len(ROWS)), ROWS.astype(np.float32))])
    tuned = tune.tune(Refined(index, ROWS), asked, target=1.0)

    assert not tuned.reached
    assert tuned.chosen.recall["image"] == max(trial.recall["image"] for trial in tuned.tried)
    assert tuned.chosen.nprobe is None


def test_rows_that_are_gone_are_not_asked_for(stage):
    live = np.random.default_rng(0).random(len(ROWS)) < 0.9
    asked = {"image": tune.stored_questions(ROWS, live=live, sample=200)}
    trial = tune.recall(stage, asked, nprobe=32, shortlist=2000, selector=ivf.selector(live))

    assert trial.recall["image"] > 0.995  # 1.0 here


def test_a_query_that_is_no_row_loses_one_place_of_a_padded_list():
    found = np.array([[4, -1, -1], [4, 7, 9]])

    np.testing.assert_array_equal(tune.without(found, np.array([-1, 7])), [[4, -1], [4, 9]])


class Counted:
    """A stage that counts the questions it is asked."""

    def __init__(self, stage):
        self.stage, self.index, self.nlist = stage, stage.index, stage.nlist
        self.searched, self.coded = [], []

    def search(self, queries, *, nprobe, shortlist, **options):
        self.searched.append((nprobe, shortlist))
        return self.stage.search(queries, nprobe=nprobe, shortlist=shortlist, **options)

    def candidates(self, queries, *, nprobe, count, **options):
        self.coded.append(((nprobe, count), len(queries)))
        return self.stage.candidates(queries, nprobe=nprobe, count=count, **options)


@pytest.mark.parametrize("nprobe", [2, 9, 32])
def test_the_first_candidates_say_what_a_shortlist_would_find(stage, asked, nprobe):
    questions = asked["image"]
    codes = stage.candidates(questions.queries, count=tune.SHORTLISTS[-1], nprobe=nprobe)

    for shortlist in tune.SHORTLISTS:
        measured = tune.recall(stage, asked, nprobe=nprobe, shortlist=shortlist).recall["image"]
        counted = recall_of_each(codes[:, :shortlist], questions.true).mean()
        assert counted == pytest.approx(measured, abs=1e-9)


def test_each_number_of_lists_is_searched_once_for_several_shortlists(stage):
    counted = Counted(stage)
    asked = {"image": tune.stored_questions(ROWS, live=None, sample=1000)}
    tuned = tune.tune(counted, asked, target=0.9)
    asked_for = dict.fromkeys((setting for setting, _ in counted.coded), 0)
    for setting, some in counted.coded:
        asked_for[setting] += some

    assert tuned.reached
    assert {count for _, count in asked_for} <= {160, 640}
    assert max(asked_for.values()) <= 1000
    assert asked_for[1, 160] == 250  # far from the target: a part of the questions says so
    assert counted.searched[-1] == (tuned.chosen.nprobe, tuned.chosen.shortlist)  # what is chosen is searched
    assert len(counted.searched) < len(tuned.tried)
