"""A room's face gives each name from its module; that every room does so is tested in `tests/test_rooms.py`."""

from __future__ import annotations

import sys
import types

import pytest

import indexes.vectors
from indexes.exports import homes_of


def test_the_modules_of_imported_names_are_read_from_code_that_is_not_run() -> None:
    code = compile(
        "from typing import Any\n"
        "if Any:\n    from one.part import FIRST as FIRST, second as second\n"
        "    from one.other import last as end\n"
        "other = str(end)\n",
        "face",
        "exec",
    )

    homes = homes_of(code)

    assert homes["FIRST"] == homes["second"] == "one.part"
    assert homes["last"] == "one.other"
    assert homes.keys() == {"FIRST", "second", "last"}


def test_a_name_is_loaded_from_its_module_and_another_is_refused() -> None:
    assert indexes.vectors.rescored is sys.modules["indexes.vectors.cosines"].rescored
    with pytest.raises(AttributeError, match=r"module 'indexes.vectors' has no attribute 'other'"):
        indexes.vectors.other  # noqa: B018


def test_a_room_lists_what_it_exports_and_gives_all_of_it() -> None:
    given: dict[str, object] = {}
    exec("from indexes.vectors import *", given)  # noqa: S102

    assert {"rescored", "Neighbors"} <= given.keys()
    assert not {"lazy", "TYPE_CHECKING", "annotations"} & (given.keys() | {*dir(indexes.vectors)})
    assert "rescored" in dir(indexes.vectors)


def test_a_module_that_exports_something_can_be_reached_through_its_room() -> None:
    assert isinstance(indexes.vectors.cosines, types.ModuleType)
