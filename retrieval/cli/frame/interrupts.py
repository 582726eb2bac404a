"""Handle Ctrl-C at every moment of a command, from its first import on.

While modules are imported an exception would be reported from odd places, or lost in a callback of the import system. So an
interrupt that comes then, once work has begun, is raised as soon as the import is over.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module signal imports enum first, which takes milliseconds

from retrieval import _leave_at_once

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from types import FrameType

_AGAIN_SECONDS = 0.01


def leave_at_once() -> None:
    """Let an interrupt end the process with status 130: nothing is being changed yet."""
    _set(_leave_at_once)


def raise_from_now_on() -> None:
    """Let an interrupt raise `KeyboardInterrupt` from now on, if it would have ended the process."""
    if _signal.getsignal(_signal.SIGINT) is _leave_at_once:
        _set(_raise)


def ignore() -> None:
    """Take no more notice of interrupts: the result is out, and the process is about to end."""
    _set(_signal.SIG_IGN)


def _set(handler: object) -> None:
    if _signal.getsignal(_signal.SIGINT) in {_signal.SIG_IGN, None}:
        return  # whoever started this process wants it to go on, as a shell does in the background
    try:
        _signal.signal(_signal.SIGINT, handler)
    except ValueError:  # not in the main thread: its signals are somebody else's
        return


def _raise(number: int, frame: FrameType | None) -> None:
    del number
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _signal.signal(_signal.SIGALRM, _raise)
            _signal.setitimer(_signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
