"""The command ``retrieve``. Importing this package imports almost nothing, so that an interrupt is heeded from the start."""

from __future__ import annotations

import gc
import sys

from retrieval.cli.frame import interrupts

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from collections.abc import Sequence

_OBJECTS = 50_000
"""Objects that one query makes between two searches for garbage: with Python's own 700 it searches 80 times among modules, which are none.

Other commands live longer, and read pictures: what an error leaves of a large one must not wait for so many objects.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 a runtime error, 2 usage, 130 interrupted.

    Args:
        arguments: what follows the command's name; `None` takes ``sys.argv``, and the process is the command's own: an
            interrupt before its work began ends it at once, without a word.
    """
    if arguments is None:
        interrupts.leave_at_once()
        if sys.argv[1:2] == ["query"]:
            gc.set_threshold(_OBJECTS)
    from retrieval.cli.outcome import run

    try:
        return run(arguments)
    finally:
        if arguments is None:
            interrupts.ignore()
            gc.freeze()  # the process ends, and would look through everything once more
