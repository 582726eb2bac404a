"""`FakeEncoder` as the scheme ``fake``, so that a command line can name it."""

from __future__ import annotations

from retrieval.testing import FakeEncoder
from tests.retrieval.family import Family

FAMILY = Family("fake", "fake@1", lambda _: FakeEncoder())
