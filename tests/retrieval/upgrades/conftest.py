"""Galleries of an old encoder, and the same while they change to a new one; copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.drift import drift, mild_view, scheme
from tests.retrieval.folders import fill
from tests.retrieval.upgrades.galleries import NAMES

__all__ = ["scheme"]


@pytest.fixture(autouse=True)
def mild(scheme, monkeypatch):
    """Every test knows the encoders by name, and sees views that they can tell apart."""
    monkeypatch.setattr("retrieval.upgrades.trial.sample.view_of", mild_view)
    monkeypatch.setattr("retrieval.upgrades.trial.maps._TOLERANCES", (4.0,))  # one is enough here


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder and its collection by the old encoder; copied by each test."""
    home = tmp_path_factory.mktemp("built") / "photos"
    fill(home, NAMES)
    retrieval.build_index(home, encoder=drift("old"))
    return home


@pytest.fixture
def photos(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "photos"))


@pytest.fixture(scope="session")
def begun(built, tmp_path_factory):
    """The same with the upgrade recorded."""
    home = Path(shutil.copytree(built, tmp_path_factory.mktemp("begun") / "photos"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.upgrades.trial.sample.view_of", mild_view)
        retrieval.upgrade(home, encoder=drift("new"), old_encoder=drift("old"))
    return home


@pytest.fixture
def migrating(begun, tmp_path):
    return Path(shutil.copytree(begun, tmp_path / "photos"))
