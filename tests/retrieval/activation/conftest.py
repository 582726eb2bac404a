"""A folder of pictures under lossy codes; copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.activation.galleries import KIND, NAMES
from tests.retrieval.folders import fill


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder of 60 pictures, indexed by nano under codes of 8 bytes."""
    folder = fill(tmp_path_factory.mktemp("activation") / "photos", NAMES)
    retrieval.build_index(folder, kind=KIND, device="cpu")
    return folder


@pytest.fixture
def photos(made, tmp_path):
    """A copy of it, to change."""
    return Path(shutil.copytree(made, tmp_path / "photos"))
