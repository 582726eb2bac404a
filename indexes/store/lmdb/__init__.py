"""One environment per store and process."""

from __future__ import annotations

from indexes.store.lmdb import pages
from indexes.store.lmdb.environment import DATA, Environment
from indexes.store.lmdb.gate import Lease
from indexes.store.lmdb.sharing import acquire, release

__all__ = ["DATA", "Environment", "Lease", "acquire", "pages", "release"]
