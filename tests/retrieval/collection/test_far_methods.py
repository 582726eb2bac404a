"""What the rooms above do with a collection are its methods."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import retrieval
from retrieval.collection.far_methods import FarMethod, FarMethods

HERE = ("retrieval.curation", "retrieval.evaluation")


def functions_of_a_collection() -> set[str]:
    """Return the public functions of curation and evaluation whose first argument is a collection."""
    found = set()
    for name in retrieval.__all__:
        value = getattr(retrieval, name)
        if inspect.isfunction(value) and value.__module__.startswith(HERE):
            first = next(iter(inspect.signature(value).parameters.values()))
            if "Collection" in str(first.annotation):
                found.add(name)
    return found


def test_every_such_function_is_a_method_and_no_other() -> None:
    methods = {name for name, value in vars(FarMethods).items() if isinstance(value, FarMethod)}

    assert methods == functions_of_a_collection()


@pytest.mark.parametrize("name", sorted(functions_of_a_collection()))
def test_a_method_is_the_function(name: str) -> None:
    assert getattr(retrieval.Collection, name) is getattr(retrieval, name)


def test_a_method_does_what_the_function_does(tmp_path: Path) -> None:
    with retrieval.create(tmp_path, dim=3) as rows:
        rows.add([[1, 0, 0], [0.9, 0.1, 0], [0, 0, 1]], keys=["a", "b", "c"])

        assert [one.path for one in rows.outliers(1, neighbors=1)] == ["c"]
        assert rows.outliers(1, neighbors=1) == retrieval.outliers(rows, 1, neighbors=1)


def test_a_method_of_a_sharded_collection_takes_it(tmp_path: Path) -> None:
    from retrieval.collection.sharded import ShardedCollection

    assert ShardedCollection.cluster is retrieval.cluster


def test_nothing_of_the_rooms_above_is_loaded_with_a_collection(tmp_path: Path) -> None:
    retrieval.create(tmp_path, dim=2).close()
    code = f"""
import sys, retrieval
with retrieval.open({str(tmp_path)!r}) as rows:
    rows.add([[1, 0]])
    rows.search([0.6, 0.8])
print([name for name in sys.modules if name.startswith({HERE!r})])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
