"""One environment per store and process."""

from __future__ import annotations

from indexes.store.lmdb import pages
from indexes.store.lmdb.environment import DATA, Environment, acquire, release
from indexes.store.lmdb.gate import Lease

__all__ = ["DATA", "Environment", "Lease", "acquire", "pages", "release"]
