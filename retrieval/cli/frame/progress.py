"""Show progress: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from retrieval.cli.frame import interrupts
from retrieval.cli.frame.advice import in_options
from retrieval.display import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrieval.cli.frame.options import Session
    from retrieval.progress import Progress

__all__ = ["Bar", "Lines", "watching"]

EVERY_SECONDS = 10.0
# Phases as the library names them, in words for people; another phase is shown under its own name.
WORDS = {
    "scan": "looking for images",
    "embed": "encoding",
    "train": "training",
    "add": "indexing",
    "tune": "tuning",
    "sample": "encoding a sample",
    "views": "encoding views",
    "backfill": "encoding again",
    "rollback": "encoding with the old encoder",
}
UNITS = {
    "scan": "files",
    "embed": "images",
    "sample": "images",
    "views": "views",
    "backfill": "images",
    "rollback": "images",
}
MINUTE, HOUR = 60, 3600
BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}, {rate_noinv_fmt}, {remaining} left{postfix}"


@contextmanager
def watching(session: Session) -> Iterator[Callable[[Progress], None] | None]:
    """Give the callback that suits stderr, or `None` under ``--quiet``; whatever it drew is gone at the end.

    Nobody may be reading stderr any more: that ends no build. From here on an interrupt is an exception: work has begun.
    """
    interrupts.raise_from_now_on()
    if session.quiet or sys.stderr is None:
        yield None
        return
    view = Bar(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr)

    def show(progress: Progress) -> None:
        with suppress(OSError):
            view(progress)

    try:
        yield show
    finally:
        with suppress(OSError):
            view.close()


class Lines:
    """Plain lines, for logs: each message, the first step of each phase that lasts, then one line every ten seconds."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._phase = ""
        self._began = self._said = clock()
        self._first = 0

    def __call__(self, progress: Progress) -> None:
        """Take note of one event, and print a line if one is due."""
        now = self._clock()
        if progress.message:
            print(escape(in_options(progress.message)), file=self._stream, flush=True)
        if progress.phase != self._phase:
            self._phase, self._began, self._first = progress.phase, now, progress.done
        if now - self._said >= EVERY_SECONDS:
            self._said = now
            print(self._line(progress, now), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to take away."""

    def _line(self, progress: Progress, now: float) -> str:
        of = f" of {progress.total:,}" if progress.total else ""
        unit = UNITS.get(progress.phase, "")
        parts = [f"{WORDS.get(progress.phase, progress.phase)}: {progress.done:,}{of} {unit}".rstrip()]
        rate = (progress.done - self._first) / max(now - self._began, 1e-9)
        if rate > 0:
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            if progress.total:
                parts.append(f"{duration((progress.total - progress.done) / rate)} left")
        if progress.skipped:
            parts.append(f"{progress.skipped:,} skipped")
        return ", ".join(parts)


class Bar:
    """A bar with the rate, the time left and the number of skipped files; one a phase."""

    def __init__(self, stream: TextIO, *, every: float = 0.1) -> None:
        self._stream = stream
        self._every = every  # seconds between two drawings, at least
        self._phase = ""
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        """Draw one event."""
        from tqdm import tqdm

        if progress.message:
            tqdm.write(escape(in_options(progress.message)), file=self._stream)
        if progress.phase != self._phase:
            self.close()
            self._phase = progress.phase
        if self._bar is None:
            if not progress.done and not progress.total:
                return
            self._bar = tqdm(
                desc=WORDS.get(progress.phase, progress.phase),
                total=progress.total,
                unit=f" {UNITS.get(progress.phase, 'steps')}",
                file=self._stream,
                ncols=_columns(self._stream),
                nrows=24,  # there is one bar; a terminal that tells no height would get none
                leave=False,
                bar_format=None if progress.total is None else BAR,
                smoothing=0.1,
                mininterval=self._every,
            )
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
