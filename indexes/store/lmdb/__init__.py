"""One environment per store and process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.store.lmdb import pages
    from indexes.store.lmdb.environment import DATA, Databases, Environment
    from indexes.store.lmdb.gate import Lease
    from indexes.store.lmdb.sharing import abandon, acquire, is_open, release
else:
    __getattr__ = lazy(
        __name__,
        {
            "environment": ("DATA", "Databases", "Environment"),
            "gate": ("Lease",),
            "pages": (),
            "sharing": ("abandon", "acquire", "is_open", "release"),
        },
    )

__all__ = ["DATA", "Databases", "Environment", "Lease", "abandon", "acquire", "is_open", "pages", "release"]
