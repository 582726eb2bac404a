"""One environment per store and process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.store.lmdb import pages as pages
    from indexes.store.lmdb.environment import (
        DATA as DATA,
        Databases as Databases,
        Environment as Environment,
    )
    from indexes.store.lmdb.gate import Lease as Lease
    from indexes.store.lmdb.sharing import (
        abandon as abandon,
        acquire as acquire,
        is_open as is_open,
        release as release,
    )

lazy(__name__)
