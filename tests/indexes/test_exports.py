"""A room's face gives each name from its module, and never two things under one name."""

from __future__ import annotations

import pytest

from indexes.exports import lazy


def test_a_name_is_loaded_from_its_module():
    load = lazy("indexes.vectors", {"cosines": ("rescored",)})

    assert load("rescored").__name__ == "rescored"
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        load("other")


def test_a_name_of_two_modules_is_refused():
    with pytest.raises(ValueError, match="from two modules"):
        lazy("room", {"one": ("FORMAT",), "other": ("FORMAT",)})


def test_a_name_of_its_own_module_is_refused_and_a_module_itself_is_not():
    with pytest.raises(ValueError, match="exports rollback from a module of the same name"):
        lazy("room", {"rollback": ("rollback",)})
    assert lazy("room", {"rollback": ()})
