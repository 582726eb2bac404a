"""Keep the many threads of a server from spinning and from hoarding memory."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_M_ARENA_MAX: Final = -8
"""The number that glibc's ``mallopt`` has for it."""
_ARENAS: Final = 2


def share_machine() -> None:
    """Let threads of a search sleep while they wait, and let all threads allocate from the same two heaps.

    With a heap for each thread, as glibc has it, a server that decodes pictures grows for hours: what one thread frees no
    other can take. This holds for the process and for those that it starts. It is called before faiss is loaded and before
    there are threads. What the user has set in the environment stays as it is.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    os.environ["MALLOC_ARENA_MAX"] = str(_ARENAS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it; other systems need nothing
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
