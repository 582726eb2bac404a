"""How even labels are."""

from __future__ import annotations

import pytest

from retrieval.curation.audit.class_balance import class_balance


def test_even_labels_have_balance_one() -> None:
    found = class_balance({"b": 20, "a": 20, "c": 20}, without=3)

    assert (found.balance, found.ratio, found.few, found.without) == (pytest.approx(1), 1, (), 3)
    assert list(found.counts) == ["a", "b", "c"]


def test_uneven_labels_have_less() -> None:
    found = class_balance({"rare": 2, "usual": 198}, without=0)

    assert list(found.counts) == ["usual", "rare"]
    assert 0.5 < found.balance < 0.6  # one label for all would be 0.5
    assert found.ratio == 99
    assert found.few == ("rare",)
