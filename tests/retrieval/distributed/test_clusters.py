"""Functions run and objects live in other processes; one that dies is an error that says so."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.distributed import check_cluster, open_cluster, require_alike, worker_process
from retrieval.distributed.nodes import node_facts
from retrieval.errors import OptionError, SystemLimit, WorkerLost
from tests.retrieval.distributed import work


@pytest.fixture(scope="module", params=["here", "local:2"])
def cluster(request):
    with open_cluster(request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def local():
    with open_cluster("local:2") as opened:
        yield opened


def test_answers_come_in_the_order_of_the_calls(cluster):
    answers = [cluster.submit(work.squared, number) for number in range(6)]

    assert [answer.get() for answer in answers] == [0, 1, 4, 9, 16, 25]


def test_an_object_keeps_its_state(cluster):
    actor = cluster.keep(work.Counter, 3)

    assert [actor.ask("add", 2, times=2).get(), actor.ask("add", 1).get()] == [7, 8]
    actor.close()


def test_work_is_done_elsewhere(local):
    found = {local.submit(work.pid).get() for _ in range(4)}

    assert os.getpid() not in found
    assert len(found) <= 2
    assert found <= set(local.pids)


def test_what_a_call_raises_is_raised(local):
    with pytest.raises(ValueError, match="as it was"):
        local.submit(work.fail, "as it was").get()
    with pytest.raises(ValueError, match="below zero"):
        local.keep(work.Counter, -1)


def test_a_process_that_dies_loses_its_call_alone(local):
    waiting = [local.submit(work.die), *(local.submit(work.squared, number) for number in range(4))]

    with pytest.raises(WorkerLost, match="has ended"):
        waiting[0].get()
    assert [answer.get() for answer in waiting[1:]] == [0, 1, 4, 9]
    assert local.submit(work.squared, 5).get() == 25


def test_an_object_whose_process_dies_is_lost(local):
    actor = local.keep(work.Counter, 0)

    with pytest.raises(WorkerLost):
        actor.ask("die").get()
    actor.close()


def test_calls_that_wait_when_their_object_is_lost_are_lost_too(local):
    actor = local.keep(work.Counter, 0)
    waiting = [actor.ask("die"), *(actor.ask("add", 1) for _ in range(3))]

    for answer in waiting:
        with pytest.raises(WorkerLost, match="has ended"):
            answer.get(20)
    actor.close()
    with pytest.raises(WorkerLost, match="was closed"):
        actor.ask("add", 1).get(20)


def test_answers_of_an_object_come_in_whatever_order_they_are_waited_for(local):
    actor = local.keep(work.Counter, 0)
    answers = [actor.ask("add", 1) for _ in range(5)]
    with pytest.raises(TypeError, match="pickle"):
        actor.ask("add", threading.Lock()).get(20)

    assert [answer.get(20) for answer in reversed(answers)] == [5, 4, 3, 2, 1]
    assert answers[2].get() == 3
    actor.close()


def test_threads_share_an_object(local):
    actor = local.keep(work.Counter, 0)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: actor.ask("add", 1).get(60), range(200)))

    assert sorted(found) == list(range(1, 201))
    actor.close()


def test_a_call_of_an_object_that_is_late_is_an_error_and_answered_later(local):
    actor = local.keep(work.Counter, 0)
    late = actor.ask("sleep", 0.5)

    with pytest.raises(WorkerLost, match=r"within 0\.01 s"):
        late.get(0.01)
    assert actor.ask("add", 1).get(20) == 1
    assert late.get() is None
    actor.close()


def test_a_process_that_cannot_be_started_says_why(local, monkeypatch):
    def refuse(_process):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", refuse)

    with pytest.raises(BlockingIOError, match="no more processes"):
        local.keep(work.Counter, 0)
    with open_cluster("local:1") as other, pytest.raises(BlockingIOError, match="no more processes"):
        other.submit(work.pid).get()


def test_an_object_that_is_closed_answers_what_it_was_asked_before(local):
    actor = local.keep(work.Counter, 0)
    answers = [actor.ask("add", 1) for _ in range(3)]

    actor.close()

    assert [answer.get(20) for answer in answers] == [1, 2, 3]


def test_large_calls_and_answers_of_one_object_may_wait_for_each_other(local):
    actor = local.keep(work.Counter, 0)
    answers = [actor.ask("same", bytes(4 << 20)) for _ in range(3)]

    assert [len(answer.get(60)) for answer in reversed(answers)] == [4 << 20] * 3
    actor.close()


@pytest.mark.parametrize("at", ["dumps", "loads"])
def test_an_object_whose_call_was_interrupted_is_lost_at_once(local, monkeypatch, at):
    actor = local.keep(work.Counter, 0)
    actor.ask("sleep", 0.1)

    def interrupt(_data):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(worker_process.ForkingPickler, at, interrupt)
        with pytest.raises(KeyboardInterrupt):
            actor.ask("add", 1).get(20)

    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(WorkerLost, match="has ended"):
            actor.ask("add", 1).get(20)
    actor.close()
    assert time.monotonic() - began < 10


def test_an_interrupt_while_an_answer_is_waited_for_loses_nothing(local, monkeypatch):
    actor = local.keep(work.Counter, 0)
    waiting = actor.ask("add", 1)

    def interrupt(_self, _timeout):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(worker_process.WorkerProcess, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            waiting.get(20)

    assert actor.ask("add", 1).get(20) == 2
    assert waiting.get(20) == 1
    actor.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_leaves_the_object_to_its_parent(local):
    actor = local.keep(work.Counter, 0)
    child = os.fork()
    if not child:
        lost = False
        try:
            actor.ask("add", 1).get(20)
        except WorkerLost:
            lost = True
        actor.close()
        os._exit(0 if lost else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert actor.ask("add", 1).get(20) == 1
    actor.close()


def test_no_more_processes_start_than_calls_wait():
    with open_cluster("local:4") as cluster:
        for number in range(3):
            assert cluster.submit(work.squared, number).get() == number * number
        assert len(cluster.pids) == 1
        for answer in [cluster.submit(work.sleep, 0.2) for _ in range(3)]:
            answer.get()
        assert len(cluster.pids) <= 3


def test_an_answer_that_is_late_is_an_error(local):
    late = local.submit(work.sleep, 0.5)

    with pytest.raises(WorkerLost, match=r"within 0\.01 s"):
        late.get(0.01)
    assert late.get() is None


def test_processes_end_with_the_cluster():
    with open_cluster("local:1") as cluster:
        actor_pid = cluster.keep(work.Counter, 0).pid
        worker_pid = cluster.submit(work.pid).get()

    for pid in (actor_pid, worker_pid):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("text", ["moon", "local:0", "local:x", "ray:", "http://x"])
def test_a_text_that_names_no_cluster_is_refused(text):
    with pytest.raises(OptionError, match="is no cluster"):
        check_cluster(text)


@pytest.mark.parametrize("text", [None, "local", "local:3", "ray", "ray://host:10001"])
def test_a_cluster_is_recognised(text):
    check_cluster(text)


def test_nodes_must_see_the_paths(local, tmp_path):
    require_alike(local, paths=[str(tmp_path)])

    with pytest.raises(OptionError, match="sees no"):
        require_alike(local, paths=[str(tmp_path / "away")])


def test_nodes_must_have_the_same_versions(monkeypatch):
    class Other:
        is_here = False

        def everywhere(self, function, *args):
            facts = function(*args)
            return {"node 7": facts | {"versions": facts["versions"] | {"numpy": "0.1"}}}

    with pytest.raises(OptionError, match=r"node 7 has numpy 0\.1"):
        require_alike(Other())
    assert "Python" in node_facts(())["versions"]


def test_a_node_that_ends_while_it_is_asked_is_asked_again():
    class Dying:
        is_here = False
        asked = 0

        def everywhere(self, function, *args):
            self.asked += 1
            if self.asked <= self.deaths:
                raise WorkerLost("a process has ended")
            return {"node 7": function(*args)}

    cluster = Dying()
    cluster.deaths = 2
    require_alike(cluster)
    assert cluster.asked == 3
    cluster.deaths = 9
    with pytest.raises(WorkerLost):
        require_alike(cluster)


@pytest.mark.usefixtures("no_threads")
def test_a_cluster_says_which_limit_lets_it_start_no_thread(monkeypatch):
    with open_cluster("local:2") as cluster:
        with pytest.raises(SystemLimit, match="no thread can be started"):
            cluster.submit(work.squared, 3)
        monkeypatch.undo()  # others have ended meanwhile

        assert cluster.submit(work.squared, 4).get() == 16
