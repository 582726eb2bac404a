"""Show a bar while a long call runs, where somebody can see it: on a terminal or in a notebook."""

from __future__ import annotations

import functools
import os
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from indexes.errors import value_text
from retrieval.display.escaping import escape
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrieval.progress import OnProgress, Progress, ShowProgress

PHASES: Final = {
    "scan": ("looking for images", "files"),
    "compare": ("comparing", "files"),
    "store": ("storing", "rows"),
    "headers": ("reading headers", "files"),
    "embed": ("encoding", "images"),
    "train": ("training", "steps"),
    "add": ("indexing", "steps"),
    "tune": ("tuning", "steps"),
    "sample": ("encoding a sample", "images"),
    "views": ("encoding views", "views"),
    "fit": ("fitting", "kinds of maps"),
    "parts": ("encoding parts of images", "images"),
    "labels": ("comparing labels", "images"),
    "backfill": ("encoding again", "images"),
    "rollback": ("encoding with the old encoder", "images"),
    "activate": ("activating", "images"),
    "group": ("grouping", "images"),
    "choose": ("choosing", "images"),
    "odd": ("looking at neighbours", "images"),
    "pixels": ("reading pixels", "images"),
    "hubs": ("counting neighbours", "images"),
    "neighbors": ("looking for neighbours", "images"),
    "layout": ("placing", "passes"),
    "sprites": ("shrinking pictures", "images"),
    "pair": ("pairing", "images"),
    "captions": ("asking captions", "captions"),
    "attacks": ("asking altered copies", "attacks"),
    "background": ("encoding a background", "images"),
    "queries": ("encoding queries", "images"),
    "check": ("comparing pictures", "pairs"),
    "join": ("looking for likely pairs", "rows"),
    "look": ("reading likely images", "images"),
}
"""Phases as the library names them: in words for people, and what is counted. Another phase is shown under its own name."""

MINUTE, HOUR = 60, 3600
BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}, {rate_noinv_fmt}, {left} left{postfix}"


@contextmanager
def progress_shown(progress: ShowProgress) -> Iterator[OnProgress | None]:
    """Give the callback that a long call reports to; the bar that it drew is gone at the end, also after an interrupt.

    Args:
        progress: True draws a bar on stderr, if that is a terminal or a notebook's; False, or None, shows nothing; a function is
            called with each `Progress`.
    Raises:
        OptionError: it is none of these.
    """
    if callable(progress):
        yield progress
        return
    if not isinstance(progress, bool | None):
        raise OptionError(f"progress is {value_text(progress)}; give True, False or a function")
    if not progress or not _is_watched(sys.stderr):
        yield None
        return
    bar = Bar(sys.stderr)

    def show(event: Progress) -> None:
        with suppress(OSError):  # nobody may be reading stderr any more: that ends no build
            bar(event)

    try:
        yield show
    finally:
        with suppress(OSError):
            bar.close()


def _is_watched(stream: TextIO | None) -> bool:
    """Say whether somebody sees a bar that is drawn on a stream."""
    if stream is None or stream.closed:
        return False
    return stream.isatty() or _in_notebook()


def _in_notebook() -> bool:
    """Say whether this is the kernel of a notebook; it has imported IPython already."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class Bar:
    """A bar with the rate, the time left and the number of skipped files; one a phase.

    Args:
        stream: where it is drawn.
        every: seconds between two drawings, at least.
        say: puts the library's messages into the reader's words.
    """

    def __init__(self, stream: TextIO, *, every: float = 0.1, say: Callable[[str], str] = str) -> None:
        self._stream = stream
        self._say = say
        self._every = every
        self._phase = ""
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        """Draw one event."""
        drawn = _tqdm()
        if progress.message:
            drawn.write(escape(self._say(progress.message)), file=self._stream)
        if progress.phase != self._phase:
            self.close()
            self._phase = progress.phase
        if self._bar is None:
            if not progress.done and not progress.total:
                return
            words, unit = PHASES.get(progress.phase, (progress.phase, "steps"))
            self._bar = drawn(
                desc=words,
                total=progress.total,
                unit=f" {unit}",
                file=self._stream,
                ncols=_columns(self._stream),
                nrows=24,  # there is one bar; a terminal that tells no height would get none
                leave=False,
                bar_format=None if progress.total is None else BAR,
                smoothing=0.1,
                delay=1e-9,
                mininterval=self._every,
            )
            # Drawn only now that `close` finds it: an interrupt in between would leave it on the screen.
            self._bar.delay = 0
            # tqdm holds its lock while it draws, and an interrupt then leaves it held: other bars shall not wait for it.
            self._bar._lock = threading.RLock()  # noqa: SLF001
            self._bar.refresh()
        self._bar.total = progress.total
        self._bar.ncols = _columns(self._stream)  # the window may have been resized
        if progress.skipped:
            self._bar.set_postfix_str(f"{progress.skipped:,} skipped", refresh=False)
        self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            # Once more: an interrupt in the middle of a drawing leaves tqdm in doubt of what is there.
            self._stream.write(f"\r{'':{_columns(self._stream)}}\r")
            self._stream.flush()


@functools.cache
def _tqdm() -> Any:
    """Return tqdm without the thread that watches over bars: at exit it would wait for a lock that an interrupt left held."""
    from tqdm import tqdm

    class Drawn(tqdm):  # type: ignore[misc]  # untyped
        monitor_interval = 0

        @property
        def format_dict(self) -> dict[str, Any]:
            """What a bar may show; ``left`` is the time in the words of `duration`."""
            facts: dict[str, Any] = super().format_dict
            rate = facts["rate"] or (facts["n"] - facts["initial"]) / max(facts["elapsed"], 1e-9)
            rest = (facts["total"] or 0) - facts["n"]
            return facts | {"left": duration(rest / rate) if rate > 0 else "?"}

    return Drawn


def _columns(stream: TextIO) -> int:
    """Return the width of the terminal behind a stream; 80 where it does not tell, or tells 0 as serial consoles do."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def duration(seconds: float) -> str:
    """Write a time as people say it: ``8 s``, ``3 min``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 2 * MINUTE:
        return f"{whole} s"
    if whole < 2 * HOUR:
        return f"{round(whole / MINUTE)} min"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
