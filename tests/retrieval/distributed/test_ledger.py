"""A job whose worker dies is run again."""

from __future__ import annotations

import pytest

from retrieval.distributed import open_cluster, run_jobs
from retrieval.errors import WorkerLost
from tests.retrieval.distributed import work


def test_a_job_that_loses_its_worker_is_run_again(tmp_path):
    lost: list[str] = []
    with open_cluster("local:2") as cluster:
        jobs = [str(tmp_path / name) for name in "ab"]
        found = run_jobs(cluster, work.die_once, jobs, names=["first", "second"], lost=lost.append)

        assert found == ["done", "done"]
        assert sorted(line.split(":")[0] for line in lost) == ["first", "second"]
        with pytest.raises(WorkerLost, match=r"first: .*\(3 times\)"):
            run_jobs(cluster, work.die_always, ["x"], names=["first"])


def test_an_error_of_a_job_is_raised_when_the_others_have_ended():
    with open_cluster("here") as here, pytest.raises(ValueError, match="so it is"):
        run_jobs(here, work.fail, ["so it is"], names=["first"])
